"""What a released model costs before it is loaded: bytes to download, on disk, in memory. Arithmetic only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from sparrow.errors import ModelError
from sparrow.model.release.names import StoreName
from sparrow.model.release.places import Place, disk_free
from sparrow.model.release.quantise import BYTES, Bits

_GB = 1e9


@dataclass(frozen=True)
class Counts:
    """Numbers in the weights that a model keeps. The defaults are the released model's."""

    layers: int = 3_623_878_656
    """Linear layers of the language model, which may be quantised."""
    video_llm: int = 1_524_317_440
    """The rest of the VideoLLM: embeddings, towers, projectors."""
    others: int = 449_155_089
    """Proposer, selector, SAM 2."""

    @classmethod
    def of(cls, sizes: Mapping[str, int]) -> Counts:
        """Count by our names of the weights."""
        layers = sum(
            size
            for name, size in sizes.items()
            if name.startswith("video_llm.lm.model.layers.") and "norm" not in name
        )
        video_llm = sum(size for name, size in sizes.items() if name.startswith("video_llm."))
        return cls(layers, video_llm - layers, sum(sizes.values()) - video_llm)

    def bytes(self, dtype: torch.dtype, bits: Bits | None = None) -> int:
        """Give the bytes with the VideoLLM in this dtype, its layers quantised, all others float32."""
        layer = dtype.itemsize if bits is None else BYTES[bits]
        return round(self.layers * layer) + self.video_llm * dtype.itemsize + self.others * 4


@dataclass(frozen=True)
class Needs:
    """Bytes."""

    downloads: dict[str, int]
    """Per store, what is not on this machine yet."""
    disk_free: int
    """Where downloads go."""
    memory: int
    """Of the weights, in RAM or on the GPU that the model is loaded to."""

    @property
    def download(self) -> int:
        """All stores together."""
        return sum(self.downloads.values())

    def describe(self) -> str:
        """Say it in one line."""
        parts = ", ".join(f"{name} {size / _GB:.1f}" for name, size in self.downloads.items())
        return (
            f"to download {self.download / _GB:.1f} GB ({parts}), free on disk "
            f"{self.disk_free / _GB:.1f} GB, memory for the weights {self.memory / _GB:.1f} GB"
        )

    def check(self) -> None:
        """Refuse what does not fit.

        Raises:
            ModelError: the downloads need more disk than is free.
        """
        if self.download > self.disk_free:
            raise ModelError(
                f"{self.describe()}: not enough disk; free some, or set HF_HOME to another disk"
            )


def needs_of(
    places: Mapping[StoreName, Place], counts: Counts | None, dtype: torch.dtype, bits: Bits | None
) -> Needs:
    """Work out the needs of located stores.

    Args:
        places: where they are.
        counts: None where they are not known yet: the released model's.
        dtype: of the VideoLLM; the other parts have float32.
        bits: of the language model's linear layers.
    """
    downloads: dict[str, int] = {name: place.missing for name, place in places.items()}
    return Needs(downloads, disk_free(), (counts or Counts()).bytes(dtype, bits))

"""Names of the released checkpoints' weights, and ours. Pure functions of names: no file, no tensor.

The released model lies in four stores: "main" (language model, projectors, SAM 2, selector), the two
vision towers, and the proposer. Main comes with or without the towers. A name is used, or not used for a
reason that is said, or unknown; nothing is passed over in silence.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

StoreName = Literal["main", "video_tower", "image_tower", "proposer"]

_SELECTOR = ("proposal_selector.", "roi_helper.", "roi_fusion_gamma")
_VIDEO, _IMAGE = "video_llm.vision_tower.", "video_llm.image_vision_tower."
_MAIN = {
    "lm_head.": "video_llm.lm.lm_head.",
    "model.embed_tokens.": "video_llm.lm.model.embed_tokens.",
    "model.layers.": "video_llm.lm.model.layers.",
    "model.norm.": "video_llm.lm.model.norm.",
    "model.mm_projector.": "video_llm.mm_projector.",
    "model.image_mm_projector.": "video_llm.image_mm_projector.",
    "model.text_hidden_fcs.0.": "video_llm.text_hidden_fcs.",
    "model.visual_model.": "pixel_decoder.sam.",
    **{f"model.{part}": f"selector.{part}" for part in _SELECTOR},
    "model.vision_tower.vision_encoder.": _VIDEO,
    "model.image_vision_tower.vision_tower.vision_model.": _IMAGE,
}
_PROPOSER = {
    "vis_encoder.": "proposer.image_encoder.",
    "ddetr_transformer.": "proposer.detr.",
    "input_proj.": "proposer.input_proj.",
}
_PREFIXES: dict[StoreName, dict[str, str]] = {
    "main": _MAIN,
    "video_tower": {"vision_encoder.": _VIDEO},
    "image_tower": {"vision_model.": _IMAGE},
    "proposer": _PROPOSER,
}
_FUSER = re.compile(r"(.*\.memory_encoder\.fuser\.layers\.\d+\.)(weight|gamma)")
_SECOND_HEADS = re.compile(r"ddetr_transformer\.decoder\.(?=bbox_embed\.|class_embed_)")
_VIDEO_HEADS = (
    "clip_projector.",
    "clip_decoder.",
    "final_clip_decoder.",
    "clip_pos_embed",
    "clip_img_pos_embed",
)
_COMPUTED = "a table that is computed, not learnt"


@dataclass(frozen=True)
class Naming:
    """What becomes of the names of one store."""

    used: dict[str, str]
    """Released name to ours."""
    unused: dict[str, str]
    """Released name to the reason why no answer needs it."""
    unknown: tuple[str, ...]
    """No released store has these."""


def name_store(store: StoreName, names: Iterable[str]) -> Naming:
    """Rename the weights of one released store.

    Args:
        store: main may hold the towers' weights too.
        names: of all its weights; what is the last block of a tower depends on all.
    """
    names = list(names)
    first = {"main": "model.vision_tower.vision_encoder.", "video_tower": "vision_encoder."}
    reason = _Reasons(store, first.get(store, ""), names)
    used, unused, unknown = {}, {}, []
    for name in names:
        ours = _rename(store, name)
        if (why := reason(name)) is not None:
            unused[name] = why
        elif ours is not None:
            used[name] = ours
        else:
            unknown.append(name)
    return Naming(used, unused, tuple(unknown))


def supplier(ours: str) -> StoreName:
    """Say which store has a weight of ours in a release whose main store holds no towers."""
    towers: dict[str, StoreName] = {
        _VIDEO: "video_tower",
        _IMAGE: "image_tower",
        "proposer.": "proposer",
    }
    return next((store for prefix, store in towers.items() if ours.startswith(prefix)), "main")


def released_name(ours: str, store: StoreName | None = None) -> str:
    """Give the released name of a weight of ours.

    Args:
        ours: name in a SparrowModel.
        store: where it is looked for; None: its `supplier`.

    Raises:
        KeyError: that store has no such weight.
    """
    for theirs, prefix in _PREFIXES[store or supplier(ours)].items():
        if ours.startswith(prefix):
            name = theirs + ours.removeprefix(prefix)
            scale = _FUSER.fullmatch(name)
            return f"{scale[1]}weight" if scale else name
    raise KeyError(ours)


def is_unmerged(names: Iterable[str]) -> bool:
    """Tell a training checkpoint, whose LoRA weights lie beside what they change, from a release."""
    return any(name.startswith("base_model.") or ".lora_A." in name for name in names)


def _rename(store: StoreName, name: str) -> str | None:
    if store == "proposer":
        name = _SECOND_HEADS.sub("ddetr_transformer.", name)
    for prefix, ours in _PREFIXES[store].items():
        if name.startswith(prefix):
            rest = name.removeprefix(prefix)
            single = store == "main" and prefix.endswith("mm_projector.") and "." not in rest
            named = ours + ("0." if single else "") + rest
            scale = _FUSER.fullmatch(named)  # today's SAM 2 calls its weight gamma
            return f"{scale[1]}gamma" if scale else named
    return None


class _Reasons:
    """Says why a released weight is not needed; None if it is."""

    def __init__(self, store: StoreName, video_prefix: str, names: list[str]) -> None:
        self._store, self._video_prefix = store, video_prefix
        self._all = set(names)
        blocks = re.compile(re.escape(video_prefix) + r"blocks\.(\d+)\.")
        found = [int(hit[1]) for name in names if (hit := blocks.match(name))]
        self._last_block = f"{video_prefix}blocks.{max(found, default=-1)}."

    def __call__(self, name: str) -> str | None:
        rules: dict[StoreName, Callable[[str], str | None]] = {
            "main": self._main,
            "video_tower": self._video,
            "image_tower": _image,
            "proposer": self._proposer,
        }
        return rules[self._store](name)

    def _main(self, name: str) -> str | None:
        if name.endswith(("rotary_emb.inv_freq", "embeddings.position_ids")):
            return _COMPUTED
        return self._video(name) if name.startswith("model.vision_tower.") else None

    def _video(self, name: str) -> str | None:
        if not name.startswith(self._video_prefix):
            return "InternVideo2's text side and matching heads"
        if name.startswith(self._last_block):
            return "features leave InternVideo2 before its last block"
        if name.removeprefix(self._video_prefix).startswith(_VIDEO_HEADS):
            return "InternVideo2's pooling and distillation heads"
        return None

    def _proposer(self, name: str) -> str | None:
        first = _SECOND_HEADS.sub("ddetr_transformer.", name)
        return "a second name of the same tensor" if first != name and first in self._all else None


def _image(name: str) -> str | None:
    if name.endswith("embeddings.position_ids"):
        return _COMPUTED
    return None if name.startswith("vision_model.") else "CLIP's text side and projections"

"""Models without weights, for weights that are read from files: nothing is drawn and nothing held twice.

A model built so has its parameters on PyTorch's "meta" device. Tables that are computed and not stored
(rotary frequencies, position counts) would be lost there; they are built anew, and whatever would stay
behind is an error here instead of noise in an answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

import torch
from torch import Tensor, nn
from transformers.models.clip.modeling_clip import CLIPVisionEmbeddings
from transformers.models.phi3.modeling_phi3 import Phi3RotaryEmbedding

Model = TypeVar("Model", bound=nn.Module)


def build_empty(make: Callable[[], Model]) -> Model:
    """Build a model whose stored weights are still to come, in evaluation mode.

    Args:
        make: constructs it.

    Raises:
        RuntimeError: it has a table that this module cannot build anew.
    """
    with torch.device("meta"):
        model = make()
    _build_tables(model)
    lost = sorted(_lost_tables(model))
    if lost:
        raise RuntimeError(f"tables that are neither stored nor built anew: {', '.join(lost)}")
    return model.eval()


def _build_tables(model: nn.Module) -> None:
    for module in list(model.modules()):
        if isinstance(module, CLIPVisionEmbeddings):
            table = torch.arange(module.num_positions)[None]
            module.register_buffer("position_ids", table, persistent=False)
        for name, child in module.named_children():
            if isinstance(child, Phi3RotaryEmbedding):
                setattr(module, name, Phi3RotaryEmbedding(child.config))


def _lost_tables(model: nn.Module) -> Iterator[str]:
    """Yield what lies on "meta" and is no stored weight: buffers that are not kept, plain attributes."""
    stored = set(model.state_dict())
    for path, module in model.named_modules():
        buffers = {name: value for name, value in module._buffers.items() if value is not None}
        plain = {name: value for name, value in vars(module).items() if isinstance(value, Tensor)}
        for name, value in {**buffers, **plain}.items():
            full = f"{path}.{name}" if path else name
            if value.is_meta and full not in stored:
                yield full

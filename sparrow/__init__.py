"""Talk with a video and point into it.

The public names of Sparrow, loaded when first used: `import sparrow` costs no torch. Nothing else is promised.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sparrow.errors import Cancelled, ModelError, PromptError, SparrowError, VideoError
    from sparrow.ingest import open_video
    from sparrow.limits import Limits
    from sparrow.pipeline import Chat, Sparrow
    from sparrow.types import (
        GroundedAnswer,
        MaskTrack,
        Progress,
        Prompt,
        Referent,
        TextDelta,
        Turn,
    )
    from sparrow.video import Video

__all__ = [
    "Cancelled",
    "Chat",
    "GroundedAnswer",
    "Limits",
    "MaskTrack",
    "ModelError",
    "Progress",
    "Prompt",
    "PromptError",
    "Referent",
    "Sparrow",
    "SparrowError",
    "TextDelta",
    "Turn",
    "Video",
    "VideoError",
    "open_video",
]

_HOMES = {
    "sparrow.errors": {"Cancelled", "ModelError", "PromptError", "SparrowError", "VideoError"},
    "sparrow.ingest": {"open_video"},
    "sparrow.limits": {"Limits"},
    "sparrow.pipeline": {"Chat", "Sparrow"},
    "sparrow.types": {
        "GroundedAnswer",
        "MaskTrack",
        "Progress",
        "Prompt",
        "Referent",
        "TextDelta",
        "Turn",
    },
    "sparrow.video": {"Video"},
}


def __getattr__(name: str) -> object:
    """Load a public name from its module on first use (PEP 562)."""
    for module, names in _HOMES.items():
        if name in names:
            value = getattr(import_module(module), name)
            globals()[name] = value
            return value
    raise AttributeError(f"module 'sparrow' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)

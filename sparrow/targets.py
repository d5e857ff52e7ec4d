"""What a user points at -> targets of the tracker; and which of the found things it is.

Knows prompts, boxes and frames in memory; neither the model nor the conversation.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from sparrow import boxes
from sparrow.errors import PromptError
from sparrow.model.pixel_decoder import FramePrompt
from sparrow.model.tracking import Target
from sparrow.types import Prompt
from sparrow.video import Video

SAME_THING = 0.5
"""Mean overlap of two tracks' boxes from which they are one thing."""


class HeldFrames:
    """A few frames in memory as a source for tracking."""

    def __init__(self, frames: np.ndarray) -> None:
        self._frames = frames
        self.num_frames = len(frames)
        self.size_hw = (frames.shape[1], frames.shape[2])

    def iter(self, start: int = 0, stop: int | None = None) -> Iterator[np.ndarray]:
        yield from self._frames[start:stop]


def targets_of(video: Video, prompts: Sequence[Prompt]) -> list[Target]:
    """Gather prompts by referent and frame; the earliest prompted frame is the anchor."""
    if not prompts:
        raise PromptError("track: expected at least one point, box or mask, got none")
    gathered: dict[int, dict[int, list[Prompt]]] = {}
    for prompt in prompts:
        _check(video, prompt)
        gathered.setdefault(prompt.referent_id, {}).setdefault(prompt.frame, []).append(prompt)
    return [
        Target(referent_id, min(frames), {f: _merge(frames[f]) for f in sorted(frames)})
        for referent_id, frames in sorted(gathered.items())
    ]


def _merge(prompts: Sequence[Prompt]) -> FramePrompt:
    """Put the prompts of one referent on one frame together; the latest box or mask counts."""
    given: dict[str, np.ndarray] = {p.kind: p.coordinates for p in prompts}
    clicks = tuple(
        (float(p.coordinates[0]), float(p.coordinates[1]), p.kind == "point+")
        for p in prompts
        if p.kind in ("point+", "point-")
    )
    return FramePrompt(given.get("box"), clicks, given.get("mask"))


def _check(video: Video, prompt: Prompt) -> None:
    height, width = video.size_hw
    if prompt.frame >= video.num_frames:
        raise PromptError(f"prompt frame: expected 0 to {video.num_frames - 1}, got {prompt.frame}")
    if prompt.kind == "mask":
        inside = prompt.coordinates.shape == video.size_hw
    else:
        xy = prompt.coordinates.reshape(-1, 2)
        limits = np.array([width, height])
        inside = bool((xy <= limits).all() and (xy >= 0).all())
    if not inside:
        raise PromptError(
            f"{prompt.kind} prompt: expected pixels inside the {width} x {height} frame, "
            f"got {np.asarray(prompt.coordinates).shape if prompt.kind == 'mask' else prompt.coordinates.tolist()}"
        )


def same_thing(row: np.ndarray, tracks: np.ndarray) -> int | None:
    """Find the track (N, T, 4) that overlaps a pointed one (T, 4) best, if well enough."""
    if not len(tracks):
        return None
    both = ~np.isnan(tracks[..., 0]) & ~np.isnan(row[:, 0])[None]
    overlap = np.zeros(both.shape)
    for n, t in zip(*np.nonzero(both), strict=True):
        overlap[n, t] = boxes.iou_matrix(row[t][None], tracks[n, t][None])[0, 0]
    mean = overlap.sum(1) / np.maximum(both.sum(1), 1)
    best = int(mean.argmax())
    return best if mean[best] >= SAME_THING else None

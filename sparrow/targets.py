"""What a user points at -> targets of the tracker; and which of the found things it is.

Knows prompts, boxes and frames in memory; neither the model nor the conversation.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from sparrow import boxes
from sparrow.errors import PromptError
from sparrow.model.pixel_decoder import FramePrompt
from sparrow.model.tracking import Target
from sparrow.prompts import check_prompts
from sparrow.types import MaskTrack, Prompt
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


def targets_of(
    video: Video,
    prompts: Sequence[Prompt],
    before: Mapping[int, MaskTrack] | None = None,
    span: tuple[int, int] | None = None,
) -> list[Target]:
    """Gather prompts by referent and frame; the earliest prompted frame is the anchor.

    Args:
        video: what the prompts are about.
        prompts: at least one.
        before: by referent id, the tracks that are corrected: where there are only clicks on a frame, they
            correct the mask that is there.
        span: first frame and the one after the last that may be prompted.

    Raises:
        PromptError: no prompt, one outside the video or the span, or a track of another video.
    """
    if not prompts:
        raise PromptError("track: expected at least one point, box or mask, got none")
    check_prompts(video, prompts, span)
    gathered: dict[int, dict[int, list[Prompt]]] = {}
    for prompt in prompts:
        gathered.setdefault(prompt.referent_id, {}).setdefault(prompt.frame, []).append(prompt)
    return [
        _target(video, referent_id, frames, (before or {}).get(referent_id))
        for referent_id, frames in sorted(gathered.items())
    ]


def _target(
    video: Video,
    referent_id: int,
    prompts: Mapping[int, Sequence[Prompt]],
    before: MaskTrack | None,
) -> Target:
    if before is not None and (before.num_frames, before.size_hw) != (
        video.num_frames,
        video.size_hw,
    ):
        raise PromptError(
            f"track before: expected {video.num_frames} frames of {video.size_hw}, "
            f"got {before.num_frames} of {before.size_hw}; it belongs to another video"
        )
    merged = {frame: _merge(prompts[frame], before, frame) for frame in sorted(prompts)}
    anchor = min(merged)
    first = merged[anchor]
    if first.box is None and first.mask is None and not any(on for _, _, on in first.clicks):
        raise PromptError(
            f"point-: expected something to take away from in frame {anchor}, there is no mask yet; "
            "point at the thing first"
        )
    return Target(referent_id, anchor, merged, before)


def _merge(prompts: Sequence[Prompt], before: MaskTrack | None, frame: int) -> FramePrompt:
    """Put the prompts of one referent on one frame together; the latest box or mask counts.

    Clicks alone correct the mask of the track before.
    """
    given: dict[str, np.ndarray] = {p.kind: p.coordinates for p in prompts}
    clicks = tuple(
        (float(p.coordinates[0]), float(p.coordinates[1]), p.kind == "point+")
        for p in prompts
        if p.kind in ("point+", "point-")
    )
    box, mask = given.get("box"), given.get("mask")
    if box is None and mask is None and before is not None and before.rles[frame] is not None:
        mask = before.mask(frame)
    return FramePrompt(box, clicks, mask)


def same_thing(row: np.ndarray, tracks: np.ndarray, least: float = SAME_THING) -> int | None:
    """Find the track (N, T, 4) that overlaps a pointed one (T, 4) best, if by `least` in the mean."""
    if not len(tracks):
        return None
    both = ~np.isnan(tracks[..., 0]) & ~np.isnan(row[:, 0])[None]
    overlap = np.zeros(both.shape)
    for n, t in zip(*np.nonzero(both), strict=True):
        overlap[n, t] = boxes.iou_matrix(row[t][None], tracks[n, t][None])[0, 0]
    mean = overlap.sum(1) / np.maximum(both.sum(1), 1)
    best = int(mean.argmax())
    return best if mean[best] >= least else None

"""What a user points at, checked against the video that it is about. Knows no model."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sparrow.errors import PromptError
from sparrow.types import Prompt
from sparrow.video import Video


def check_prompts(
    video: Video, prompts: Sequence[Prompt], span: tuple[int, int] | None = None
) -> None:
    """Refuse what points outside a video or its span.

    Raises:
        PromptError: one of them does.
    """
    allowed = frames_of(video, span)
    for prompt in prompts:
        _check(video, prompt, allowed)


def frames_of(video: Video, span: tuple[int, int] | None) -> range:
    """Give the frames of a span, (first, the one after the last); of the whole video for None.

    Raises:
        PromptError: it is empty or leaves the video.
    """
    if span is None:
        return range(video.num_frames)
    if not 0 <= span[0] < span[1] <= video.num_frames:
        raise PromptError(
            f"span: expected 0 <= first < end <= {video.num_frames}, got {span[0]} to {span[1]}"
        )
    return range(*span)


def _check(video: Video, prompt: Prompt, allowed: range) -> None:
    height, width = video.size_hw
    if prompt.frame not in allowed:
        raise PromptError(
            f"prompt frame: expected {allowed.start} to {allowed.stop - 1}, got {prompt.frame}"
        )
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

"""What a question points at -> prompts with referent ids. Tracks nothing itself."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from sparrow.chat.messages import Box, Known, Point, Pointing
from sparrow.errors import PromptError
from sparrow.types import History, MaskTrack, Prompt

_SPECK = 0.1  # a piece so small beside the largest is none of the thing


def ids_of(pointings: Sequence[Pointing], history: History) -> tuple[int, ...]:
    """Say which referent each pointing is about; new things get the next ids.

    A pointing that names a known thing is about that one. A click without a name is about the thing of the
    pointing before it, on the same frame; any other pointing without a name begins a new thing.

    Raises:
        PromptError: a thing that is not there is named.
    """
    ids: list[int] = []
    next_id = history.next_id
    before: Pointing | None = None
    for pointing in pointings:
        named = pointing.id if isinstance(pointing, Known) else pointing.referent
        if named is not None:
            _check(named, history)
            ids.append(named)
        elif _joins(pointing, before):
            ids.append(ids[-1])
        else:
            ids.append(next_id)
            next_id += 1
        before = pointing
    return tuple(ids)


def drawn(pointing: Box | Point, referent_id: int) -> Prompt:
    """Give the prompt for what the user drew."""
    at = pointing.xy if isinstance(pointing, Point) else pointing.xyxy
    place = np.array(at, dtype=np.float32)
    return Prompt(referent_id, pointing.frame, pointing.type, place)


def best_frame(track: MaskTrack) -> int:
    """Give the frame where a track that is seen somewhere is seen best: the surest, of those the largest."""
    area = np.nan_to_num(track.boxes[:, 2:] - track.boxes[:, :2]).prod(1)
    certainty = np.where(track.visible(), track.scores.round(2), -1.0)
    return int(np.lexsort((area, certainty))[-1])


def main_box(mask: np.ndarray) -> np.ndarray:
    """Give the box (4,) xyxy of a mask (H, W) that is not empty, without the specks beside the thing."""
    _, _, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    x, y, width, height, area = stats[1:].T
    main = area >= _SPECK * area.max()
    corners = x[main].min(), y[main].min(), (x + width)[main].max(), (y + height)[main].max()
    return np.array(corners, dtype=np.float32)


def _joins(pointing: Pointing, before: Pointing | None) -> bool:
    if not isinstance(pointing, Point) or before is None or isinstance(before, Known):
        return False
    return pointing.frame == before.frame


def _check(referent_id: int, history: History) -> None:
    if referent_id not in history.phrases:
        known = ", ".join(f"{i} {phrase}" for i, phrase in sorted(history.phrases.items()))
        raise PromptError(
            f"referent {referent_id}: expected one that was spoken of or pointed at ({known or 'none yet'})"
        )

"""What one frame shows -> supervision's Detections, for programs that go on with those."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from sparrow.types import MaskTrack, Referent

if TYPE_CHECKING:
    from supervision import Detections


def to_detections(
    tracks: Sequence[MaskTrack], referents: Sequence[Referent], frame: int
) -> Detections:
    """Give what one frame shows as supervision's Detections, `phrase` and `colour` as data."""
    from supervision import Detections  # half a second to import: only for who exchanges

    by_id = {referent.id: referent for referent in referents}
    shown = [track for track in tracks if track.rles[frame] is not None]
    if not shown:
        return Detections.empty()
    known = [by_id.get(track.referent_id) for track in shown]
    return Detections(
        xyxy=np.stack([track.boxes[frame] for track in shown]),
        mask=np.stack([track.mask(frame) for track in shown]),
        confidence=np.array([track.scores[frame] for track in shown]),
        class_id=np.zeros(len(shown), dtype=int),
        tracker_id=np.array([track.referent_id for track in shown]),
        data={
            "phrase": np.array([referent.phrase if referent else "" for referent in known]),
            "colour": np.array([referent.colour if referent else "" for referent in known]),
        },
    )

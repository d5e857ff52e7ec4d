from __future__ import annotations

import numpy as np

from sparrow.export.detections import to_detections
from sparrow.types import MaskTrack
from tests.export.made import REFERENTS


def test_detections_hold_what_is_visible(tracks: list[MaskTrack]) -> None:
    both = to_detections(tracks, REFERENTS, 3)
    assert both.tracker_id.tolist() == [1, 4]
    assert both.data["phrase"].tolist() == [REFERENTS[0].phrase, REFERENTS[1].phrase]
    assert np.array_equal(both.mask[1], tracks[1].mask(3))
    assert np.array_equal(both.xyxy[0], tracks[0].boxes[3])
    assert to_detections(tracks, REFERENTS, 7).tracker_id.tolist() == [4]
    assert len(to_detections(tracks[:1], REFERENTS, 0)) == 0

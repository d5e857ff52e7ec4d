from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as coco

from sparrow import masks
from sparrow.export.files import ExportError
from sparrow.export.youtube_vis import read_masks_json, write_masks_json
from sparrow.types import MaskTrack
from sparrow.video import Video
from tests.export.made import REFERENTS, strict


def test_masks_come_back_exactly(
    plain_video: Video, tracks: list[MaskTrack], tmp_path: Path
) -> None:
    path = write_masks_json(tmp_path / "masks.json", plain_video, tracks, REFERENTS)
    again = read_masks_json(path)
    assert [track.referent_id for track in again] == [1, 4]
    for before, after in zip(tracks, again, strict=True):
        overlaps = [masks.iou(before.mask(t), after.mask(t)) for t in range(plain_video.num_frames)]
        assert overlaps == [1.0] * plain_video.num_frames
        assert before.rles == after.rles
        assert np.array_equal(before.boxes, after.boxes, equal_nan=True)
        assert np.array_equal(before.scores, after.scores)
        assert after.complete


def test_layout_is_that_of_youtube_vis(
    plain_video: Video, tracks: list[MaskTrack], tmp_path: Path
) -> None:
    content = strict(write_masks_json(tmp_path / "masks.json", plain_video, tracks, REFERENTS))
    (video,) = content["videos"]
    assert (video["width"], video["height"], video["length"], video["fps"]) == (96, 64, 30, 10.0)
    first, second = content["annotations"]
    assert (first["id"], first["phrase"], first["video_id"]) == (1, "the fox", video["id"])
    assert second["phrase"] == '狐狸 "é"'
    assert first["category_id"] == content["categories"][0]["id"]
    for key in ("segmentations", "bboxes", "areas", "scores"):
        assert len(first[key]) == 30
    for absent in (0, 7, 29):
        assert (
            first["segmentations"][absent]
            is first["bboxes"][absent]
            is first["areas"][absent]
            is None
        )
    mask = tracks[0].mask(3)
    assert np.array_equal(coco.decode(first["segmentations"][3]).astype(bool), mask)
    assert first["areas"][3] == np.count_nonzero(mask)
    x, y, width, height = first["bboxes"][3]
    assert masks.box_of(mask).tolist() == [x, y, x + width, y + height]


def test_no_tracks_and_no_phrases(
    plain_video: Video, tracks: list[MaskTrack], tmp_path: Path
) -> None:
    empty = strict(write_masks_json(tmp_path / "empty.json", plain_video, []))
    assert empty["annotations"] == []
    assert read_masks_json(tmp_path / "empty.json") == []
    unnamed = strict(write_masks_json(tmp_path / "unnamed.json", plain_video, tracks[:1]))
    assert unnamed["annotations"][0]["phrase"] == ""


def test_partial_tracks_stay_partial(plain_video: Video, tmp_path: Path) -> None:
    blank = MaskTrack(
        1,
        plain_video.size_hw,
        (None,) * 30,
        np.full((30, 4), np.nan, dtype=np.float32),
        np.zeros(30, dtype=np.float32),
        complete=False,
    )
    (again,) = read_masks_json(write_masks_json(tmp_path / "masks.json", plain_video, [blank]))
    assert not again.complete
    assert not again.visible().any()


def test_tracks_that_do_not_fit_are_refused(
    plain_video: Video, tracks: list[MaskTrack], tmp_path: Path
) -> None:
    short = MaskTrack.from_masks(1, [tracks[0].mask(1)], [1.0])
    other = MaskTrack.from_masks(1, [np.ones((8, 8), dtype=bool)] * 30, [1.0] * 30)
    for wrong in (short, other):
        with pytest.raises(ValueError, match="expected 30 frames"):
            write_masks_json(tmp_path / "masks.json", plain_video, [wrong])
    with pytest.raises(ValueError, match="one track for each"):
        write_masks_json(tmp_path / "masks.json", plain_video, [tracks[0], tracks[0]])
    assert list(tmp_path.iterdir()) == []


def test_nan_never_reaches_the_file(
    plain_video: Video, tracks: list[MaskTrack], tmp_path: Path
) -> None:
    scores = tracks[0].scores.copy()
    scores[3] = np.nan
    track = MaskTrack(1, tracks[0].size_hw, tracks[0].rles, tracks[0].boxes, scores)
    with pytest.raises(ValueError, match="JSON"):
        write_masks_json(tmp_path / "masks.json", plain_video, [track])
    assert list(tmp_path.iterdir()) == []


def set_size(content: dict[str, Any]) -> None:
    content["annotations"][0]["segmentations"][1]["size"] = [9, 9]


def set_counts(content: dict[str, Any]) -> None:
    content["annotations"][0]["segmentations"][1]["counts"] = "0" * 40


def set_long(content: dict[str, Any]) -> None:
    content["videos"][0]["height"] = 10**6


def set_frames(content: dict[str, Any]) -> None:
    content["annotations"][0]["scores"].append(1.0)


def drop_videos(content: dict[str, Any]) -> None:
    del content["videos"]


@pytest.mark.parametrize("spoil", [set_size, set_counts, set_long, set_frames, drop_videos])
def test_spoilt_masks_are_refused(
    plain_video: Video,
    tracks: list[MaskTrack],
    tmp_path: Path,
    spoil: Callable[[dict[str, Any]], None],
) -> None:
    path = write_masks_json(tmp_path / "masks.json", plain_video, tracks)
    content = json.loads(path.read_text())
    spoil(content)
    path.write_text(json.dumps(content))
    with pytest.raises(ExportError, match=r"masks\.json: expected"):
        read_masks_json(path)


def test_a_span_counts_its_frames_from_zero(
    plain_video: Video, tracks: list[MaskTrack], tmp_path: Path
) -> None:
    path = write_masks_json(tmp_path / "masks.json", plain_video, tracks, span=(7, 12))
    assert strict(path)["videos"][0]["length"] == 5
    assert strict(path)["videos"][0]["first_frame"] == 7
    for before, after in zip(tracks, read_masks_json(path), strict=True):
        assert before.rles[7:12] == after.rles
        assert np.array_equal(before.boxes[7:12], after.boxes, equal_nan=True)
    with pytest.raises(ExportError, match="part of the frames 0 to 30"):
        write_masks_json(path, plain_video, tracks, span=(12, 31))


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "NaN", '{"videos": [], "annotations": NaN}', "[" * 10**5]
)
def test_files_that_are_not_this_json_are_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "masks.json"
    path.write_text(text)
    with pytest.raises(ExportError, match=r"masks\.json"):
        read_masks_json(path)
    with pytest.raises(ExportError, match=r"absent\.json"):
        read_masks_json(tmp_path / "absent.json")

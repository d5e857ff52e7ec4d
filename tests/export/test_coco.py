from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pycocotools.coco import COCO

from sparrow import masks
from sparrow.errors import Cancelled
from sparrow.export.coco import write_coco
from sparrow.export.shown import Shown
from sparrow.types import MaskTrack, Referent
from sparrow.video import Video
from sparrow.work import Work
from tests.export.made import shown, stopping, strict


@pytest.mark.parametrize("span", [None, (7, 12)])
def test_pycocotools_reads_every_mask_back(
    plain_video: Video, tracks: list[MaskTrack], tmp_path: Path, span: tuple[int, int] | None
) -> None:
    asked = shown(plain_video, tracks, span=span)
    write_coco(tmp_path / "coco.json", asked, Work())
    strict(tmp_path / "coco.json")
    coco = COCO(str(tmp_path / "coco.json"))
    assert [entry["name"] for entry in coco.loadCats([1, 4])] == ["the fox", '狐狸 "é"']
    assert len(coco.getImgIds()) == len(asked.frames)
    found = 0
    for image, frame in zip(sorted(coco.getImgIds()), asked.frames, strict=True):
        (described,) = coco.loadImgs(image)
        assert (described["height"], described["width"]) == plain_video.size_hw
        assert described["video_frame"] == frame
        for track in tracks:
            entries = coco.loadAnns(coco.getAnnIds(imgIds=image, catIds=track.referent_id))
            expected = track.mask(frame)
            assert len(entries) == int(expected.any())
            for entry in entries:
                assert masks.iou(coco.annToMask(entry).astype(bool), expected) == 1.0
                assert entry["area"] == expected.sum()
                x, y, width, height = entry["bbox"]
                assert [x, y, x + width, y + height] == track.boxes[frame].tolist()
                assert entry["score"] == track.scores[frame]
                assert entry["track_id"] == track.referent_id
                found += 1
    assert found == len(coco.anns)


def test_names_of_categories_are_unique_and_never_empty(
    plain_video: Video, tracks: list[MaskTrack], tmp_path: Path
) -> None:
    same = [tracks[0], tracks[0].renamed(2), tracks[0].renamed(3)]
    phrases = ("a fox", "a\n fox", " ")
    referents = [Referent(i, phrase, None, "#ffffff") for i, phrase in enumerate(phrases, 1)]
    write_coco(tmp_path / "c.json", Shown.of(plain_video, same, referents), Work())
    names = [entry["name"] for entry in strict(tmp_path / "c.json")["categories"]]
    assert names == ["a fox (1)", "a fox (2)", "object 3"]


def test_nothing_shown_is_still_coco(plain_video: Video, tmp_path: Path) -> None:
    write_coco(tmp_path / "c.json", shown(plain_video, []), Work())
    coco = COCO(str(tmp_path / "c.json"))
    assert (len(coco.imgs), coco.anns, coco.cats) == (30, {}, {})


def test_nan_and_stop_leave_nothing(
    plain_video: Video, tracks: list[MaskTrack], tmp_path: Path
) -> None:
    scores = np.full(30, np.nan, dtype=np.float32)
    spoilt = MaskTrack(1, tracks[0].size_hw, tracks[0].rles, tracks[0].boxes, scores)
    with pytest.raises(ValueError, match="JSON"):
        write_coco(tmp_path / "c.json", shown(plain_video, [spoilt]), Work())
    with pytest.raises(Cancelled):
        write_coco(tmp_path / "c.json", shown(plain_video, tracks), stopping(3))
    assert list(tmp_path.iterdir()) == []

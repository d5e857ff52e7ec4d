from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sparrow.errors import Cancelled
from sparrow.export.youtube_vos import write_youtube_vos
from sparrow.types import MaskTrack
from sparrow.video import Video
from sparrow.work import Work
from tests.export.made import seen_by, shown, stopping


@pytest.mark.parametrize("span", [None, (7, 12)])
def test_annotations_and_meta_say_who_is_where(
    plain_video: Video, tracks: list[MaskTrack], tmp_path: Path, span: tuple[int, int] | None
) -> None:
    asked = shown(plain_video, tracks, span=span)
    write_youtube_vos(tmp_path / "vos.zip", asked, Work())
    with zipfile.ZipFile(tmp_path / "vos.zip") as archive:
        objects = json.loads(archive.read("meta.json"))["videos"]["video"]["objects"]
        assert {key: entry["category"] for key, entry in objects.items()} == {
            "1": "the fox",
            "4": '狐狸 "é"',
        }
        seen: dict[str, list[str]] = {"1": [], "4": []}
        for number, frame in enumerate(asked.frames):
            picture = Image.open(io.BytesIO(archive.read(f"Annotations/video/{number:05d}.png")))
            assert picture.mode == "P"
            assert np.array_equal(np.array(picture), seen_by(asked, frame))
            for value in np.unique(np.array(picture)[np.array(picture) > 0]):
                seen[str(value)].append(f"{number:05d}")
        assert {key: entry["frames"] for key, entry in objects.items()} == seen
        assert len(archive.namelist()) == len(asked.frames) + 1


def test_one_mask_alone_is_kept_exactly(
    plain_video: Video, tracks: list[MaskTrack], tmp_path: Path
) -> None:
    write_youtube_vos(tmp_path / "vos.zip", shown(plain_video, tracks[1:]), Work())
    with zipfile.ZipFile(tmp_path / "vos.zip") as archive:
        for index in range(30):
            picture = Image.open(io.BytesIO(archive.read(f"Annotations/video/{index:05d}.png")))
            assert np.array_equal(np.array(picture) == 4, tracks[1].mask(index))


def test_stop_leaves_nothing(plain_video: Video, tracks: list[MaskTrack], tmp_path: Path) -> None:
    with pytest.raises(Cancelled):
        write_youtube_vos(tmp_path / "vos.zip", shown(plain_video, tracks), stopping(9))
    assert list(tmp_path.iterdir()) == []

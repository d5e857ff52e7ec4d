from __future__ import annotations

import configparser
import zipfile
from pathlib import Path

import motmetrics
import numpy as np
import pytest

from sparrow.errors import Cancelled
from sparrow.export.mot import write_mot
from sparrow.types import MaskTrack
from sparrow.video import Video
from sparrow.work import Work
from tests.export.made import shown, stopping


@pytest.mark.parametrize("span", [None, (7, 12)])
def test_a_mot_reader_reads_every_box_back(
    plain_video: Video, shapes: list[MaskTrack], tmp_path: Path, span: tuple[int, int] | None
) -> None:
    asked = shown(plain_video, shapes, span=span)
    write_mot(tmp_path / "mot.zip", asked, Work())
    with zipfile.ZipFile(tmp_path / "mot.zip") as archive:
        archive.extractall(tmp_path)
    read = motmetrics.io.loadtxt(tmp_path / "video/gt/gt.txt", fmt="mot16", min_confidence=1)
    found = {
        (int(frame), int(number)): [row.X, row.Y, row.X + row.Width, row.Y + row.Height]
        for (frame, number), row in read.iterrows()
    }
    expected = {
        (place + 1, track.referent_id): track.boxes[frame].tolist()
        for place, frame in enumerate(asked.frames)
        for track in shapes
        if track.rles[frame] is not None
    }
    assert found == expected
    assert (read.Confidence == 1).all()
    assert (read.ClassId == 1).all()
    sequence = configparser.ConfigParser()
    sequence.read(tmp_path / "video/seqinfo.ini")
    said = sequence["Sequence"]
    assert said["name"] == "video"
    assert (int(said["imHeight"]), int(said["imWidth"])) == plain_video.size_hw
    assert int(said["seqLength"]) == len(asked.frames)
    assert int(said["frameRate"]) == 10


def test_every_line_has_nine_numbers(
    plain_video: Video, tracks: list[MaskTrack], tmp_path: Path
) -> None:
    write_mot(tmp_path / "mot.zip", shown(plain_video, tracks), Work())
    with zipfile.ZipFile(tmp_path / "mot.zip") as archive:
        lines = archive.read("video/gt/gt.txt").decode("ascii").splitlines()
        assert "4  狐狸" in archive.read("README.txt").decode()
    values = np.array([[float(value) for value in line.split(",")] for line in lines])
    assert values.shape == (sum(int(track.visible().sum()) for track in tracks), 9)
    assert values[:, :4].min() == 1
    assert (np.diff(values[:, 0]) >= 0).all()


def test_nothing_shown_and_stop(
    plain_video: Video, tracks: list[MaskTrack], tmp_path: Path
) -> None:
    with pytest.raises(Cancelled):
        write_mot(tmp_path / "mot.zip", shown(plain_video, tracks), stopping(2))
    assert list(tmp_path.iterdir()) == []
    write_mot(tmp_path / "mot.zip", shown(plain_video, []), Work())
    with zipfile.ZipFile(tmp_path / "mot.zip") as archive:
        assert archive.read("video/gt/gt.txt") == b""

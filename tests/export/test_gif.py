from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sparrow.errors import Cancelled
from sparrow.export.files import ExportError
from sparrow.export.gif import write_gif
from sparrow.export.shown import Shown
from sparrow.ingest import open_video
from sparrow.looks import Look
from sparrow.types import MaskTrack
from sparrow.video import Video
from sparrow.work import Work
from tests import made_videos as made
from tests.export.made import REFERENTS, shown, stopping


def frames_of(path: Path) -> tuple[list[np.ndarray], list[float]]:
    """Give the pictures, (H, W, 3) each, and how many milliseconds each stays."""
    pictures, stays = [], []
    with Image.open(path) as gif:
        assert gif.info["loop"] == 0
        for number in range(getattr(gif, "n_frames", 1)):
            gif.seek(number)
            pictures.append(np.array(gif.convert("RGB")))
            stays.append(float(gif.info["duration"]))
    return pictures, stays


@pytest.mark.parametrize("span", [None, (7, 12), (29, 30)])
def test_it_shows_the_look_in_real_time(
    plain_video: Video, shapes: list[MaskTrack], tmp_path: Path, span: tuple[int, int] | None
) -> None:
    look = Look("cut-out", label=False)
    asked = Shown.of(plain_video, shapes[1:], REFERENTS, look, span)
    write_gif(tmp_path / "a.gif", asked, Work())
    pictures, stays = frames_of(tmp_path / "a.gif")
    assert stays == [100.0] * len(asked.frames)
    for picture, frame in zip(pictures, asked.frames, strict=True):
        mask = shapes[1].mask(frame)
        assert np.abs(picture[mask].mean(axis=0) - made.RED).max() < 12
        assert picture[~mask].mean() < 40
    assert [path.name for path in tmp_path.iterdir()] == ["a.gif"]


@pytest.mark.parametrize(
    ("fps", "frames", "size_hw", "stays"),
    [
        (60, 1, (64, 96), [20]),
        (60, 60, (64, 960), [80, 90, 80] * 4),
        (25, 50, (64, 96), [80] * 25),
        (24, 48, (640, 64), [80, 90, 80] * 8),
        (8, 15, (64, 96), [120, 130, 130, 120] * 3 + [120, 130, 130]),
    ],
)
def test_it_is_small_and_keeps_time(
    tmp_path: Path, fps: int, frames: int, size_hw: tuple[int, int], stays: list[int]
) -> None:
    recipe = made.Recipe(fps=fps, frames=frames, size_hw=size_hw)
    video = open_video(made.write(tmp_path / "in.mp4", recipe), workdir=tmp_path)
    write_gif(tmp_path / "a.gif", shown(video, []), Work())
    pictures, found = frames_of(tmp_path / "a.gif")
    assert found == stays
    assert max(pictures[0].shape) == min(480, max(size_hw))


def test_a_long_stretch_is_refused_with_the_way_out(tmp_path: Path) -> None:
    recipe = made.Recipe(fps=1, frames=22)
    video = open_video(made.write(tmp_path / "in.mp4", recipe), workdir=tmp_path)
    with pytest.raises(ExportError, match=r"at most 20 s, got 22\.0 s; trim"):
        write_gif(tmp_path / "a.gif", shown(video, []), Work())
    write_gif(tmp_path / "a.gif", shown(video, [], span=(0, 20)), Work())


def test_stop_leaves_nothing(plain_video: Video, shapes: list[MaskTrack], tmp_path: Path) -> None:
    with pytest.raises(Cancelled):
        write_gif(tmp_path / "a.gif", shown(plain_video, shapes), stopping(11))
    assert list(tmp_path.iterdir()) == []

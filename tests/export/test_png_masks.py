from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sparrow.errors import Cancelled
from sparrow.export.files import ExportError
from sparrow.export.png_masks import write_png_masks
from sparrow.export.shown import Shown
from sparrow.looks import Look
from sparrow.overlay import draw
from sparrow.types import MaskTrack, Referent
from sparrow.video import Video
from sparrow.work import Work
from tests.export.made import seen_by, shown, stopping


def opened(archive: zipfile.ZipFile, name: str) -> Image.Image:
    return Image.open(io.BytesIO(archive.read(name)))


@pytest.mark.parametrize("span", [None, (7, 12), (29, 30)])
def test_indices_are_the_ids_that_are_seen(
    plain_video: Video, tracks: list[MaskTrack], tmp_path: Path, span: tuple[int, int] | None
) -> None:
    asked = shown(plain_video, tracks, span=span)
    write_png_masks(tmp_path / "masks.zip", asked, Work())
    with zipfile.ZipFile(tmp_path / "masks.zip") as archive:
        names = [f"masks/{number:05d}.png" for number in range(len(asked.frames))]
        assert archive.namelist() == [*names, "README.txt"]
        for name, frame in zip(names, asked.frames, strict=True):
            picture = opened(archive, name)
            assert picture.mode == "P"
            assert np.array_equal(np.array(picture), seen_by(asked, frame))
            assert picture.getpalette()[:15] == [
                *(0, 0, 0),
                *(0xE6, 0x9F, 0x00),
                *(0, 0, 0, 0, 0, 0),
                *(0x56, 0xB4, 0xE9),
            ]


def test_colours_and_order_are_those_of_the_drawn_video(
    plain_video: Video, tracks: list[MaskTrack], tmp_path: Path
) -> None:
    """Ids 1 and 5 have solid outlines: opaque, they are drawn in their colour alone."""
    pair = [tracks[0].renamed(5), tracks[1].renamed(1)]
    referents = [Referent(1, "one", None, "#e69f00"), Referent(5, "five", None, "#d55e00")]
    write_png_masks(tmp_path / "m.zip", Shown.of(plain_video, pair, referents), Work())
    black = np.zeros((*plain_video.size_hw, 3), dtype=np.uint8)
    with zipfile.ZipFile(tmp_path / "m.zip") as archive:
        for index in range(plain_video.num_frames):
            drawn = draw(black, pair, referents, index, Look(opacity=1.0, label=False))
            coloured = opened(archive, f"masks/{index:05d}.png").convert("RGB")
            assert np.array_equal(np.array(coloured), drawn)


def test_the_readme_names_the_ids_and_says_what_is_hidden(
    plain_video: Video, shapes: list[MaskTrack], tmp_path: Path
) -> None:
    covered = sum((shapes[0].mask(t) & shapes[1].mask(t)).any() for t in range(30))
    assert covered
    write_png_masks(tmp_path / "both.zip", shown(plain_video, shapes), Work())
    write_png_masks(tmp_path / "one.zip", shown(plain_video, shapes[:1], span=(3, 9)), Work())
    with zipfile.ZipFile(tmp_path / "both.zip") as archive:
        text = archive.read("README.txt").decode()
        assert "1  #e69f00  the fox\n" in text
        assert '4  #56b4e9  狐狸 "é"\n' in text
        assert f"4 lies partly under 1 in {covered} of 30 frames" in text
    with zipfile.ZipFile(tmp_path / "one.zip") as archive:
        text = archive.read("README.txt").decode()
        assert "masks/00000.png is frame 3 of the video; 6 frames." in text
        assert "No masks overlap" in text


def test_nothing_shown_gives_empty_masks(plain_video: Video, tmp_path: Path) -> None:
    write_png_masks(tmp_path / "m.zip", shown(plain_video, []), Work())
    with zipfile.ZipFile(tmp_path / "m.zip") as archive:
        assert not np.array(opened(archive, "masks/00029.png")).any()


def test_ids_beyond_a_byte_are_refused(
    plain_video: Video, tracks: list[MaskTrack], tmp_path: Path
) -> None:
    large = Shown.of(plain_video, [tracks[0].renamed(256)], [Referent(256, "x", None, "#000000")])
    with pytest.raises(ExportError, match="ids up to 255, got 256; use COCO"):
        write_png_masks(tmp_path / "m.zip", large, Work())
    assert list(tmp_path.iterdir()) == []


def test_the_same_masks_give_the_same_bytes_and_stop_leaves_nothing(
    plain_video: Video, shapes: list[MaskTrack], tmp_path: Path
) -> None:
    path = tmp_path / "m.zip"
    write_png_masks(path, shown(plain_video, shapes), Work())
    first = path.read_bytes()
    with pytest.raises(Cancelled):
        write_png_masks(path, shown(plain_video, shapes), stopping(5))
    assert path.read_bytes() == first
    write_png_masks(path, shown(plain_video, shapes), Work())
    assert path.read_bytes() == first
    assert list(tmp_path.iterdir()) == [path]

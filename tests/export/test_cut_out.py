from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from sparrow import masks
from sparrow.errors import Cancelled
from sparrow.export.cut_out import write_prores, write_rgba, write_webm
from sparrow.export.shown import Shown
from sparrow.ingest import open_video
from sparrow.types import MaskTrack, Referent
from sparrow.video import Video
from sparrow.work import Work
from tests import made_videos as made
from tests.export.made import shown, stopping

Write = Callable[[Path, Shown, Work], None]


def webm_frames(path: Path) -> Iterator[np.ndarray]:
    """Decode (H, W, 4) RGBA; FFmpeg's own VP9 decoder knows no alpha, libvpx's does."""
    decoder = av.CodecContext.create("libvpx-vp9", "r")
    with av.open(str(path)) as file:
        assert file.streams.video[0].metadata["ALPHA_MODE"] == "1"
        for packet in file.demux(video=0):
            for frame in decoder.decode(packet if packet.size else None):
                assert frame.format.name == "yuva420p"
                yield frame.to_ndarray(format="rgba")


def mov_frames(path: Path) -> Iterator[np.ndarray]:
    with av.open(str(path)) as file:
        assert file.streams.video[0].codec_context.name == "prores"
        for frame in file.decode(video=0):
            yield frame.to_ndarray(format="rgba")


@pytest.mark.parametrize("span", [None, (7, 12), (29, 30)])
@pytest.mark.parametrize(
    ("write", "frames"), [(write_webm, webm_frames), (write_prores, mov_frames)]
)
def test_what_is_opaque_is_what_the_masks_cover(
    plain_video: Video,
    shapes: list[MaskTrack],
    tmp_path: Path,
    span: tuple[int, int] | None,
    write: Write,
    frames: Callable[[Path], Iterator[np.ndarray]],
) -> None:
    asked = shown(plain_video, shapes, span=span)
    write(tmp_path / "cut", asked, Work())
    pictures = list(frames(tmp_path / "cut"))
    originals = plain_video.read(asked.frames)
    for frame, picture, original in zip(asked.frames, pictures, originals, strict=True):
        covered = shapes[0].mask(frame) | shapes[1].mask(frame)
        assert masks.iou(picture[..., 3] > 127, covered) == 1.0
        if write is write_prores:
            assert np.array_equal(picture[..., 3], covered * 255)
        error = np.abs(picture[covered][:, :3].astype(float) - original[covered])
        assert error.mean() < 6
    with av.open(str(tmp_path / "cut")) as file:
        assert file.streams.video[0].average_rate == 10
        assert not file.streams.audio


def test_pictures_have_the_masks_as_alpha_and_nothing_of_the_rest(
    plain_video: Video, tracks: list[MaskTrack], tmp_path: Path
) -> None:
    write_rgba(tmp_path / "cut.zip", shown(plain_video, tracks, span=(5, 25)), Work())
    with zipfile.ZipFile(tmp_path / "cut.zip") as archive:
        assert archive.namelist() == [f"cut-out/{number:05d}.png" for number in range(20)]
        for name, frame in zip(archive.namelist(), range(5, 25), strict=True):
            picture = np.array(Image.open(io.BytesIO(archive.read(name))))
            covered = tracks[0].mask(frame) | tracks[1].mask(frame)
            assert np.array_equal(picture[..., 3], covered * 255)
            original = plain_video.read([frame])[0]
            assert np.array_equal(picture[..., :3], original * covered[..., None])


def test_rates_and_sizes_that_are_not_round(clip: Callable[[str], Path], tmp_path: Path) -> None:
    video = open_video(clip("ntsc.mp4"), workdir=tmp_path)
    write_webm(tmp_path / "cut.webm", Shown.of(video, [], [], span=(0, 9)), Work())
    write_prores(tmp_path / "cut.mov", Shown.of(video, [], [], span=(0, 9)), Work())
    with av.open(str(tmp_path / "cut.mov")) as file:
        assert file.streams.video[0].average_rate == Fraction(30000, 1001)
    assert not any(picture[..., 3].any() for picture in webm_frames(tmp_path / "cut.webm"))
    small = made.Recipe(frames=3, size_hw=(18, 22))
    tiny = open_video(made.write(tmp_path / "tiny.mp4", small), workdir=tmp_path)
    whole = MaskTrack.from_masks(1, [np.ones((18, 22), dtype=bool)] * 3, [1.0] * 3)
    everything = Shown.of(tiny, [whole], [Referent(1, "all", None, "#ffffff")])
    write_webm(tmp_path / "tiny.webm", everything, Work())
    assert all((picture[..., 3] > 127).all() for picture in webm_frames(tmp_path / "tiny.webm"))


@pytest.mark.parametrize("write", [write_webm, write_prores, write_rgba])
def test_stop_leaves_nothing(
    plain_video: Video, shapes: list[MaskTrack], tmp_path: Path, write: Write
) -> None:
    with pytest.raises(Cancelled):
        write(tmp_path / "cut", shown(plain_video, shapes), stopping(11))
    assert list(tmp_path.iterdir()) == []

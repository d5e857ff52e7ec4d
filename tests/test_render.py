from __future__ import annotations

import threading
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from sparrow.errors import Cancelled, VideoError
from sparrow.ingest import open_video
from sparrow.looks import MODES, Look, Mode
from sparrow.render import draw, render
from sparrow.types import MaskTrack, Progress, Referent
from sparrow.video import Video, load_video
from tests import made_videos as made

Clip = Callable[[str], Path]
BLUE = Referent(1, "the square", None, "#0072b2")


def track_of(video: Video, *, number: int = 1, absent: frozenset[int] = frozenset()) -> MaskTrack:
    """The moving square's own masks."""
    frames = []
    for index in range(video.num_frames):
        mask = np.zeros(video.size_hw, dtype=bool)
        x0, y0, x1, y1 = made.square_at(index)
        if index not in absent:
            mask[y0:y1, x0:x1] = True
        frames.append(mask)
    return MaskTrack.from_masks(number, frames, [1.0] * video.num_frames)


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    error = np.mean((a.astype(np.float64) - b) ** 2)
    return float(10 * np.log10(255**2 / max(error, 1e-9)))


def sound_of(path: Path) -> tuple[list[bytes], float]:
    with av.open(str(path)) as file:
        stream = file.streams.audio[0]
        assert stream.duration is not None
        assert stream.time_base is not None
        return [bytes(p) for p in file.demux(stream) if p.size], float(
            stream.duration * stream.time_base
        )


@pytest.mark.parametrize(
    "name", ["one.mp4", "odd-width.mkv", "plain.mp4", "ntsc.mp4", "rotated.mp4", "vfr.mp4"]
)
def test_rendered_file_plays_like_its_source(clip: Clip, tmp_path: Path, name: str) -> None:
    video = open_video(clip(name), workdir=tmp_path)
    out = render(video, [track_of(video)], [BLUE], tmp_path / "out.mp4")
    with av.open(str(out)) as file, av.open(str(video.path)) as source:
        stream, before = file.streams.video[0], source.streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert stream.average_rate == before.average_rate
        assert stream.frames == before.frames == video.num_frames
        for tag in ("color_range", "colorspace", "color_primaries", "color_trc"):
            assert getattr(stream.codec_context, tag) == getattr(before.codec_context, tag)
    again = load_video(out)
    assert (again.size_hw, again.has_audio) == (video.size_hw, video.has_audio)
    assert np.allclose(again.timestamps, video.timestamps, atol=1e-4)
    assert len(again.read(range(video.num_frames))) == video.num_frames
    if video.has_audio:
        assert sound_of(out)[0] == sound_of(video.path)[0]
        assert sound_of(out)[1] == pytest.approx(sound_of(video.path)[1], abs=0.001)
    content = out.read_bytes()
    assert content.find(b"moov") < content.find(b"mdat")


def test_colours_change_inside_the_mask_and_nowhere_else(
    plain_video: Video, tmp_path: Path
) -> None:
    track = track_of(plain_video, absent=frozenset({4, 5, 29}))
    look = Look(label=False)
    out = render(plain_video, [track], [BLUE], tmp_path / "out.mp4", look=look)
    before = plain_video.read(range(30))
    after = load_video(out).read(range(30))
    mixed = 0.55 * np.array(made.RED) + 0.45 * np.array([0x00, 0x72, 0xB2])
    for index in range(30):
        mask = track.mask(index)
        margin = np.zeros_like(mask)
        if mask.any():
            x0, y0, x1, y1 = made.square_at(index)
            margin[y0 - 4 : y1 + 4, max(0, x0 - 4) : x1 + 4] = True
            inner = after[index, y0 + 3 : y1 - 3, x0 + 3 : x1 - 3].reshape(-1, 3)
            assert np.abs(inner.mean(axis=0) - mixed).max() < 8
            assert psnr(after[index][mask], before[index][mask]) < 15
        assert psnr(after[index][~margin], before[index][~margin]) > 38


def test_a_decoders_frames_are_never_drawn_into(tmp_path: Path) -> None:
    """Absent every other frame: were reference frames painted, the clean ones would show it."""
    path = made.write(
        tmp_path / "b.mp4", made.Recipe(frames=60, options={"bf": "3", "refs": "4", "g": "60"})
    )
    video = open_video(path, workdir=tmp_path)
    absent = frozenset(range(1, 60, 2))
    track, look = track_of(video, absent=absent), Look(opacity=1.0)
    out = render(video, [track], [BLUE], tmp_path / "out.mp4", look=look)
    after, before = load_video(out), list(video.iter())
    for index in sorted(absent):
        assert psnr(after.read([index])[0], before[index]) > 36


def test_no_tracks_gives_the_same_pictures(plain_video: Video, tmp_path: Path) -> None:
    out = render(plain_video, [], [], tmp_path / "out.mp4")
    for before, after in zip(plain_video.iter(), load_video(out).iter(), strict=True):
        assert psnr(before, after) > 38


def test_progress_and_stop(plain_video: Video, tmp_path: Path) -> None:
    seen: list[Progress] = []
    render(plain_video, [track_of(plain_video)], [BLUE], tmp_path / "out.mp4", progress=seen.append)
    assert [event.done for event in seen] == list(range(31))
    assert {event.total for event in seen} == {30}
    before = (tmp_path / "out.mp4").read_bytes()

    cancel = threading.Event()
    for out in (tmp_path / "new.mp4", tmp_path / "out.mp4"):
        cancel.clear()
        with pytest.raises(Cancelled):
            render(
                plain_video,
                [track_of(plain_video)],
                [BLUE],
                out,
                progress=lambda event: cancel.set() if event.done == 12 else None,
                cancel=cancel,
            )
    assert [path.name for path in tmp_path.iterdir()] == ["out.mp4"]
    assert (tmp_path / "out.mp4").read_bytes() == before


def test_what_does_not_fit_is_refused(clip: Clip, plain_video: Video, tmp_path: Path) -> None:
    track = track_of(plain_video)
    small = MaskTrack.from_masks(1, [np.ones((8, 8), dtype=bool)] * 30, [1.0] * 30)
    short = MaskTrack.from_masks(1, [track.mask(0)], [1.0])
    for wrong, referents, message in (
        (small, [BLUE], r"expected masks of \(64, 96\)"),
        (short, [BLUE], "expected 30 frames"),
        (track, [], "no referent"),
    ):
        with pytest.raises(ValueError, match=message):
            render(plain_video, [wrong], referents, tmp_path / "out.mp4")
    for span in ((0, 0), (5, 4), (-1, 4), (0, 31)):
        with pytest.raises(ValueError, match="span: expected"):
            render(plain_video, [track], [BLUE], tmp_path / "out.mp4", span=span)
    gone = open_video(clip("plain.mp4"), workdir=tmp_path / "work")
    gone.path.unlink()
    with pytest.raises(VideoError, match="open the video again"):
        render(gone, [track], [BLUE], tmp_path / "out.mp4")
    assert not (tmp_path / "out.mp4").exists()


@pytest.mark.parametrize("mode", MODES)
def test_the_file_shows_what_draw_shows(clip: Clip, tmp_path: Path, mode: Mode) -> None:
    video = open_video(clip("silent.mp4"), workdir=tmp_path)
    track = track_of(video, absent=frozenset({4, 5, 29}))
    out = render(video, [track], [BLUE], tmp_path / "out.mp4", look=Look(mode))
    shown = load_video(out).read(range(30))
    for index, frame in enumerate(video.iter()):
        assert psnr(shown[index], draw(frame, [track], [BLUE], index, Look(mode))) > 29


@pytest.mark.parametrize("span", [(0, 1), (0, 12), (7, 20), (29, 30), (0, 30)])
def test_a_span_keeps_its_frames_and_their_marks(
    plain_video: Video, tmp_path: Path, span: tuple[int, int]
) -> None:
    seen: list[Progress] = []
    track, look = track_of(plain_video), Look("cut-out", label=False)
    out = render(
        plain_video,
        [track],
        [BLUE],
        tmp_path / "out.mp4",
        look=look,
        span=span,
        progress=seen.append,
    )
    cut = load_video(out)
    assert cut.num_frames == span[1] - span[0]
    assert cut.fps == plain_video.fps
    assert [event.done for event in seen] == list(range(cut.num_frames + 1))
    for frame, index in zip(cut.iter(), range(*span), strict=True):
        mask = track.mask(index)
        assert frame[mask].mean(axis=0)[0] > 150  # the red square
        assert frame[~mask].mean() < 40
    assert sound_of(out)[1] == pytest.approx(cut.duration, abs=0.03)


def test_the_sound_of_a_span_stays_in_step(tmp_path: Path) -> None:
    """A click every half second is still where the picture of that moment is."""
    video = open_video(clicking(tmp_path / "clicks.mp4"), workdir=tmp_path)
    assert np.allclose(clicks_in(video.path), np.arange(10) / 2, atol=0.003)
    for start, stop in ((0, 20), (13, 37), (31, 50)):
        out = render(video, [], [], tmp_path / "out.mp4", span=(start, stop))
        heard = clicks_in(out)
        expected = [k / 2 - start / 10 for k in range(10) if start / 10 <= k / 2 < stop / 10]
        assert np.allclose(heard[: len(expected)], expected, atol=0.003)
        assert len(heard) - len(expected) <= 1  # the last packet may reach over the end


def clicking(path: Path) -> Path:
    """Write 5 s at 10 fps with a click every half second and one key frame."""
    wave = np.zeros(5 * 44100, dtype=np.float32)
    for k in range(10):
        wave[k * 22050 : k * 22050 + 400] = 0.8 * np.sin(np.arange(400) * 0.15)
    with av.open(str(path), "w") as file:
        picture = file.add_stream("libx264", rate=10, options={"g": "250", "bf": "3"})
        picture.height, picture.width, picture.pix_fmt = 64, 96, "yuv420p"
        sound = file.add_stream("aac", rate=44100)
        for index in range(50):
            shown = av.VideoFrame.from_ndarray(made.picture(index), format="rgb24")
            file.mux(picture.encode(shown))
        heard = av.AudioFrame.from_ndarray(wave[None], format="fltp", layout="mono")
        heard.rate, heard.pts = 44100, 0
        file.mux([*picture.encode(None), *sound.encode(heard), *sound.encode(None)])
    return path


def clicks_in(path: Path) -> np.ndarray:
    """Give the seconds at which clicks begin."""
    with av.open(str(path)) as file:
        frames = [(frame.time or 0.0, frame.to_ndarray()[0]) for frame in file.decode(audio=0)]
    times = np.concatenate([time + np.arange(len(wave)) / 44100 for time, wave in frames])
    loud = times[np.abs(np.concatenate([wave for _, wave in frames])) > 0.3]
    return np.asarray(loud[np.diff(loud, prepend=-1.0) > 0.1])


def test_rate_stays_exact(clip: Clip, tmp_path: Path) -> None:
    video = open_video(clip("ntsc.mp4"), workdir=tmp_path)
    out = render(video, [], [], tmp_path / "out.mp4")
    with av.open(str(out)) as file:
        assert file.streams.video[0].average_rate == Fraction(30000, 1001)

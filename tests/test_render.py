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
    out = render(plain_video, [track], [BLUE], tmp_path / "out.mp4", label=False, outline=False)
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
    out = render(video, [track_of(video, absent=absent)], [BLUE], tmp_path / "out.mp4", opacity=1.0)
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
    with pytest.raises(ValueError, match="opacity"):
        render(plain_video, [track], [BLUE], tmp_path / "out.mp4", opacity=1.5)
    gone = open_video(clip("plain.mp4"), workdir=tmp_path / "work")
    gone.path.unlink()
    with pytest.raises(VideoError, match="open the video again"):
        render(gone, [track], [BLUE], tmp_path / "out.mp4")
    assert not (tmp_path / "out.mp4").exists()


def test_looks_add_what_they_say(plain_video: Video) -> None:
    frame = plain_video.read([10])[0]
    track = track_of(plain_video)
    none = draw(frame, [track], [BLUE], 10, mask=False, outline=False, box=False, label=False)
    assert np.array_equal(none, frame)
    mask = track.mask(10)
    x0, y0, x1, y1 = made.square_at(10)

    filled = draw(frame, [track], [BLUE], 10, outline=False, label=False, opacity=1.0)
    assert np.array_equal(filled[~mask], frame[~mask])
    assert (filled[mask] == [0x00, 0x72, 0xB2]).all()

    outlined = draw(frame, [track], [BLUE], 10, mask=False, label=False)
    changed = (outlined != frame).any(axis=-1)
    ring = mask.copy()
    ring[y0 + 1 : y1 - 1, x0 + 1 : x1 - 1] = False
    assert np.array_equal(changed, ring)

    boxed = draw(frame, [track], [BLUE], 10, mask=False, outline=False, label=False, box=True)
    assert np.array_equal((boxed != frame).any(axis=-1), ring)

    labelled = draw(frame, [track], [BLUE], 10, mask=False, outline=False)
    rows = np.flatnonzero((labelled != frame).any(axis=(1, 2)))
    assert rows.max() < y0 or rows.min() >= y0  # above the mask, or inside where there is no room
    assert np.array_equal(frame, plain_video.read([10])[0])  # the caller's frame is untouched


PHRASES = [
    "",
    " ",
    "x",
    "é à ü",
    "狐狸",
    "лиса",
    "ثعلب",
    "🦊 fox",
    "a\nb\tc\x00\x1b[31m",
    "w" * 500,
    "\ud800",
]


@pytest.mark.parametrize("phrase", PHRASES)
def test_any_phrase_can_be_a_label(plain_video: Video, phrase: str) -> None:
    frame = plain_video.read([0])[0]
    drawn = draw(frame, [track_of(plain_video)], [Referent(1, phrase, None, "#f0e442")], 0)
    assert drawn.shape == frame.shape


def test_masks_at_every_border_and_odd_sizes() -> None:
    for size_hw in ((17, 23), (18, 24), (1, 1), (2, 40)):
        for row in {0, size_hw[0] - 1}:
            for column in {0, size_hw[1] - 1}:
                mask = np.zeros(size_hw, dtype=bool)
                mask[row, column] = True
                track = MaskTrack.from_masks(1, [mask, np.ones(size_hw, dtype=bool)], [1.0, 1.0])
                frame = np.full((*size_hw, 3), 9, dtype=np.uint8)
                for index in (0, 1):
                    drawn = draw(frame, [track], [BLUE], index, label=False, box=True, opacity=1.0)
                    assert (drawn[track.mask(index)] == [0x00, 0x72, 0xB2]).all()
                    assert (drawn[~track.mask(index)] == 9).all()


def test_overlapping_tracks_and_missing_frames(plain_video: Video) -> None:
    frame = plain_video.read([0])[0]
    whole = MaskTrack.from_masks(2, [np.ones(plain_video.size_hw, dtype=bool)] * 30, [1.0] * 30)
    absent = track_of(plain_video, absent=frozenset(range(30)))
    drawn = draw(
        frame,
        [absent, whole],
        [BLUE, Referent(2, "all", None, "#009e73")],
        0,
        opacity=1.0,
        label=False,
    )
    assert (drawn == [0x00, 0x9E, 0x73]).all()


@pytest.mark.parametrize(
    "frame",
    [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), np.float32), np.zeros((4, 4, 4), np.uint8)],
)
def test_draw_refuses_other_pictures(frame: np.ndarray) -> None:
    with pytest.raises(ValueError, match="expected uint8"):
        draw(frame, [], [], 0)


def test_rate_stays_exact(clip: Clip, tmp_path: Path) -> None:
    video = open_video(clip("ntsc.mp4"), workdir=tmp_path)
    out = render(video, [], [], tmp_path / "out.mp4")
    with av.open(str(out)) as file:
        assert file.streams.video[0].average_rate == Fraction(30000, 1001)

"""Every kind of file that people and attackers send: a right result, or an error that names the reason."""

from __future__ import annotations

import gc
import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest

from sparrow.errors import Cancelled, VideoError
from sparrow.ingest import open_video
from sparrow.limits import Limits
from sparrow.types import Progress
from sparrow.video import Video
from tests import made_videos as made
from tests.conftest import UNEVEN
from tests.made_videos import Recipe

Clip = Callable[[str], Path]


def assert_normal(video: Video) -> None:
    """What every reader of the normalised file relies on."""
    with av.open(str(video.path)) as file:
        stream = file.streams.video[0]
        context = stream.codec_context
        assert context.name == "h264"
        assert context.pix_fmt == "yuv420p"
        assert (context.height, context.width) == video.size_hw
        assert int(context.color_range) in (0, 1)
        assert stream.time_base is not None
        frames = list(file.decode(stream))
        assert len(frames) == video.num_frames
        assert {frame.rotation for frame in frames} == {0}
        seconds = [frame.pts * float(stream.time_base) for frame in frames]
        assert np.allclose(seconds, video.timestamps)
        assert [audio.codec_context.name for audio in file.streams.audio] == [
            "aac"
        ] * video.has_audio
    assert video.size_hw[0] % 2 == video.size_hw[1] % 2 == 0
    assert video.timestamps[0] == 0
    steps = np.diff(video.timestamps)
    assert np.allclose(steps, 1 / video.fps, atol=1e-4)
    assert np.allclose(video.timestamps, np.arange(video.num_frames) / video.fps, atol=1e-4)
    content = video.path.read_bytes()
    assert content.find(b"moov") < content.find(b"mdat")


def sound_of(path: Path) -> list[bytes]:
    with av.open(str(path)) as file:
        return [bytes(packet) for packet in file.demux(audio=0) if packet.size]


@pytest.mark.parametrize(
    ("name", "frames", "size_hw", "fps", "has_audio"),
    [
        ("one.mp4", 1, (64, 96), 10, False),
        ("one.gif", 1, (64, 96), 10, False),
        ("odd.mkv", 30, (64, 96), 10, False),
        ("odd-width.mkv", 30, (64, 96), 10, True),
        ("plain.mp4", 30, (64, 96), 10, True),
        ("late-index.mp4", 30, (64, 96), 10, True),
        ("webcam.webm", 30, (64, 96), 10, True),
        ("av1.mp4", 12, (64, 96), 10, False),
        ("mp4v.mp4", 30, (64, 96), 10, True),
        ("ten-bit.mp4", 30, (64, 96), 10, False),
        ("full-range.mp4", 30, (64, 96), 10, False),
        ("picture.gif", 10, (64, 96), 10, False),
        ("prores.mov", 6, (64, 96), 10, False),
        ("transport.ts", 30, (64, 96), 10, True),
        ("ntsc.mp4", 40, (64, 96), 30000 / 1001, False),
        ("huge-claim.mp4", 30, (64, 96), 10, False),
    ],
)
def test_every_kind_of_file_becomes_the_same_kind(
    clip: Clip,
    tmp_path: Path,
    name: str,
    frames: int,
    size_hw: tuple[int, int],
    fps: float,
    has_audio: bool,
) -> None:
    video = open_video(clip(name), workdir=tmp_path)
    assert (video.num_frames, video.size_hw, video.has_audio) == (frames, size_hw, has_audio)
    assert video.fps == pytest.approx(fps)
    assert_normal(video)
    shown = video.read(range(frames))
    assert [made.index_in(frame) for frame in shown] == list(range(frames))
    steps = np.diff(video.source_times)
    assert np.allclose(steps, 1 / fps, atol=2e-3)  # WebM counts in milliseconds
    expected = np.full((*size_hw, 3), made.GREY, dtype=np.float64)
    x0, y0, x1, y1 = made.square_at(frames - 1)
    expected[y0:y1, x0:x1] = made.RED
    assert np.abs(shown[-1][8:] - expected[8:]).mean() < 8  # an 8-bit palette and VP8 are not exact


def test_a_normal_file_keeps_its_packets(clip: Clip, tmp_path: Path) -> None:
    video = open_video(clip("plain.mp4"), workdir=tmp_path)
    for kind in ("video", "audio"):
        with av.open(str(clip("plain.mp4"))) as before, av.open(str(video.path)) as after:
            old = [bytes(p) for p in before.demux(**{kind: 0}) if p.size]
            new = [bytes(p) for p in after.demux(**{kind: 0}) if p.size]
        assert old == new


@pytest.mark.parametrize("name", ["mp4v.mp4", "rotated.mp4", "vfr.mp4"])
def test_aac_is_copied_where_the_picture_is_encoded(clip: Clip, tmp_path: Path, name: str) -> None:
    assert sound_of(open_video(clip(name), workdir=tmp_path).path)[:20] == sound_of(clip(name))[:20]


@pytest.mark.parametrize("name", ["webcam.webm", "mp3.avi", "transport.ts", "odd-width.mkv"])
def test_other_sound_is_encoded_in_step(clip: Clip, tmp_path: Path, name: str) -> None:
    video = open_video(clip(name), workdir=tmp_path)
    with av.open(str(video.path)) as file:
        pieces = list(file.decode(audio=0))
    rate = pieces[0].sample_rate
    wave = np.concatenate([piece.to_ndarray()[0] for piece in pieces])
    assert wave.size / rate == pytest.approx(video.duration, abs=0.15)
    assert pieces[0].time == pytest.approx(0, abs=0.1)
    middle = wave[rate : 2 * rate]
    peak = np.abs(np.fft.rfft(middle)).argmax() * rate / middle.size
    assert peak == pytest.approx(440, abs=3)


@pytest.mark.parametrize(
    ("name", "turns", "size_hw"),
    [
        ("rotated.mp4", 1, (96, 64)),
        ("rotated-180.mp4", 2, (64, 96)),
        ("rotated-270.mov", 3, (96, 64)),
    ],
)
def test_rotation_is_applied(
    clip: Clip, tmp_path: Path, name: str, turns: int, size_hw: tuple[int, int]
) -> None:
    video = open_video(clip(name), workdir=tmp_path)
    assert video.size_hw == size_hw
    assert_normal(video)
    shown = video.read([0, 11, 29])
    upright = np.rot90(shown, -turns, axes=(1, 2))
    assert [made.index_in(frame) for frame in upright] == [0, 11, 29]
    assert f"{90 * turns} degrees" in video.notes[0]


def test_an_odd_side_gets_a_copy_of_its_last_line(clip: Clip, tmp_path: Path) -> None:
    video = open_video(clip("odd.mkv"), workdir=tmp_path)
    frame = video.read([0])[0].astype(int)
    assert np.abs(frame[63] - frame[62]).max() <= 6
    assert np.abs(frame[:, 95] - frame[:, 94]).max() <= 6
    assert [note[:7] for note in video.notes] == ["one row", "one col"]


def test_pixels_become_square(clip: Clip, tmp_path: Path) -> None:
    video = open_video(clip("anamorphic.mp4"), workdir=tmp_path)
    assert video.size_hw == (64, 128)
    assert_normal(video)
    row = video.read([0])[0][28, :, 0]
    assert np.count_nonzero(row > 150) == pytest.approx(made.SQUARE * 4 / 3, abs=1.5)


def test_varying_rate_shows_the_nearest_frame_without_drift(clip: Clip, tmp_path: Path) -> None:
    video = open_video(clip("vfr.mp4"), workdir=tmp_path)
    assert_normal(video)
    assert video.num_frames == round(UNEVEN[-1] * video.fps) + 1
    uneven = np.array(UNEVEN)
    for index, frame in enumerate(video.read(range(video.num_frames))):
        nearest = int(np.abs(uneven - index / video.fps).argmin())
        gap = np.abs(uneven - index / video.fps)
        assert gap[made.index_in(frame)] == pytest.approx(gap[nearest], abs=1e-6)
        assert video.source_times[index] == pytest.approx(uneven[made.index_in(frame)], abs=1e-3)
    assert "rate varied" in video.notes[0]


def test_a_long_gap_is_filled_within_the_limits(tmp_path: Path) -> None:
    times = [0.0, 0.1, 0.2, 30.0]
    path = made.write(tmp_path / "gap.mp4", Recipe(times=times, frames=4))
    video = open_video(path, workdir=tmp_path / "work")
    assert video.num_frames == 301
    assert [made.index_in(f) for f in video.read([0, 1, 2, 150, 152, 300])] == [0, 1, 2, 2, 3, 3]
    with pytest.raises(VideoError, match="max_frames"):
        open_video(path, workdir=tmp_path / "work", limits=Limits(max_frames=300))


def test_faster_video_is_thinned(tmp_path: Path) -> None:
    path = made.write(tmp_path / "fast.mp4", Recipe(fps=200, frames=60))
    video = open_video(path, workdir=tmp_path / "work", limits=Limits(max_fps=50))
    assert (video.num_frames, video.fps) == (15 + 1, 50) or (video.num_frames, video.fps) == (
        15,
        50,
    )
    assert [made.index_in(f) for f in video.read(range(15))] == list(range(0, 60, 4))


def test_larger_picture_is_scaled_only_where_asked(clip: Clip, tmp_path: Path) -> None:
    video = open_video(clip("plain.mp4"), workdir=tmp_path, limits=Limits(max_side=48))
    assert video.size_hw == (32, 48)
    assert "scaled down to 48x32" in video.notes[0]
    assert_normal(video)


REFUSALS = [
    ("sound.m4a", Limits(), "only sound"),
    ("sound.mp4", Limits(), "only sound"),
    ("no-frames.mp4", Limits(), "only sound"),
    ("tiny.mkv", Limits(), "at least 16x16"),
    ("huge.y4m", Limits(), "cannot be opened"),
    ("huge.gif", Limits(), "limit max_pixels"),
    ("cut-no-index.mp4", Limits(), "cut off"),
    ("cut-short.mp4", Limits(), "limit min_decoded"),
    ("plain.mp4", Limits(max_bytes=500), "limit max_bytes"),
    ("plain.mp4", Limits(max_pixels=64 * 95), "limit max_pixels"),
    ("rotated.mp4", Limits(max_pixels=64 * 95), "limit max_pixels"),
    ("plain.mp4", Limits(max_seconds=2.5), "limit max_seconds"),
    ("webcam.webm", Limits(max_seconds=2.5), "limit max_seconds"),
    ("plain.mp4", Limits(max_frames=29), "limit max_frames"),
    ("picture.gif", Limits(max_frames=9), "limit max_frames"),
    ("plain.mp4", Limits(max_work_seconds=1e-6), "limit max_work_seconds"),
]


@pytest.mark.parametrize(("name", "limits", "message"), REFUSALS)
def test_refusals_name_their_reason_and_leave_nothing(
    clip: Clip, tmp_path: Path, name: str, limits: Limits, message: str
) -> None:
    with pytest.raises(VideoError, match=message) as caught:
        open_video(clip(name), workdir=tmp_path, limits=limits)
    assert name in str(caught.value) or "max_work_seconds" in str(caught.value)
    assert "expected" in str(caught.value)
    assert list(tmp_path.iterdir()) == []


WRITTEN = {
    "empty.mp4": b"",
    "letter.mp4": b"Dear Sir or Madam,\nthis is not a video.\n" * 50,
    "noise.mp4": np.random.default_rng(0).integers(0, 256, 5000, dtype=np.uint8).tobytes(),
    "page.webm": b"<!doctype html><html><body><video src='x.mp4'></video></body></html>",
    "drawing.svg": b"<svg xmlns='http://www.w3.org/2000/svg'><rect width='9' height='9'/></svg>",
    "archive.mov": b"PK\x03\x04" + bytes(200),
    "box.mp4": b"\x00\x00\x00\x18ftypisom\x00\x00\x02\x00isomiso2"
    + b"\xff\xff\xff\xffmoov"
    + bytes(64),
    "endless-box.mp4": b"\x00\x00\x00\x01ftyp" + b"\xff" * 8 + bytes(64),
    "list.m3u8": b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nPLACE\n#EXT-X-ENDLIST\n",
    "list.mp4": b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nhttp://127.0.0.1:9/x.ts\n#EXT-X-ENDLIST\n",
    "join.ffconcat": b"ffconcat version 1.0\nfile PLACE\n",
    "session.sdp": b"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 9 RTP/AVP 96\n",
    "manifest.mpd": b"<?xml version='1.0'?><MPD xmlns='urn:mpeg:dash:schema:mpd:2011' type='static'/>",
    "picture.png": b"\x89PNG\r\n\x1a\n" + bytes(100),
}


@pytest.mark.parametrize("name", list(WRITTEN))
def test_what_is_no_video_is_refused(clip: Clip, tmp_path: Path, name: str) -> None:
    shutil.copy(clip("transport.ts"), tmp_path / "other.ts")
    path = tmp_path / name
    path.write_bytes(WRITTEN[name].replace(b"PLACE", b"other.ts"))
    message = "the file is empty" if name == "empty.mp4" else "cannot be opened|moving pictures"
    with pytest.raises(VideoError, match=message):
        open_video(path, workdir=tmp_path / "work")


def test_paths_that_hold_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    for path in (tmp_path, tmp_path / "absent.mp4", tmp_path / "pipe.mp4", Path("/dev/zero")):
        with pytest.raises(VideoError, match="there is none at this path"):
            open_video(path, workdir=tmp_path / "work")


@pytest.mark.parametrize(
    "name", ["a b'c\"d.mp4", "http:x.mp4", "concat:a|b.mp4", "%03d.mp4", "狐狸 é.mp4", "-i.mp4"]
)
def test_odd_names_are_only_names(
    clip: Clip, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(clip("silent.mp4"), tmp_path / name)
    assert open_video(name, workdir=tmp_path / "work").num_frames == 30


def test_a_cut_off_file_gives_what_is_there_and_says_so(clip: Clip, tmp_path: Path) -> None:
    video = open_video(clip("cut.mp4"), workdir=tmp_path)
    assert 15 <= video.num_frames < 30
    assert "cut off" in video.notes[0]
    assert "of 30 frames" in video.notes[0]
    assert_normal(video)


def test_a_damaged_file_gives_what_is_there(clip: Clip, tmp_path: Path) -> None:
    video = open_video(clip("scratched.mp4"), workdir=tmp_path)
    assert_normal(video)
    assert made.index_in(video.read([0])[0]) == 0


def test_unreadable_limits_are_refused() -> None:
    for wrong in ({"max_seconds": 0}, {"max_bytes": -1}, {"max_side": 4}, {"min_decoded": 2}):
        with pytest.raises(ValueError, match="limits"):
            Limits(**wrong)


@pytest.mark.parametrize("name", ["plain.mp4", "mp4v.mp4", "odd.mkv"])
def test_progress_rises_and_stop_leaves_nothing(clip: Clip, tmp_path: Path, name: str) -> None:
    seen: list[Progress] = []
    open_video(clip(name), workdir=tmp_path / "whole", progress=seen.append)
    last = [event for event in seen if event.step == seen[-1].step]
    assert [event.done for event in last] == sorted(event.done for event in last)
    assert last[-1].done == last[-1].total == 30

    cancel = threading.Event()

    def stop_in_the_middle(event: Progress) -> None:
        if event.step == seen[-1].step and event.done == 15:
            cancel.set()

    (tmp_path / "work").mkdir()
    with pytest.raises(Cancelled):
        open_video(
            clip(name), workdir=tmp_path / "work", progress=stop_in_the_middle, cancel=cancel
        )
    assert list((tmp_path / "work").iterdir()) == []


def test_an_error_in_the_middle_leaves_nothing(clip: Clip, tmp_path: Path) -> None:
    def fail(event: Progress) -> None:
        if event.done == 10:
            raise RuntimeError("the page is gone")

    with pytest.raises(RuntimeError, match="page is gone"):
        open_video(clip("odd.mkv"), workdir=tmp_path, progress=fail)
    assert list(tmp_path.iterdir()) == []


def test_without_folder_the_file_lives_as_long_as_the_video(
    clip: Clip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    video = open_video(clip("plain.mp4"))
    path = video.path
    assert path.is_file()
    assert path.is_relative_to(tmp_path)
    with pytest.raises(VideoError):
        open_video(clip("sound.mp4"))
    del video
    gc.collect()
    assert list(tmp_path.iterdir()) == []


def test_the_original_is_only_read(clip: Clip, tmp_path: Path) -> None:
    path = tmp_path / "mine.mp4"
    shutil.copy(clip("plain.mp4"), path)
    before = path.read_bytes()
    path.chmod(0o444)
    first, second = open_video(path, workdir=tmp_path), open_video(path, workdir=tmp_path)
    assert first.path != second.path
    assert path.read_bytes() == before


@pytest.mark.skipif(
    not hasattr(os, "sched_getscheduler"), reason="only Linux tells how it schedules"
)
def test_an_encoder_leaves_the_tests_their_priority(clip: Callable[[str], Path]) -> None:
    clip("av1.mp4")
    assert os.sched_getscheduler(0) == os.SCHED_OTHER

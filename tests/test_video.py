from __future__ import annotations

import json
import threading
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest

from sparrow import video as video_module
from sparrow.errors import VideoError
from sparrow.ingest import open_video
from sparrow.video import Video, load_video, source_path
from tests import made_videos as made
from tests.made_videos import Recipe

Clip = Callable[[str], Path]
READERS = ["_read_decord", "_read_pyav"]


@pytest.fixture(scope="module")
def long_video(tmp_path_factory: pytest.TempPathFactory) -> Video:
    """250 frames with B-frames and several key frames."""
    folder = tmp_path_factory.mktemp("long")
    path = made.write(
        folder / "long.mp4",
        Recipe(frames=250, fps=25, options={"g": "40", "bf": "3", "x264-params": "scenecut=0"}),
    )
    return open_video(path, workdir=folder)


def every_frame(video: Video) -> np.ndarray:
    """Decode with nothing but PyAV's plain loop, (T, H, W, 3)."""
    with av.open(str(video.path)) as file:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)])


@pytest.mark.parametrize(
    ("frames", "count", "expected"),
    [
        (1, 1, [0]),
        (1, 8, [0]),
        (5, 5, [0, 1, 2, 3, 4]),
        (10, 1, [5]),
        (10, 2, [2, 7]),
        (9, 4, [1, 3, 5, 7]),
    ],
)
def test_sample_spreads_evenly(
    plain_video: Video, frames: int, count: int, expected: list[int]
) -> None:
    times = np.arange(frames) / 10
    video = Video(plain_video.path, frames, (64, 96), 10.0, times, False, times)
    assert video.sample(count) == expected


def test_sample_of_nothing_is_refused(plain_video: Video) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        plain_video.sample(0)


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize(
    "indices", [[0], [249], [0, 249], [3, 4, 5], [39, 40, 41, 79, 80, 81], list(range(0, 250, 7))]
)
def test_both_readers_are_exact(long_video: Video, reader: str, indices: list[int]) -> None:
    frames = getattr(long_video, reader)(indices)
    assert frames.shape == (len(indices), 64, 96, 3)
    assert np.array_equal(frames, every_frame(long_video)[indices])
    assert [made.index_in(frame) for frame in frames] == [index % 256 for index in indices]


@pytest.mark.parametrize(
    "name", ["plain.mp4", "webcam.webm", "rotated.mp4", "odd.mkv", "full-range.mp4", "one.mp4"]
)
def test_readers_and_stream_agree_on_every_kind(clip: Clip, tmp_path: Path, name: str) -> None:
    video = open_video(clip(name), workdir=tmp_path)
    indices = list(range(video.num_frames))
    streamed = np.stack(list(video.iter()))
    assert np.array_equal(streamed, every_frame(video))
    for reader in READERS:
        assert np.array_equal(getattr(video, reader)(indices), streamed), reader


def test_read_keeps_order_and_repeats(long_video: Video) -> None:
    frames = long_video.read(np.array([200, 3, 200, 0]))
    assert [made.index_in(frame) for frame in frames] == [200, 3, 200, 0]
    assert long_video.read([]).shape == (0, 64, 96, 3)


@pytest.mark.parametrize("index", [-1, 250, 10**9])
def test_read_outside_names_the_range(long_video: Video, index: int) -> None:
    with pytest.raises(IndexError, match=f"frame {index}: expected 0 to 249"):
        long_video.read([0, index])


@pytest.mark.parametrize(
    ("start", "stop"), [(0, 0), (250, 250), (0, 1), (249, 250), (38, 42), (80, 121), (100, None)]
)
def test_iter_gives_its_part(long_video: Video, start: int, stop: int | None) -> None:
    found = [made.index_in(frame) for frame in long_video.iter(start, stop)]
    assert found == list(range(start, 250 if stop is None else stop))


@pytest.mark.parametrize(("start", "stop"), [(-1, 3), (3, 2), (0, 251), (251, None)])
def test_iter_outside_is_refused_at_once(long_video: Video, start: int, stop: int | None) -> None:
    with pytest.raises(IndexError, match="expected 0 <= start <= stop <= 250"):
        long_video.iter(start, stop)


def test_threads_read_side_by_side(long_video: Video) -> None:
    failures: list[object] = []

    def work(seed: int) -> None:
        rng = np.random.default_rng(seed)
        for _ in range(4):
            indices = rng.integers(0, 250, 5).tolist()
            found = [made.index_in(frame) for frame in long_video.read(indices)]
            if found != indices:
                failures.append((indices, found))

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_decord_steps_in_where_pyav_cannot_seek(
    long_video: Video, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(self: Video, ascending: list[int]) -> np.ndarray:
        raise VideoError("no way")

    expected = long_video.read([7, 77])
    monkeypatch.setattr(Video, "_read_pyav", fail)
    assert np.array_equal(long_video.read([7, 77]), expected)
    assert "trying decord" in caplog.text
    monkeypatch.setattr(video_module, "decord", None)
    with pytest.raises(VideoError, match="no way"):
        long_video.read([7, 77])


def test_iter_holds_one_frame_at_a_time(long_video: Video) -> None:
    frames = long_video.iter()
    next(frames)
    tracemalloc.start()
    for _ in frames:
        pass
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10 * 64 * 96 * 3 + 200_000


def test_leaving_a_stream_early_closes_its_file(long_video: Video) -> None:
    def open_files() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    before = open_files()
    for _ in range(5):
        stream = long_video.iter(10)
        next(stream)
        stream.close()
    assert open_files() == before


def test_load_gives_the_same_video(clip: Clip, tmp_path: Path) -> None:
    video = open_video(clip("vfr.mp4"), workdir=tmp_path)
    again = load_video(video.path)
    for name in ("path", "num_frames", "size_hw", "fps", "has_audio", "notes"):
        assert getattr(again, name) == getattr(video, name)
    assert np.array_equal(again.timestamps, video.timestamps)
    assert np.array_equal(again.source_times, video.source_times)
    assert video.duration == pytest.approx(2.3)


def test_load_refuses_what_ingest_did_not_write(clip: Clip, tmp_path: Path) -> None:
    for name in ("av1.mp4", "ten-bit.mp4", "sound.mp4"):
        with pytest.raises(VideoError, match="use open_video"):
            load_video(clip(name))
    with pytest.raises(VideoError, match="cannot be read"):
        load_video(tmp_path / "absent.mp4")


def test_load_refuses_damaged_notes(clip: Clip, tmp_path: Path) -> None:
    video = open_video(clip("plain.mp4"), workdir=tmp_path)
    beside = source_path(video.path)
    content = json.loads(beside.read_text())
    for wrong in (
        "{",
        "[]",
        json.dumps({**content, "source_times": [0.0]}),
        json.dumps({"notes": []}),
    ):
        beside.write_text(wrong)
        with pytest.raises(VideoError, match="open the video again"):
            load_video(video.path)


def test_a_file_that_vanishes_or_shrinks_is_an_error_not_a_hang(clip: Clip, tmp_path: Path) -> None:
    video = open_video(clip("mp4v.mp4"), workdir=tmp_path)
    whole = video.path.read_bytes()
    video.path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(VideoError):
        list(video.iter())
    with pytest.raises(VideoError):
        video.read([29])
    video.path.unlink()
    with pytest.raises(VideoError):
        list(video.iter())
    with pytest.raises(VideoError):
        video.read([0])


@pytest.mark.parametrize(
    ("frames", "times", "message"),
    [
        (0, np.zeros(0), "at least one frame"),
        (2, np.zeros(2), "ascending"),
        (2, np.zeros(3), "expected float64"),
        (2, np.arange(2, dtype=np.float32), "expected float64"),
    ],
)
def test_video_checks_its_fields(frames: int, times: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Video(Path("x.mp4"), frames, (2, 2), 10.0, times, False, times)

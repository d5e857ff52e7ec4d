"""How long reading a few frames spread over a video takes, against decord; the pixels must be the same.

    python -m benchmarks.sampling [--seconds 30]

CPU seconds of this process, medians of interleaved repetitions; a textured 1280x720 clip is made on the fly.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import av
import decord
import numpy as np

from sparrow.ingest import open_video


def write_clip(path: Path, seconds: int) -> Path:
    rng = np.random.default_rng(0)
    scene = np.kron(
        rng.integers(0, 256, (90, 320, 3), dtype=np.uint8), np.ones((8, 8, 1), dtype=np.uint8)
    )
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=25, options={"preset": "veryfast", "g": "230"})
        stream.height, stream.width, stream.pix_fmt = 720, 1280, "yuv420p"
        for index in range(25 * seconds):
            offset = 3 * index % 1280
            frame = np.ascontiguousarray(scene[:, offset : offset + 1280])
            file.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        file.mux(stream.encode(None))
    return path


def by_decord(path: Path, indices: list[int]) -> np.ndarray:
    """Open and read, as `Video.read` does: a reader cannot be shared between threads."""
    frames: np.ndarray = decord.VideoReader(str(path), num_threads=1).get_batch(indices).asnumpy()
    return frames


def seconds_of(work: Callable[[], np.ndarray]) -> tuple[float, np.ndarray]:
    started = time.process_time()
    frames = work()
    return time.process_time() - started, frames


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--seconds", type=int, default=30)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        video = open_video(write_clip(folder / "clip.mp4", arguments.seconds), workdir=folder)
        for count in (8, 16, 32):
            indices = video.sample(count)
            ours, theirs = [], []
            for _ in range(3):
                spent, frames = seconds_of(lambda: video.read(indices))  # noqa: B023 - called at once
                ours.append(spent)
                spent, expected = seconds_of(lambda: by_decord(video.path, indices))  # noqa: B023
                theirs.append(spent)
                assert np.array_equal(frames, expected), "the pixels differ"
            ratio = statistics.median(ours) / statistics.median(theirs)
            print(
                f"{count} of {video.num_frames} frames: {ratio:.2f} of decord's CPU time, same pixels"
            )


if __name__ == "__main__":
    main()

"""Peak memory of a long video through ingest, ten seconds of tracking and export.

    python -m benchmarks.memory [--minutes 5] [--size 1080]

Every length runs in a fresh process; the long one must not need much more than ten seconds do. The video is
made on the fly, as MPEG-4 part 2, so that ingest has to decode and encode every frame.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import av
import cv2
import numpy as np

from sparrow.export.youtube_vis import write_masks_json
from sparrow.ingest import open_video
from sparrow.pipeline import Sparrow
from sparrow.render import render
from sparrow.types import Progress, Prompt, Referent, colour_of

TRACKED_SECONDS = 10


def write_clip(path: Path, seconds: int, size_hw: tuple[int, int]) -> None:
    """A panning gradient with a disc at 10 fps."""
    height, width = size_hw
    ramp = np.linspace(0, 255, 2 * width).astype(np.uint8)
    scene = np.ascontiguousarray(np.broadcast_to(ramp[None, :, None], (height, 2 * width, 3)))
    with av.open(str(path), "w") as file:
        stream = file.add_stream("mpeg4", rate=10, options={"b": "4M"})
        stream.height, stream.width, stream.pix_fmt = height, width, "yuv420p"
        for index in range(10 * seconds):
            offset = 4 * index % width
            frame = np.ascontiguousarray(scene[:, offset : offset + width])
            cv2.circle(frame, (7 * index % width, height // 2), height // 6, (220, 40, 30), -1)
            file.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        file.mux(stream.encode(None))


def pass_through(path: Path, folder: Path) -> None:
    """Ingest, track ten seconds, export; print the frames and the peak resident set in MB after each step."""
    video = open_video(path, workdir=folder)
    peaks = [peak_mb()]
    height = video.size_hw[0]
    half = height / 6
    box = np.array([0, height / 2 - half, half, height / 2 + half], np.float32)
    stop = threading.Event()

    def after_ten_seconds(progress: Progress) -> None:
        if progress.done >= TRACKED_SECONDS * video.fps:
            stop.set()

    sparrow = Sparrow.from_pretrained(device="cpu")
    prompts = [Prompt(1, 0, "box", box)]
    tracks = sparrow.track(video, prompts, progress=after_ten_seconds, cancel=stop)
    peaks.append(peak_mb())
    referent = Referent(1, "the disc", None, colour_of(1))
    render(video, tracks, [referent], folder / "out.mp4")
    write_masks_json(folder / "masks.json", video, tracks, [referent])
    peaks.append(peak_mb())
    print(video.num_frames, *(round(peak) for peak in peaks))


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--size", type=int, default=1080, help="height; the width is 16/9 of it")
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.file is not None:
        pass_through(arguments.file, arguments.file.parent)
        return
    size_hw = (arguments.size, arguments.size * 16 // 9 // 2 * 2)
    peaks = []
    for seconds in (10, round(60 * arguments.minutes)):
        with tempfile.TemporaryDirectory() as name:
            path = Path(name) / "clip.mp4"
            write_clip(path, seconds, size_hw)
            command = [sys.executable, "-m", "benchmarks.memory", "--file", str(path)]
            answer = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        frames, ingest, tracked, whole = (int(word) for word in answer.split())
        peaks.append(whole)
        print(f"{seconds:4d} s, {frames} frames of {size_hw[1]}x{size_hw[0]}: ", end="")
        print(f"peak {ingest} MB after ingest, {tracked} after tracking, {whole} after export")
    print(
        f"growth {peaks[-1] - peaks[0]} MB (goal for ten minutes: below 300 MB, tracking included)"
    )


if __name__ == "__main__":
    main()

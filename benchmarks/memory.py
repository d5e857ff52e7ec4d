"""Peak memory of a long video through ingest and export.

    python benchmarks/memory.py [--minutes 5] [--size 1080]

Every length runs in a fresh process; the long one must not need much more than ten seconds do. The video is
made on the fly, as MPEG-4 part 2, so that ingest has to decode and encode every frame.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import av
import cv2
import numpy as np

from sparrow.export import write_masks_json
from sparrow.ingest import open_video
from sparrow.render import render
from sparrow.types import Referent, TrackBuilder, colour_of


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
    """Ingest, put a mask on every frame, export; print the peak resident set in MB after each."""
    video = open_video(path, workdir=folder)
    ingest = peak_mb()
    height, width = video.size_hw
    builder = TrackBuilder(1, video.size_hw, video.num_frames)
    for index in range(video.num_frames):
        mask = np.zeros(video.size_hw, dtype=np.uint8)
        cv2.circle(mask, (7 * index % width, height // 2), height // 6, 1, -1)
        builder.put(index, mask.astype(bool), 1.0)
    track, referent = builder.build(), Referent(1, "the disc", None, colour_of(1))
    render(video, [track], [referent], folder / "out.mp4")
    write_masks_json(folder / "masks.json", video, [track], [referent])
    print(f"{video.num_frames} {ingest:.0f} {peak_mb():.0f}")


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
            command = [sys.executable, __file__, "--file", str(path)]
            answer = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        frames, ingest, whole = (int(word) for word in answer.split())
        peaks.append(whole)
        print(f"{seconds:4d} s, {frames} frames of {size_hw[1]}x{size_hw[0]}: ", end="")
        print(f"peak {ingest} MB after ingest, {whole} MB after export")
    print(
        f"growth {peaks[-1] - peaks[0]} MB (goal for ten minutes: below 300 MB, tracking included)"
    )


if __name__ == "__main__":
    main()

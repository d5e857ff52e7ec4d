"""How long annotate + encode takes against a plain ffmpeg transcode, against moviepy + supervision; and each format.

    python -m benchmarks.export [--video FILE] [--seconds 8] [--repeats 3]

Without a file a textured 1280x720 clip with sound is made on the fly. Three referents; the same preset and
quality everywhere; the variants take turns, the figures are medians of CPU and of wall seconds.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import cv2
import imageio_ffmpeg
import numpy as np
import supervision as sv
from moviepy import VideoFileClip

from sparrow.export.detections import to_detections
from sparrow.export.formats import FORMATS, export
from sparrow.ingest import open_video
from sparrow.render import render
from sparrow.types import MaskTrack, Referent, TrackBuilder, colour_of
from sparrow.video import Video

SIZE_HW = (720, 1280)
PHRASES = ("the red fox", "the boy on the left", "a bicycle")


def place(number: int, index: int, size_hw: tuple[int, int]) -> tuple[int, int]:
    """Give the centre x, y of thing 1, 2 or 3 in a frame."""
    height, width = size_hw
    x = width * (0.25 * number + 0.1 * np.sin(index / 20 + number))
    return round(x), round(height * (0.5 + 0.2 * np.cos(index / 15 + number)))


def shape(number: int, index: int, size_hw: tuple[int, int]) -> np.ndarray:
    """Give thing 1, 2 or 3 as uint8 (H, W): an ellipse of some 7 % of the frame."""
    mask = np.zeros(size_hw, dtype=np.uint8)
    axes = (size_hw[1] // 8, size_hw[0] // 6)
    return cv2.ellipse(mask, place(number, index, size_hw), axes, 20 * number, 0, 360, 1, -1)


def textured_clip(path: Path, seconds: float, *, size_hw: tuple[int, int] = SIZE_HW) -> Path:
    """Write three textured things before a panning scene with a sensor's noise, at 25 fps, with a tone."""
    rng, (height, width) = np.random.default_rng(0), size_hw
    large = (3 * width, 2 * height)
    coarse = rng.integers(0, 256, (90, 240, 3), dtype=np.uint8)
    scene = cv2.resize(coarse, large, interpolation=cv2.INTER_CUBIC)
    noises = [rng.normal(0, 3, (height, width, 3)).astype(np.int8) for _ in range(7)]
    with av.open(str(path), "w") as file:
        options = {"preset": "veryfast", "crf": "18"}
        picture = file.add_stream("libx264", rate=25, options=options)
        picture.height, picture.width, picture.pix_fmt = height, width, "yuv420p"
        sound = file.add_stream("aac", rate=44100)
        for index in range(round(25 * seconds)):
            offset = 3 * index % width
            frame = np.ascontiguousarray(scene[:height, offset : offset + width])
            for number in (1, 2, 3):
                x, y = place(number, index, size_hw)
                skin = 255 - scene[height - y :, width - x :][:height, :width]
                frame = cv2.copyTo(np.ascontiguousarray(skin), shape(number, index, size_hw), frame)
            noisy = cv2.add(frame, noises[index % 7], dtype=cv2.CV_8U)
            file.mux(picture.encode(av.VideoFrame.from_ndarray(noisy, format="rgb24")))
            time_of = (np.arange(1764) + 1764 * index) / 44100
            wave = (0.2 * np.sin(2 * np.pi * 440 * time_of)).astype(np.float32)[None]
            piece = av.AudioFrame.from_ndarray(wave, format="fltp", layout="mono")
            piece.rate, piece.pts, piece.time_base = 44100, 1764 * index, Fraction(1, 44100)
            file.mux(sound.encode(piece))
        file.mux([*picture.encode(None), *sound.encode(None)])
    return path


def three_tracks(video: Video) -> list[MaskTrack]:
    tracks = []
    for number in (1, 2, 3):
        builder = TrackBuilder(number, video.size_hw, video.num_frames)
        for index in range(video.num_frames):
            builder.put(index, shape(number, index, video.size_hw).astype(bool), 1.0)
        tracks.append(builder.build())
    return tracks


def ffmpeg_transcode(video: Video, out: Path) -> None:
    binary = shutil.which("ffmpeg") or imageio_ffmpeg.get_ffmpeg_exe()
    command = [binary, "-y", "-loglevel", "error", "-i", str(video.path), "-c:v", "libx264"]
    command += ["-preset", "veryfast", "-crf", "21", "-pix_fmt", "yuv420p", "-c:a", "copy"]
    subprocess.run([*command, "-movflags", "+faststart", str(out)], check=True)


def moviepy_supervision(
    video: Video, tracks: list[MaskTrack], referents: list[Referent], out: Path
) -> None:
    """The usual demo: supervision's annotators on every RGB frame, moviepy writes."""
    palette = sv.ColorPalette.from_hex([referent.colour for referent in referents])
    style = {"color": palette, "color_lookup": sv.ColorLookup.INDEX}
    masks, outlines, labels = (
        sv.MaskAnnotator(**style),
        sv.PolygonAnnotator(**style),
        sv.LabelAnnotator(**style),
    )
    with VideoFileClip(str(video.path)) as clip:
        counter = iter(range(10**9))

        def annotate(frame: np.ndarray) -> np.ndarray:
            index = min(next(counter), video.num_frames - 1)
            found = to_detections(tracks, referents, index)
            scene = outlines.annotate(masks.annotate(frame.copy(), found), found)
            return labels.annotate(scene, found, labels=found.data["phrase"].tolist())

        clip.image_transform(annotate).write_videofile(
            str(out),
            codec="libx264",
            audio_codec="aac",
            preset="veryfast",
            logger=None,
            temp_audiofile_path=str(out.parent),
            ffmpeg_params=["-crf", "21", "-pix_fmt", "yuv420p", "-movflags", "+faststart"],
        )


def seconds_of(work: Callable[[], object]) -> tuple[float, float]:
    """Give CPU seconds (children included) and wall seconds."""
    before, started = os.times(), time.perf_counter()
    work()
    after = os.times()
    return sum(after[:4]) - sum(before[:4]), time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--video", type=Path)
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = arguments.video or textured_clip(folder / "clip.mp4", arguments.seconds)
        video = open_video(source, workdir=folder)
        tracks = three_tracks(video)
        referents = [Referent(n, phrase, None, colour_of(n)) for n, phrase in enumerate(PHRASES, 1)]
        variants: dict[str, Callable[[], object]] = {
            "ffmpeg transcode, nothing drawn": lambda: ffmpeg_transcode(
                video, folder / "ffmpeg.mp4"
            ),
            "sparrow render, nothing drawn": lambda: render(video, [], [], folder / "plain.mp4"),
            "sparrow render": lambda: render(video, tracks, referents, folder / "sparrow.mp4"),
            "moviepy + supervision": lambda: moviepy_supervision(
                video, tracks, referents, folder / "moviepy.mp4"
            ),
        }
        spent: dict[str, list[tuple[float, float]]] = {label: [] for label in variants}
        for _ in range(arguments.repeats):
            for label, work in variants.items():
                spent[label].append(seconds_of(work))
        height, width = video.size_hw
        print(
            f"{video.num_frames} frames of {width}x{height}, 3 referents, median of {arguments.repeats}"
        )
        cpu = {label: statistics.median(run[0] for run in runs) for label, runs in spent.items()}
        wall = {label: statistics.median(run[1] for run in runs) for label, runs in spent.items()}
        for label in variants:
            print(f"{label:34s} CPU {cpu[label]:6.2f} s  wall {wall[label]:6.2f} s")
        for label, base in (
            ("sparrow render", next(iter(variants))),
            ("sparrow render", "moviepy + supervision"),
        ):
            print(
                f"{label} / {base}: CPU {cpu[label] / cpu[base]:.2f}, wall {wall[label] / wall[base]:.2f}"
            )
        for form in FORMATS:
            cpu_of, wall_of = (
                1000 * seconds / video.num_frames
                for seconds in seconds_of(
                    lambda key=form.key: export(key, folder, video, tracks, referents)
                )
            )
            size = (folder / form.file).stat().st_size / 2**20
            print(
                f"{form.key:12s} CPU {cpu_of:6.1f}  wall {wall_of:6.1f} ms per frame  {size:7.2f} MiB"
            )


if __name__ == "__main__":
    main()

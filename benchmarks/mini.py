"""Where sparrow-mini's time goes: from a question to its first word, and for each tracked frame.

    python -m benchmarks.mini [--threads 2] [--size 1280x720] [--seconds 10]

Wall-clock medians on this machine, and each stage's share. The clip is a world's, stretched to the
given length and size.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import av
import cv2
import numpy as np
import torch

from sparrow import masks
from sparrow.ingest import open_video
from sparrow.model.carrying import carry, weighed
from sparrow.model.generation import Conversation
from sparrow.model.looking import DETAIL, Eyes, point
from sparrow.model.pixel_decoder import FramePrompt
from sparrow.model.tracking import Target, track
from sparrow.outline import sharpen
from sparrow.pipeline import Sparrow
from sparrow.video import Video
from sparrow.world.picture import load_atlas
from sparrow.world.scene import Scene

_QUESTION = "what is in this video?"
_SEED = 8_000_001  # a world of the test split
_FPS = 25


def write_clip(path: Path, size: tuple[int, int], seconds: float) -> Path:
    """Write a world's frames, back and forth, as a clip of that length and size (width, height)."""
    scene = Scene.sample(_SEED, difficulty="easy", atlas=load_atlas())
    frames = [scene.render(index, size[::-1]).rgb for index in range(scene.num_frames)]
    cycle = frames + frames[-2:0:-1]
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=_FPS, options={"preset": "veryfast"})
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        for index in range(round(_FPS * seconds)):
            frame = av.VideoFrame.from_ndarray(cycle[index % len(cycle)], format="rgb24")
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return path


def median_ms(work: Callable[[], object], repeats: int = 5) -> float:
    """Give the median wall time of some work in milliseconds, after one call to warm up."""
    work()
    spent = []
    for _ in range(repeats):
        started = time.perf_counter()
        work()
        spent.append(1000 * (time.perf_counter() - started))
    return statistics.median(spent)


def answering(sparrow: Sparrow, video: Video) -> Iterator[tuple[str, float]]:
    """Measure the stages from a question to the first word of its answer."""
    model = sparrow.model
    llm, indices = model.mini, video.sample(model.num_frames)
    frames = video.read(indices)
    yield "read sampled frames", median_ms(lambda: video.read(indices))
    yield "propose boxes", median_ms(lambda: model.propose(frames))
    proposals = model.propose(frames)
    with torch.inference_mode():
        yield "link and encode things", median_ms(lambda: llm.perceive(frames, proposals))
        seen = llm.perceive(frames, proposals)
    yield "read the prefix", median_ms(lambda: Conversation(llm, seen))
    # Closing the stream after its first word takes the turn back, so every repetition is the same.
    talk = Conversation(llm, seen)
    yield "first word", median_ms(lambda: _first(talk))


def _first(talk: Conversation) -> None:
    words = talk.ask(_QUESTION)
    next(words)
    words.close()  # type: ignore[attr-defined]


def tracking(sparrow: Sparrow, video: Video) -> Iterator[tuple[str, float]]:
    """Measure the stages of one tracked frame with one referent."""
    decoder, size = sparrow.model.pixel_decoder, video.size_hw
    (before, frame), count = video.read([0, 1]), video.num_frames
    yield "decode the video", median_ms(lambda: sum(1 for _ in video.iter()), 3) / count
    with torch.inference_mode():
        edges = np.array([0.3, 0.3, 0.6, 0.6]) * np.array([*size[::-1]] * 2)
        box = FramePrompt(box=edges)
        window = point(Eyes(decoder, frame), box).window
        part, seen = window.cut(frame), window.size_hw
        yield "encode the window", median_ms(lambda: decoder.encode(part))
        features, memory = decoder.encode(part), decoder.new_memory()
        decoded = decoder.step(features, window.inside(box), None, memory, 0, seen)
        for index in range(1, 8):  # fill the memory
            decoder.step(features, None, decoded.gated, memory, index, seen)
        place = iter(range(8, 1000))
        yield (
            "decode the mask, remember it",
            median_ms(
                lambda: decoder.step(features, None, decoded.gated, memory, next(place), seen)
            ),
        )

        mask = window.paste(decoder.to_mask(decoded, seen), size)
        yield "or cut it out of a proposal", median_ms(lambda: sharpen(frame, mask, edges))
        side = DETAIL * decoder.side
        yield (
            "carry the last mask by flow",
            median_ms(lambda: carry(mask, before, frame, window, side)),
        )
        share = cv2.resize(carry(mask, before, frame, window, side), seen[::-1])
        yield (
            "weigh and scale the mask",
            median_ms(
                lambda: window.paste(weighed(decoder.to_logits(decoded, seen), share), size) > 0.5
            ),
        )
    yield "store the mask", median_ms(lambda: masks.to_rle(mask))
    yield "propose boxes", median_ms(lambda: sparrow.model.propose(frame[None]))


def report(title: str, stages: Iterator[tuple[str, float]]) -> float:
    """Print each stage's milliseconds and share; give the sum."""
    measured = list(stages)
    total = sum(spent for _, spent in measured)
    print(title)
    for name, spent in measured:
        print(f"  {name:<30} {spent:8.2f} ms  {spent / total:4.0%}")
    print(f"  {'together':<30} {total:8.2f} ms")
    return total


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--size", default="1280x720", help="WIDTHxHEIGHT of the clip")
    parser.add_argument("--seconds", type=float, default=10.0)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    cv2.setNumThreads(arguments.threads)
    width, height = (int(side) for side in arguments.size.split("x"))
    sparrow = Sparrow.from_pretrained(device="cpu")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clip = write_clip(folder / "clip.mp4", (width, height), arguments.seconds)
        video = open_video(clip, workdir=folder)
        first = report("From a question to its first word", answering(sparrow, video))
        print(
            f"  first word after {first / 1000:.2f} s; of later turns only the last line is left\n"
        )
        report("One tracked frame, one referent, measured by parts", tracking(sparrow, video))
        box = np.array([0.3, 0.3, 0.6, 0.6]) * np.array([width, height] * 2)
        target = Target(1, 0, {0: FramePrompt(box=box)})
        started = time.perf_counter()
        track(sparrow.model.pixel_decoder, video, [target], propose=sparrow.model.propose)
        spent = time.perf_counter() - started
        print(f"  {video.num_frames / spent:.1f} tracked frames/s over the whole clip")


if __name__ == "__main__":
    main()

"""Pointing on real video: box to mask, tracking, and tracking after adapting, beside optical flow.

    python -m benchmarks.pointing FOLDER [--seconds 15 30] [--seeds 3]
    python -m benchmarks.pointing --sheet OUT.png CLIP.mp4 X0,Y0,X1,Y1 [--seconds 30] [--frames 100]

FOLDER holds frames/ (JPEG) and masks/ (PNG, the same number), as DAVIS has them. J is the mean
overlap with the true masks; frame 0 and its box are what is pointed at. Seconds of adapting are those of
this process on one thread, so that a busy machine does not change the figures; the product counts wall clock.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import torch

from sparrow import masks
from sparrow.adapt import Effort, adapt_and_track
from sparrow.ingest import open_video
from sparrow.model.looking import Eyes, point
from sparrow.model.pixel_decoder import FramePrompt, PixelDecoder
from sparrow.model.sparrow import SparrowModel
from sparrow.model.tracking import Target, track
from sparrow.paths import ASSETS
from sparrow.targets import HeldFrames

SPANS = (8, 16, 32)
SHEET = (3, 6)
"""Rows and columns of a contact sheet."""


def read_folder(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Give frames (T, H, W, 3) uint8 and masks (T, H, W) bool."""
    pictures = [cv2.imread(str(path)) for path in sorted((folder / "frames").glob("*.jpg"))]
    drawn = [cv2.imread(str(path), 0) for path in sorted((folder / "masks").glob("*.png"))]
    if not pictures or len(pictures) != len(drawn):
        raise SystemExit(f"{folder}: expected as many frames/*.jpg as masks/*.png, and some")
    return np.stack([picture[..., ::-1] for picture in pictures]), np.stack(drawn) > 127


def carried_by_flow(frames: np.ndarray, mask: np.ndarray) -> list[np.ndarray]:
    """Carry a mask of frame 0 through a clip by dense optical flow."""
    flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    grey = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames]
    y, x = np.mgrid[: mask.shape[0], : mask.shape[1]].astype(np.float32)
    carried = [mask.astype(np.float32)]
    for before, after in pairwise(grey):
        back = flow.calc(after, before, None)
        carried.append(cv2.remap(carried[-1], x + back[..., 0], y + back[..., 1], cv2.INTER_LINEAR))
    return [mask >= 0.5 for mask in carried]


def first_masks(decoder: PixelDecoder, frames: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """Point with the true box on every fifth frame; give the mean J per way."""
    scores: dict[str, list[float]] = {"filled box": [], "model": []}
    for index in range(0, len(frames), 5):
        if not truth[index].any():
            continue
        box = masks.box_of(truth[index])
        filled = np.zeros_like(truth[index])
        x0, y0, x1, y1 = box.astype(int)
        filled[y0:y1, x0:x1] = True
        with torch.inference_mode():
            found = point(Eyes(decoder, frames[index]), FramePrompt(box=box)).mask
        for name, mask in zip(scores, (filled, found), strict=True):
            scores[name].append(masks.iou(mask, truth[index]))
    return {name: float(np.mean(values)) for name, values in scores.items()}


def row(name: str, found: Sequence[np.ndarray], truth: np.ndarray) -> str:
    """Write J of frame 0, of the next frames, of all, how many masks are empty or far too large, and the largest
    mask in percent of the frame.
    """
    overlaps = [masks.iou(mask, true) for mask, true in zip(found, truth, strict=True)]
    empty = sum(not mask.any() for mask in found)
    large = sum(
        np.count_nonzero(mask) > 2.5 * max(1, np.count_nonzero(true))
        for mask, true in zip(found, truth, strict=True)
    )
    spans = " ".join(f"{np.mean(overlaps[1 : span + 1]):6.3f}" for span in SPANS)
    mean, most = np.mean(overlaps[1:]), 100 * max(float(mask.mean()) for mask in found)
    return f"{name:34s} {overlaps[0]:6.3f} {spans} {mean:6.3f} {empty:6d} {large:6d} {most:6.1f}"


def adapted(
    decoder: PixelDecoder, frames: np.ndarray, prompt: FramePrompt, seconds: float, seed: int
) -> list[np.ndarray]:
    """Adapt for so many seconds of this process, then track."""
    effort = Effort(seconds=seconds, seed=seed)
    target = Target(1, 0, {0: prompt})
    held = HeldFrames(frames)
    found = adapt_and_track(decoder, held, [target], effort, clock=time.process_time)[0]
    return [found.mask(index) for index in range(len(frames))]


def measure(decoder: PixelDecoder, folder: Path, seconds: Sequence[float], seeds: int) -> None:
    """Print the tables."""
    frames, truth = read_folder(folder)
    for name, value in first_masks(decoder, frames, truth).items():
        print(f"box to mask, every 5th frame: {name:18s} {value:.3f}")
    box = FramePrompt(box=masks.box_of(truth[0]))
    with torch.inference_mode():
        own = point(Eyes(decoder, frames[0]), box).mask
    starts = {
        "model's first mask": (own, box),
        "true mask": (truth[0], FramePrompt(mask=truth[0])),
    }
    spans = " ".join(f"{'J' + str(span):>6s}" for span in SPANS)
    heads = " ".join(f"{head:>6s}" for head in ("all", "empty", "large", "most %"))
    print(f"\n{'from frame 0':34s} {'J0':>6s} {spans} {heads}")
    for name, (mask, prompt) in starts.items():
        print(row(f"flow, {name}", carried_by_flow(frames, mask), truth))
        plain = track(decoder, HeldFrames(frames), [Target(1, 0, {0: prompt})])[0]
        found = [plain.mask(i) for i in range(len(frames))]
        print(row(f"not adapted, {name}", found, truth), flush=True)
    ways = (("box", box), ("true mask", FramePrompt(mask=truth[0])))
    for name, prompt in ways:
        for length in seconds:
            for seed in range(seeds):
                found = adapted(decoder, frames, prompt, length, seed)
                print(row(f"adapted {length:g} s, {name}, seed {seed}", found, truth), flush=True)


def contact_sheet(
    decoder: PixelDecoder, clip: Path, box: np.ndarray, seconds: float, count: int, out: Path
) -> None:
    """Draw frames of a clip with the mask lit, tracked without adapting and, below, with it."""
    video = open_video(clip)
    frames = np.stack([frame for _, frame in zip(range(count), video.iter(), strict=False)])
    prompt = FramePrompt(box=box)
    plain = track(decoder, HeldFrames(frames), [Target(1, 0, {0: prompt})])[0]
    ways: list[Callable[[int], np.ndarray]] = [plain.mask]
    ways.append(adapted(decoder, frames, prompt, seconds, 0).__getitem__)
    rows, columns = SHEET
    chosen = np.linspace(0, len(frames) - 1, rows * columns).astype(int).reshape(rows, columns)
    size = (256, 256 * frames.shape[1] // frames.shape[2])
    lines = []
    for mask_of in ways:
        for indices in chosen:
            lit = [np.where(mask_of(i)[..., None], frames[i], frames[i] // 3) for i in indices]
            lines.append(
                np.hstack([cv2.resize(p, size, interpolation=cv2.INTER_AREA) for p in lit])
            )
    cv2.imwrite(str(out), np.vstack(lines)[..., ::-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("source", type=Path, help="FOLDER, or a clip with --sheet")
    parser.add_argument("box", nargs="?", help="X0,Y0,X1,Y1 in frame 0 of a clip")
    parser.add_argument("--sheet", type=Path, metavar="PNG", help="draw a contact sheet of a clip")
    parser.add_argument("--frames", type=int, default=100, help="of the clip that are tracked")
    parser.add_argument("--seconds", type=float, nargs="+", default=[15.0, 30.0])
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--model", type=Path, default=ASSETS / "sparrow-mini")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    decoder = SparrowModel.from_pretrained(arguments.model).eval().pixel_decoder
    if arguments.sheet is None:
        measure(decoder, arguments.source, arguments.seconds, arguments.seeds)
        return
    box = np.array([float(edge) for edge in arguments.box.split(",")], np.float32)
    contact_sheet(
        decoder, arguments.source, box, arguments.seconds[-1], arguments.frames, arguments.sheet
    )


if __name__ == "__main__":
    main()

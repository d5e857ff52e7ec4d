"""Frames to what the released networks take: the official preprocessing of each, equal to the last bit.

CLIP sees the middle square, InternVideo2, SAM2 and the Proposer the whole frame squashed. Each function
works frame by frame, so that a video never lies in memory at a network's size. Knows no network.
"""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

_CLIP_MEAN = np.array([0.48145466, 0.4578275, 0.40821073], dtype=np.float32)
_CLIP_STD = np.array([0.26862954, 0.26130258, 0.27577711], dtype=np.float32)
_IMAGENET_MEAN = np.array([0.485, 0.456, 0.406])
_IMAGENET_STD = np.array([0.229, 0.224, 0.225])
_MOST_ELONGATED = 64  # CLIP sees only the middle square: a longer strip is not scaled up whole
_SAM_MEAN, _SAM_STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)


def sample_indices(num_frames: int, count: int = 16) -> np.ndarray:
    """Choose the frames that the encoders see, (count,) int64, as the official chat does.

    Evenly spread from the first to the last where there are enough; else all of them, the last one
    repeated.

    Raises:
        ValueError: there is no frame.
    """
    if num_frames < 1:
        raise ValueError(f"number of frames: expected at least 1, got {num_frames}")
    if num_frames > count:
        return np.linspace(0, num_frames - 1, count).astype(np.int64)
    return np.minimum(np.arange(count), num_frames - 1)


def clip_pixels(frames: Iterable[np.ndarray], side: int = 336) -> Tensor:
    """Prepare frames (H, W, 3) uint8 for CLIP, (n, 3, side, side).

    The shorter side is scaled to `side` (bicubic), the middle square cut out, CLIP's mean and deviation
    applied: what lies at the ends of a wide frame is not seen.
    """
    return _stack([_clip_frame(_checked(frame), side) for frame in frames], side)


def internvideo_pixels(frames: Iterable[np.ndarray], side: int = 224) -> Tensor:
    """Prepare frames (H, W, 3) uint8 for InternVideo2, (n, 3, side, side): squashed, bilinear."""
    squashed = [cv2.resize(np.ascontiguousarray(_checked(frame)), (side, side)) for frame in frames]
    # In double precision as the official code; only the result is rounded to float32.
    normalised = [(frame / 255 - _IMAGENET_MEAN) / _IMAGENET_STD for frame in squashed]
    return _stack([_channels_first(frame) for frame in normalised], side)


def sam_pixels(frame: np.ndarray, side: int = 1024) -> Tensor:
    """Prepare one frame (H, W, 3) uint8 for SAM2, (3, side, side).

    Its longer side is scaled to `side` in whole grey levels, then the normalised picture is squashed to
    the square: two resamplings, both bilinear, as released.
    """
    height, width = _checked(frame).shape[:2]
    scale = side / max(height, width)
    size = (max(1, int(width * scale + 0.5)), max(1, int(height * scale + 0.5)))
    scaled = np.array(Image.fromarray(frame).resize(size, Image.Resampling.BILINEAR))
    pixels = torch.from_numpy(scaled).permute(2, 0, 1).float()
    pixels = (pixels - _per_channel(_SAM_MEAN)) / _per_channel(_SAM_STD)
    return F.interpolate(pixels[None], (side, side), mode="bilinear", align_corners=False)[0]


def to_frame(pixels: Tensor) -> np.ndarray:
    """Turn what `sam_pixels` gives (3, S, S) back into a picture (S, S, 3) uint8."""
    levels = pixels.cpu().float() * _per_channel(_SAM_STD) + _per_channel(_SAM_MEAN)
    frame: np.ndarray = levels.round().clamp(0, 255).byte().permute(1, 2, 0).contiguous().numpy()
    return frame


def proposer_frame(pixels: Tensor, side: int = 448) -> np.ndarray:
    """Make the Proposer's picture (side, side, 3) uint8 of SAM2's pixels (3, S, S), as released.

    `Proposer.prepare` normalises a picture of its own size without scaling it again.
    """
    picture = Image.fromarray(to_frame(pixels))
    return np.array(picture.resize((side, side), Image.Resampling.BICUBIC))


def crops_by_mask(context: Tensor, masks: Tensor, count: int = 16) -> Tensor:
    """Cut the target out of CLIP's frames by its masks, (n, 3, S, S): the release's way in training.

    Crops are cut from the prepared frames and stretched back to the square. A frame's mask is the first
    object's that is to be seen there; without one the last crop's box is used, at the start the whole
    frame.

    Args:
        context: (T, 3, S, S) from `clip_pixels`.
        masks: (R, M, h, w) of R objects in M frames that span the same time, above 0 inside.
        count: at most so many of the T frames, evenly spread, are used.
    """
    total, height, width = len(context), context.shape[2], context.shape[3]
    sources = np.linspace(0, total - 1, min(count, total)).astype(np.int64).tolist()
    crops, region = [], (0, 0, width, height)
    for source in sources:
        moment = round(source / max(1, total - 1) * (masks.shape[1] - 1)) if masks.numel() else 0
        for mask in masks[:, moment : moment + 1].flatten(0, 1):
            if (mask > 0).any():
                region = _region(mask > 0, width, height)
                break
        left, top, right, bottom = region
        part = context[source : source + 1, :, top:bottom, left:right]
        crops.append(F.interpolate(part, (height, width), mode="bilinear", align_corners=False))
    return torch.cat(crops) if crops else context


def crops_by_box(
    frames: Iterable[np.ndarray], boxes: Iterable[np.ndarray], side: int = 336
) -> Tensor:
    """Cut the target out of frames by its boxes, (n, 3, side, side): the release's way when asked.

    The pixels that a box touches go through the whole of `clip_pixels`: of an elongated target only the
    middle is seen.

    Args:
        frames: (H, W, 3) uint8 each.
        boxes: (4,) xyxy in pixels of the frame for each; NaN where the target is not seen: no crop.
        side: of a crop.
    """
    crops = []
    for frame, box in zip(frames, boxes, strict=True):
        if np.isnan(box).any():
            continue
        height, width = _checked(frame).shape[:2]
        left, top = np.clip(np.floor(box[:2]), 0, (width - 1, height - 1)).astype(int)
        right, bottom = np.clip(np.ceil(box[2:]), (left + 1, top + 1), (width, height)).astype(int)
        crops.append(frame[top:bottom, left:right])
    return clip_pixels(crops, side)


def _region(mask: Tensor, width: int, height: int) -> tuple[int, int, int, int]:
    """Give the box around a mask (h, w) in whole pixels of a frame of another size."""
    rows, columns = mask.any(1).nonzero()[:, 0], mask.any(0).nonzero()[:, 0]
    across, down = width / mask.shape[1], height / mask.shape[0]
    left, top = int(int(columns[0]) * across), int(int(rows[0]) * down)
    right = int(np.ceil((int(columns[-1]) + 1) * across))
    bottom = int(np.ceil((int(rows[-1]) + 1) * down))
    return left, top, max(left + 1, min(right, width)), max(top + 1, min(bottom, height))


def _clip_frame(frame: np.ndarray, side: int) -> Tensor:
    most = _MOST_ELONGATED * min(frame.shape[:2])
    top, left = (max(0, size - most) // 2 for size in frame.shape[:2])
    frame = frame[top : top + most, left : left + most]
    height, width = frame.shape[:2]
    longer = int(side * max(height, width) / min(height, width))
    size = (side, longer) if width <= height else (longer, side)
    picture = Image.fromarray(frame).resize(size, Image.Resampling.BICUBIC)
    left, top = (size[0] - side) // 2, (size[1] - side) // 2
    middle = np.asarray(picture.crop((left, top, left + side, top + side)))
    shares = (middle * (1 / 255)).astype(np.float32)
    return _channels_first((shares - _CLIP_MEAN) / _CLIP_STD)


def _checked(frame: np.ndarray) -> np.ndarray:
    if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3 or 0 in frame.shape:
        raise ValueError(
            f"frame: expected (H, W, 3) uint8 with pixels, got {frame.shape} {frame.dtype}"
        )
    return frame


def _per_channel(values: tuple[float, float, float]) -> Tensor:
    return torch.tensor(values).view(3, 1, 1)


def _channels_first(frame: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(frame.transpose(2, 0, 1), dtype=np.float32))


def _stack(frames: list[Tensor], side: int) -> Tensor:
    return torch.stack(frames) if frames else torch.zeros(0, 3, side, side)

"""The ObjectEncoder: a tracked box becomes one token that knows what the thing looks like and how it moves.

Up to four square crops of a track and its trajectory turn into a token of `width` numbers, with linear
heads for noun, group, colour, size, motion and "is this one thing at all". It knows neither words
nor questions; the class names in its config are only labels.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops import roi_align

from sparrow.model.tsf import representatives

ATTRIBUTES = ("noun", "group", "colour", "size", "motion")
NUMBERS_PER_FRAME = 9  # centre 2, size 2, log size 2, displacement 2, visible 1
_DISPLACEMENT_GAIN = 8.0
_FEATURES = 256


@dataclass(frozen=True)
class ObjectEncoderConfig:
    """Sizes and class names of an object encoder."""

    nouns: tuple[str, ...]
    groups: tuple[str, ...]
    colours: tuple[str, ...]
    sizes: tuple[str, ...] = ("small", "large")
    motions: tuple[str, ...] = ("still", "left", "right", "up", "down", "circle")
    num_frames: int = 8
    """Frames T of a clip that the model looks at."""
    frame_side: int = 256
    """Longer side of those frames, pixels."""
    crop_side: int = 32
    """Side of a crop, pixels."""
    crops_per_track: int = 4
    context: float = 1.25
    """Side of the square crop over the longer side of the box."""
    width: int = 160
    """Numbers D in a token."""

    def classes(self, attribute: str) -> tuple[str, ...]:
        """Give the class names of one of ATTRIBUTES."""
        names: tuple[str, ...] = getattr(self, f"{attribute}s")
        return names


@dataclass(frozen=True, eq=False)
class ObjectTokens:
    """What the encoder says about N tracks."""

    tokens: Tensor
    """(N, D)."""
    trajectories: Tensor
    """(N, 9 T)."""
    logits: dict[str, Tensor]
    """Attribute name to (N, classes)."""
    objectness: Tensor
    """(N,) logit that the track holds one whole thing."""


class ObjectEncoder(nn.Module):
    """Tracks to tokens."""

    def __init__(self, config: ObjectEncoderConfig) -> None:
        super().__init__()
        self.config = config
        flat = (config.crop_side // 8) ** 2 * 128
        self.convolutions = nn.Sequential(
            *_block(3, 32, 5, 2),
            *_block(32, 64, 3, 2),
            *_block(64, 96, 3, 1),
            *_block(96, 128, 3, 2),
        )
        self.appearance = nn.Linear(flat, _FEATURES)
        self.trajectory = nn.Sequential(
            nn.Linear(config.num_frames * NUMBERS_PER_FRAME, 192), nn.ReLU(), nn.Linear(192, 128)
        )
        self.merge = nn.Sequential(
            nn.Linear(_FEATURES + 128, 256), nn.ReLU(), nn.Linear(256, config.width)
        )
        self.norm = nn.LayerNorm(config.width)
        self.heads = nn.ModuleDict(
            {name: nn.Linear(config.width, len(config.classes(name))) for name in ATTRIBUTES}
        )
        self.objectness_head = nn.Linear(config.width, 1)

    def prepare(self, frames: np.ndarray) -> Tensor:
        """Turn display frames (T, H, W, 3) uint8 into (T, 3, h, w) in [-0.5, 0.5], longer side `frame_side`."""
        height, width = frames.shape[1:3]
        scale = self.config.frame_side / max(height, width)
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        if size != (width, height):
            small = scale < 1
            way = cv2.INTER_AREA if small else cv2.INTER_LINEAR
            frames = np.stack([cv2.resize(frame, size, interpolation=way) for frame in frames])
        pixels = torch.from_numpy(np.ascontiguousarray(frames)).to(self.norm.weight.device)
        return pixels.permute(0, 3, 1, 2).float() / 255 - 0.5

    def encode(self, frames: Tensor, boxes: np.ndarray) -> ObjectTokens:
        """Encode the tracks of one clip.

        Args:
            frames: (T, 3, h, w) from `prepare`.
            boxes: (N, T, 4) normalised xyxy, NaN where the thing is not seen.
        """
        visible = ~np.isnan(boxes[..., 0])
        indices, weights = largest_frames(boxes, visible, self.config.crops_per_track)
        count = indices.shape[1]
        picked = np.take_along_axis(boxes, indices[..., None], axis=1)  # (N, C, 4)
        crops = self.crop(frames, picked.reshape(-1, 4), indices.reshape(-1))
        crops = crops.unflatten(0, (len(boxes), count))  # (N, C, 3, S, S)
        device = frames.device
        numbers = torch.from_numpy(trajectories(boxes)).to(device)
        return self(crops, torch.from_numpy(weights).to(device), numbers)

    def encode_pointed(self, frames: Tensor, boxes: np.ndarray) -> ObjectTokens:
        """Encode what is pointed at from the views that represent it (TSF) instead of its largest ones.

        Args:
            frames: (T, 3, h, w) from `prepare`.
            boxes: (N, T, 4) normalised xyxy, NaN where the thing is not seen.
        """
        tracks, times = np.nonzero(~np.isnan(boxes[..., 0]))
        views = self.crop_features(self.crop(frames, boxes[tracks, times], times))  # (M, 256)
        own = views.split(np.bincount(tracks, minlength=len(boxes)).tolist())
        count = self.config.crops_per_track
        chosen = [representatives(seen, count).mean(0) for seen in own if len(seen)]
        means = views.new_zeros(len(boxes), views.shape[1])
        if chosen:
            means[torch.from_numpy(np.unique(tracks))] = torch.stack(chosen)
        return self._tokens(means, torch.from_numpy(trajectories(boxes)).to(frames.device))

    def crop(self, frames: Tensor, boxes: np.ndarray, indices: np.ndarray) -> Tensor:
        """Cut squares around normalised boxes (M, 4) out of frames[indices]; NaN boxes give grey. (M, 3, S, S)."""
        rois = np.zeros((len(boxes), 5), dtype=np.float32)
        rois[:, 0] = indices
        rois[:, 1:] = squares(boxes, (frames.shape[2], frames.shape[3]), self.config.context)
        side = self.config.crop_side
        regions = torch.from_numpy(rois).to(frames.device)
        return roi_align(frames, regions, (side, side), sampling_ratio=-1, aligned=True)

    def crop_features(self, crops: Tensor) -> Tensor:
        """Describe crops (M, 3, S, S) by (M, 256) features; linking compares them by their angle."""
        return F.relu(self.appearance(self.convolutions(crops).flatten(1)))

    def forward(self, crops: Tensor, weights: Tensor, numbers: Tensor) -> ObjectTokens:
        """Merge crops (N, C, 3, S, S), their weights (N, C) >= 0 and trajectories (N, 9 T) into tokens."""
        features = self.crop_features(crops.flatten(0, 1)).unflatten(0, crops.shape[:2])
        total = weights.sum(1, keepdim=True).clamp(min=1e-6)
        return self._tokens((features * (weights / total)[..., None]).sum(1), numbers)

    def _tokens(self, mean: Tensor, numbers: Tensor) -> ObjectTokens:
        """Make tokens of mean features (N, 256) and trajectories (N, 9 T)."""
        merged = self.merge(torch.cat([mean, self.trajectory(numbers)], 1))
        tokens = self.norm(merged)  # (N, D)
        logits = {name: head(tokens) for name, head in self.heads.items()}
        return ObjectTokens(tokens, numbers, logits, self.objectness_head(tokens).squeeze(1))


def trajectories(boxes: np.ndarray) -> np.ndarray:
    """Describe tracks (N, T, 4), normalised xyxy with NaN where unseen, by (N, 9 T) float32 numbers."""
    visible = ~np.isnan(boxes[..., 0])
    known = np.where(visible[..., None], boxes, 0.0)
    centre = (known[..., :2] + known[..., 2:]) / 2
    size = np.clip(known[..., 2:] - known[..., :2], 1e-3, None)
    step = np.zeros_like(centre)
    step[:, 1:] = (centre[:, 1:] - centre[:, :-1]) * (visible[:, 1:] & visible[:, :-1])[..., None]
    seen = visible[..., None].astype(np.float32)
    parts = [
        centre - 0.5,
        size,
        np.log(size) / 2 + 1,
        step * _DISPLACEMENT_GAIN,
        np.ones_like(seen),
    ]
    numbers = np.concatenate(parts, axis=-1) * seen  # (N, T, 9)
    return numbers.reshape(len(boxes), numbers.shape[1] * NUMBERS_PER_FRAME).astype(np.float32)


def largest_frames(
    boxes: np.ndarray, visible: np.ndarray, count: int
) -> tuple[np.ndarray, np.ndarray]:
    """Pick for each track (N, T, 4) the `count` frames with the largest box.

    Returns:
        Frame indices (N, C) int64 and weights (N, C) float32, 1 for a seen frame and 0 for a filler.
    """
    sides = np.where(visible[..., None], boxes[..., 2:] - boxes[..., :2], 0.0)
    area = np.where(visible, sides.prod(-1), -1.0)
    order = np.argsort(-area, axis=1, kind="stable")[:, :count]
    return order, np.take_along_axis(visible, order, axis=1).astype(np.float32)


def squares(boxes: np.ndarray, size_hw: tuple[int, int], context: float) -> np.ndarray:
    """Grow normalised boxes (M, 4) to squares in pixels; a NaN box becomes a point outside the frame."""
    height, width = size_hw
    px = boxes * np.array([width, height, width, height])
    centre = (px[:, :2] + px[:, 2:]) / 2
    half = (px[:, 2:] - px[:, :2]).max(1, initial=1.0)[:, None] * context / 2
    regions = np.concatenate([centre - half, centre + half], axis=1)
    outside = np.array([-9.0, -9.0, -8.0, -8.0])
    return np.where(np.isnan(regions), outside, regions).astype(np.float32)


def _block(inputs: int, outputs: int, kernel: int, stride: int) -> tuple[nn.Module, ...]:
    return (
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
    )

"""Windows: squares of a frame around one thing, so that small things are seen large.

Carries prompts and masks between the frame and the window. Knows no model.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from sparrow.model.pixel_decoder import FramePrompt

SMALLEST = 48
"""Pixels; nothing is gained by enlarging a few of them further."""
_LOW = 20.0  # logits beyond it say no more


@dataclass(frozen=True)
class Window:
    """A part of a frame, in its pixels."""

    left: int
    top: int
    right: int
    bottom: int

    @classmethod
    def whole(cls, size_hw: tuple[int, ...]) -> Window:
        """Give the window that shows all of a frame."""
        return cls(0, 0, size_hw[1], size_hw[0])

    @classmethod
    def at(cls, centre: np.ndarray, reach: float, size_hw: tuple[int, ...]) -> Window:
        """Give a square around a point, moved into the frame, at most all of it.

        Args:
            centre: (2,) x, y in pixels.
            reach: its side in pixels.
            size_hw: of the frame.
        """
        starts, sides = [], []
        for middle, length in zip(centre, size_hw[1::-1], strict=True):
            sides.append(min(length, int(max(reach, SMALLEST))))
            start = round(float(middle) - sides[-1] / 2)
            starts.append(min(max(start, 0), length - sides[-1]))
        return cls(starts[0], starts[1], starts[0] + sides[0], starts[1] + sides[1])

    @classmethod
    def around(cls, box: np.ndarray, times: float, size_hw: tuple[int, ...]) -> Window:
        """Give a square around a box (4,) pixel xyxy, `times` as large as its longer side."""
        return cls.at((box[:2] + box[2:]) / 2, times * float((box[2:] - box[:2]).max()), size_hw)

    @property
    def size_hw(self) -> tuple[int, int]:
        return self.bottom - self.top, self.right - self.left

    @property
    def edges(self) -> np.ndarray:
        """(4,) float32 pixel xyxy in the frame."""
        return np.array((self.left, self.top, self.right, self.bottom), np.float32)

    def cut(self, pixels: np.ndarray) -> np.ndarray:
        """Give this part of a frame or mask (H, W, ...)."""
        return pixels[self.top : self.bottom, self.left : self.right]

    def inside(self, prompt: FramePrompt) -> FramePrompt:
        """Give the prompt in the window's own pixels; what lies outside is left out."""
        corner, limits = self.edges[:2], self.edges[2:] - self.edges[:2]
        box = prompt.box
        if box is not None:
            box = np.clip(box.reshape(2, 2) - corner, 0, limits).reshape(4)
        clicks = tuple(
            (x - self.left, y - self.top, on)
            for x, y, on in prompt.clicks
            if self.left <= x < self.right and self.top <= y < self.bottom
        )
        mask = None if prompt.mask is None else self.cut(prompt.mask)
        return replace(prompt, box=box, clicks=clicks, mask=mask)

    def paste(self, part: np.ndarray, size_hw: tuple[int, int]) -> np.ndarray:
        """Put the window's mask or belief (h, w) into an empty one (H, W) of the same type."""
        whole = np.zeros(size_hw, dtype=part.dtype)
        self.cut(whole)[:] = part
        return whole


def moved_logits(logits: Tensor, before: np.ndarray, after: np.ndarray) -> Tensor:
    """Carry mask logits from windows to others; on new ground nothing is.

    Args:
        logits: (N, 1, g, g).
        before: (N, 4) float32 `edges` of the windows that they show.
        after: (N, 4) of those that they shall show.
    """
    sides = torch.from_numpy(before[:, 2:] - before[:, :2]).to(logits)
    scale = torch.from_numpy(after[:, 2:] - after[:, :2]).to(logits) / sides
    middles = torch.from_numpy(after[:, :2] + after[:, 2:] - before[:, :2] - before[:, 2:])
    theta = torch.zeros(len(logits), 2, 3, device=logits.device, dtype=logits.dtype)
    theta[:, 0, 0], theta[:, 1, 1] = scale[:, 0], scale[:, 1]
    theta[:, :, 2] = middles.to(logits) / sides  # half the shift over half the side
    grid = F.affine_grid(theta, list(logits.shape), align_corners=False)
    kept = logits.clamp(-_LOW, _LOW) + _LOW
    return F.grid_sample(kept, grid, mode="bilinear", align_corners=False) - _LOW

"""The PixelDecoder: frames and prompts to masks, through SAM2. One frame at a time, streamed.

It turns pixels of the displayed frame into the model's square input and masks back. It knows
neither videos nor words; a [SEG] state reaches it as a vector.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sparrow.model.memory import Memory
from sparrow.model.preparing import sam_pixels, to_frame
from sparrow.model.sam import Decoded, FrameFeatures, Prompts, Sam, SamConfig
from sparrow.retouch import retouched

_MEAN = np.array([0.485, 0.456, 0.406], dtype=np.float32)
_STD = np.array([0.229, 0.224, 0.225], dtype=np.float32)
_KNOWN = 10.0  # logit of what is known
_CLICK_RADIUS = 1 / 16  # of the side: the soft bump that marks a click in the dense prompt


@dataclass(frozen=True, eq=False)
class FramePrompt:
    """What points at one object in one frame, in pixels of the displayed frame."""

    box: np.ndarray | None = None
    """(4,) xyxy."""
    clicks: tuple[tuple[float, float, bool], ...] = ()
    """x, y, and whether the click lies on the object."""
    mask: np.ndarray | None = None
    """(H, W) bool; what is known of the object here. Clicks beside it correct it."""
    token: Tensor | None = field(default=None)
    """(token_dim,) projected [SEG] state."""
    guessed: bool = False
    """Nothing was seen in this frame: the box tells where the object is if it is in sight."""


class PixelDecoder(nn.Module):
    """SAM2 for streamed frames."""

    def __init__(self, config: SamConfig) -> None:
        """Build it.

        Raises:
            ValueError: the config's `resize` is none of the two.
        """
        super().__init__()
        if config.resize not in ("area", "longest"):
            raise ValueError(f'resize: expected "area" or "longest", got {config.resize!r}')
        self.config = config
        self.sam = Sam(config)
        same = config.token_dim == config.dim
        self.token_proj = nn.Identity() if same else nn.Linear(config.token_dim, config.dim)

    @property
    def side(self) -> int:
        """Side S of the square input."""
        return self.config.image_size

    def squash(self, frame: np.ndarray) -> np.ndarray:
        """Resize a frame (H, W, 3) uint8 to the model's square (S, S, 3); such a one stays as it is."""
        if self.config.resize == "longest":
            return to_frame(sam_pixels(frame, self.side))
        how = cv2.INTER_AREA if max(frame.shape[:2]) > self.side else cv2.INTER_LINEAR
        return cv2.resize(frame, (self.side, self.side), interpolation=how)

    def prepare(self, frames: Sequence[np.ndarray]) -> Tensor:
        """Turn frames (H, W, 3) uint8 into the model's normalised input (n, 3, S, S)."""
        device = self.sam.no_mem_embed.device
        if self.config.resize == "longest":
            return torch.stack([sam_pixels(frame, self.side) for frame in frames]).to(device)
        pixels = (
            np.stack([self.squash(f) for f in frames]).astype(np.float32) / 255 - _MEAN
        ) / _STD
        return torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous().to(device)

    def encode(self, frame: np.ndarray) -> FrameFeatures:
        """Encode one frame (H, W, 3) uint8 for every object and prompt on it."""
        return self.sam.encode(self.prepare([frame]))

    def encode_pixels(self, pixels: Tensor) -> FrameFeatures:
        """Encode one frame that is the model's normalised input (3, S, S) already."""
        return self.sam.encode(pixels[None].to(self.sam.no_mem_embed.device))

    def new_memory(self) -> Memory:
        """Give the empty memory of one object."""
        return Memory(self.config.num_memories)

    def step(
        self,
        features: FrameFeatures,
        prompt: FramePrompt | None,
        previous: Tensor | None,
        memory: Memory,
        frame: int,
        size_hw: tuple[int, int],
        *,
        reverse: bool = False,
        there: bool = False,
    ) -> Decoded:
        """Decode one object in one frame and remember it.

        Args:
            features: of the frame.
            prompt: None where memory alone speaks.
            previous: (1, 1, S/4, S/4) logits of the neighbouring frame, None on the first.
            memory: of the object; changed in place.
            frame: index of the frame.
            size_hw: of the displayed frame, the unit of the prompt.
            reverse: tracking runs against the frame order.
            there: the object is known to be in the frame, whatever the decoder thinks.
        """
        if prompt is not None:
            prompts = self._prompts(prompt, previous, size_hw)
        elif previous is not None and self.config.dense_prompts:
            prompts = Prompts.of_previous(previous)
        else:
            prompts = Prompts()
        known = torch.ones(1, dtype=torch.bool, device=features.levels[0].device) if there else None
        return self.sam.step(features, prompts, memory, frame, reverse=reverse, presence=known)

    def refine(self, frame: np.ndarray, features: FrameFeatures, prompt: FramePrompt) -> np.ndarray:
        """Give a prompt's mask (H, W) bool with its clicks obeyed; without clicks as it is.

        A decoder that was never shown what a click corrects (`dense_prompts`) is not asked.

        Args:
            frame: (H, W, 3) uint8 as displayed.
            features: of this frame.
            prompt: with a mask.
        """
        assert prompt.mask is not None
        if not prompt.clicks:
            return prompt.mask
        if self.config.dense_prompts:
            return retouched(frame, prompt.mask, prompt.clicks)
        prompts = replace(
            self._prompts(replace(prompt, mask=None), None, prompt.mask.shape),
            logits=_KNOWN * (2 * self._shrunk(prompt.mask) - 1),
        )
        return self.to_mask(self.sam.decode_alone(features, prompts), prompt.mask.shape)

    def accept(
        self, features: FrameFeatures, mask: np.ndarray, memory: Memory, frame: int
    ) -> Decoded:
        """Take a mask (H, W) bool for the truth of a frame, and remember it as one of the anchors.

        Args:
            features: of the frame.
            mask: of the object; an empty one means that it is absent.
            memory: of the object; changed in place.
            frame: index of the frame.
        """
        share = self._shrunk(mask)
        logits = _KNOWN * (2 * share - 1)
        mapped = self.config.dense_prompts
        prompts = Prompts(dense=share) if mapped else Prompts(logits=logits)
        decoded = self.sam.decode_alone(features, prompts)
        there = logits.new_full((1, 1), float(mask.any()))
        taken = Decoded(
            logits,
            logits,
            torch.ones_like(decoded.iou),
            _KNOWN * (2 * there[:, 0] - 1),
            _KNOWN * (2 * there - 1),
            there * decoded.pointer + (1 - there) * self.sam.no_obj_ptr,
        )
        self.sam.remember(features, taken, memory, frame, anchor=True)
        return taken

    def to_mask(self, decoded: Decoded, size_hw: tuple[int, ...]) -> np.ndarray:
        """Scale the decoded logits to the displayed frame: (H, W) bool, empty where held absent."""
        return self.to_logits(decoded, size_hw) > 0

    def to_logits(self, decoded: Decoded, size_hw: tuple[int, ...]) -> np.ndarray:
        """Scale the decoded logits to the displayed frame: (H, W) float32, far below 0 where held absent."""
        logits = F.interpolate(decoded.gated, size=size_hw, mode="bilinear", align_corners=False)
        scaled: np.ndarray = logits[0, 0].float().cpu().numpy()
        return scaled

    def _prompts(
        self, prompt: FramePrompt, previous: Tensor | None, size_hw: tuple[int, ...]
    ) -> Prompts:
        device = self.sam.no_mem_embed.device
        scale = np.array([self.side / size_hw[1], self.side / size_hw[0]], dtype=np.float32)
        points: list[np.ndarray] = [np.array([x, y]) * scale for x, y, _ in prompt.clicks]
        labels = [int(on) for _, _, on in prompt.clicks]
        if prompt.box is not None:
            points += list(prompt.box.reshape(2, 2) * scale)
            labels += [2, 3]
        dense = self._dense(prompt, previous, scale) if self.config.dense_prompts else None
        return Prompts(
            points=None
            if not points
            else (
                torch.tensor(np.stack(points)[None], dtype=torch.float32, device=device),
                torch.tensor([labels], dtype=torch.int32, device=device),
            ),
            tokens=None if prompt.token is None else self.token_proj(prompt.token)[None, None],
            dense=dense,
        )

    def _dense(
        self, prompt: FramePrompt, previous: Tensor | None, scale: np.ndarray
    ) -> Tensor | None:
        grid = self.side // 4
        if prompt.mask is not None:
            return self._shrunk(prompt.mask)
        if prompt.box is not None:
            small = box_map(prompt.box.reshape(2, 2) * scale / 4, grid)
        elif prompt.clicks and previous is None:
            on = np.array([(x, y) for x, y, inside in prompt.clicks if inside]).reshape(-1, 2)
            small = click_map(on * scale / 4, grid)
        else:
            return None if previous is None else previous.sigmoid()
        return torch.from_numpy(small)[None, None].to(self.sam.no_mem_embed.device)

    def _shrunk(self, mask: np.ndarray) -> Tensor:
        """Give the share of each cell that a mask (H, W) bool covers, (1, 1, S/4, S/4) in [0, 1]."""
        grid = self.side // 4
        small = cv2.resize(mask.astype(np.float32), (grid, grid), interpolation=cv2.INTER_AREA)
        return torch.from_numpy(small)[None, None].to(self.sam.no_mem_embed.device)


def box_map(corners: np.ndarray, grid: int) -> np.ndarray:
    """Draw the share of each cell that a box covers, (grid, grid) float32 in [0, 1].

    Args:
        corners: (2, 2) x, y of two corners in cells.
        grid: cells per side.
    """
    cells = np.arange(grid)
    (x0, y0), (x1, y1) = corners
    across = np.clip(np.minimum(cells + 1, x1) - np.maximum(cells, x0), 0, 1)
    down = np.clip(np.minimum(cells + 1, y1) - np.maximum(cells, y0), 0, 1)
    return (down[:, None] * across[None]).astype(np.float32)


def click_map(clicks: np.ndarray, grid: int) -> np.ndarray:
    """Draw a soft bump at each click, (grid, grid) float32 in [0, 1].

    Args:
        clicks: (n, 2) x, y in cells; n may be 0.
        grid: cells per side.
    """
    cells = np.arange(grid) + 0.5
    bumps = np.zeros((grid, grid), dtype=np.float32)
    for x, y in clicks.reshape(-1, 2):
        squared = (cells[:, None] - y) ** 2 + (cells[None] - x) ** 2
        bumps = np.maximum(bumps, np.exp(-squared / (2 * (grid * _CLICK_RADIUS) ** 2)))
    return bumps.astype(np.float32)

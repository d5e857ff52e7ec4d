"""One object in one frame: where to look, what the decoder makes of it, and what the next frame needs of that.

A windowed decoder looks at each object through a window around it, any other at the whole frame. What is
pointed at is cut out along its edge; where nothing points, what optical flow carries over from the
neighbouring frame is weighed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
from sam2.modeling.sam2_base import NO_OBJ_SCORE
from torch import Tensor

from sparrow import masks
from sparrow.model.carrying import carry, weighed
from sparrow.model.memory import Memory
from sparrow.model.pixel_decoder import FramePrompt, PixelDecoder
from sparrow.model.sam import Decoded, FrameFeatures
from sparrow.model.window import Window, moved_logits
from sparrow.outline import sharpen

WINDOW = 2.2
"""Side of a window in longer sides of what is pointed at, ..."""
LATER = 2.8
"""... and of what has to be found again first."""
DETAIL = 2
"""Times the decoder's side at which optical flow is seen."""
_BEYOND = 0.15  # share of a mask's size by which its thing may reach beyond it
_WIDER = 0.1  # share by which the window around a lost object grows each frame, ...
_WIDEST = 5.0  # ... up to so many of its longer sides
_FLOOD = 3.0  # times its area lately: a mask that is larger is not believed
_LATELY = 0.1  # share of each new area in that
_PREVIOUS = 8.0  # logits of what was certainly carried


class Eyes:
    """A frame as a decoder sees it; what is looked at twice is encoded once."""

    def __init__(
        self, decoder: PixelDecoder, frame: np.ndarray, size_hw: tuple[int, int] | None = None
    ) -> None:
        """Look at a frame.

        Args:
            decoder: encodes.
            frame: (H, W, 3) uint8; for a decoder without windows it may be squashed already.
            size_hw: of the displayed frame, where it may be.
        """
        self.decoder = decoder
        self.frame = frame
        self.size_hw = size_hw or (frame.shape[0], frame.shape[1])
        self.all = Window.whole(self.size_hw)
        self._seen: dict[Window, FrameFeatures] = {}

    def look(self, window: Window) -> FrameFeatures:
        """Encode a window of the frame."""
        if window not in self._seen:
            part = self.frame if window == self.all else window.cut(self.frame)
            self._seen[window] = self.decoder.encode(part)
        return self._seen[window]


@dataclass(frozen=True, eq=False)
class Sight:
    """What was seen of an object in a frame."""

    decoded: Decoded
    """Of the window."""
    mask: np.ndarray
    """(H, W) bool."""
    belief: np.ndarray
    """(H, W) float32 in [0, 1] that a pixel shows the object, above 1/2 in the mask; or just the mask."""
    frame: np.ndarray
    """(H, W, 3) uint8."""
    window: Window
    box: np.ndarray | None
    """(4,) pixel xyxy, where it is: its prompted box, else its mask's; None without either."""
    place: np.ndarray | None
    """(4,) the same, or where it was last."""
    lost: int
    """Frames since then."""
    area: float
    """Pixels of its masks lately."""

    def shown_in(self, window: Window) -> Tensor:
        """Give the mask's logits (1, 1, S/4, S/4) as another window shows them."""
        gated = self.decoded.gated
        if window == self.window:
            return gated
        return moved_logits(gated, self.window.edges[None], window.edges[None])

    def missed(self, before: Sight | None) -> Sight:
        """Give the same frame where the mask is not believed: the thing is out of sight.

        Args:
            before: what was seen in the neighbouring frame, if anything.
        """
        gone = replace(self.decoded, gated=torch.full_like(self.decoded.gated, NO_OBJ_SCORE))
        place, lost = (None, 0) if before is None else (before.place, before.lost + 1)
        area = self.area if before is None else before.area
        empty = np.zeros_like(self.mask)
        return Sight(gone, empty, empty, self.frame, self.window, None, place, lost, area)


def point(eyes: Eyes, prompt: FramePrompt) -> Sight:
    """Find what a prompt points at, by this frame alone."""
    return look(eyes, prompt, None, eyes.decoder.new_memory(), 0)


def look(
    eyes: Eyes,
    prompt: FramePrompt | None,
    before: Sight | None,
    memory: Memory,
    index: int,
    *,
    reverse: bool = False,
) -> Sight:
    """Decode an object in a frame and remember it.

    Args:
        eyes: on the frame.
        prompt: in pixels of the frame; a mask is taken for the truth, once its clicks are obeyed. None
            where memory and optical flow speak alone; with a guessed box they still do.
        before: the neighbouring frame's; None on the first, which needs a prompt.
        memory: of the object; changed in place.
        index: of the frame.
        reverse: tracking runs against the frame order.
    """
    decoder, size_hw = eyes.decoder, eyes.size_hw
    if prompt is not None and prompt.mask is not None:
        mask = prompt.mask
        if prompt.clicks:
            mask = decoder.refine(eyes.frame, eyes.look(eyes.all), prompt)
        window = _window(eyes, FramePrompt(mask=mask), before)
        decoded = decoder.accept(eyes.look(window), window.cut(mask), memory, index)
        belief = mask
    else:
        window = _window(eyes, prompt, before)
        pointed = prompt is not None and not prompt.guessed
        carried = None if pointed else _carried(eyes, window, before)
        decoded = decoder.step(
            eyes.look(window),
            None if prompt is None else window.inside(prompt),
            _previous(decoder, window, before, carried),
            memory,
            index,
            window.size_hw,
            reverse=reverse,
            there=decoder.config.windowed and pointed and _is_drawn(prompt),
        )
        belief = window.paste(_believed(decoder, decoded, window, carried), size_hw)
        if decoder.config.windowed and prompt is not None and pointed:
            belief = _sharpened(eyes.frame, belief, prompt)
        mask = belief > 0.5
    box = _boxed(prompt) if prompt is not None and prompt.mask is None else None
    box = _tight(mask) if box is None else box
    area = float(np.count_nonzero(mask))
    if before is None or (prompt is not None and area):
        return Sight(decoded, mask, belief, eyes.frame, window, box, box, 0, area)
    place, lost = (before.place, before.lost + 1) if box is None else (box, 0)
    lately = before.area + _LATELY * (area - before.area) if area else before.area
    sight = Sight(decoded, mask, belief, eyes.frame, window, box, place, lost, lately)
    flooded = decoder.config.windowed and area > _FLOOD * before.area > 0
    return sight.missed(before) if flooded else sight


def _window(eyes: Eyes, prompt: FramePrompt | None, before: Sight | None) -> Window:
    """Choose where to look: around what is pointed at, or where the object was last."""
    if not eyes.decoder.config.windowed:
        return eyes.all
    box = None if prompt is None else _boxed(prompt)
    if box is None and prompt is not None and prompt.clicks:
        # See first how large the object is.
        size_hw, alone = eyes.size_hw, eyes.decoder.new_memory()
        decoded = eyes.decoder.step(
            eyes.look(eyes.all), prompt, None, alone, 0, size_hw, there=True
        )
        box = _tight(eyes.decoder.to_mask(decoded, size_hw))
    if box is not None:
        return Window.around(box, WINDOW, eyes.size_hw)
    if before is None or before.place is None:
        return eyes.all
    times = min(LATER * (1 + _WIDER * before.lost), _WIDEST)
    return Window.around(before.place, times, eyes.size_hw)


def _carried(eyes: Eyes, window: Window, before: Sight | None) -> np.ndarray | None:
    """Carry what was seen in the neighbouring frame, (n, n) float32 in [0, 1]; None where nothing was."""
    if not eyes.decoder.config.windowed or before is None or not before.mask.any():
        return None
    side = DETAIL * eyes.decoder.side
    return carry(before.belief, before.frame, eyes.frame, window, side)


def _previous(
    decoder: PixelDecoder, window: Window, before: Sight | None, carried: np.ndarray | None
) -> Tensor | None:
    """Give the neighbouring frame's logits (1, 1, S/4, S/4), where things are by now if they were carried."""
    if carried is None:
        return None if before is None else before.shown_in(window)
    grid = decoder.side // 4
    share = torch.from_numpy(cv2.resize(carried, (grid, grid), interpolation=cv2.INTER_AREA))
    return _PREVIOUS * (2 * share[None, None].to(decoder.sam.no_mem_embed) - 1)


def _believed(
    decoder: PixelDecoder, decoded: Decoded, window: Window, carried: np.ndarray | None
) -> np.ndarray:
    """Give the window's mask (h, w) bool or, where something was carried, the belief (h, w) float32."""
    if carried is None:
        return decoder.to_mask(decoded, window.size_hw)
    scaled = cv2.resize(carried, window.size_hw[::-1], interpolation=cv2.INTER_LINEAR)
    return weighed(decoder.to_logits(decoded, window.size_hw), scaled)


def _is_drawn(prompt: FramePrompt | None) -> bool:
    """Say whether a prompt is a box or clicks: what they are drawn around or on is there."""
    return prompt is not None and (prompt.box is not None or bool(prompt.clicks))


def _sharpened(frame: np.ndarray, mask: np.ndarray, prompt: FramePrompt) -> np.ndarray:
    """Cut out along its edge what a prompt without a mask points at, inside its box if it has one."""
    box = prompt.box
    if box is None:
        tight = masks.box_of(mask)
        margin = _BEYOND * (tight[2:] - tight[:2])
        box = tight + np.concatenate([-margin, margin])
    return mask if np.isnan(box[0]) else sharpen(frame, mask, box, prompt.clicks)


def _boxed(prompt: FramePrompt) -> np.ndarray | None:
    """Give the box of a prompt, or that of its mask."""
    if prompt.box is not None or prompt.mask is None:
        return prompt.box
    return _tight(prompt.mask)


def _tight(mask: np.ndarray) -> np.ndarray | None:
    """Give the box (4,) of a mask (H, W), None for an empty one."""
    box = masks.box_of(mask)
    return None if np.isnan(box[0]) else box

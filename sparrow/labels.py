"""Phrases -> small pictures of text on their referents' colours, and where they go beside the things.

Follows the formulas of looks.py. Paints nothing into frames and opens no file.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

import cv2
import numpy as np

from sparrow.looks import LABEL_CHARACTERS, LABEL_LUMA

Box = tuple[int, int, int, int]


def label_picture(phrase: str, rgb: np.ndarray, size: int) -> np.ndarray | None:
    """Draw a phrase `size` pixels high on a colour (3,), as (h, w, 3) uint8 RGB of even sides.

    Returns:
        None where the phrase has nothing that can be seen.
    """
    text = one_line(phrase)
    if not text:
        return None
    if len(text) > LABEL_CHARACTERS:
        text = text[: LABEL_CHARACTERS - 1] + "…"
    font = cv2.FontFace("sans")  # OpenCV 5's own Unicode font: no file to ship
    x, y, wide, tall = cv2.getTextSize((16, 16), text, (0, 0), font, size, 500)
    pad = max(2, size // 4)
    ascent = max(size, -y)
    height, width = ascent + max(0, y + tall) + 2 * pad, max(wide, 1) + 2 * pad
    picture = np.empty((height + height % 2, width + width % 2, 3), dtype=np.uint8)
    picture[:] = rgb.round()
    dark = rgb @ (0.299, 0.587, 0.114) > LABEL_LUMA
    ink = (0, 0, 0) if dark else (255, 255, 255)
    cv2.putText(picture, text, (pad - x, pad + ascent), ink, font, size, 500)
    return picture


def one_line(phrase: str) -> str:
    """Give a phrase on one line, without what no font and no file has a place for."""
    text = "".join(c if unicodedata.category(c)[0] != "C" else " " for c in phrase)
    return " ".join(text.split())


def place(
    boxes: Sequence[Box], sizes: Sequence[tuple[int, int]], size_hw: tuple[int, int]
) -> list[tuple[int, int]]:
    """Find the left and upper edge of each label, so that none covers an earlier one while there is room.

    Args:
        boxes: Of the things, xyxy.
        sizes: Of their labels, (h, w).
        size_hw: Of the frame.
    """
    height, width = size_hw
    placed: list[Box] = []
    for (x0, y0, _, _), (tall, wide) in zip(boxes, sizes, strict=True):
        left = max(0, min(x0, width - wide))
        lowest = max(0, height - tall)
        top = y0 - tall if y0 >= tall else min(y0, lowest)
        for other in sorted(placed, key=lambda box: box[1]):
            if _meet(other, (left, top, left + wide, top + tall)):
                top = min(other[3], lowest)
        placed.append((left, top, left + wide, top + tall))
    return [(left, top) for left, top, _, _ in placed]


def _meet(a: Box, b: Box) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]

"""How many CPU threads the model's arithmetic takes: with one, the same numbers wherever it runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import cv2
import torch


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Let torch and OpenCV take so many threads, and afterwards as many as before."""
    before = torch.get_num_threads(), cv2.getNumThreads()
    torch.set_num_threads(count)
    cv2.setNumThreads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        cv2.setNumThreads(before[1])

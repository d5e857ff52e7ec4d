"""The keys and values of a conversation, and who sees whom: each position itself and a window before it.

The rule is that of the released model: position j is seen from i if i - window <= j <= i, so
window + 1 positions in all (transformers of today would show one less).
"""

from __future__ import annotations

import torch
from torch import Tensor
from transformers.cache_utils import Cache, CacheLayerMixin


class WindowCache(Cache):
    """Keys and values of all layers, which can be cut back to any earlier length."""

    def __init__(self, layers: int, window: int | None, room: int) -> None:
        """Make an empty cache.

        Args:
            layers: of the language model.
            window: how far back a position sees; None: to the beginning.
            room: positions that are reserved at the first use; more make it grow.
        """
        self._windows = [_WindowLayer(window, room) for _ in range(layers)]
        super().__init__(layers=list(self._windows))

    def cut(self, length: int) -> None:
        """Forget all positions from `length` on, also those that only some layers have got."""
        for layer in self._windows:
            layer.length = min(layer.length, length)


def visible(start: int, count: int, window: int | None, device: torch.device) -> Tensor | None:
    """Say which of the keys that a WindowCache hands out are seen from positions start .. start + count.

    Returns:
        (1, 1, count, K) bool, K the positions from the window of the first one to the last; None where
        "all keys" (a single position) or "causal" (at the very beginning) says the same.
    """
    if count == 1 or (start == 0 and (window is None or count <= window + 1)):
        return None
    query = torch.arange(start, start + count, device=device)[:, None]
    key = torch.arange(_first(start, window), start + count, device=device)
    seen = key <= query
    if window is not None:
        seen &= key >= query - window
    return seen[None, None]


def _first(start: int, window: int | None) -> int:
    """Give the earliest position that is seen from `start`."""
    return 0 if window is None else max(0, start - window)


class _WindowLayer(CacheLayerMixin):
    """One layer's keys and values in memory that is reserved ahead, so that a word copies nothing."""

    is_sliding = False
    is_croppable = True

    def __init__(self, window: int | None, room: int) -> None:
        super().__init__()
        self.length = 0
        self._window = window
        self._room = room

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        self.keys = _grown(None, key_states, self._room, 0)
        self.values = _grown(None, value_states, self._room, 0)
        self.is_initialized = True

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: object, **kwargs: object
    ) -> tuple[Tensor, Tensor]:
        """Append (B, heads, L, head width); gives what is seen from the first of them on."""
        start, end = self.length, self.length + key_states.shape[2]
        if end > self._room or self.keys is None or self.values is None:
            self._room = self._room if end <= self._room else end + end // 8
            self.keys = _grown(self.keys, key_states, self._room, start)
            self.values = _grown(self.values, value_states, self._room, start)
            self.is_initialized = True
        self.keys[:, :, start:end] = key_states
        self.values[:, :, start:end] = value_states
        self.length = end
        shown = slice(_first(start, self._window), end)
        return self.keys[:, :, shown], self.values[:, :, shown]

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        first = _first(self.length, self._window)
        return self.length + query_length - first, first

    def get_seq_length(self) -> int:
        return self.length

    def get_max_length(self) -> int:
        return -1


def _grown(old: Tensor | None, like: Tensor, room: int, length: int) -> Tensor:
    """Reserve memory for `room` positions, keeping the first `length` of `old`."""
    batch, heads, _, width = like.shape
    new = like.new_empty(batch, heads, room, width)
    if old is not None:
        new[:, :, :length] = old[:, :, :length]
    return new

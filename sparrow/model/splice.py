"""Ids with placeholders to inputs of the language model: where a video and views of a thing go between words.

Placeholders are negative ids. It knows neither words nor towers.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

IMAGE_ID, TSF_ID = -200, -201
IGNORED = -100
"""Label of a position that is not learnt from."""


@dataclass(frozen=True, eq=False)
class Spliced:
    """S ids as the L inputs they became."""

    ids: Tensor
    """(S,) with placeholders."""
    embeds: Tensor
    """(L, H)."""
    places: Tensor
    """(S,) where each word went; -1 for placeholders and for what a video took the place of."""

    def before(self, token: int) -> Tensor:
        """Give the positions (R,) that predict a token, in order; one at the very start has none."""
        places = self.places[self.ids == token]
        return places[places > 0] - 1

    def spread(self, labels: Tensor) -> Tensor:
        """Move labels (S,) of the ids to the inputs, (L,); inputs that are no words are ignored."""
        spread = labels.new_full((len(self.embeds),), IGNORED)
        words = self.places >= 0
        spread[self.places[words]] = labels[words]
        return spread


def splice(
    ids: Tensor, words: nn.Embedding, visual: Tensor | None, tsf: Tensor | None, tsf_count: int
) -> Spliced:
    """Put visual tokens and tracked features at their placeholders, as released.

    All from the first to the last IMAGE_ID becomes the visual tokens, once. The first TSF_IDs become the
    features in order, at most `tsf_count`; those left over vanish.

    Args:
        ids: (S,) word ids, IMAGE_ID and TSF_ID.
        words: embeddings of the word ids.
        visual: (N, H); None where no IMAGE_ID is among the ids.
        tsf: (n, H) features of what is pointed at; None: zeros stand for them.
        tsf_count: how many features are taken.

    Raises:
        ValueError: visual tokens without a place or the reverse, or a TSF_ID before them.
    """
    images = (ids == IMAGE_ID).nonzero().flatten().tolist()
    if bool(images) != (visual is not None):
        raise ValueError(
            f"ids: expected {'some' if visual is not None else 'no'} {IMAGE_ID}, got {len(images)}"
        )
    is_tsf = ids == TSF_ID
    if images and bool(is_tsf[: images[-1]].any()):
        raise ValueError(f"ids: expected {TSF_ID} only after the last {IMAGE_ID}, got it before")
    embeds = words(ids.clamp(min=0))  # (S, H)
    features = embeds.new_zeros(tsf_count, embeds.shape[1]) if tsf is None else tsf[:tsf_count]
    taken = is_tsf & (is_tsf.cumsum(0) <= len(features))
    embeds = embeds.masked_scatter(taken[:, None], features.to(embeds.dtype))
    sizes = (~is_tsf | taken).long()  # inputs that each id becomes
    parts = [embeds[sizes.bool()]]
    word = ~is_tsf
    if visual is not None:
        start, stop = images[0], images[-1] + 1
        parts = [embeds[:start], visual.to(embeds.dtype), embeds[stop:][sizes[stop:].bool()]]
        sizes[start:stop] = 0
        sizes[start] = len(visual)
        word[start:stop] = False
    places = torch.where(word, sizes.cumsum(0) - 1, -1)
    return Spliced(ids, torch.cat(parts), places)

"""The Selector: which of the proposals does a [BOX] state mean?

A query-key product with the proposals' features and scores, to which a helper that looks at the
pixels' features inside each proposal may be added; then a threshold. A proposal is whatever has a
feature and a score: a box of one frame, or a linked track. Knows no words and no masks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torchvision.ops import roi_align


@dataclass(frozen=True)
class SelectorConfig:
    """Sizes and thresholds of a Selector. The defaults are the released one's."""

    state_dim: int = 256
    """Numbers E in a [BOX] or [SEG] state."""
    prop_dim: int = 256
    """Numbers D in a proposal's feature."""
    hidden: int = 256
    box_head: bool = True
    """Also regress a box from each pair (the release trains it with weight 0 and never uses it)."""
    roi: bool = True
    """Use the helper that looks inside the proposals."""
    roi_hidden: int = 256
    roi_size: int = 7
    """Cells per side that are read inside a proposal, on each level."""
    roi_channels: tuple[int, ...] = (32, 64, 256)
    """Channels of the levels that it reads; narrower maps are padded, wider ones cut."""
    roi_gain: float = 0.1
    """Weight of the helper's logits at the start of training."""
    threshold: float = 0.4
    """Probability from which a proposal is selected."""
    max_selected: int = 16


@dataclass(frozen=True, eq=False)
class Judgement:
    """What R states make of P proposals. A proposal that is no valid one has logit -inf."""

    logits: Tensor
    """(R, P) that a state means a proposal."""
    attention: Tensor
    """(R, P) shares over the valid proposals; 0 where there is none."""
    refined: Tensor
    """(R, E) states with what was attended to; not used where a [BOX] token exists."""
    boxes_norm: Tensor | None
    """(R, P, 4) normalised xyxy regressed boxes."""
    roi_logits: Tensor | None
    """(R, P) of the helper alone; None without it."""


class Selector(nn.Module):
    """States and proposals to a Judgement."""

    def __init__(self, config: SelectorConfig) -> None:
        super().__init__()
        self.config = config
        self.proposal_selector = _Matcher(config)
        self.roi_helper: RoiHelper | None = None
        if config.roi:
            self.roi_helper = RoiHelper(config)
            self.roi_fusion_gamma = nn.Parameter(torch.tensor(config.roi_gain))

    def forward(
        self,
        states: Tensor,
        feats: Tensor,
        scores: Tensor,
        *,
        valid: Tensor | None = None,
        boxes_norm: Tensor | None = None,
        pyramid: Sequence[Tensor] | None = None,
    ) -> Judgement:
        """Judge P proposals for R states.

        Args:
            states: (R, E).
            feats: (P, D), or (R, P, D) where each state has proposals of its own.
            scores: (P,) or (R, P) in [0, 1].
            valid: (P,) or (R, P) bool; None: all are.
            boxes_norm: (P, 4) normalised xyxy; with `pyramid` it wakes the helper.
            pyramid: maps (1, C, h, w) of the proposals' frame, finest first.
        """
        matched = self.proposal_selector(states, feats, scores, valid)
        logits, seen = matched.logits, None
        if self.roi_helper is not None and boxes_norm is not None and pyramid is not None:
            seen = self.roi_helper(states, boxes_norm, pyramid)
            logits = logits + self.roi_fusion_gamma.clamp(0, 1) * seen
        return Judgement(logits, matched.attention, matched.refined, matched.boxes_norm, seen)

    def select(self, judgement: Judgement) -> list[Tensor]:
        """Choose proposals for each of R states by the config's threshold and cap."""
        return select(judgement.logits, self.config.threshold, self.config.max_selected)


def select(logits: Tensor, threshold: float, max_selected: int) -> list[Tensor]:
    """Choose proposals for each row of logits (R, P).

    Returns:
        Per row the indices with at least `threshold` probability, in their order; only the best
        `max_selected` by falling probability where they are more; the single best where there is none.
        Empty where P is 0.
    """
    if logits.shape[1] == 0:
        return [torch.zeros(0, dtype=torch.int64, device=logits.device) for _ in logits]
    share = logits.sigmoid()
    above = share >= threshold
    best = share.argmax(1)
    order = share.topk(min(max_selected, share.shape[1]), dim=1).indices
    chosen = []
    for row, count in enumerate(above.sum(1).tolist()):
        if count == 0:
            chosen.append(best[row : row + 1])
        elif count > max_selected:
            chosen.append(order[row])
        else:
            chosen.append(above[row].nonzero()[:, 0])
    return chosen


@dataclass(frozen=True, eq=False)
class _Matched:
    logits: Tensor
    attention: Tensor
    refined: Tensor
    boxes_norm: Tensor | None


class _Matcher(nn.Module):
    """Compares projected states with projected features."""

    def __init__(self, config: SelectorConfig) -> None:
        super().__init__()
        hidden = config.hidden
        self.seg_proj = nn.Linear(config.state_dim, hidden)
        self.prop_proj = nn.Linear(config.prop_dim, hidden)
        self.fuse_proj = nn.Linear(config.prop_dim, config.state_dim)
        self.box_head: nn.Sequential | None = None
        if config.box_head:
            last = nn.Linear(hidden, 4)
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)
            self.box_head = nn.Sequential(nn.Linear(2 * hidden, hidden), nn.ReLU(), last)

    def forward(
        self, states: Tensor, feats: Tensor, scores: Tensor, valid: Tensor | None
    ) -> _Matched:
        if feats.ndim == 2:
            feats = feats.expand(len(states), -1, -1)  # (R, P, D)
        query, keys = self.seg_proj(states), self.prop_proj(feats)
        logits = torch.einsum("rd,rpd->rp", query, keys) * query.shape[-1] ** -0.5
        logits = logits + scores.clamp(min=1e-6).log()
        if valid is not None:
            logits = logits.masked_fill(~valid, -torch.inf)
        attention = logits.softmax(1).nan_to_num()  # all -inf: attend to nothing
        refined = states + self.fuse_proj(torch.einsum("rp,rpd->rd", attention, feats))
        boxes = None
        if self.box_head is not None:
            pairs = torch.cat([query[:, None].expand_as(keys), keys], -1)
            ends = self.box_head(pairs).sigmoid()
            boxes = torch.cat(
                [
                    torch.minimum(ends[..., :2], ends[..., 2:]),
                    torch.maximum(ends[..., :2], ends[..., 2:]),
                ],
                -1,
            )
        return _Matched(logits, attention, refined, boxes)


class RoiHelper(nn.Module):
    """Judges proposals by what the feature maps hold inside them."""

    def __init__(self, config: SelectorConfig) -> None:
        super().__init__()
        self.size, self.channels = config.roi_size, config.roi_channels
        hidden = config.roi_hidden
        self.query_proj = nn.Linear(config.state_dim, hidden)
        self.seg_proj = nn.Linear(config.state_dim, hidden)
        self.level_token_proj = nn.ModuleList(nn.Linear(c, hidden) for c in self.channels)
        self.level_pool_proj = nn.ModuleList(nn.Linear(c, hidden) for c in self.channels)
        self.score_head = nn.Sequential(
            nn.Linear(3 * hidden, hidden), nn.ReLU(), nn.Linear(hidden, 1)
        )

    def forward(self, states: Tensor, boxes_norm: Tensor, pyramid: Sequence[Tensor]) -> Tensor:
        """Give logits (R, P) for states (R, E), boxes (P, 4) normalised xyxy, maps (1, C, h, w)."""
        tokens, pooled = [], []
        for level, channels in enumerate(self.channels[: len(pyramid)]):
            maps = _fitted(pyramid[level], channels)
            # In normalised units one cell is 1 / h high and 1 / w wide; roi_align has one scale for
            # both, so the boxes are given in cells.
            cells = boxes_norm * boxes_norm.new_tensor([maps.shape[-1], maps.shape[-2]] * 2)
            inside = roi_align(maps, [cells], self.size, aligned=True)  # (P, C, size, size)
            tokens.append(self.level_token_proj[level](inside.flatten(2).transpose(1, 2)))
            pooled.append(self.level_pool_proj[level](inside.mean((2, 3))))
        every = torch.cat(tokens, 1)  # (P, levels * size * size, hidden)
        query = self.query_proj(states)
        weights = torch.einsum("rd,pnd->rpn", query, every) * query.shape[-1] ** -0.5
        read = torch.einsum("rpn,pnd->rpd", weights.softmax(-1), every)
        whole = torch.stack(pooled).mean(0).expand_as(read)
        own = self.seg_proj(states)[:, None].expand_as(read)
        return self.score_head(torch.cat([read, whole, own], -1))[..., 0]


def _fitted(maps: Tensor, channels: int) -> Tensor:
    """Cut maps (1, C, h, w) to `channels`, or pad them with zeros."""
    missing = channels - maps.shape[1]
    if missing <= 0:
        return maps[:, :channels]
    return torch.cat([maps, maps.new_zeros(1, missing, *maps.shape[2:])], 1)


def mini_selector(state_dim: int, prop_dim: int) -> SelectorConfig:
    """Sizes of sparrow-mini's Selector, whose proposals are linked tracks."""
    return SelectorConfig(
        state_dim=state_dim, prop_dim=prop_dim, hidden=64, box_head=False, roi=False, max_selected=4
    )

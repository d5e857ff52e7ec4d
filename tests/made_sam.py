"""A tiny untrained SAM2 with the released ways, and noise for it."""

from __future__ import annotations

import torch
from torch import Tensor

from sparrow.model.pixel_decoder import PixelDecoder
from sparrow.model.sam import SamConfig

SIDE, WIDTH = 64, 32
CONFIG = SamConfig(
    image_size=SIDE,
    embed_dim=8,
    num_heads=1,
    stages=(1, 1, 2, 1),
    global_blocks=(3,),
    windows=(8, 4, 4, 2),
    dim=WIDTH,
    token_dim=WIDTH,
    mem_dim=16,
    memory_layers=1,
    feedforward=32,
    decoder_feedforward=48,
    decoder_heads=4,
    iou_hidden=16,
    layer_scale=0.1,
    dropout=0.0,
    predictor_memory=True,
    resize="longest",
)


def tiny_decoder() -> PixelDecoder:
    torch.manual_seed(0)
    decoder = PixelDecoder(CONFIG).eval()
    with torch.no_grad():  # untrained objects are all but absent
        decoder.sam.sam_mask_decoder.pred_obj_score_head.layers[-1].bias.fill_(3.0)
    return decoder


def frames(count: int) -> list[Tensor]:
    """Normalised noise frames."""
    return list(torch.randn(count, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1)))


def states(count: int) -> Tensor:
    return torch.randn(count, WIDTH, generator=torch.Generator().manual_seed(2))


def boxes(*counts: int) -> list[Tensor]:
    """So many boxes for each state, in model pixels."""
    ends = torch.rand(sum(counts), 2, 2, generator=torch.Generator().manual_seed(3)) * SIDE
    ends = torch.cat([ends.amin(1), ends.amax(1)], 1)
    return list(ends.split(list(counts)))

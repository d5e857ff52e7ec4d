from __future__ import annotations

import json
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch

from sparrow.model.checkpoint import from_dict
from sparrow.model.deformable import (
    DeformableAttention,
    Memory,
    cell_centres,
    logit,
    overlap,
)
from sparrow.model.image_encoder import ImageEncoderConfig, build
from sparrow.model.proposer import Proposer, ProposerConfig, mini_proposer

TINY = replace(
    mini_proposer(),
    encoder=ImageEncoderConfig(kind="conv", dim=16, widths=(4, 8, 8, 16, 16)),
    image_size=64,
    dim=16,
    heads=2,
    encoder_feedforward=16,
    decoder_feedforward=16,
    box_hidden=16,
    queries=6,
    keep=4,
)


@pytest.fixture(scope="module")
def proposer() -> Proposer:
    torch.manual_seed(0)
    return Proposer(TINY).eval()


@pytest.mark.parametrize("config", [TINY, ProposerConfig()])
def test_config_survives_json(config: ProposerConfig) -> None:
    assert from_dict(ProposerConfig, json.loads(json.dumps(asdict(config)))) == config


def test_unknown_encoder_is_named() -> None:
    with pytest.raises(ValueError, match="'vit'"):
        build(ImageEncoderConfig(kind="vit"))  # type: ignore[arg-type]


@pytest.mark.parametrize("size", [(64, 64), (33, 51), (1, 1)])
def test_prepare_squeezes_any_frame(size: tuple[int, int], proposer: Proposer) -> None:
    frames = np.full((2, *size, 3), 255, np.uint8)
    pixels = proposer.prepare(frames)
    assert pixels.shape == (2, 3, 64, 64)
    white = (1 - torch.tensor([0.485, 0.456, 0.406])) / torch.tensor([0.229, 0.224, 0.225])
    torch.testing.assert_close(pixels, white[:, None, None].expand(2, 3, 64, 64))


def test_proposals_are_sorted_and_cut_to_the_number_asked_for(proposer: Proposer) -> None:
    pixels = torch.randn(3, 3, 64, 64)
    with torch.no_grad():
        found = proposer.propose(pixels)
        more = proposer.propose(pixels, keep=50)
    assert found.boxes_norm.shape == (3, 4, 4)
    assert found.feats.shape == (3, 4, 16)
    assert more.scores.shape == (3, 6)
    assert (found.scores.diff(dim=1) <= 0).all()
    assert (found.boxes_norm[..., 2:] >= found.boxes_norm[..., :2]).all()
    torch.testing.assert_close(more.scores[:, :4], found.scores)


def test_frames_do_not_see_each_other(proposer: Proposer) -> None:
    pixels = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        together, alone = proposer.propose(pixels), proposer.propose(pixels[1:])
    torch.testing.assert_close(together.boxes_norm[1:], alone.boxes_norm, atol=1e-5, rtol=1e-4)


def test_score_heads_are_fused_by_their_powers() -> None:
    model = Proposer(replace(TINY, score_heads=("a", "b"), score_powers=(0.25, 0.75))).eval()
    with torch.no_grad():
        found = model(torch.randn(1, 3, 64, 64))
        ranked = model.rank(found, 6)
    a, b = (found.logits[head][-1].sigmoid() for head in "ab")
    torch.testing.assert_close(ranked.scores, (a**0.25 * b**0.75).sort(descending=True).values)


def test_only_peaks_become_references(proposer: Proposer) -> None:
    scores = torch.zeros(1, 8 * 8 + 4 * 4)
    scores[0, :4] = torch.tensor([3.0, 4.0, 2.0, 1.0])  # one row of the fine level: a slope
    scores[0, 64] = 0.5
    chosen = proposer.detr._choose(scores, ((8, 8), (4, 4)))[0].tolist()
    assert chosen[:2] == [1, 64]
    assert not {0, 2} & set(chosen)


def test_without_refinement_later_boxes_build_on_the_first_reference() -> None:
    """As released: the last box is sigmoid(change of the last layer + of the one before + start)."""
    torch.manual_seed(1)
    model = Proposer(replace(TINY, refine=False, decoder_layers=3)).eval()
    for head in model.detr.bbox_embed:
        torch.nn.init.normal_(head.layers[-1].weight, std=0.3)
    with torch.no_grad():
        found = model(torch.randn(1, 3, 64, 64))
        last = model.detr.bbox_embed[2](found.hidden)
    start, second = logit(found.references), logit(found.boxes[1])
    first_change = logit(found.boxes[0]) - start
    second_change = second - start - first_change
    wanted = (last + second_change + start).sigmoid()
    torch.testing.assert_close(found.boxes[2], wanted, atol=1e-4, rtol=1e-3)


def test_sam2_encoder_gives_strides_and_released_names() -> None:
    encoder = ImageEncoderConfig(
        dim=8,
        embed_dim=8,
        num_heads=1,
        stages=(1, 1, 2, 1),
        global_blocks=(3,),
        windows=(8, 4, 4, 2),
    )
    model = Proposer(replace(TINY, encoder=encoder, levels=4, dim=16))
    maps = model.image_encoder(torch.randn(1, 3, 64, 64))
    assert [m.shape[1:] for m in maps] == [(8, 16, 16), (8, 8, 8), (8, 4, 4)]
    assert model(torch.randn(1, 3, 64, 64)).sizes == ((16, 16), (8, 8), (4, 4), (2, 2))


def test_deformable_attention_reads_the_cell_that_it_points_at() -> None:
    attention = DeformableAttention(4, 1, 1, 1)
    with torch.no_grad():
        attention.sampling_offsets.bias.zero_()
        for layer in (attention.value_proj, attention.output_proj):
            layer.weight.copy_(torch.eye(4))
        memory = Memory(torch.randn(1, 6, 4), ((2, 3),))
        centres = cell_centres(memory.sizes, torch.device("cpu"))[None]
        read = attention(torch.randn(1, 6, 4), centres, memory)
    torch.testing.assert_close(read, memory.tokens, atol=1e-5, rtol=1e-5)


def test_cell_centres_run_row_by_row() -> None:
    centres = cell_centres(((1, 2), (2, 1)), torch.device("cpu"))
    assert centres.tolist() == [[0.25, 0.5], [0.75, 0.5], [0.5, 0.25], [0.5, 0.75]]


@pytest.mark.parametrize(
    ("a", "b", "wanted"),
    [
        ([0.5, 0.5, 0.5, 0.5], [0.5, 0.5, 0.5, 0.5], 0.0),  # no area
        ([0.0, 0.0, 1.0, 1.0], [0.0, 0.0, 1.0, 1.0], 1.0),
        ([0.0, 0.0, 0.5, 1.0], [0.5, 0.0, 1.0, 1.0], 0.0),  # touching
        ([0.0, 0.0, 0.6, 1.0], [0.4, 0.0, 1.0, 1.0], 0.2),
    ],
)
def test_overlap(a: list[float], b: list[float], wanted: float) -> None:
    assert overlap(torch.tensor([a]), torch.tensor([b])).item() == pytest.approx(wanted)


def test_logit_holds_off_both_ends() -> None:
    shares = torch.tensor([0.0, 0.5, 1.0])
    torch.testing.assert_close(
        logit(shares), torch.tensor([-11.5129, 0.0, 11.5129]), atol=1e-3, rtol=0
    )

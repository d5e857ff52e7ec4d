"""The Proposer, its input and its training losses against the official ones on the same weights."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from sparrow.model.image_encoder import ImageEncoderConfig
from sparrow.model.proposer import Detections, Proposer, ProposerConfig
from sparrow.train.losses import SetWeights, mask_bce, mask_dice, set_loss
from tests.golden.renamed import renamed

PARTS = {"score": "loss_ce", "l1": "loss_bbox", "giou": "loss_giou"}


def build(config: dict[str, Any]) -> Proposer:
    detr = config["ddetr_cfg"]
    encoder = ImageEncoderConfig(
        dim=32,
        embed_dim=8,
        num_heads=1,
        stages=(1, 2, 2, 1),
        global_blocks=(4,),
        windows=(8, 4, 16, 8),
    )
    return Proposer(
        ProposerConfig(
            encoder=encoder,
            image_size=config["input"],
            dim=detr["d_model"],
            encoder_layers=detr["encoder_layers"],
            decoder_layers=detr["decoder_layers"],
            heads=detr["encoder_attention_heads"],
            encoder_points=detr["encoder_n_points"],
            decoder_points=detr["decoder_n_points"],
            encoder_feedforward=detr["encoder_ffn_dim"],
            decoder_feedforward=detr["decoder_ffn_dim"],
            levels=detr["num_feature_levels"],
            queries=detr["two_stage_num_proposals"],
            score_powers=tuple(config["score_power"]),
        )
    )


@pytest.fixture(scope="module", params=["proposer", "proposer_l4"])
def golden(request: pytest.FixtureRequest, load_golden: Any) -> Any:
    return load_golden(request.param)


@pytest.fixture(scope="module")
def proposer(golden: Any) -> Proposer:
    model = build(golden.config)
    model.load_state_dict(renamed(golden.weights, "proposer.", store="proposer"))
    return model.eval()


@pytest.fixture(scope="module")
def pixels(proposer: Proposer, golden: Any) -> Tensor:
    image = golden.io["image_small"].repeat_interleave(8, 1).repeat_interleave(8, 2)
    return proposer.prepare(image.permute(1, 2, 0)[None].numpy())


@pytest.fixture(scope="module")
def found(proposer: Proposer, pixels: Tensor) -> Detections:
    with torch.no_grad():
        return proposer(pixels)


def assert_close(ours: Tensor, theirs: Tensor) -> None:
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=0)


def test_sees_the_same_pixels_and_maps(proposer: Proposer, pixels: Tensor, golden: Any) -> None:
    assert_close(pixels[:, :, ::16, ::16], golden.io["pixel_values_sub"])
    with torch.no_grad():
        maps = proposer.image_encoder(pixels)
    assert [m.shape[-1] for m in maps] == [112, 56, 28]
    assert_close(maps[2], golden.io["fpn.2"])


def test_detects_the_same(found: Detections, golden: Any) -> None:
    io = golden.io
    assert_close(found.cell_logits, io["enc_outputs_class"][..., 0])
    assert_close(found.references, io["init_reference_points"])
    assert_close(found.hidden, io["last_hidden_state"])
    assert_close(found.boxes[-1], io["pred_boxes"])
    for head in ("coco", "sa1b"):
        assert_close(found.logits[head][-1], io[f"logits_{head}"][..., 0])


@pytest.mark.parametrize("keep", [10, 100])
def test_ranks_the_same_proposals(
    keep: int, proposer: Proposer, found: Detections, golden: Any
) -> None:
    ours, io = proposer.rank(found, keep), golden.io
    assert_close(ours.scores[0], io[f"top{keep}.scores"])
    assert_close(ours.boxes_norm[0], io[f"top{keep}.boxes"])
    assert_close(ours.feats[0], io[f"top{keep}.features"])


@pytest.mark.parametrize("head", ["coco", "sa1b"])
def test_training_loss(head: str, found: Detections, golden: Any) -> None:
    weights, targets = SetWeights(), [golden.io["gt_boxes_cxcywh"]]
    layers = {
        "": (found.logits[head][-1], found.boxes[-1]),
        "_enc": (found.cell_logits, found.cell_boxes),
    }
    for layer in range(len(found.boxes) - 1):
        layers[f"_{layer}"] = (found.logits[head][layer], found.boxes[layer])
    total = torch.zeros(())
    for suffix, (logits, boxes) in layers.items():
        ours = set_loss(logits, boxes, targets, weights)
        for name, official in PARTS.items():
            theirs = golden.io[f"loss_dict.{head}.{official}{suffix}"][0]
            torch.testing.assert_close(getattr(ours, name), theirs, atol=1e-4, rtol=1e-5)
        total = total + ours.total(weights)
    torch.testing.assert_close(total[None], golden.io[f"loss.{head}"], atol=1e-3, rtol=1e-5)


def test_mask_losses(load_golden: Any) -> None:
    io = load_golden("preprocess").io
    logits, targets = io["loss.logits"], io["loss.targets"]
    assert_close(mask_bce(logits, targets, 3)[None], io["loss.bce"])
    assert_close(mask_dice(logits, targets, 3)[None], io["loss.dice"])

"""Preprocessing, crops of tracked things and mask losses against the official ones."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from sparrow.model.preparing import (
    clip_pixels,
    crops_by_mask,
    internvideo_pixels,
    proposer_frame,
    sam_pixels,
)
from sparrow.train.losses import mask_bce, mask_dice

IMAGES = ("landscape", "portrait", "square")


@pytest.fixture(scope="module")
def golden(load_golden: Any) -> Any:
    return load_golden("preprocess")


def assert_same(ours: Tensor, golden: Any, name: str, rows: slice, columns: slice) -> None:
    """Every recorded value to the last bits, mean and deviation of the whole."""
    theirs = golden.io[f"{name}_sub"]
    torch.testing.assert_close(ours[:, rows, columns], theirs, atol=1e-6, rtol=0)
    moments = torch.stack([ours.mean((1, 2)), ours.std((1, 2))])
    torch.testing.assert_close(moments, golden.io[f"{name}_mean_std"], atol=1e-5, rtol=0)


@pytest.mark.parametrize("image", IMAGES)
def test_clip(image: str, golden: Any) -> None:
    ours = clip_pixels([golden.io[f"{image}.image"].numpy()])
    assert ours.shape == (1, 3, 336, 336)
    assert_same(ours[0], golden, f"{image}.clip", slice(3, None, 12), slice(5, None, 12))


@pytest.mark.parametrize("image", IMAGES)
def test_internvideo(image: str, golden: Any) -> None:
    ours = internvideo_pixels([golden.io[f"{image}.image"].numpy()])
    assert ours.shape == (1, 3, 224, 224)
    assert_same(ours[0], golden, f"{image}.internvideo", slice(3, None, 8), slice(5, None, 8))


@pytest.mark.parametrize("image", IMAGES)
def test_sam_and_proposer(image: str, golden: Any) -> None:
    pixels = sam_pixels(golden.io[f"{image}.image"].numpy())
    assert pixels.shape == (3, 1024, 1024)
    assert_same(pixels, golden, f"{image}.sam", slice(5, None, 32), slice(3, None, 32))
    frame = proposer_frame(pixels)
    assert frame.shape == (448, 448, 3)
    assert (frame[3::16, 5::16] == golden.io[f"{image}.proposer_448_sub"].numpy()).all()


def test_crops_by_mask(golden: Any) -> None:
    io = golden.io
    ours = crops_by_mask(io["tsf.context"], io["tsf.masks"])
    torch.testing.assert_close(ours, io["tsf.crops"], atol=1e-6, rtol=0)
    few = io["tsf.crops3"]
    ours = crops_by_mask(io["tsf.context"], io["tsf.masks"], len(few))
    torch.testing.assert_close(ours, few, atol=1e-6, rtol=0)


def test_mask_losses(golden: Any) -> None:
    logits, targets = golden.io["loss.logits"], golden.io["loss.targets"]
    count = len(logits)
    for ours, name in (
        (mask_bce(logits, targets, count), "bce"),
        (mask_dice(logits, targets, count), "dice"),
        (mask_dice(logits, targets.clamp(min=0), count), "dice_noignore"),
    ):
        torch.testing.assert_close(ours[None], golden.io[f"loss.{name}"], atol=1e-6, rtol=0)

"""The tracker's batches point at what they say, and its losses have known values."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from sparrow.errors import SparrowError
from sparrow.model.pixel_decoder import PixelDecoder
from sparrow.train.losses import balanced_bce
from sparrow.train.stage import Stage
from sparrow.train.tracker import Tracker
from tests.model.test_tracking import TINY


class OnlyDecoder(nn.Module):
    """The part of a model that the tracker stage needs."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.pixel_decoder = PixelDecoder(TINY)


def task(**settings: object) -> Tracker:
    stage = Stage(name="tracker", task="tracker", steps=10, settings=settings)
    return Tracker(OnlyDecoder(), stage)


@pytest.mark.parametrize("scenes", [0.0, 1.0])
@pytest.mark.parametrize(("index", "frames", "clips"), [(0, 1, 3), (5, 4, 2)])
def test_batches_have_the_phase_of_their_step(
    scenes: float, index: int, frames: int, clips: int
) -> None:
    made = task(scenes=scenes, phases=((0.3, 1, 3), (1.0, 4, 2)))
    batch = made.batch(index)
    objects = 2 * clips
    assert batch.frames.shape == (frames, clips, 64, 64, 3)
    assert batch.masks.shape == (frames, objects, 32, 32)
    assert batch.points.shape == (frames, objects, 2, 2)
    assert batch.dense.shape == (frames, objects, 16, 16)
    assert batch.dense.min() >= 0 and batch.dense.max() <= 1
    again = made.batch(index)
    assert np.array_equal(batch.frames, again.frames)
    assert np.array_equal(batch.labels, again.labels)
    assert not np.array_equal(batch.frames, made.batch(index + 1000).frames)


def test_first_frame_prompts_lie_on_their_objects() -> None:
    made = task(phases=((1.0, 1, 4),))
    seen = set()
    for index in range(12):
        batch = made.batch(index)
        for n in range(batch.masks.shape[1]):
            mask = batch.masks[0, n]
            labels = tuple(batch.labels[0, n])
            seen.add(labels)
            if labels == (1, -1):
                x, y = (batch.points[0, n, 0] / 2).astype(int)
                assert mask[max(0, y - 1) : y + 2, max(0, x - 1) : x + 2].any()
            elif labels == (2, 3):
                (x0, y0), (x1, y1) = batch.points[0, n] / 2
                rows, columns = np.nonzero(mask)
                if rows.size:
                    inside = (columns + 1 > x0) & (columns < x1) & (rows + 1 > y0) & (rows < y1)
                    assert inside.mean() > 0.6
            assert batch.dense[0, n].sum() > 0
    assert seen == {(1, -1), (2, 3), (-1, -1)}


def test_the_loss_is_finite_and_reaches_every_part() -> None:
    made = task(phases=((1.0, 3, 2),), drop_previous=0.0)
    loss, logs = made.loss(made.batch(0), 0)
    assert torch.isfinite(loss)
    assert 0 <= logs["iou"] <= 1
    loss.backward()
    without = {
        name
        for name, parameter in made.model.named_parameters()
        if parameter.grad is None or not parameter.grad.abs().sum() > 0
    }
    # the three spare mask tokens and the package's own mask and no-memory paths stay unused
    assert not any("memory_attention" in name or "trunk" in name for name in without)


def test_a_mistyped_setting_is_named() -> None:
    with pytest.raises(SparrowError, match=r"unknown keys \['scene'\]"):
        task(scene=1.0)


def test_missing_photographs_are_done_without(tmp_path: Path) -> None:
    made = task(photos=str(tmp_path / "nowhere"), scenes=0.0, phases=((1.0, 1, 1),))
    assert made.batch(0).frames.shape == (1, 1, 64, 64, 3)


def test_balanced_bce_of_a_blank_guess_is_log_two_whatever_the_size() -> None:
    target = torch.zeros(2, 16, 16)
    target[0, 3, 3] = 1
    target[1, 5:11, 5:11] = 1
    assert balanced_bce(torch.zeros(2, 16, 16), target) == pytest.approx(np.log(2), abs=1e-6)


def test_balanced_bce_minds_a_small_object_more_than_a_plain_mean() -> None:
    target = torch.zeros(1, 32, 32)
    target[0, 5, 5] = 1
    missed = torch.full((1, 32, 32), -6.0)
    plain = nn.functional.binary_cross_entropy_with_logits(missed, target)
    assert balanced_bce(missed, target).item() > 20 * plain.item()

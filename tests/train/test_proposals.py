from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from sparrow.model.image_encoder import ImageEncoderConfig
from sparrow.model.proposer import Proposer, mini_proposer
from sparrow.train.proposals import ProposalsBatch, ProposalsTask, cell_goals, count_hits
from sparrow.train.stage import Stage

TINY = replace(
    mini_proposer(),
    encoder=ImageEncoderConfig(kind="conv", dim=16, widths=(8, 8, 16, 16, 16)),
    image_size=64,
    dim=16,
    heads=2,
    encoder_feedforward=16,
    decoder_feedforward=16,
    box_hidden=16,
    queries=8,
)


class Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.proposer = Proposer(TINY)


@pytest.fixture(scope="module")
def task() -> ProposalsTask:
    torch.manual_seed(0)
    settings = {"images": 6, "fresh": 2, "frames": 2, "window": 4, "validation_scenes": 2}
    return ProposalsTask(Model(), Stage("proposer", "proposals", 10, settings=settings))


def test_same_index_gives_the_same_batch(task: ProposalsTask) -> None:
    first, again, other = task.batch(3), task.batch(3), task.batch(4)
    assert first.frames.shape == (6, 64, 64, 3)
    assert np.array_equal(first.frames, again.frames)
    np.testing.assert_array_equal(first.boxes, again.boxes)
    assert not np.array_equal(first.frames, other.frames)


def test_boxes_lie_in_the_frame_and_empty_places_come_last(task: ProposalsTask) -> None:
    boxes = task.batch(0).boxes
    known = np.isfinite(boxes).all(-1)
    assert known.any()
    assert (known.astype(int)[:, 1:] <= known.astype(int)[:, :-1]).all()
    assert (boxes[known] >= 0).all()
    assert (boxes[known] <= 1).all()
    assert (boxes[known][:, 2:] > boxes[known][:, :2]).all()


def test_a_few_steps_lower_the_loss(task: ProposalsTask) -> None:
    batch = task.batch(0)
    optimizer = torch.optim.Adam(task.model.parameters(), 3e-3)
    losses = []
    for step in range(25):
        loss, logs = task.loss(batch, step)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.6 * losses[0]
    assert all(math.isfinite(value) for value in logs.values())


def test_loss_of_frames_without_things_is_finite(task: ProposalsTask) -> None:
    empty = ProposalsBatch(
        np.zeros((2, 64, 64, 3), np.uint8), np.full((2, 1, 4), np.nan, np.float32)
    )
    loss, _ = task.loss(empty, 0)
    loss.backward()
    assert torch.isfinite(loss)
    gradients = [p.grad for p in task.model.parameters() if p.grad is not None]
    assert all(gradient.isfinite().all() for gradient in gradients)


def test_validation_measures_both_difficulties(task: ProposalsTask) -> None:
    metrics = task.validate()
    assert {"easy_recall50", "full_recall75", "full_false", "score"} <= set(metrics)
    assert all(0 <= metrics[f"{d}_recall50"] <= 1 for d in ("easy", "full"))


def test_goals_of_nothing_are_zero() -> None:
    heat, _ = cell_goals(((4, 4), (2, 2)), torch.full((1, 2, 4), math.nan), 0.2)
    assert heat.shape == (1, 20)
    assert (heat == 0).all()


def test_the_cell_nearest_to_a_centre_has_one_on_the_level_of_its_size() -> None:
    small, large = [0.125, 0.125, 0.1, 0.1], [0.75, 0.75, 0.9, 0.9]
    heat, owner = cell_goals(((4, 4), (2, 2)), torch.tensor([[small, large]]), 0.2)
    assert heat[0, 0] == 1
    assert owner[0, 0] == 0
    assert heat[0, 1:16].max() < 0.2
    assert heat[0, 16:].tolist()[3] == 1
    assert owner[0, 19] == 1


TRUTH = torch.tensor([[0.0, 0.0, 0.5, 0.5], [0.5, 0.5, 1.0, 1.0]])


@pytest.mark.parametrize(
    ("boxes", "scores", "hits"),
    [
        ([[0.0, 0.0, 0.5, 0.5]], [0.9], (1, 1, 0)),
        ([[0.0, 0.0, 0.5, 0.5], [0.5, 0.5, 1.0, 1.0]], [0.9, 0.1], (2, 2, 0)),
        ([[0.0, 0.0, 0.5, 0.3]], [0.9], (1, 0, 0)),  # IoU .6
        ([[0.0, 0.0, 0.5, 0.5], [0.0, 0.0, 0.5, 0.5]], [0.9, 0.8], (1, 1, 1)),  # twice the same
        ([[0.0, 0.5, 0.5, 1.0]], [0.9], (0, 0, 1)),
        ([[0.0, 0.5, 0.5, 1.0]], [0.3], (0, 0, 0)),  # too unsure to count as wrong
    ],
)
def test_count_hits(
    boxes: list[list[float]], scores: list[float], hits: tuple[int, int, int]
) -> None:
    assert count_hits(torch.tensor(boxes), torch.tensor(scores), TRUTH) == hits


def test_count_hits_without_things() -> None:
    assert count_hits(TRUTH, torch.tensor([0.9, 0.2]), TRUTH[:0]) == (0, 0, 1)

"""The windows stage's batches point at what they say, and its loss reaches the decoder."""

from __future__ import annotations

import numpy as np
import pytest

from sparrow.train.pointing import by_box, by_click, by_mask, shrunk
from sparrow.train.stage import Stage
from sparrow.train.windows import Windows
from tests.train.test_tracker import OnlyDecoder


def task(**settings: object) -> Windows:
    stage = Stage(name="windows", task="windows", steps=10, settings=settings)
    return Windows(OnlyDecoder(), stage)


@pytest.mark.parametrize("cutouts", [0.0, 1.0])
@pytest.mark.parametrize(("index", "frames", "things"), [(0, 1, 5), (7, 3, 4)])
def test_batches_have_the_phase_of_their_step(
    cutouts: float, index: int, frames: int, things: int
) -> None:
    made = task(cutouts=cutouts, phases=((0.5, 1, 5), (1.0, 3, 4)))
    batch = made.batch(index)
    assert batch.frames.shape == (frames, things, 64, 64, 3)
    assert batch.masks.shape == (frames, things, 32, 32)
    assert batch.dense.shape == (frames, things, 16, 16)
    assert batch.asked.masks.shape == (2, things, 32, 32)
    assert batch.prompted[0].all()
    assert batch.dense.min() >= 0 and batch.dense.max() <= 1
    again = made.batch(index)
    assert np.array_equal(batch.frames, again.frames)
    assert np.array_equal(batch.asked.points, again.asked.points)
    assert not np.array_equal(batch.frames, made.batch(index + 1000).frames)


def test_boxes_hold_what_is_there_and_some_point_at_nothing() -> None:
    made = task(cutouts=0.0, phases=((1.0, 1, 60),), full_share=1.0)
    batch = made.batch(3)
    masks, points, labels = (
        np.concatenate([own[0], *asked])
        for own, asked in (
            (batch.masks, batch.asked.masks),
            (batch.points, batch.asked.points),
            (batch.labels, batch.asked.labels),
        )
    )
    inside, empty = [], 0
    for mask, corners, label in zip(masks, points / 2, labels, strict=True):
        rows, columns = np.nonzero(mask)
        empty += not len(rows)
        if label.tolist() == [2, 3] and len(rows):
            (x0, y0), (x1, y1) = corners
            held = (columns + 1 > x0) & (columns < x1) & (rows + 1 > y0) & (rows < y1)
            inside.append(held.mean())
    assert np.mean(inside) > 0.85  # a mask of some frames ago is a little off
    assert 1 <= empty < 60


def test_neighbours_are_asked_for_in_the_same_window() -> None:
    batch = task(cutouts=0.0, phases=((1.0, 1, 60),), full_share=1.0).batch(4)
    other = (batch.asked.masks & ~batch.masks).any((0, 2, 3))
    assert other.mean() > 0.2


def test_the_loss_reaches_the_memory_of_later_frames() -> None:
    made = task(phases=((1.0, 3, 4),), cutouts=0.0)
    made.model.train()
    loss, logs = made.loss(made.batch(0), 0)
    loss.backward()
    assert {"iou", "iou0"} <= set(logs)
    sam = made.model.pixel_decoder.sam
    for module in (sam.image_encoder, sam.sam_mask_decoder, sam.memory_encoder):
        assert sum(float(p.grad.abs().sum()) for p in module.parameters() if p.grad is not None) > 0


def test_validation_gives_shares() -> None:
    made = task(validation_batches=1)
    made.model.eval()
    metrics = made.validate()
    assert set(metrics) == {"score", "iou", "iou_third", "presence"}
    assert all(0 <= value <= 1 for value in metrics.values())


def test_each_kind_of_prompt_points_at_its_thing() -> None:
    mask = np.zeros((40, 80), bool)
    mask[10:30, 20:60] = True
    box = by_box(np.array([[16, 16], [48, 48]]), 64)
    assert box.labels.tolist() == [2, 3] and box.dense.mean() == pytest.approx(0.25)
    click = by_click(mask, np.random.default_rng(0), 64)
    (x, y), _ = click.points
    assert click.labels.tolist() == [1, -1]
    assert mask[int(y * 40 / 64), int(x * 80 / 64)] and click.dense.max() > 0.8
    shown = by_mask(mask, 64, boxed=True)
    assert shown.points.tolist() == [[16, 16], [48, 48]] and shown.dense.shape == (16, 16)
    assert by_mask(mask, 64, boxed=False).labels.tolist() == [-1, -1]
    nothing = by_mask(np.zeros((40, 80), bool), 64, boxed=True)
    assert nothing.labels.tolist() == [-1, -1] and not nothing.dense.any()


def test_masks_are_shrunk_by_area_and_enlarged_smoothly() -> None:
    mask = np.zeros((40, 40), bool)
    mask[:20] = True
    assert shrunk(mask, 20)[:10].min() == 1 and shrunk(mask, 20)[10:].max() == 0
    large = shrunk(mask, 80)
    assert large.shape == (80, 80) and large.mean() == pytest.approx(0.5, abs=0.01)

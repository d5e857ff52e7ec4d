from __future__ import annotations

import numpy as np
import pytest

from sparrow import masks, rle

SHAPES = [(1, 1), (1, 7), (7, 1), (16, 16), (33, 47), (120, 3)]


@pytest.mark.parametrize("size_hw", SHAPES)
@pytest.mark.parametrize("share", [0.0, 0.05, 0.5, 1.0])
def test_rle_round_trip_is_exact(size_hw: tuple[int, int], share: float) -> None:
    mask = np.random.default_rng(1).random(size_hw) < share
    counts = masks.to_rle(mask)
    assert np.array_equal(masks.from_rle(counts, size_hw), mask)
    assert masks.from_rle(counts, size_hw).dtype == bool
    assert rle.area_of(counts) == np.count_nonzero(mask)
    rle.check(counts, size_hw)


def test_runs_are_the_columns_lengths() -> None:
    mask = np.zeros((4, 3), dtype=bool)
    mask[1:3, 1] = True
    assert rle.runs_of(masks.to_rle(mask)).tolist() == [5, 2, 5]
    assert rle.runs_of(masks.to_rle(~mask)).tolist() == [0, 5, 2, 5]


@pytest.mark.parametrize("counts", [b"", b"\x00\x01", b"oooooooooooooooo", b"\xff\xff", b"P"])
def test_broken_counts_are_refused(counts: bytes) -> None:
    with pytest.raises(ValueError, match="RLE counts"):
        rle.check(counts, (10, 10))


def test_counts_of_another_size_are_refused() -> None:
    counts = masks.to_rle(np.ones((10, 10), dtype=bool))
    with pytest.raises(ValueError, match="fill 99 pixels"):
        rle.check(counts, (9, 11))


@pytest.mark.parametrize(
    ("pixels", "box"),
    [
        ([], None),
        ([(0, 0)], [0, 0, 1, 1]),
        ([(9, 19)], [19, 9, 20, 10]),
        ([(2, 3), (4, 11)], [3, 2, 12, 5]),
    ],
)
def test_box_is_tight_with_exclusive_edges(
    pixels: list[tuple[int, int]], box: list[int] | None
) -> None:
    mask = np.zeros((10, 20), dtype=bool)
    for row, column in pixels:
        mask[row, column] = True
    found = masks.box_of(mask)
    assert found.dtype == np.float32
    if box is None:
        assert np.isnan(found).all()
    else:
        assert found.tolist() == box


def test_iou_known_answers() -> None:
    empty, left, both = (np.zeros((4, 4), dtype=bool) for _ in range(3))
    left[:, :2] = True
    both[:] = True
    assert masks.iou(empty, empty) == 1
    assert masks.iou(left, empty) == 0
    assert masks.iou(left, ~left) == 0
    assert masks.iou(left, both) == 0.5
    assert masks.iou(both, both) == 1

"""When things show, go and come back, on clips drawn by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sparrow.bench.truth import SHOWS, Truth
from sparrow.world.clip import write_clip
from sparrow.world.picture import load_atlas
from sparrow.world.scene import Scene
from tests.bench.made_truth import NOTHING, TRUTH, square, truth_of


def seen(pattern: str) -> Truth:
    """Make the truth of one thing: "x" shows, "." does not, "-" a sliver of it is seen."""
    masks = np.stack([NOTHING if mark == "." else square(5) for mark in pattern])[:, None]
    shares = [{"x": 1.0, ".": 0.0, "-": SHOWS / 2}[mark] for mark in pattern]
    return Truth(masks, np.array(shares, np.float32)[:, None])


@pytest.mark.parametrize(
    ("pattern", "returns"),
    [
        ("x", []),
        (".", []),
        ("....x", []),  # comes for the first time
        ("xxx...", []),
        ("x..x", []),  # flickers
        ("x...x", [4]),
        ("x...x...x", [4, 8]),
        ("x....xx....x", [5, 11]),
        ("x...-x", [5]),  # counted from where it shows
        ("x...-.x", [6]),
        ("x...-", []),
        ("x.-.-.x", []),  # never long out of sight
        ("x---x", []),
        ("-...x", []),  # not known before
    ],
)
def test_returns(pattern: str, returns: list[int]) -> None:
    assert seen(pattern).returns(0) == returns


@pytest.mark.parametrize(
    ("pattern", "first"), [("x", 0), (".", None), ("..x", 2), ("--x", 2), ("-", None)]
)
def test_first(pattern: str, first: int | None) -> None:
    assert seen(pattern).first(0) == first


def test_boxes_are_around_what_is_seen() -> None:
    boxes = TRUTH.boxes(4)
    assert boxes[0].tolist() == [6, 10, 18, 22]
    assert np.isnan(boxes[1]).all()
    assert boxes.shape == (3, 4)


def test_best_view_is_the_largest() -> None:
    masks = np.stack([square(5, side=4), square(9, side=8), square(5, side=6)])[:, None]
    frame, box = truth_of(masks).best_view(0)
    assert (frame, box.tolist()) == (1, [9, 10, 17, 18])


def test_a_clip_without_things_has_none() -> None:
    truth = truth_of(np.zeros((2, 0, 8, 8), dtype=bool))
    assert truth.num_things == 0
    assert truth.boxes(1).shape == (0, 4)


def test_truth_of_an_annotation_is_what_was_drawn(tmp_path: Path) -> None:
    scene = Scene.sample(8_000_003, atlas=load_atlas(), num_frames=4)
    truth = Truth.of(write_clip(scene, tmp_path, dialogues=0))
    assert truth.masks.shape == (4, len(scene.things), 240, 320)
    for frame in (0, 3):
        drawn = scene.render(frame)
        assert (truth.masks[frame] == drawn.masks).all()
        assert truth.shares[frame] == pytest.approx(drawn.visibility, abs=1e-4)

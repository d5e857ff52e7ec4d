"""Windows stay in the frame and carry prompts, masks and logits there and back."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sparrow.model.pixel_decoder import FramePrompt
from sparrow.model.window import SMALLEST, Window, moved_logits

SIZE = (120, 160)


@pytest.mark.parametrize(
    ("centre", "reach", "expected"),
    [
        ((80, 60), 60, (50, 30, 110, 90)),
        ((0, 0), 60, (0, 0, 60, 60)),
        ((160, 120), 60, (100, 60, 160, 120)),
        ((80, 60), 140, (10, 0, 150, 120)),
        ((80, 60), 5000, (0, 0, 160, 120)),
        ((80, 60), 1, (56, 36, 104, 84)),
    ],
)
def test_windows_stay_in_the_frame(
    centre: tuple[int, int], reach: float, expected: tuple[int, int, int, int]
) -> None:
    assert Window.at(np.array(centre), reach, SIZE) == Window(*expected)


def test_a_window_is_no_larger_than_a_tiny_frame() -> None:
    assert Window.at(np.array([3, 2]), 100, (5, 7)) == Window.whole((5, 7))


def test_a_window_is_laid_around_a_box_by_its_longer_side() -> None:
    window = Window.around(np.array([60.0, 50, 100, 60]), 2.0, SIZE)
    assert window == Window(40, 15, 120, 95)
    assert window.size_hw == (80, 80)
    assert Window.around(np.array([80.0, 60, 81, 61]), 2.0, SIZE).size_hw == (SMALLEST, SMALLEST)


def test_prompts_are_moved_and_what_lies_outside_is_left_out() -> None:
    window = Window(40, 20, 100, 80)
    mask = np.zeros(SIZE, bool)
    mask[30:50, 30:60] = True
    prompt = FramePrompt(
        box=np.array([30.0, 30, 90, 90]),
        clicks=((45.5, 25.0, True), (39.9, 25.0, False), (100.0, 25.0, False)),
        mask=mask,
    )
    inside = window.inside(prompt)
    assert inside.box is not None and inside.mask is not None
    assert inside.box.tolist() == [0, 10, 50, 60]
    assert inside.clicks == ((5.5, 5.0, True),)
    assert inside.mask.shape == (60, 60) and inside.mask.sum() == 20 * 20
    assert window.paste(inside.mask, SIZE).sum() == 20 * 20
    assert (window.paste(inside.mask, SIZE) <= mask).all()


def test_the_whole_frame_leaves_prompts_as_they_are() -> None:
    prompt = FramePrompt(box=np.array([30.0, 30, 90, 90]), clicks=((1.0, 2.0, True),))
    inside = Window.whole(SIZE).inside(prompt)
    assert inside.box is not None and inside.box.tolist() == [30, 30, 90, 90]
    assert inside.clicks == prompt.clicks and inside.mask is None


def test_logits_go_along_with_the_window() -> None:
    logits = torch.full((1, 1, 16, 16), -9.0)
    logits[..., 4:8, 4:8] = 9.0
    before = np.array([[0, 0, 64, 64]], np.float32)
    assert torch.allclose(moved_logits(logits, before, before), logits, atol=1e-4)
    right = moved_logits(logits, before, np.array([[16, 0, 80, 64]], np.float32))
    assert torch.allclose(right[..., 4:8, 0:4], torch.tensor(9.0), atol=1e-4)
    assert right[..., 12:].max() < -9  # what was not seen before holds nothing
    twice = moved_logits(logits, before, np.array([[0, 0, 32, 32]], np.float32))
    assert (twice > 0).sum() == 4 * (logits > 0).sum()


def test_absent_masks_stay_absent_in_another_window() -> None:
    before, after = (np.array([[x, 0, x + 64, 64]], np.float32) for x in (0, 10))
    moved = moved_logits(torch.full((1, 1, 8, 8), -1024.0), before, after)
    assert moved.isfinite().all() and moved.max() < 0

"""Where a windowed decoder looks: around what points, around where the thing was, ever wider once it is lost."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from sparrow.masks import box_of, iou
from sparrow.model.looking import LATER, WINDOW, Eyes, look, point
from sparrow.model.pixel_decoder import FramePrompt, PixelDecoder
from sparrow.model.sparrow import SparrowModel
from sparrow.model.window import Window
from sparrow.paths import ASSETS
from tests.model.test_tracking import TINY

BOX = np.array([60.0, 40, 90, 70])
FRAME = np.random.default_rng(0).integers(0, 255, (120, 160, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def decoder() -> PixelDecoder:
    torch.manual_seed(0)
    return PixelDecoder(replace(TINY, windowed=True)).eval()


@pytest.fixture(autouse=True)
def without_gradients() -> Iterator[None]:
    with torch.inference_mode():
        yield


def side(window: Window) -> int:
    return max(window.size_hw)


def decided(decoder: PixelDecoder, *, there: bool) -> PixelDecoder:
    """Make an untrained decoder say always, or never, that the thing is there."""
    with torch.no_grad():
        decoder.sam.sam_mask_decoder.pred_obj_score_head.layers[-1].bias.fill_(
            20.0 if there else -20.0
        )
    return decoder


def test_a_box_is_looked_at_through_a_window_and_the_mask_stays_in_it(
    decoder: PixelDecoder,
) -> None:
    sight = point(Eyes(decided(decoder, there=True), FRAME), FramePrompt(box=BOX))
    assert sight.window == Window.around(BOX, WINDOW, (120, 160))
    assert side(sight.window) == 66
    outside = sight.mask.copy()
    outside[40:70, 60:90] = False
    assert sight.mask.shape == (120, 160) and not outside.any()


def test_a_click_first_sees_how_large_the_thing_is(decoder: PixelDecoder) -> None:
    eyes = Eyes(decided(decoder, there=True), FRAME)
    sight = point(eyes, FramePrompt(clicks=((75.0, 55.0, True),)))
    assert sight.mask.shape == (120, 160)
    assert len(eyes._seen) == len({eyes.all, sight.window})


@pytest.mark.parametrize("way", ["box", "click"])
def test_what_is_pointed_at_is_cut_out_along_its_edge(way: str) -> None:
    decoder = SparrowModel.from_pretrained(ASSETS / "sparrow-mini").eval().pixel_decoder
    disc = cv2.circle(np.zeros((120, 160), np.uint8), (75, 55), 15, 1, -1) > 0
    frame = np.where(disc[..., None], (200, 60, 50), (60, 170, 80)) + FRAME // 16
    box = FramePrompt(box=box_of(disc))
    prompt = box if way == "box" else FramePrompt(clicks=((75.0, 55.0, True),))
    sight = point(Eyes(decoder, frame.astype(np.uint8)), prompt)
    assert iou(sight.mask, disc) > 0.97


def test_a_mask_is_taken_as_it_is(decoder: PixelDecoder) -> None:
    mask = np.zeros((120, 160), bool)
    mask[40:70, 60:90] = True
    sight = point(Eyes(decoder, FRAME), FramePrompt(mask=mask))
    assert np.array_equal(sight.mask, mask)
    assert sight.window == Window.around(BOX, WINDOW, (120, 160))


def test_a_lost_thing_is_looked_for_further_and_further_around(decoder: PixelDecoder) -> None:
    memory = decoder.new_memory()
    sight = look(Eyes(decided(decoder, there=True), FRAME), FramePrompt(box=BOX), None, memory, 0)
    decided(decoder, there=False)
    sides = []
    for index in range(1, 40):
        sight = look(Eyes(decoder, FRAME), None, sight, memory, index)
        assert not sight.mask.any() and sight.lost == index
        assert sight.place is not None and np.array_equal(sight.place, BOX)
        sides.append(side(sight.window))
    assert sides[0] == int(LATER * 30)
    assert sides == sorted(sides) and sides[-1] == 150


def test_optical_flow_is_weighed_only_where_nothing_points(decoder: PixelDecoder) -> None:
    memory, moved = decoder.new_memory(), np.roll(FRAME, 3, 1)
    decided(decoder, there=True)
    first = look(Eyes(decoder, FRAME), FramePrompt(box=BOX), None, memory, 0)
    assert first.belief.dtype == bool and np.array_equal(first.belief, first.mask)
    then = look(Eyes(decoder, moved), None, first, memory, 1)
    assert then.belief.dtype == np.float32 and np.array_equal(then.belief > 0.5, then.mask)
    alone = then.window.paste(decoder.to_mask(then.decoded, then.window.size_hw), (120, 160))
    goal = np.roll(first.mask, 3, 1)
    assert iou(then.mask, goal) > iou(alone, goal)
    pointed = look(Eyes(decoder, moved), FramePrompt(box=BOX), first, memory, 1)
    assert pointed.belief.dtype == bool


def test_what_is_looked_at_twice_is_encoded_once(decoder: PixelDecoder) -> None:
    eyes = Eyes(decoder, FRAME)
    first, second = (point(eyes, FramePrompt(box=BOX)) for _ in range(2))
    assert len(eyes._seen) == 1
    assert np.array_equal(first.mask, second.mask)


def test_without_windows_the_whole_frame_is_seen() -> None:
    torch.manual_seed(0)
    plain = PixelDecoder(TINY).eval()
    sight = point(Eyes(plain, FRAME), FramePrompt(box=BOX))
    decoded = plain.step(
        plain.encode(FRAME), FramePrompt(box=BOX), None, plain.new_memory(), 0, (120, 160)
    )
    assert np.array_equal(sight.mask, plain.to_mask(decoded, (120, 160)))


def test_a_flood_is_not_believed_and_the_thing_is_lost(decoder: PixelDecoder) -> None:
    memory = decoder.new_memory()
    eyes = Eyes(decided(decoder, there=True), FRAME)
    first = look(eyes, FramePrompt(box=BOX), None, memory, 0)
    fair = look(eyes, None, replace(first, area=1e6), memory, 1)
    assert fair.mask.any() and fair.area > 0.85e6
    small = np.count_nonzero(fair.mask) / 4
    flood = look(eyes, None, replace(first, area=small), memory, 1)
    assert not flood.mask.any()
    assert (flood.box, flood.lost, flood.area) == (None, 1, small)
    assert not decoder.to_mask(flood.decoded, (120, 160)).any()
    pointed = look(eyes, FramePrompt(box=BOX), replace(first, area=1.0), memory, 2)
    assert pointed.mask.any() and pointed.area == np.count_nonzero(pointed.mask)


@pytest.mark.parametrize(
    "prompt",
    [FramePrompt(box=BOX), FramePrompt(clicks=((75.0, 55.0, True),))],
    ids=["box", "click"],
)
def test_what_is_pointed_at_is_there_even_if_the_decoder_doubts_it(
    decoder: PixelDecoder, prompt: FramePrompt
) -> None:
    sight = point(Eyes(decided(decoder, there=False), FRAME), prompt)
    assert sight.mask.any() and sight.decoded.score < 0


def test_a_guessed_box_says_where_the_thing_is_but_not_that_it_is_there(
    decoder: PixelDecoder,
) -> None:
    guess = FramePrompt(box=BOX + 3, guessed=True)
    memory, moved = decoder.new_memory(), np.roll(FRAME, 3, (0, 1))
    first = look(Eyes(decided(decoder, there=True), FRAME), FramePrompt(box=BOX), None, memory, 0)
    seen = look(Eyes(decoder, moved), guess, first, memory.fork(), 1)
    assert seen.window == Window.around(BOX + 3, WINDOW, (120, 160))
    assert seen.mask.any() and np.array_equal(seen.box, BOX + 3)
    assert seen.belief.dtype == np.float32  # what was carried is weighed
    decided(decoder, there=False)
    gone = look(Eyes(decoder, moved), guess, first, memory, 1)
    assert not gone.mask.any()
    assert np.array_equal(gone.place, BOX + 3)  # where to look for it next
    alone = point(Eyes(decoder, FRAME), guess)
    assert not alone.mask.any()

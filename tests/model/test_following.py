"""Following one mask: the window goes along, masks stay bounded, a lost thing is said to be lost."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch

from sparrow import masks
from sparrow.model.following import Followed, Follower, follow_steps, hints
from sparrow.model.pixel_decoder import PixelDecoder
from sparrow.model.tracking import Reached
from sparrow.types import MaskTrack, Progress
from sparrow.work import finish
from tests.model.test_tracking import TINY, Frames


class Reds(PixelDecoder):
    """Takes every red pixel that it sees for the thing, and is as sure as it is told to be."""

    sure = 0.9

    def encode(self, frame: np.ndarray) -> np.ndarray:
        return self.squash(frame)

    def __init__(self) -> None:
        super().__init__(TINY)
        self.sam.decode_alone = self._reds

    def _reds(self, picture: np.ndarray, prompts: object) -> SimpleNamespace:
        red = torch.from_numpy(picture[None, None, ::4, ::4, 0].astype(np.float32))
        one = torch.ones(1)
        return SimpleNamespace(gated=red / 10 - 12, iou=self.sure * one, score=9 * one)


def square(x: int, y: int, side: int, size_hw: tuple[int, int] = (120, 160)) -> np.ndarray:
    mask = np.zeros(size_hw, dtype=bool)
    mask[y : y + side, x : x + side] = True
    return mask


def red(mask: np.ndarray) -> np.ndarray:
    return np.where(mask[..., None], (250, 0, 0), (0, 0, 0)).astype(np.uint8)


def test_hints_point_with_boxes_and_maps_or_not_at_all() -> None:
    decoder = PixelDecoder(TINY)  # of side 64
    prompts = hints(decoder, [square(8, 4, 16, (32, 32)), np.zeros((32, 32))])
    assert prompts.points is not None and prompts.dense is not None
    assert prompts.points[0][0].tolist() == [[16, 8], [48, 40]]
    assert prompts.points[1].tolist() == [[2, 3], [-1, -1]]
    assert prompts.dense.shape == (2, 1, 16, 16)
    assert prompts.dense[0].mean() == pytest.approx(0.25) and prompts.dense[1].sum() == 0


def test_the_window_goes_with_the_thing() -> None:
    follower = Follower(Reds(), red(square(40, 40, 20)), square(40, 40, 20))
    for step in range(1, 9):
        truth = square(40 + 3 * step, 40 + 2 * step, 20)
        mask, score = follower.step(red(truth))
        assert masks.iou(mask, truth) > 0.7
        assert score == pytest.approx(0.9, abs=1e-3)
    window = follower.window()
    assert abs((window.top + window.bottom) / 2 - 66) <= 3
    assert abs((window.left + window.right) / 2 - 74) <= 3


def test_a_leak_does_not_get_far() -> None:
    follower = Follower(Reds(), red(square(60, 40, 20)), square(60, 40, 20))
    everything = red(np.ones((120, 160), dtype=bool))
    areas = [np.count_nonzero(follower.step(everything)[0]) for _ in range(12)]
    assert areas[0] < 1.25 * 400
    assert max(areas) < 1.6 * 400


def test_an_unsure_decoder_gives_an_empty_mask_and_must_be_sure_to_go_on() -> None:
    decoder, truth = Reds(), square(60, 40, 20)
    follower = Follower(decoder, red(truth), truth)
    decoder.sure = 0.2
    mask, score = follower.step(red(truth))
    assert not mask.any() and score == pytest.approx(0.2, abs=1e-3)
    decoder.sure = 0.4
    assert not follower.step(red(truth))[0].any()
    decoder.sure = 0.6
    assert masks.iou(follower.step(red(truth))[0], truth) > 0.5


def test_a_lost_thing_is_looked_for_further_around() -> None:
    follower = Follower(Reds(), red(square(60, 40, 20)), square(60, 40, 20))
    near = follower.window()
    assert not follower.step(red(np.zeros((120, 160), dtype=bool)))[0].any()
    far = follower.window()
    assert far.top < near.top and far.right > near.right
    truth = square(100, 60, 20)
    assert masks.iou(follower.step(red(truth))[0], truth) > 0.6


class Undecided(Reds):
    """Takes all that it sees for the thing, surely or hardly."""

    logit = 0.1

    def _reds(self, picture: np.ndarray, prompts: object) -> SimpleNamespace:
        seen = super()._reds(picture, prompts)
        seen.gated = torch.full_like(seen.gated, self.logit)
        return seen


def patterned(mask: np.ndarray) -> np.ndarray:
    """Draw a pattern that fills the box of a mask, on another one: (H, W, 3) uint8."""
    rng = np.random.default_rng(0)
    ground, thing = (rng.integers(0, 255, (10, 12, 3), np.uint8) for _ in range(2))
    frame = cv2.resize(ground, mask.shape[::-1], interpolation=cv2.INTER_CUBIC)
    x0, y0, x1, y1 = masks.box_of(mask).astype(int)
    frame[y0:y1, x0:x1] = cv2.resize(thing, (x1 - x0, y1 - y0), interpolation=cv2.INTER_CUBIC)
    return frame


def test_flow_settles_what_the_decoder_hardly_knows() -> None:
    begun = square(40, 30, 48)
    follower = Follower(Undecided(), patterned(begun), begun)
    for step in range(1, 5):
        truth = square(40 + 3 * step, 30 + step, 48)
        mask, _ = follower.step(patterned(truth))
    assert masks.iou(mask, truth) > 0.65  # .53 without it


@pytest.mark.parametrize(
    ("zoom", "least", "most"), [(0.98, 0.5, 0.8), (1, 0.9, 1.2), (1.02, 1.3, 2)]
)
def test_a_leak_is_bounded_by_what_the_thing_has_become(
    zoom: float, least: float, most: float
) -> None:
    """The camera goes away, stays or comes nearer, and the decoder takes all for the thing."""
    decoder, begun = Undecided(), square(56, 36, 48)
    decoder.logit = 9.0
    first = patterned(begun)
    follower = Follower(decoder, first, begun)
    for step in range(1, 17):
        view = cv2.getRotationMatrix2D((80, 60), 0, zoom**step)
        frame = cv2.warpAffine(first, view, (160, 120), borderMode=cv2.BORDER_REFLECT_101)
        mask, _ = follower.step(np.asarray(frame))
    assert least < np.count_nonzero(mask) / 48**2 < most


def followed(frames: Frames, things: list[Followed]) -> tuple[list[MaskTrack], list[int]]:
    steps = []
    tracks = finish(follow_steps(frames, things), steps.append)
    return tracks, [step.done for step in steps if isinstance(step, Progress)]


class Moving(Frames):
    """A red square that goes right."""

    def __init__(self, count: int) -> None:
        super().__init__(count, (120, 160))
        self.masks = [square(30 + 3 * i, 50, 24) for i in range(count)]
        self.frames = np.stack([red(mask) for mask in self.masks])


def test_a_thing_is_followed_both_ways_from_a_frame_in_the_middle() -> None:
    frames = Moving(9)
    tracks, done = followed(frames, [Followed(3, Reds(), {4: frames.masks[4]})])
    assert tracks[0].referent_id == 3 and tracks[0].complete
    assert done == list(range(1, 10))
    for index, truth in enumerate(frames.masks):
        assert masks.iou(tracks[0].mask(index), truth) > 0.7
    assert np.array_equal(tracks[0].mask(4), frames.masks[4])
    assert tracks[0].scores[4] == 1


def test_each_thing_begins_at_its_own_frame_and_takes_corrections() -> None:
    frames = Moving(6)
    other = square(100, 10, 16)
    things = [
        Followed(1, Reds(), {0: frames.masks[0], 3: other}),
        Followed(2, Reds(), {2: frames.masks[2]}),
    ]
    tracks, _ = followed(frames, things)
    assert np.array_equal(tracks[0].mask(3), other)
    assert [track.visible().all() for track in tracks] == [False, True]
    assert tracks[0].visible()[:4].all()  # from frame 4 on it looks where nothing is


def test_one_frame_is_a_video() -> None:
    frames = Moving(1)
    tracks, done = followed(frames, [Followed(1, Reds(), {0: frames.masks[0]})])
    assert done == [1] and tracks[0].visible().tolist() == [True]


def test_cancel_keeps_what_was_followed() -> None:
    frames, cancel = Moving(9), threading.Event()

    def stop_after_three(step: Progress | Reached) -> None:
        if isinstance(step, Progress) and step.done == 3:
            cancel.set()

    steps = follow_steps(frames, [Followed(1, Reds(), {0: frames.masks[0]})], cancel=cancel)
    track = finish(steps, stop_after_three)[0]
    assert not track.complete and track.visible().tolist() == [True] * 3 + [False] * 6

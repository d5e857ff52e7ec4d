"""The framewise mode through an untrained tiny SAM2: shapes, batching, sharing, refusals, gradients."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from sparrow.model import framewise
from sparrow.model.box_prior import BoxPriorConfig, keep, prior_scores
from sparrow.model.framewise import (
    decode_frame,
    fitting_boxes,
    inference_framewise,
    prior_masks,
    to_masks,
)
from sparrow.model.pixel_decoder import PixelDecoder
from tests.made_sam import SIDE, boxes, frames, states, tiny_decoder

SIZE_HW = (45, 60)


@pytest.fixture(scope="module")
def decoder() -> PixelDecoder:
    return tiny_decoder()


def run(decoder: PixelDecoder, count: int, **more: Any) -> list[Tensor]:
    given = {"states": states(2), "boxes": None, **more}
    return list(inference_framewise(decoder, frames(count), size_hw=SIZE_HW, **given))


def test_no_frame_gives_nothing(decoder: PixelDecoder) -> None:
    assert run(decoder, 0) == []


def test_no_state_gives_no_mask_and_encodes_nothing(decoder: PixelDecoder) -> None:
    unreadable = [torch.zeros(0)] * 2
    masks = list(inference_framewise(decoder, unreadable, states(0), None, SIZE_HW))
    assert [tuple(m.shape) for m in masks] == [(0, *SIZE_HW)] * 2
    with torch.inference_mode():
        features = decoder.encode_pixels(frames(1)[0])
    assert decode_frame(decoder, features, states(0)).shape == (0, SIDE // 4, SIDE // 4)
    assert fitting_boxes(decoder, features, [], SIZE_HW, BoxPriorConfig()) == []


def test_frames_do_not_know_each_other(decoder: PixelDecoder) -> None:
    whole = run(decoder, 3)
    last = list(inference_framewise(decoder, frames(3)[2:], states(2), None, SIZE_HW))
    assert torch.equal(whole[2], last[0])


@pytest.mark.parametrize("counts", [(1, 1), (3, 1), (2, 5)])
def test_a_batch_equals_its_parts(counts: tuple[int, ...], decoder: PixelDecoder) -> None:
    """Each pair by itself, then the largest logit."""
    own = boxes(*counts)
    with torch.inference_mode():
        features = decoder.encode_pixels(frames(1)[0])
        together = decode_frame(decoder, features, states(2), own)
        for row, corners in enumerate(own):
            state = states(2)[row : row + 1]
            apart = [decode_frame(decoder, features, state, [box[None]]) for box in corners]
            expected = torch.cat(apart).amax(0)
            torch.testing.assert_close(together[row], expected, atol=1e-5, rtol=0)


def test_many_boxes_are_decoded_in_batches(
    decoder: PixelDecoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    with torch.inference_mode():
        features = decoder.encode_pixels(frames(1)[0])
        whole = decode_frame(decoder, features, states(2), boxes(3, 4))
        prior = prior_masks(decoder, features, torch.cat(boxes(3, 4)), SIZE_HW)
        monkeypatch.setattr(framewise, "_ROWS", 2)
        parts = decode_frame(decoder, features, states(2), boxes(3, 4))
        torch.testing.assert_close(parts, whole, atol=1e-5, rtol=0)
        again = prior_masks(decoder, features, torch.cat(boxes(3, 4)), SIZE_HW)
    assert ((again > 0.5) != (prior > 0.5)).float().mean() < 1e-3


@pytest.mark.parametrize("wrong", [[], boxes(1), boxes(2, 0), boxes(1, 1, 1)])
def test_refuses_states_without_boxes(wrong: list[Tensor], decoder: PixelDecoder) -> None:
    with pytest.raises(ValueError, match="at least one for each of 2 states"):
        run(decoder, 1, boxes=wrong)


def test_given_features_stand_for_the_first_frame(decoder: PixelDecoder) -> None:
    other = frames(5)[4]
    with torch.inference_mode():
        features = decoder.encode_pixels(other)
    shared = run(decoder, 2, first=features)
    alone = list(inference_framewise(decoder, [other], states(2), None, SIZE_HW))
    assert torch.equal(shared[0], alone[0])
    assert torch.equal(shared[1], run(decoder, 2)[1])


def test_frames_are_read_as_masks_are_taken(decoder: PixelDecoder) -> None:
    read = []

    def stream() -> Iterator[Tensor]:
        for index, frame in enumerate(frames(3)):
            read.append(index)
            yield frame

    masks = inference_framewise(decoder, stream(), states(1), None, SIZE_HW)
    next(masks)
    assert read == [0]
    masks.close()


def test_states_get_a_gradient_through_boxes(decoder: PixelDecoder) -> None:
    given = states(2).requires_grad_()
    features = decoder.encode_pixels(frames(1)[0])
    decode_frame(decoder, features, given, boxes(2, 1)).sigmoid().sum().backward()
    assert given.grad is not None
    assert (given.grad.abs().sum(1) > 0).all()


def test_prior_masks_of_no_box(decoder: PixelDecoder) -> None:
    with torch.inference_mode():
        features = decoder.encode_pixels(frames(1)[0])
    assert prior_masks(decoder, features, torch.zeros(0, 4), SIZE_HW).shape == (0, 256, 256)


def test_fitting_boxes_keeps_by_score(decoder: PixelDecoder) -> None:
    """Boxes that states share are drawn once and judged alike; an empty list stays empty."""
    first, second = (own / SIDE for own in boxes(5, 2))
    config = BoxPriorConfig(min_score=0.05, max_keep=2)
    with torch.inference_mode():
        features = decoder.encode_pixels(frames(1)[0])
        lists = [first, second[:0], torch.cat([second, first])]
        kept = fitting_boxes(decoder, features, lists, SIZE_HW, config)
        for own, left in zip(lists, kept, strict=True):
            masks = prior_masks(decoder, features, own * SIDE, SIZE_HW)
            assert torch.equal(left, own[keep(prior_scores(masks, own), config)])
    assert [len(left) for left in kept][1] == 0
    assert 1 <= len(kept[0]) <= 2


def test_to_masks_cuts_at_zero() -> None:
    logits = torch.tensor([[[-1.0, 1.0], [0.0, 0.1]]])
    assert to_masks(logits, (2, 2)).tolist() == [[[False, True], [False, True]]]
    assert to_masks(logits[:0], (5, 7)).shape == (0, 5, 7)

"""The video mode through an untrained tiny SAM2: both ways to point, streaming, SAM2's own predictor."""

from __future__ import annotations

import weakref
from collections.abc import Iterator

import pytest
import torch
from sam2.sam2_video_predictor import SAM2VideoPredictor
from torch import Tensor

from sparrow.model.framewise import decode_frame
from sparrow.model.memory import Memory
from sparrow.model.pixel_decoder import PixelDecoder
from sparrow.model.sam import Decoded, FrameFeatures, Prompts, box_points
from sparrow.model.video_branch import Point, inference_video, point_in_turn, point_together
from tests.made_sam import SIDE, boxes, frames, states, tiny_decoder

SIZE_HW = (45, 60)
WAYS = [point_together, point_in_turn]


@pytest.fixture(scope="module")
def decoder() -> PixelDecoder:
    return tiny_decoder()


def first_features(decoder: PixelDecoder) -> FrameFeatures:
    with torch.inference_mode():
        return decoder.encode_pixels(frames(1)[0])


@pytest.mark.parametrize("way", WAYS)
def test_edges(way: Point, decoder: PixelDecoder) -> None:
    assert list(inference_video(decoder, [], states(1), None, SIZE_HW, point=way)) == []
    none = list(inference_video(decoder, frames(2), states(0), None, SIZE_HW, point=way))
    assert [tuple(masks.shape) for masks in none] == [(0, *SIZE_HW)] * 2
    with pytest.raises(ValueError, match="at least one for each of 2 states"):
        next(inference_video(decoder, frames(1), states(2), boxes(1, 0), SIZE_HW, point=way))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("own", [None, boxes(2, 1, 3)], ids=["states", "boxes"])
def test_referents_do_not_disturb_each_other(
    way: Point, own: list[Tensor] | None, decoder: PixelDecoder
) -> None:
    together = list(inference_video(decoder, frames(4), states(3), own, SIZE_HW, point=way))
    for row in range(3):
        box = None if own is None else own[row : row + 1]
        alone = inference_video(
            decoder, frames(4), states(3)[row : row + 1], box, SIZE_HW, point=way
        )
        for ours, theirs in zip(together, alone, strict=True):
            assert (ours[row] != theirs[0]).sum() <= 2


def test_boxes_and_states_both_count(decoder: PixelDecoder) -> None:
    features = first_features(decoder)
    with torch.inference_mode():
        plain = point_together(decoder, features, states(1), boxes(1)).logits
        other_state = point_together(decoder, features, states(2)[1:], boxes(1)).logits
        other_box = point_together(decoder, features, states(1), boxes(1, 1)[1:]).logits
        in_turn = point_in_turn(decoder, features, states(1), boxes(1)).logits
    for logits in (other_state, other_box, in_turn):
        assert not torch.allclose(plain, logits)


def test_pointing_together_gives_the_framewise_mask(decoder: PixelDecoder) -> None:
    features, own = first_features(decoder), boxes(2, 3)
    with torch.inference_mode():
        decoded = point_together(decoder, features, states(2), own)
        apart = decode_frame(decoder, features, states(2), own)
        torch.testing.assert_close(decoded.logits[:, 0], apart)
        # The pointer is that of one of its own boxes: of the one whose mask is held to be best.
        second = [point_together(decoder, features, states(2)[1:], [box[None]]) for box in own[1]]
    best = max(second, key=lambda one: float(one.iou))
    torch.testing.assert_close(decoded.pointer[1], best.pointer[0], atol=1e-5, rtol=0)


def test_in_turn_the_last_box_counts_upon_the_mask_so_far(decoder: PixelDecoder) -> None:
    features, own = first_features(decoder), boxes(2)[0]
    with torch.inference_mode():
        decoded = point_in_turn(decoder, features, states(1), [own])
        so_far = point_in_turn(decoder, features, states(1), [own[:1]])
        last = Prompts(points=box_points(own[1:]), logits=so_far.gated.clamp(-32, 32))
        expected = decoder.sam.decode_alone(features, last)
    torch.testing.assert_close(decoded.logits, expected.logits)


class _Watched(PixelDecoder):
    """Shows the memories that it gave away."""

    def new_memory(self) -> Memory:
        self.given = super().new_memory()
        return self.given


def test_memory_is_flat_and_frames_are_let_go(decoder: PixelDecoder) -> None:
    """However long the video: one frame, and what memory attention reads."""
    watched = _Watched(decoder.config).eval()
    alive: list[weakref.ref[Tensor]] = []

    def stream() -> Iterator[Tensor]:
        for _ in range(24):
            frame = torch.randn(3, SIDE, SIDE)
            alive.append(weakref.ref(frame))
            yield frame
            del frame

    remembered = []
    for _ in inference_video(watched, stream(), states(1), None, SIZE_HW):
        remembered.append(len(watched.given.anchors) + len(watched.given.recent))
        assert sum(frame() is not None for frame in alive) <= 1
    assert remembered == [min(count, 16) for count in range(1, 25)]


class _Package(SAM2VideoPredictor):
    """SAM2's own predictor, with the modules and settings of one of ours."""

    def __init__(self, decoder: PixelDecoder) -> None:
        torch.nn.Module.__init__(self)
        self.__dict__.update(decoder.sam.__dict__)
        self.fill_hole_area = 0
        self.non_overlap_masks = False
        self.clear_non_cond_mem_around_input = False
        self.add_all_frames_to_correct_as_cond = False

    def state(self, images: list[Tensor]) -> dict[str, object]:
        empty = (
            "point_inputs_per_obj",
            "mask_inputs_per_obj",
            "cached_features",
            "constants",
            "output_dict_per_obj",
            "temp_output_dict_per_obj",
            "frames_tracked_per_obj",
            "obj_id_to_idx",
            "obj_idx_to_id",
        )
        return {
            "images": images,
            "num_frames": len(images),
            "video_height": SIZE_HW[0],
            "video_width": SIZE_HW[1],
            "device": torch.device("cpu"),
            "storage_device": torch.device("cpu"),
            "offload_video_to_cpu": False,
            "offload_state_to_cpu": False,
            "obj_ids": [],
            **{name: {} for name in empty},
        }


def test_equals_the_packages_predictor_over_a_video_longer_than_memory(
    decoder: PixelDecoder,
) -> None:
    """Boxes alone, which both take: streamed with pruned memory against all that is kept."""
    own = boxes(1, 1)

    def point_by_box(
        decoder: PixelDecoder, features: FrameFeatures, _: Tensor, given: list[Tensor] | None
    ) -> Decoded:
        assert given is not None
        prompts = Prompts(points=box_points(torch.cat(given)))
        return decoder.sam.decode_alone(features.repeat(len(given)), prompts)

    ours = torch.stack(
        list(inference_video(decoder, frames(20), states(2), own, SIZE_HW, point=point_by_box))
    )
    package = _Package(decoder)
    state = package.state(frames(20))
    scale = torch.tensor([SIZE_HW[1], SIZE_HW[0]] * 2) / SIDE
    for row, box in enumerate(own):
        package.add_new_points_or_box(state, 0, row, box=box[0] * scale)
    with torch.inference_mode():
        theirs = torch.stack(
            [logits[:, 0] > 0 for _, _, logits in package.propagate_in_video(state)]
        )
    assert ours.shape == theirs.shape == (20, 2, *SIZE_HW)
    assert 0.01 < theirs.float().mean() < 0.99
    assert int((ours != theirs).sum((2, 3)).max()) <= 2

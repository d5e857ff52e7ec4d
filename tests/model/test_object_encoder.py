import numpy as np
import pytest
import torch

from sparrow.model.object_encoder import (
    ObjectEncoder,
    ObjectEncoderConfig,
    largest_frames,
    squares,
    trajectories,
)

NAN = [np.nan] * 4


@pytest.fixture
def encoder() -> ObjectEncoder:
    torch.manual_seed(0)
    config = ObjectEncoderConfig(
        nouns=("fox", "car"), groups=("animal", "vehicle"), colours=("red",), num_frames=4
    )
    return ObjectEncoder(config).eval()


def test_trajectory_numbers_of_a_hand_made_track():
    boxes = np.array([[[0.1, 0.2, 0.3, 0.6], NAN, [0.2, 0.2, 0.4, 0.6], [0.3, 0.1, 0.5, 0.5]]])
    numbers = trajectories(boxes).reshape(4, 9)
    assert np.allclose(
        numbers[0], [-0.3, -0.1, 0.2, 0.4, np.log(0.2) / 2 + 1, np.log(0.4) / 2 + 1, 0, 0, 1]
    )
    assert (numbers[1] == 0).all()
    assert np.allclose(numbers[2, 6:], [0, 0, 1])  # the frame before is unseen: no displacement
    assert np.allclose(numbers[3, 6:], [0.8, -0.8, 1])


def test_trajectories_of_no_track():
    assert trajectories(np.zeros((0, 4, 4))).shape == (0, 36)


def test_largest_frames_come_first_and_unseen_weigh_nothing():
    boxes = np.array([[[0, 0, 0.1, 0.1], NAN, [0, 0, 0.3, 0.3], [0, 0, 0.2, 0.2]]])
    order, weights = largest_frames(boxes, ~np.isnan(boxes[..., 0]), 4)
    assert order[0, :3].tolist() == [2, 3, 0]
    assert weights.tolist() == [[1, 1, 1, 0]]


def test_squares_are_square_in_pixels_and_centred():
    region = squares(np.array([[0.25, 0.25, 0.75, 0.5], NAN]), (100, 200), 1.2)
    assert np.allclose(region[0], [40, -22.5, 160, 97.5])
    assert region[1, 2] < 0  # an unseen box lies outside the frame


def test_crop_shows_the_box_and_grey_beyond_the_frame(encoder):
    frame = np.zeros((64, 64, 3), np.uint8)
    frame[16:48, 16:48] = (255, 0, 0)
    pixels = encoder.prepare(frame[None])
    assert tuple(pixels.shape) == (1, 3, 256, 256)
    inside, corner = encoder.crop(
        pixels, np.array([[0.25, 0.25, 0.75, 0.75], [-0.5, -0.5, 0.5, 0.5]]), np.zeros(2)
    )
    assert torch.allclose(inside[:, 16, 16], torch.tensor([0.5, -0.5, -0.5]))
    assert torch.allclose(inside[:, 0, 0], torch.tensor([-0.5, -0.5, -0.5]))
    assert (corner[:, 0, 0] == 0).all()


def test_unseen_frames_do_not_change_a_token(encoder):
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 255, (4, 48, 64, 3)).astype(np.uint8)
    boxes = np.array([[[0.1, 0.1, 0.5, 0.5], NAN, [0.2, 0.1, 0.6, 0.5], NAN]], np.float32)
    changed = frames.copy()
    changed[[1, 3]] = 0
    with torch.inference_mode():
        first = encoder.encode(encoder.prepare(frames), boxes)
        second = encoder.encode(encoder.prepare(changed), boxes)
    assert torch.equal(first.tokens, second.tokens)
    assert first.tokens.shape == (1, 160)
    assert {name: tuple(v.shape) for name, v in first.logits.items()} == {
        "noun": (1, 2),
        "group": (1, 2),
        "colour": (1, 1),
        "size": (1, 2),
        "motion": (1, 6),
    }


def test_no_track_gives_no_token(encoder):
    frames = np.zeros((4, 32, 32, 3), np.uint8)
    found = encoder.encode(encoder.prepare(frames), np.zeros((0, 4, 4), np.float32))
    assert found.tokens.shape == (0, 160)
    assert found.objectness.shape == (0,)


def test_what_is_pointed_at_is_seen_by_its_representatives(encoder: ObjectEncoder) -> None:
    """Of equal views it does not matter which are taken; an unseen thing has no view."""
    frames = np.full((4, 48, 64, 3), 90, np.uint8)
    frames[:, 10:30, 20:40] = (200, 30, 60)
    boxes = np.tile(np.array([20 / 64, 10 / 48, 40 / 64, 30 / 48], np.float32), (2, 4, 1))
    boxes[0, 3:] = np.nan
    boxes = np.concatenate([boxes, np.full((1, 4, 4), np.nan, np.float32)])
    with torch.inference_mode():
        pixels = encoder.prepare(frames)
        largest, chosen = encoder.encode(pixels, boxes), encoder.encode_pointed(pixels, boxes)
        nothing = encoder.encode_pointed(pixels, boxes[:0])
    torch.testing.assert_close(chosen.tokens, largest.tokens, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(chosen.trajectories, largest.trajectories)
    assert nothing.tokens.shape == (0, encoder.config.width)

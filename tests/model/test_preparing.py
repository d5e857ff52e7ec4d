"""Preprocessing of the released networks: edges, sizes and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from sparrow.model.preparing import (
    clip_pixels,
    crops_by_box,
    crops_by_mask,
    internvideo_pixels,
    proposer_frame,
    sam_pixels,
    sample_indices,
    to_frame,
)

CLIP_MEAN = torch.tensor([0.48145466, 0.4578275, 0.40821073])
CLIP_STD = torch.tensor([0.26862954, 0.26130258, 0.27577711])


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    ("num_frames", "count", "expected"),
    [
        (1, 4, [0, 0, 0, 0]),
        (3, 4, [0, 1, 2, 2]),
        (4, 4, [0, 1, 2, 3]),
        (5, 4, [0, 1, 2, 4]),  # 1.33 and 2.67 are cut, not rounded
        (100, 4, [0, 33, 66, 99]),
        (7, 1, [0]),
    ],
)
def test_sample_indices(num_frames: int, count: int, expected: list[int]) -> None:
    assert sample_indices(num_frames, count).tolist() == expected


def test_no_frame_cannot_be_sampled() -> None:
    with pytest.raises(ValueError, match="expected at least 1, got 0"):
        sample_indices(0)


def test_no_frames_give_empty_tensors() -> None:
    assert clip_pixels([]).shape == (0, 3, 336, 336)
    assert internvideo_pixels(np.zeros((0, 4, 4, 3), dtype=np.uint8)).shape == (0, 3, 224, 224)
    assert crops_by_box([], []).shape == (0, 3, 336, 336)


@pytest.mark.parametrize(
    "frame",
    [
        np.zeros((4, 4, 3), dtype=np.float32),
        np.zeros((4, 4), dtype=np.uint8),
        np.zeros((4, 4, 4), dtype=np.uint8),
        np.zeros((0, 4, 3), dtype=np.uint8),
    ],
)
def test_refuses_what_is_no_frame(frame: np.ndarray) -> None:
    for prepare in (lambda f: clip_pixels([f]), lambda f: internvideo_pixels([f]), sam_pixels):
        with pytest.raises(ValueError, match=r"frame: expected \(H, W, 3\) uint8"):
            prepare(frame)


def test_frames_of_one_colour_stay_so() -> None:
    grey = np.full((30, 50, 3), 128, dtype=np.uint8)
    clip = clip_pixels([grey, grey], 24)
    assert clip.shape == (2, 3, 24, 24)
    torch.testing.assert_close(clip[1, :, 5, 7], (128 / 255 - CLIP_MEAN) / CLIP_STD)
    sam = sam_pixels(grey, 64)
    expected = (128 - torch.tensor([123.675, 116.28, 103.53])) / torch.tensor(
        [58.395, 57.12, 57.375]
    )
    torch.testing.assert_close(sam[:, 63, 0], expected)
    video = internvideo_pixels([grey], 16)
    # SAM2's normalisation is ImageNet's in grey levels.
    torch.testing.assert_close(video[0, :, 0, 15], expected, atol=1e-5, rtol=0)


def test_clip_sees_the_middle_square_and_the_others_the_whole() -> None:
    frame = np.zeros((40, 120, 3), dtype=np.uint8)
    frame[:, :40] = 255  # the left third
    assert clip_pixels([frame], 40).unique().numel() == 3  # black, in three channels
    assert to_frame(sam_pixels(frame, 60))[:, :19].min() == 255
    assert internvideo_pixels([frame], 60)[0, 0, :, :19].min() > 2


@pytest.mark.parametrize("size_hw", [(1, 1), (1, 400), (400, 1), (7, 5), (64, 64)])
def test_odd_sizes(size_hw: tuple[int, int]) -> None:
    frame = noise(*size_hw)
    assert clip_pixels([frame], 8).shape == (1, 3, 8, 8)
    assert internvideo_pixels([frame], 8).shape == (1, 3, 8, 8)
    pixels = sam_pixels(frame, 64)
    assert pixels.shape == (3, 64, 64) and pixels.isfinite().all()


@pytest.mark.parametrize("side", [0, 1])
def test_clip_scales_only_the_middle_of_a_strip(side: int) -> None:
    strip = noise(2, 1000) if side else noise(1000, 2)
    middle = strip[:, 436:564] if side else strip[436:564]
    assert torch.equal(clip_pixels([strip], 24), clip_pixels([middle], 24))


def test_a_frame_of_the_networks_size_survives() -> None:
    frame = noise(64, 64)
    pixels = sam_pixels(frame, 64)
    assert (to_frame(pixels) == frame).all()
    assert (proposer_frame(pixels, 64) == frame).all()
    small = np.asarray(Image.fromarray(frame).resize((16, 16), Image.Resampling.BICUBIC))
    assert (proposer_frame(pixels, 16) == small).all()


def test_views_and_crops_are_read_like_copies() -> None:
    frame = noise(40, 60)[::-1, 5:50]
    assert torch.equal(internvideo_pixels([frame]), internvideo_pixels([frame.copy()]))
    assert torch.equal(sam_pixels(frame, 64), sam_pixels(frame.copy(), 64))
    assert torch.equal(clip_pixels([frame], 24), clip_pixels([frame.copy()], 24))


def test_crops_by_box_cover_every_touched_pixel() -> None:
    frames = [noise(30, 40, seed) for seed in range(4)]
    boxes = np.array(
        [
            [3.2, 4.9, 20.1, 18.0],
            [np.nan] * 4,  # not seen
            [-5.0, -5.0, 100.0, 100.0],  # sticks out
            [39.9, 29.9, 39.95, 29.95],  # one pixel
        ]
    )
    crops = crops_by_box(frames, boxes, 12)
    whole = [frames[0][4:18, 3:21], frames[2], frames[3][29:, 39:]]
    assert torch.equal(crops, clip_pixels(whole, 12))


def test_crops_by_box_of_a_box_beside_the_frame() -> None:
    crops = crops_by_box([noise(30, 40)], [np.array([60.0, 50.0, 70.0, 60.0])], 12)
    assert torch.equal(crops, clip_pixels([noise(30, 40)[29:, 39:]], 12))


@pytest.mark.parametrize("shape", [(0, 4, 6, 6), (2, 0, 6, 6), (2, 4, 6, 6)])
def test_crops_by_mask_without_a_mask_are_whole_frames(shape: tuple[int, ...]) -> None:
    context = torch.randn(3, 3, 12, 12, generator=torch.Generator().manual_seed(0))
    assert torch.equal(crops_by_mask(context, torch.zeros(shape)), context)


def test_crops_by_mask_stretch_the_first_object_and_keep_its_box_when_it_is_gone() -> None:
    context = torch.randn(3, 3, 12, 12, generator=torch.Generator().manual_seed(0))
    masks = torch.zeros(2, 3, 6, 6)
    masks[1, 0, 1:3, 2:5] = 1  # only the second object in the first frame
    masks[0, 1, 5, 5] = 1
    crops = crops_by_mask(context, masks)
    assert crops.shape == context.shape
    # Corners of a stretched crop are those of what was cut out.
    torch.testing.assert_close(crops[0, :, 0, 0], context[0, :, 2, 4])
    torch.testing.assert_close(crops[0, :, -1, -1], context[0, :, 5, 9])
    torch.testing.assert_close(crops[1, :, 0, 0], context[1, :, 10, 10])
    torch.testing.assert_close(crops[2, :, -1, -1], context[2, :, 11, 11])
    torch.testing.assert_close(crops[2, :, 0, 0], context[2, :, 10, 10])  # as in the frame before


def test_crops_by_mask_are_spread_over_the_frames() -> None:
    context = torch.arange(5.0).view(5, 1, 1, 1).expand(5, 3, 4, 4)
    crops = crops_by_mask(context, torch.zeros(1, 2, 4, 4), 3)
    assert crops[:, 0, 0, 0].tolist() == [0.0, 2.0, 4.0]
    assert crops_by_mask(context[:0], torch.zeros(1, 2, 4, 4)).shape == (0, 3, 4, 4)

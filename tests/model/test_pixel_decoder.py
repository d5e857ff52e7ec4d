"""How frames become the PixelDecoder's square."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from sparrow.model.pixel_decoder import PixelDecoder
from sparrow.model.preparing import sam_pixels
from tests.made_sam import CONFIG, SIDE


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_longest_prepares_as_released() -> None:
    decoder = PixelDecoder(CONFIG)
    frames = [noise(30, 50), noise(50, 20)]
    expected = torch.stack([sam_pixels(frame, SIDE) for frame in frames])
    assert torch.equal(decoder.prepare(frames), expected)


@pytest.mark.parametrize("resize", ["area", "longest"])
def test_squashing_first_changes_less_than_a_grey_level(resize: Any) -> None:
    decoder = PixelDecoder(replace(CONFIG, resize=resize))
    frame = noise(30, 50)
    squashed = decoder.squash(frame)
    assert squashed.shape == (SIDE, SIDE, 3) and squashed.dtype == np.uint8
    assert (decoder.squash(squashed) == squashed).all()
    apart = (decoder.prepare([squashed]) - decoder.prepare([frame])).abs().max()
    assert apart <= 0.51 / 255 / 0.224


def test_encodes_prepared_pixels_alike() -> None:
    decoder = PixelDecoder(CONFIG).eval()
    frame = noise(30, 50)
    with torch.inference_mode():
        ours = decoder.encode_pixels(decoder.prepare([frame])[0])
        theirs = decoder.encode(frame)
    for one, other in zip(ours.levels, theirs.levels, strict=True):
        assert torch.equal(one, other)


def test_refuses_an_unknown_resize() -> None:
    wrong: Any = "letterbox"
    with pytest.raises(ValueError, match='expected "area" or "longest", got \'letterbox\''):
        PixelDecoder(replace(CONFIG, resize=wrong))

"""InternVideo2's tower: shapes, what sees what, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from sparrow.model.internvideo import InternVideo2, InternVideoConfig

TINY = InternVideoConfig(width=16, depth=3, heads=2, feed_forward=24, image_size=28, frames=2)


def build(config: InternVideoConfig = TINY) -> InternVideo2:
    torch.manual_seed(0)
    tower = InternVideo2(config).eval()
    with torch.no_grad():  # the released start of 1e-5 would hide the blocks
        for name, value in tower.named_parameters():
            if name.endswith("gamma"):
                value.fill_(1.0)
    return tower


@torch.no_grad()
def test_gives_the_patches_of_all_frames_without_the_class_token() -> None:
    clips = torch.randn(3, 2, 3, 28, 28)
    tokens = build()(clips)
    assert tokens.shape == (3, 2 * 4, 16)
    torch.testing.assert_close(build()(clips[1:2])[0], tokens[1])  # clips do not see each other


@torch.no_grad()
def test_patches_are_read_frame_by_frame_and_row_by_row() -> None:
    tower = build()
    tower.pos_embed.zero_()
    clip = torch.zeros(1, 2, 3, 28, 28)
    clip[0, 1, :, :14, 14:] = 1.0  # second frame, first row, second column
    embedded = tower.patch_embed(clip)[0]
    changed = (embedded != embedded[0]).any(-1).nonzero().flatten().tolist()
    assert changed == [4 + 1]


@torch.no_grad()
def test_a_patch_sees_the_other_frames() -> None:
    clips = torch.randn(1, 2, 3, 28, 28).repeat(2, 1, 1, 1, 1)
    clips[1, 1] += 1.0
    first, second = build()(clips)[:, 0]
    assert (first - second).abs().max() > 1e-3


def test_the_last_block_is_not_built() -> None:
    assert len(build().blocks) == TINY.depth - 1


@torch.no_grad()
def test_a_single_image_has_positions_of_its_own() -> None:
    tower = build()
    image = torch.randn(1, 1, 3, 28, 28)
    before = tower(image)
    assert before.shape == (1, 4, 16)
    tower.pos_embed.zero_()
    torch.testing.assert_close(tower(image), before, atol=0, rtol=0)
    tower.img_pos_embed.zero_()
    assert (tower(image) - before).abs().max() > 1e-3


@pytest.mark.parametrize("shape", [(1, 3, 3, 28, 28), (1, 2, 3, 28, 42), (2, 3, 28, 28), (1, 0)])
def test_refuses_other_shapes(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"clips: expected \(B, 2, 3, 28, 28\), got"):
        build()(torch.zeros(shape))


def test_refuses_an_image_without_positions_for_it() -> None:
    with pytest.raises(ValueError, match="clips: expected"):
        build(replace(TINY, image_positions=False))(torch.zeros(1, 1, 3, 28, 28))


def test_builds_only_what_the_configuration_says() -> None:
    names = set(build(replace(TINY, image_positions=False, query_key_norm=False)).state_dict())
    assert not any("img_pos_embed" in name or "_norm" in name for name in names)
    assert "blocks.0.attn.qkv.bias" in build(replace(TINY, qkv_bias=True)).state_dict()


def test_the_released_size() -> None:
    with torch.device("meta"):
        tower = InternVideo2(InternVideoConfig())
    shapes = {name: tuple(value.shape) for name, value in tower.state_dict().items()}
    assert shapes["pos_embed"] == (1, 1025, 1408)
    assert shapes["img_pos_embed"] == (1, 257, 1408)
    assert shapes["patch_embed.proj.weight"] == (1408, 3, 1, 14, 14)
    assert shapes["blocks.38.attn.qkv.weight"] == (4224, 1408)
    assert shapes["blocks.38.mlp.fc1.weight"] == (6144, 1408)
    assert "blocks.39.norm1.weight" not in shapes

import numpy as np
import pytest

from sparrow.world.cutouts import sample_cutout_clip
from sparrow.world.picture import load_atlas


@pytest.fixture(scope="module")
def atlas():
    return load_atlas()


def clip(atlas, seed, **arguments):
    arguments = {"num_frames": 3, "size": 48, "max_objects": 4, "level": 0.5, **arguments}
    return sample_cutout_clip(np.random.default_rng(seed), atlas=atlas, **arguments)


@pytest.mark.parametrize("level", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("seed", range(8))
def test_shapes_and_masks(atlas, level, seed):
    frames, masks = clip(atlas, seed, level=level)
    assert frames.shape == (3, 48, 48, 3) and frames.dtype == np.uint8
    assert masks.shape[0] == 3 and 1 <= masks.shape[1] <= 4 and masks.dtype == bool
    assert masks.sum(1).max() == 1
    assert masks[0].any()


def test_one_frame_of_one_object(atlas):
    frames, masks = clip(atlas, 0, num_frames=1, max_objects=1, size=17)
    assert frames.shape == (1, 17, 17, 3)
    assert masks.shape == (1, 1, 17, 17)


def test_the_same_generator_gives_the_same_clip(atlas):
    first, again = clip(atlas, 3, level=1.0), clip(atlas, 3, level=1.0)
    assert np.array_equal(first[0], again[0])
    assert np.array_equal(first[1], again[1])


def test_higher_levels_have_more_and_smaller_things(atlas):
    def mean_of(level):
        masks = [clip(atlas, seed, level=level, num_frames=1)[1] for seed in range(40)]
        number = np.mean([m.shape[1] for m in masks])
        return number, np.mean([m[0].sum((1, 2)).mean() for m in masks])

    (few, large), (many, small) = mean_of(0.0), mean_of(1.0)
    assert few < many
    assert large > 1.5 * small


def test_things_move_and_their_masks_with_them(atlas):
    moved = 0
    for seed in range(12):
        _, masks = clip(atlas, seed, level=0.8, num_frames=4)
        moved += not np.array_equal(masks[0], masks[-1])
    assert moved >= 10

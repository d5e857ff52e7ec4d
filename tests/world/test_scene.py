import hashlib

import numpy as np
import pytest

from sparrow.errors import SparrowError
from sparrow.masks import box_of
from sparrow.world import motion
from sparrow.world.picture import load_atlas
from sparrow.world.scene import Scene

TINY = (24, 32)


@pytest.fixture(scope="module")
def atlas():
    return load_atlas()


def digest(scene):
    hashed = hashlib.sha256()
    for frame in (0, 13, 39):
        drawn = scene.render(frame, TINY)
        hashed.update(drawn.rgb.tobytes() + drawn.masks.tobytes())
    return hashed.hexdigest()


@pytest.mark.parametrize("difficulty", ["easy", "full"])
def test_a_seed_is_a_scene(atlas, difficulty):
    first = Scene.sample(11, difficulty=difficulty, atlas=atlas)
    again = Scene.sample(11, difficulty=difficulty, atlas=atlas)
    other = Scene.sample(12, difficulty=difficulty, atlas=atlas)
    assert first.things == again.things
    assert digest(first) == digest(again)
    assert digest(first) != digest(other)


def test_a_frame_does_not_depend_on_those_drawn_before(atlas):
    fresh = Scene.sample(5, difficulty="full", atlas=atlas).render(20, TINY)
    used = Scene.sample(5, difficulty="full", atlas=atlas)
    for frame in (39, 0, 7):
        used.render(frame, (48, 48))
    assert np.array_equal(used.render(20, TINY).rgb, fresh.rgb)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"seed": -1}, "seed"),
        ({"num_frames": 0}, "frame"),
        ({"size_hw": (8, 320)}, "sides"),
        ({"difficulty": "hard"}, "easy"),
    ],
)
def test_arguments_out_of_range_are_refused(atlas, arguments, message):
    with pytest.raises(SparrowError, match=message):
        Scene.sample(**{"seed": 1, "atlas": atlas, **arguments})


def test_one_frame_and_odd_sizes_can_be_drawn(atlas):
    scene = Scene.sample(3, atlas=atlas, num_frames=1, size_hw=(33, 47))
    drawn = scene.render(0)
    assert drawn.rgb.shape == (33, 47, 3)
    assert scene.render(0, (17, 9)).rgb.shape == (17, 9, 3)
    assert scene.survey().boxes.shape == (1, len(scene.things), 4)


@pytest.mark.parametrize("seed", range(12))
def test_masks_are_disjoint_and_boxes_are_theirs(atlas, seed):
    scene = Scene.sample(seed, difficulty="full", atlas=atlas)
    for frame in (0, 17.5, 39):
        drawn = scene.render(frame, (60, 80))
        assert drawn.masks.shape == (len(scene.things), 60, 80)
        assert drawn.masks.sum(0).max() <= 1
        for mask, box, share in zip(drawn.masks, drawn.boxes, drawn.visibility, strict=True):
            assert np.array_equal(box, box_of(mask), equal_nan=True)
            assert np.isnan(box).all() == (not mask.any()) == (share == 0)
            assert 0 <= share <= 1


def scenes_with(atlas, event, count=3):
    found = []
    for seed in range(400):
        scene = Scene.sample(seed, difficulty="full", atlas=atlas)
        found += [(scene, thing) for thing in scene.things if event(thing)]
        if len(found) >= count:
            return found[:count]
    raise AssertionError("400 seeds without such an event")


def test_a_thing_that_enters_is_absent_before_and_present_then(atlas):
    for scene, thing in scenes_with(atlas, lambda t: t.enters_at is not None):
        index = thing.id - 1
        assert np.isnan(scene.render(0).boxes[index]).all()
        assert scene.render(0).visibility[index] == 0
        seen = [scene.render(t, (60, 80)).masks[index].any() for t in range(thing.enters_at)]
        assert not any(seen)


def test_a_thing_that_leaves_is_absent_after(atlas):
    leaves = scenes_with(atlas, lambda t: t.leaves_at is not None and t.returns_at is None)
    for scene, thing in leaves:
        assert not scene.render(39, (60, 80)).masks[thing.id - 1].any()


def test_a_thing_that_returns_has_no_direction(atlas):
    for _, thing in scenes_with(atlas, lambda t: t.returns_at is not None):
        assert thing.motion == ""
        assert thing.leaves_at < thing.returns_at


@pytest.mark.parametrize("seed", range(20))
def test_easy_things_stay_in_view_and_move_as_their_word_says(atlas, seed):
    scene = Scene.sample(seed, atlas=atlas)
    for thing in scene.things:
        assert 0.24 <= thing.figure.length / 240 <= 0.51
        start, end = (np.array(thing.figure.path.position(t)) for t in (0, 39))
        way = end - start
        if thing.motion in motion.DIRECTIONS:
            along = way @ np.array(motion.DIRECTIONS[thing.motion])
            assert along > 40 and along > 2 * abs(
                way[::-1] @ np.abs(motion.DIRECTIONS[thing.motion])
            )
        elif thing.motion == "still":
            assert np.abs(way).max() < 1e-6


def test_most_easy_things_are_mostly_visible(atlas):
    seen = []
    for seed in range(30):
        seen.append(Scene.sample(seed, atlas=atlas).survey().visibility.mean(0).min())
    assert np.median(seen) > 0.85


def test_the_survey_agrees_with_what_is_drawn(atlas):
    for seed in range(6):
        scene = Scene.sample(seed, difficulty="full", atlas=atlas)
        survey = scene.survey()
        for frame in (0, 20, 39):
            drawn = scene.render(frame)
            assert np.abs(survey.visibility[frame] - drawn.visibility).max() < 0.25
            both = ~np.isnan(drawn.boxes[:, 0]) & ~np.isnan(survey.boxes[frame, :, 0])
            assert np.abs(survey.boxes[frame][both] - drawn.boxes[both]).max(initial=0) < 24
            assert survey.covered[frame].diagonal().max() == 0


def test_pictures_held_out_are_only_drawn_when_asked_for(atlas):
    def drawn(pictures):
        return {
            thing.picture_key
            for seed in range(60)
            for thing in Scene.sample(
                seed, difficulty="full", atlas=atlas, pictures=pictures
            ).things
            if thing.kind == "picture"
        }

    held_out = {picture.key for picture in atlas.select("held_out")}
    assert not drawn("train") & held_out
    assert drawn("held_out") <= held_out

import numpy as np
import pytest

from sparrow.world.facts import RETURNS, Facts
from sparrow.world.picture import load_atlas
from sparrow.world.scene import Scene, Survey
from tests.world.made_facts import during, facts, line, thing

CENTRE = (160, 120)


def alone(start=CENTRE, end=None, *, visible=None, side=60.0, **changes):
    one = thing(1, **changes)
    boxes = line(start, end or start, side)
    return facts((one, boxes), visible=None if visible is None else {1: visible}), one


@pytest.mark.parametrize(
    ("side", "share", "clear", "vague"),
    [
        (23.0, 1.0, 0, 1),  # too small to tell apart
        (24.0, 1.0, 1, 0),
        (60.0, 0.5, 1, 0),
        (60.0, 0.49, 0, 1),  # too much of it is hidden
        (60.0, 0.0, 0, 0),  # never there
    ],
)
def test_a_thing_is_clear_vague_or_not_there(side, share, clear, vague):
    known, _ = alone(side=side, visible=np.full(40, share))
    assert (len(known.clear), len(known.vague)) == (clear, vague)


def test_no_things_at_all():
    nothing = Survey(np.zeros((40, 0)), np.zeros((40, 0, 4)), np.zeros((40, 0, 0)))
    known = Facts([], nothing, (240, 320))
    assert (known.clear, known.vague, known.largest(), known.outermost("left")) == (
        (),
        (),
        None,
        None,
    )
    assert known.every(lambda _: True) == ()


@pytest.mark.parametrize(
    ("centre", "word"),
    [
        ((160, 120), "middle"),
        ((40, 120), "left"),
        ((280, 120), "right"),
        ((160, 40), "top"),
        ((160, 200), "bottom"),
        ((40, 40), "top left"),
        ((280, 200), "bottom right"),
        ((107, 120), None),  # on the border of two thirds
        ((160, 82), None),
    ],
)
def test_places_are_ninths_with_a_margin(centre, word):
    known, one = alone(centre)
    assert known.place(one) == word


@pytest.mark.parametrize(
    ("motion", "start", "end", "seen", "way"),
    [
        ("still", (160, 120), (160, 120), "still", None),
        ("still", (160, 120), (240, 120), None, None),  # drifts too far to be still
        ("left", (280, 120), (40, 120), "left", ("right", "left")),
        ("left", (160, 120), (150, 120), None, None),  # hardly moves
        ("left", (40, 120), (280, 120), None, None),  # goes the other way
        ("right", (40, 120), (160, 130), "right", ("left", "middle")),
        ("up", (160, 220), (160, 20), "up", ("bottom", "top")),
        ("down", (160, 90), (160, 150), "down", None),  # all within a third
        ("circle", (160, 120), (165, 120), "circle", None),
        ("", (160, 120), (40, 120), None, None),
    ],
)
def test_motion_must_be_seen(motion, start, end, seen, way):
    known, one = alone(start, end, motion=motion)
    assert known.motion(one) == seen
    assert known.way(one) == way


@pytest.mark.parametrize(
    ("spans", "word"),
    [
        ([(0, 39)], "whole"),
        ([(0, 19), (23, 39)], "whole"),  # a short gap
        ([(0, 0), (5, 39)], None),  # a glimpse does not count, and 5 is neither start nor later
        ([(0, 20)], "beginning"),
        ([(0, 34)], None),
        ([(20, 39)], "end"),
        ([(12, 25)], "middle"),
        ([(0, 10), (30, 39)], "ends"),
    ],
)
def test_when(spans, word):
    known, one = alone(visible=during(*spans))
    assert known.when(one) == word


def test_spans_join_short_gaps_and_drop_glimpses():
    known, one = alone(visible=during((2, 3), (10, 15), (19, 25)))
    assert known.spans(one) == [(10, 25)]


def test_relations_hold_by_a_margin_and_over_time():
    left, right, near, crossing = (thing(n, noun) for n, noun in enumerate("abcd", 1))
    known = facts(
        (left, line((60, 120), (60, 120))),
        (right, line((250, 120), (250, 120))),
        (near, line((75, 40), (75, 40))),
        (crossing, line((10, 200), (310, 200))),
    )
    assert known.is_to(left, "left", right) is True
    assert known.is_to(left, "right", right) is False
    assert known.is_to(left, "left", near) is None
    assert known.is_to(left, "above", right) is None
    assert known.is_to(near, "above", left) is True
    assert known.is_to(crossing, "left", right) is None
    assert known.is_to(crossing, "below", left) is True


def test_relations_need_frames_that_show_both():
    one, other = thing(1), thing(2, "cat")
    boxes = line((60, 120), (60, 120)), line((250, 120), (250, 120))
    known = facts(
        (one, boxes[0]), (other, boxes[1]), visible={1: during((0, 15)), 2: during((16, 39))}
    )
    assert known.is_to(one, "left", other) is None


def test_orders_by_place_and_size():
    a, b, c = thing(1, "a"), thing(2, "b"), thing(3, "c")
    known = facts(
        (a, line((260, 120), (260, 120), 90.0)),
        (b, line((60, 120), (60, 120), 60.0)),
        (c, line((160, 120), (160, 120), 30.0)),
    )
    assert known.ranked("left") == (b, c, a)
    assert known.ranked("right") == (a, c, b)
    assert known.ranked("above") is None
    assert known.outermost("left") is b
    assert known.left_to_right((a, b, c)) == (b, c, a)
    assert (known.largest(), known.smallest()) == (a, c)
    assert known.length(b) == pytest.approx(60.0)
    assert known.is_larger(b, c) is True and known.is_larger(c, b) is False


def test_things_of_about_one_size_are_not_compared():
    one, other = thing(1), thing(2, "cat")
    known = facts(
        (one, line((60, 120), (60, 120), 60.0)), (other, line((250, 120), (250, 120), 70.0))
    )
    assert known.largest() is None and known.is_larger(one, other) is None


def test_something_vague_leaves_orders_open():
    one, other, small = thing(1), thing(2, "cat"), thing(3, "dog")
    known = facts(
        (one, line((60, 120), (60, 120), 90.0)),
        (other, line((250, 120), (250, 120), 30.0)),
        (small, line((160, 120), (160, 120), 10.0)),
    )
    assert known.ranked("left") is None and known.largest() is None
    assert known.only(lambda t: t.noun == "fox") is one
    assert known.only(lambda t: t.noun == "dog") is None
    assert known.every(lambda t: t.group == "animal") is None


def test_entering_leaving_and_coming_back():
    enters = alone((40, 120), (280, 120), visible=during((12, 39)), motion="right", enters_at=12)
    leaves = alone((280, 120), (40, 120), visible=during((0, 25)), motion="left", leaves_at=26)
    times = {"motion": "", "leaves_at": 12, "returns_at": 26}
    back = alone(visible=during((0, 11), (26, 39)), **times)
    always = alone()
    for (known, one), events in (
        (enters, (True, False)),
        (leaves, (False, True)),
        (back, (False, False)),
        (always, (False, False)),
    ):
        assert (known.enters(one), known.leaves(one)) == events
    assert back[0].motion(back[1]) == RETURNS


def test_passing_behind_needs_before_and_after():
    front, back = thing(1), thing(2, "cat", motion="right")
    boxes = line(CENTRE, CENTRE, 90.0), line((20, 120), (300, 120), 40.0)
    dip = during((18, 22))
    known = facts((front, boxes[0]), (back, boxes[1]), visible={2: 1 - dip}, covered={(2, 1): dip})
    assert known.passes_behind(back, front) is True
    assert known.passes_behind(front, back) is False
    late = during((30, 39))
    known = facts(
        (front, boxes[0]), (back, boxes[1]), visible={2: 1 - late}, covered={(2, 1): late}
    )
    assert known.passes_behind(back, front) is False
    assert known.hides(back, front) is True


def test_facts_of_a_scene_agree_with_its_frames():
    scene = Scene.sample(5, difficulty="full", atlas=load_atlas())
    known = Facts.of(scene)
    assert {t.id for t in known.clear} <= {t.id for t in scene.things}
    for one in known.clear:
        frame = int(np.flatnonzero(known.seen(one))[0])
        assert scene.render(frame).masks[one.id - 1].any()
        x, y = known.centre(one)
        assert 0 <= x <= 1 and 0 <= y <= 1

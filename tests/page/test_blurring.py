"""Where a blurred thing may show: gaps of its track, frames nobody tracked, and those the tracker is unsure of."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import numpy as np
import pytest

from sparrow.looks import Look
from sparrow.page.blurring import MOST_PLACES, bare_frames, may_show
from sparrow.page.view import view
from sparrow.types import MaskTrack, TrackBuilder
from tests.page.conftest import Opened, square

CARD = {"name": "mini", "trained_on": "", "limits": "", "nouns": [], "learns": True}


def track(seen: Collection[int], unsure: Collection[int] = (), frames: int = 12) -> MaskTrack:
    builder = TrackBuilder(1, (20, 40), frames)
    for frame in seen:
        builder.put(frame, np.ones((20, 40), dtype=bool), 0.4 if frame in unsure else 0.9)
    return builder.build()


@pytest.mark.parametrize(
    ("seen", "unsure", "bare"),
    [
        ((), (), []),
        (range(12), (), []),
        (range(3, 9), (), []),  # it comes and goes
        ((3, 4, 8, 9), (), [5, 6, 7]),
        (range(12), (0, 11), [0, 11]),
        ((3, 8), (8,), [4, 5, 6, 7, 8]),
    ],
)
def test_where_a_thing_may_show(
    seen: Collection[int], unsure: tuple[int, ...], bare: list[int]
) -> None:
    complete = replace(track(seen, unsure), complete=True)
    assert bare_frames(complete).tolist() == bare
    assert bare_frames(complete, (5, 8)).tolist() == [f for f in bare if 5 <= f < 8]


def test_what_was_not_tracked_is_not_covered() -> None:
    stopped = replace(track(range(4, 8)), complete=False)
    assert bare_frames(stopped).tolist() == [0, 1, 2, 3, 8, 9, 10, 11]


def test_places_are_told_by_their_times(opened: Opened) -> None:
    frames = [frame for frame in range(30) if frame not in (4, 5, 6, 20)]
    told = may_show(square(opened.video, 1, frames), "the fox", opened.video, None)  # type: ignore[arg-type]
    assert told == {
        "name": "the fox",
        "frames": 4,
        "places": [{"frame": 4, "words": "0:00.4–0:00.6"}, {"frame": 20, "words": "0:02.0"}],
        "more": 0,
    }
    many = may_show(square(opened.video, 1, range(0, 30, 2)), "the fox", opened.video, None)
    assert many is not None
    assert (many["frames"], many["more"]) == (14, 14 - MOST_PLACES)


def test_it_is_told_of_what_is_blurred_alone(opened: Opened) -> None:
    opened.give(1, "the fox", range(0, 30, 2))
    opened.give(2, "the car", range(0, 30, 3))
    opened.session.hidden = {2}

    def told() -> object:
        shown = view(opened.session, opened.visit, CARD, model="mini").downloads
        return shown["blurs"], [one["name"] for one in shown["may_show"]]  # type: ignore[attr-defined]

    assert told() == (False, [])
    opened.session.look = Look("blur-object")
    assert told() == (True, ["the fox"])

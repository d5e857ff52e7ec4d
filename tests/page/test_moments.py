"""Times in words, and when a thing is seen: as links to the right moments."""

from __future__ import annotations

import html
import re

import pytest

from sparrow.page.moments import spans_html, spans_of, with_links
from sparrow.video import Video
from tests.page.conftest import square

LINK = re.compile(r'<a class="moment" href="#([^"]*)">([^<]*)</a>')


@pytest.mark.parametrize(
    ("text", "links"),
    [
        ("", []),
        ("It is red.", []),
        ("The 3 foxes.", []),
        ("At 2.5 seconds it leaves.", [("t=2.5", "2.5 seconds")]),
        ("at 2s, then 4 s", [("t=2", "2s"), ("t=4", "4 s")]),
        ("from 1 to 3.5 seconds", [("t=1", "1"), ("t=3.5", "3.5 seconds")]),
        ("between 1 and 2 seconds", [("t=1", "1"), ("t=2", "2 seconds")]),
        ("[0:03]-[0:07]", [("t=3", "0:03"), ("t=7", "0:07")]),
        ("at 0:02.25", [("t=2.25", "0:02.25")]),
        ("at 1:10", []),  # later than the video
        ("at 99 seconds", []),
        ("v1:02x 10:99 1:2:03", []),
        ("7 stones", []),
    ],
)
def test_times_within_the_video_become_links(text: str, links: list[tuple[str, str]]) -> None:
    made = with_links(text, 10.0)
    assert [(where, html.unescape(words)) for where, words in LINK.findall(made)] == links
    assert html.unescape(re.sub("<[^>]*>", "", made)) == text.strip()


def test_what_stands_around_stays_inert() -> None:
    made = with_links("<b> at 2 seconds <i>", 10.0)
    assert re.sub(LINK, "", made) == "&#60;b&#62; at  &#60;i&#62;"


@pytest.mark.parametrize(
    ("frames", "spans"),
    [
        ([], []),
        ([0], [(0, 0)]),
        ([29], [(29, 29)]),
        ([3, 4, 5], [(3, 5)]),
        ([0, 1, 3, 4], [(0, 4)]),  # a gap of a fifth of a second is bridged
        ([0, 1, 9, 10], [(0, 1), (9, 10)]),
    ],
)
def test_spans(plain_video: Video, frames: list[int], spans: list[tuple[int, int]]) -> None:
    whole = square(plain_video, 1)
    rles = tuple(r if i in frames else None for i, r in enumerate(whole.rles))
    track = type(whole)(1, whole.size_hw, rles, whole.boxes, whole.scores)
    assert spans_of(track, plain_video) == spans


def test_spans_are_said(plain_video: Video) -> None:
    assert spans_html(square(plain_video, 1), plain_video) == "the whole time"
    assert spans_html(square(plain_video, 1, range(5, 16)), plain_video) == (
        '<a class="moment" href="#f=5">0:00.5</a>–<a class="moment" href="#f=15">0:01.5</a>'
    )

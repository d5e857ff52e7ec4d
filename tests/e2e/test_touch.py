"""The page in the hand: one finger on a narrow screen."""

from __future__ import annotations

import pytest

from tests.e2e.conftest import Come

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]


def test_a_finger_draws_a_box_taps_and_scrolls(come: Come) -> None:
    visitor = come("?example=sloth", width=390)
    page = visitor.page
    marks = page.locator("#stage .prompts .prompt")

    # The box tool takes the finger's way for a box, downwards too; the page keeps still.
    page.tap("[data-tool=box]")
    visitor.touch(0.14, 0.34, to=(0.37, 0.66))
    page.wait_for_selector("#stage .apply:has-text('1 mark')")
    picture, box = page.locator("#stage canvas.picture").bounding_box(), marks.bounding_box()
    assert picture is not None and box is not None
    drawn = [
        (box["x"] - picture["x"]) / picture["width"],
        (box["y"] - picture["y"]) / picture["height"],
        box["width"] / picture["width"],
        box["height"] / picture["height"],
    ]
    assert drawn == pytest.approx([0.14, 0.34, 0.23, 0.32], abs=0.01)
    assert page.evaluate("scrollY") == 0

    # A tap points; a swipe over the picture scrolls, and points at nothing.
    page.tap("[data-tool='point+']")
    visitor.touch(0.3, 0.5)
    page.wait_for_selector("#stage .apply:has-text('2 marks')")
    page.evaluate("addEventListener('scrollend', () => (window.still = true), {once: true})")
    visitor.touch(0.5, 0.8, to=(0.5, 0.1))
    page.wait_for_function("window.still && scrollY > 50")
    assert marks.count() == 2

    page.tap("#stage .apply .primary")
    page.wait_for_selector("#stage .drawer:has-text('1')")
    visitor.rest()
    page.evaluate("scrollTo(0, 0)")  # the stage is folded above its objects
    page.tap("#stage .drawer")
    assert page.locator("#stage li.object.selected").count() == 1
    visitor.touch(0.95, 0.95)  # elsewhere, it plays
    page.wait_for_function("!document.querySelector('#stage video').paused")


STAGE_AND_TALK = """() => {
  const [stage, talk] = ["#stage", "#talk"].map((one) => document.querySelector(one).getBoundingClientRect());
  return [stage.top / innerHeight, stage.bottom / innerHeight, talk.top + scrollY];
}"""
ON_TOP = """(name) => {
  const { left, top, width, height } = document.querySelector(name).getBoundingClientRect();
  return document.elementFromPoint(left + width / 2, top + height / 2)?.closest(name) !== null;
}"""


def test_the_stage_stays_in_sight_while_the_talk_is_scrolled(come: Come) -> None:
    visitor = come("?example=sloth", width=390)
    page = visitor.page
    visitor.answers("Segment the magnet and the joystick.", 1)
    visitor.answers("What is it doing?", 2)
    talk_at = []
    for share in (0, 0.3, 0.6, 1):
        page.evaluate("s => scrollTo(0, s * document.documentElement.scrollHeight)", share)
        page.wait_for_function("scrollY > 100" if share else "scrollY === 0")
        page.wait_for_timeout(100)  # it folds when the window tells that it has scrolled
        top, bottom, talk = page.evaluate(STAGE_AND_TALK)
        talk_at.append(talk)
        if share:
            assert -0.01 < top < 0.01
    assert bottom <= 0.45
    assert max(talk_at) - min(talk_at) <= 1  # folding moves nothing
    for name in ("#send", "#question", "[data-tool=box]", "#stage .transport .play", "#delete"):
        assert page.evaluate(ON_TOP, name)
    page.focus("#stage .drawer")  # as the keyboard does: the fold opens
    page.wait_for_function(ON_TOP, arg="#stage .drawer")
    page.tap("#stage .drawer")
    page.set_viewport_size({"width": 390, "height": 600})  # too low for the whole stage
    page.locator("#stage li.object").last.tap()
    page.set_viewport_size({"width": 390, "height": 844})
    page.tap("#stage .drawer")
    page.evaluate("scrollTo(0, document.documentElement.scrollHeight)")
    page.wait_for_function("document.querySelector('#picture').classList.contains('folded')")
    page.tap("[data-tool=box]")
    visitor.touch(0.4, 0.6, to=(0.62, 0.95))
    page.wait_for_selector("#stage .apply:has-text('1 mark')")
    assert page.evaluate(ON_TOP, "#stage .apply .primary")
    page.tap("#stage .toolbar .wide")  # a panel is longer than the folded stage
    assert page.evaluate(ON_TOP, "#stage .looks input[type=checkbox]")

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
    visitor.touch(0.5, 0.8, to=(0.5, 0.1))
    page.wait_for_function("scrollY > 50")
    assert marks.count() == 2

    page.tap("#stage .apply .primary")
    page.wait_for_selector("#stage .drawer:has-text('1')")
    visitor.rest()
    page.tap("#stage .drawer")
    assert page.locator("#stage li.object.selected").count() == 1
    visitor.touch(0.95, 0.95)  # elsewhere, it plays
    page.wait_for_function("!document.querySelector('#stage video').paused")

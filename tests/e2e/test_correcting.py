"""Pointing and putting right: what is clicked is seen at once, asked about, tracked, corrected, and taken back."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Route

from sparrow.export.youtube_vis import read_masks_json
from sparrow.paths import ASSETS
from sparrow.types import MaskTrack
from tests.e2e.conftest import Come
from tests.e2e.visitor import Visitor

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

SIZE_HW = (240, 320)


def tracks(visitor: Visitor, folder: Path) -> dict[int, MaskTrack]:
    """Get what is marked, as a program would."""
    found = read_masks_json(visitor.download("youtube-vis", folder))
    return {track.referent_id: track for track in found}


def test_pointing_asking_correcting_undoing(come: Come, tmp_path: Path) -> None:
    visitor = come("?example=sloth")
    page = visitor.page

    # A click gives a mask at once and becomes a chip; the question is about it.
    visitor.go(20)
    visitor.point("box", 0.14, 0.35, to=(0.37, 0.65))
    assert "at 0:02.0" in page.inner_text("#chat .chip")
    page.get_by_role("button", name="What is this?").click()
    assert visitor.wait_for_answer(1).startswith("This is ")
    assert page.locator("#chat .message.user mark.ref-1").count() == 1
    assert page.locator("#chat .message.bot mark.ref-1").count() >= 1
    assert page.locator("#chat .chip:not(.offered)").count() == 0
    before = tracks(visitor, tmp_path)
    assert list(before) == [1]
    assert before[1].visible().all()

    # Put right on a frame in the middle, onwards: earlier frames stay.
    page.locator("#stage li.object .name").click()
    visitor.go(20)
    visitor.point("box", 0.13, 0.35, to=(0.37, 0.53))
    visitor.apply("forward")
    after = tracks(visitor, tmp_path)
    changed = [t for t in range(40) if before[1].rles[t] != after[1].rles[t]]
    assert 20 in changed
    assert min(changed) == 20
    assert len(changed) > 5
    visitor.go(20)
    assert np.array_equal(visitor.mask(1, SIZE_HW), after[1].mask(20))

    # Undo gives the same bytes back, redo too.
    page.keyboard.press("z")
    page.wait_for_selector("#stage [aria-label=Redo]:enabled")
    assert tracks(visitor, tmp_path)[1].rles == before[1].rles
    page.locator("#stage [aria-label=Redo]").click()
    page.wait_for_selector("#stage [aria-label=Redo]:disabled")
    assert tracks(visitor, tmp_path)[1].rles == after[1].rles


def test_a_negative_click_changes_its_frame_and_later_ones(come: Come, tmp_path: Path) -> None:
    visitor = come("?example=sloth")
    visitor.go(10)
    visitor.point("box", 0.1, 0.2, to=(0.8, 0.8))  # far too much
    visitor.apply()
    before = tracks(visitor, tmp_path)[1]
    visitor.go(20)
    rows, columns = visitor.mask(1, SIZE_HW).nonzero()
    x, y = float(columns.max() - 3) / 320, float(rows[columns.argmax()]) / 240
    visitor.point("point-", x, y)
    assert "1 mark" in visitor.page.inner_text("#stage .apply")  # the box before is applied
    visitor.apply("forward")
    after = tracks(visitor, tmp_path)[1]
    assert after.rles[:20] == before.rles[:20]
    assert after.rles[20] != before.rles[20]
    assert sum(a != b for a, b in zip(after.rles[21:], before.rles[21:], strict=True)) > 3
    assert not after.mask(20)[int(y * 240), int(x * 320)]


def test_objects_are_the_visitors(come: Come, tmp_path: Path) -> None:
    visitor = come("?example=sloth")
    page = visitor.page
    visitor.answers("Segment the magnet and the joystick.", 1)
    first, second = (page.locator(f"#stage li.object[data-id='{i}']") for i in (1, 2))
    first.get_by_role("button", name="Hide the magnet").click()
    second.locator(".name").dblclick()
    page.fill("#stage .rename", "my stick")
    page.keyboard.press("Enter")
    page.wait_for_selector("#chat .seen:has-text('my stick')")
    second.get_by_role("button", name="Colour of my stick").click()
    page.click("#stage [aria-label='Colour #009e73']")
    page.wait_for_selector("#chat .seen mark.ref-2[style*='#009e73']")
    written = json.loads(visitor.download("youtube-vis", tmp_path).read_text())
    assert [a["phrase"] for a in written["annotations"]] == ["my stick"]  # the other is hidden
    second.get_by_role("button", name="More about my stick").click()
    page.get_by_role("menuitem", name="Delete").click()
    page.get_by_role("menuitem", name="Delete it, for good").click()
    second.wait_for(state="detached")
    page.wait_for_selector("#stage [aria-label=Undo]:enabled")
    visitor.reload()
    visitor.rest()
    page.locator("#stage [aria-label=Undo]").click()
    second.wait_for()
    assert "my stick" in second.inner_text()


def test_what_comes_late_undoes_nothing(come: Come) -> None:
    visitor = come("?example=sloth")
    page = visitor.page
    visitor.point("box", 0.13, 0.35, to=(0.37, 0.53))
    visitor.apply()
    held: list[Route] = []
    stream = "**/queue/data*"
    page.route(stream, lambda route: held.append(route))
    name = page.locator("#stage li.object .name")
    with page.expect_request(stream):
        name.click()
    page.wait_for_timeout(1000)  # what it is about to bring is of now
    name.dblclick()
    page.fill("#stage .rename", "my toy")
    with page.expect_response(lambda answer: "my toy" in (answer.request.post_data or "")):
        page.keyboard.press("Enter")
    page.evaluate(
        """name => new MutationObserver(() => (window.fellBack ||= !name.innerText.includes("my toy")))
             .observe(name, { childList: true, subtree: true, characterData: true })""",
        name.element_handle(),
    )
    with page.expect_request("**/queue/join*"):  # it came; what followed it is asked for
        for late in held:
            late.continue_()
    page.unroute(stream)
    assert name.inner_text().endswith("my toy")
    assert not page.evaluate("window.fellBack")


def test_learning_is_offered_on_ones_own_video_and_can_be_stopped(visitor: Visitor) -> None:
    page = visitor.page

    def stop_while_it_learns() -> None:
        page.wait_for_selector("#status:has-text('Learning what it looks like')")
        page.keyboard.press("Escape")
        visitor.rest()
        assert "Learning was stopped: nothing was tracked" in visitor.status()

    visitor.upload(ASSETS / "examples" / "sloth.mp4")
    visitor.wait_for_video("sloth.mp4")
    visitor.point("box", 0.13, 0.35, to=(0.37, 0.53))
    page.get_by_role("button", name=re.compile("Learn it first · 30 s")).click()
    stop_while_it_learns()
    words, stage = (page.locator(name).bounding_box() for name in ("#status", "#stage"))
    assert words is not None
    assert stage is not None
    assert words["x"] >= stage["x"] + stage["width"]  # the tools are free
    assert page.locator("#stage li.object").count() == 0
    assert page.locator("#stage .prompts .prompt").count() == 1
    assert "1 mark" in page.inner_text("#stage .apply")

    visitor.apply()  # the same mark
    before = visitor.mask(1, SIZE_HW)
    assert before.any()
    page.locator("#stage li.object").get_by_role("button", name="More about object 1").click()
    page.get_by_role("menuitem", name=re.compile("Learn this object · 30 s")).click()
    stop_while_it_learns()
    assert np.array_equal(visitor.mask(1, SIZE_HW), before)

"""Many visitors: nobody sees another, a reload finds everything again, Stop stops, those who wait are told."""

from __future__ import annotations

import json
import re
import urllib.request
from pathlib import Path

import pytest
from playwright.sync_api import Request

from sparrow.paths import ASSETS
from tests.e2e.conftest import Come
from tests.e2e.visitor import Visitor
from tests.made_videos import Recipe, write

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

INSIDE = 3
"""Visitors whose work the model does by turns; a fourth one waits in line."""


@pytest.fixture(scope="module")
def long_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("long") / "long.mp4", Recipe(frames=900, fps=30))


def track_something(visitor: Visitor, clip: Path) -> None:
    """Open a clip and have something in it tracked."""
    visitor.upload(clip)
    visitor.wait_for_video(clip.name)
    visitor.point("box", 0.2, 0.2, to=(0.6, 0.7))
    visitor.page.click("#stage .apply .primary")


def reached(visitor: Visitor) -> int:
    found = re.search(r"Tracking (\d+) of 900", visitor.status())
    return int(found[1]) if found else 0


def test_stop_keeps_what_there_is_and_who_waits_is_told(come: Come, long_clip: Path) -> None:
    first, *others = [come() for _ in range(INSIDE)]
    for person in (first, *others):
        track_something(person, long_clip)
        person.page.wait_for_function(
            "/Tracking [1-9]/.test(document.querySelector('#status').innerText)"
        )
    late = come()
    track_something(late, long_clip)
    late.page.wait_for_selector("#status:has-text('You are 1st in line')")
    late.page.keyboard.press("Escape")  # it stops while it waits
    late.page.wait_for_selector("#status:has-text('nothing was tracked')")
    late.rest()

    first.page.click("#stop")
    first.page.wait_for_selector("#status:has-text('Stopped: the track is partial')")
    first.rest()
    assert "partial" in first.page.inner_text("#stage li.object")
    before = reached(others[0])
    others[0].page.wait_for_function(  # the others go on
        "n => Number(/Tracking (\\d+)/.exec(document.querySelector('#status').innerText)?.[1]) > n",
        arg=before,
    )
    for person in others:
        person.page.click("#stop")
        person.rest()


def test_stop_while_it_speaks(come: Come) -> None:
    visitor = come("?example=hedgehog")
    page = visitor.page
    visitor.ask("Segment everything.")
    page.wait_for_selector("#chat .message.working .step:has-text('Tracking')")
    page.click("#stop")
    words = visitor.wait_for_answer(1)
    assert "partial" in words
    assert "partial" in page.inner_text("#stage li.object >> nth=0")
    visitor.answers("How many things are there?", 2)  # and it goes on from there


def test_a_reload_finds_everything_again_even_what_goes_on(come: Come, long_clip: Path) -> None:
    visitor = come("?example=telephone")
    page = visitor.page
    visitor.answers("Segment the telephone.", 1)
    visitor.reload()
    page.wait_for_selector("#chat .message.bot mark.ref-1")
    page.wait_for_function("window.sparrowStage.drawnIds().join() === '1'")
    assert "telephone" in page.inner_text("#about")
    visitor.answers("What is it doing?", 2)  # the conversation goes on too
    assert page.locator("#chat .message.bot >> nth=1 >> mark.ref-1").count() >= 1

    track_something(visitor, long_clip)
    page.wait_for_selector("#status:has-text('Tracking')")
    visitor.reload()
    page.wait_for_function("/Tracking [1-9]/.test(document.querySelector('#status').innerText)")
    page.click("#stop")
    visitor.rest()
    page.wait_for_selector("#stage li.object:has-text('partial')")


def test_a_fourth_tab_can_upload_while_another_one_works(come: Come, long_clip: Path) -> None:
    visitor = come()
    page = visitor.page
    track_something(visitor, long_clip)
    for example in ("jellyfish", "hedgehog"):
        visitor.new_tab(f"?example={example}")
    page.wait_for_selector("#status:has-text('Tracking')")
    fourth = visitor.new_tab()
    fourth.wait_for_selector("#upload input[type=file]", state="attached")
    fourth.set_input_files("#upload input[type=file]", ASSETS / "examples" / "sloth.mp4")
    fourth.wait_for_selector("#about:has-text('sloth.mp4')")
    fourth.wait_for_selector("#send:enabled", state="visible")
    assert "Tracking" in visitor.status()  # it did not have to wait for that
    page.click("#stop")
    visitor.rest()


def test_masks_that_grow_take_one_connection(come: Come) -> None:
    visitor = come("?example=sloth")
    under_way: set[Request] = set()
    most = []

    def begin(request: Request) -> None:
        if "masks" in request.url:
            under_way.add(request)
            most.append(len(under_way))

    visitor.page.on("request", begin)
    for event in ("requestfinished", "requestfailed"):
        visitor.page.on(event, lambda request: under_way.discard(request))
    visitor.answers("Segment the magnet and the joystick.", 1)
    objects = visitor.page.locator("#stage li.object").count()
    assert objects > 1
    visitor.page.wait_for_function("n => window.sparrowStage.drawnIds().length === n", arg=objects)
    assert max(most) == 1


def test_nobody_sees_another_and_files_go_on_request(come: Come, home: Path) -> None:
    def folders() -> set[Path]:
        return set((home / "sessions").glob("session-*"))

    other = come("?example=jellyfish")
    before = folders()
    visitor = come("?example=sloth")
    visitor.answers("Segment the magnet.", 1)
    other.answers("Where is the pencil?", 1)
    assert "pencil" not in visitor.page.inner_text("#chat")
    assert "magnet" not in other.page.inner_text("#chat")
    assert "jellyfish" in other.page.inner_text("#about")
    mine = visitor.page.evaluate("localStorage.sparrow")
    assert mine != other.page.evaluate("localStorage.sparrow")
    assert any(mine in folder.name for folder in folders())

    # A second tab of the same browser is another visit.
    tab = visitor.new_tab()
    assert tab.locator("#chat .message").count() == 0
    tab.close()

    visitor.page.click("#delete")
    visitor.page.wait_for_selector("#status:has-text('deleted')")
    assert visitor.page.locator("#chat .message").count() == 0
    visitor.page.wait_for_selector("#chooser", state="visible")
    assert not any(mine in folder.name for folder in folders())
    assert before & folders()  # the other's are still there
    assert other.page.locator("#chat .message.bot").count() == 1
    other.answers("How many things are moving?", 2)


def test_only_what_is_meant_for_programs_is_public(address: str) -> None:
    with urllib.request.urlopen(f"{address}/gradio_api/info") as answer:
        info = json.load(answer)
    assert info["unnamed_endpoints"] == {}
    assert sorted(info["named_endpoints"]) == ["/ask_video", "/export", "/track"]

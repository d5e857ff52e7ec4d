"""The page as a person meets it: what it says, what it takes, how it looks; the real app with the model that ships."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page

from sparrow.page.examples import load_examples
from sparrow.page.opening import MAX_MEGABYTES
from tests.e2e.conftest import Come
from tests.e2e.visitor import Visitor
from tests.made_videos import Recipe, write

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

Clips = Callable[[str], Path]

NAMELESS = """[...document.querySelectorAll("button, input, textarea, select, a, summary")]
  .filter(e => e.offsetParent && !e.textContent.trim() && !e.title
      && !e.getAttribute("aria-label") && !e.labels?.length)
  .map(e => e.outerHTML.slice(0, 200))"""


def scrolls_sideways(page: Page) -> bool:
    width, inner = page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
    return bool(width > inner)


def test_the_page_says_what_it_is_before_anything_is_sent(visitor: Visitor) -> None:
    page = visitor.page
    card = page.inner_text("#card")
    assert "sparrow-mini" in card
    assert "synthetic" in card
    page.click("#card summary")
    page.wait_for_selector("#card li >> nth=50")
    chooser = page.inner_text("#chooser")
    assert "60 seconds" in chooser
    assert f"{MAX_MEGABYTES} MB" in chooser
    assert page.locator("#examples button").count() == len(load_examples())
    assert page.locator("#send").is_disabled()
    assert "deleted" in page.inner_text("#privacy")
    page.click("#help summary")
    assert "How it works" in page.inner_text("#help")
    page.keyboard.press("Escape")
    assert not page.locator("#help details > div").is_visible()
    assert not scrolls_sideways(page)


@pytest.mark.parametrize(("width", "dark"), [(390, False), (390, True), (1400, True)])
def test_narrow_and_dark(come: Come, width: int, dark: bool) -> None:
    person = come(width=width, dark=dark)
    page = person.page
    assert not scrolls_sideways(page)
    title, model, helps = (page.locator(f"#{i}").bounding_box() for i in ("title", "model", "help"))
    assert title and model and helps
    assert (
        helps["x"] >= title["x"] + title["width"]
    )  # beside the title, which has room for its words
    assert title["width"] > 250
    assert (model["y"] >= title["y"] + title["height"]) == (width < 900)
    page.locator("#examples button").nth(1).click()
    person.wait_for_video(load_examples()[1].title)
    assert page.locator(".suggestion").count() >= 3
    assert not scrolls_sideways(page)

    def brightness() -> int:
        background = page.evaluate("getComputedStyle(document.body).backgroundColor")
        return sum(int(number) for number in re.findall(r"\d+", background)[:3])

    assert (brightness() < 200) == dark
    page.click("#help .theme")
    assert (brightness() < 200) != dark
    assert page.evaluate(NAMELESS) == []


def test_files_of_all_kinds_are_played_frame_by_frame(visitor: Visitor, clip: Clips) -> None:
    page = visitor.page
    for name, size, facts in (
        ("plain.mp4", [96, 64], "96 × 64 · 30 frames · 10 fps · with sound"),
        ("rotated-270.mov", [64, 96], "64 × 96 · 30 frames · 10 fps · no sound"),
        ("vfr.mp4", [96, 64], "with sound"),
        ("webcam.webm", [96, 64], "30 frames"),
        ("mp4v.mp4", [96, 64], "30 frames · 10 fps · with sound"),
    ):
        visitor.upload(clip(name))
        visitor.wait_for_video(name)
        assert facts in page.inner_text("#about")
        page.wait_for_function(
            "([w, h]) => { const v = document.querySelector('#stage video');"
            " return v.videoWidth === w && v.videoHeight === h }",
            arg=size,
        )
        frames = int(re.findall(r"(\d+) frames", page.inner_text("#about"))[0])
        for frame in (0, frames // 2, frames - 1):
            visitor.go(frame)


def test_bad_files_are_explained_and_the_page_goes_on(
    visitor: Visitor, clip: Clips, tmp_path: Path
) -> None:
    text, huge, long = (tmp_path / f"{name}.mp4" for name in ("text", "huge", "long"))
    text.write_text("this is no video")
    shutil.copy(clip("huge.gif"), huge)
    write(long, Recipe(fps=1, frames=75))
    broken = tmp_path / "broken.sparrow"
    broken.write_bytes(b"PK\x05\x06")
    # No message holds the words awaited after it, so each is waited for.
    for path, words in (
        (text, "expected a video"),
        (clip("sound.mp4"), "moving pictures"),
        (clip("cut-no-index.mp4"), "cut off"),
        (clip("no-frames.mp4"), "only sound"),
        (huge, "limit max_pixels"),
        (long, "at most 60 s"),
        (broken, "expected a session file"),
    ):
        visitor.upload(path)
        visitor.page.wait_for_selector(f"#status .error:has-text('{words}')")
    with (large := tmp_path / "large.mp4").open("wb") as file:
        file.truncate((MAX_MEGABYTES + 1) * 2**20)
    visitor.upload(large)
    visitor.page.wait_for_selector("text=/maximum allowed size|too large|exceeds/i")
    hostile = tmp_path / "<img src=x onerror=hacked=1>.mp4"
    shutil.copy(clip("rotated.mp4"), hostile)
    visitor.upload(hostile)
    visitor.wait_for_video("onerror")
    assert "img src=x" in visitor.page.inner_text("#about")  # shown, not run
    assert visitor.page.evaluate("window.hacked") is None
    assert visitor.page.locator("#status .error").count() == 0

"""Talking with a video: words as they come, colours that are the masks', follow-ups, and second thoughts."""

from __future__ import annotations

import re

import pytest

from sparrow.types import colour_of
from tests.e2e.conftest import Come

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

WATCH_WORDS = """() => {
  window.lengths = [];
  window.steps = new Set();
  const note = () => {
    const last = [...document.querySelectorAll("#chat .message.bot")].pop();
    if (!last) return;
    window.lengths.push(last.querySelector(".body").innerText.length);
    window.steps.add(last.querySelector(".step")?.innerText.replace(/[0-9]+/g, "N"));
  };
  new MutationObserver(note).observe(document.querySelector("#chat"),
    {childList: true, subtree: true, characterData: true});
}"""
COLOUR_AT = """([x, y]) => {
  const canvas = document.querySelector("#stage canvas.picture");
  return [...canvas.getContext("2d").getImageData(x, y, 1, 1).data].slice(0, 3);
}"""
MARK = "#chat .message.bot >> nth={} >> mark.ref"


def rgb(colour: str) -> list[int]:
    return [int(colour[i : i + 2], 16) for i in (1, 3, 5)]


def test_a_conversation(come: Come) -> None:
    visitor = come("?example=police-car")
    page = visitor.page
    page.evaluate(WATCH_WORDS)
    page.get_by_role("button", name="Segment the police car.").click()
    assert "the police car" in visitor.wait_for_answer(1)
    assert len(set(page.evaluate("window.lengths"))) >= 3  # it came word by word
    steps = page.evaluate("[...window.steps]")
    assert "Tracking N of N" in steps  # and said what it was doing
    page.click("#chat .steps summary")
    assert re.search(r"Answering · \d+\.\d s", page.inner_text("#chat .steps ol"))

    # The words have the colour of the mask.
    mark = page.locator(MARK.format(0)).first
    assert mark.evaluate("m => getComputedStyle(m).backgroundColor") == "rgb({}, {}, {})".format(
        *rgb(colour_of(1))
    )
    page.click("#stage .toolbar .wide")
    page.locator("#stage input[type=range]").fill("1")
    page.keyboard.press("Escape")
    visitor.go(20)
    mask = visitor.mask(1, (240, 320))
    rows, columns = mask.nonzero()
    inner = int(abs(rows - rows.mean()).argmin())
    page.wait_for_function(
        f"c => ({COLOUR_AT})({[int(columns[inner]), int(rows[inner])]}).join() === c.join()",
        arg=rgb(colour_of(1)),
    )

    # A phrase and a time lead into the video.
    mark.click()
    page.wait_for_selector("#stage li.object.selected")
    page.evaluate(
        """() => { const link = document.createElement("a"); link.href = "#t=3.0";
        link.className = "moment"; document.querySelector("#chat .body").append(link);
        link.click(); }"""
    )
    page.wait_for_function(
        "Math.abs(document.querySelector('#stage video').currentTime - 3) <= 0.1"
    )

    # The same thing keeps its id and colour in the next answer.
    visitor.answers("What is it doing?", 2)
    assert page.locator(MARK.format(1)).first.get_attribute("class") == "ref ref-1"
    assert page.locator("#stage li.object").count() == 1


def test_second_thoughts(come: Come) -> None:
    visitor = come("?example=police-car")
    page = visitor.page
    visitor.answers("Segment the police car.", 1)
    visitor.answers("Segment the shrimp.", 2)
    assert page.locator("#stage li.object").count() == 2

    last = page.locator("#chat .message.bot").last
    last.get_by_role("button", name="Retry").click()
    page.wait_for_selector("#chat .message.working")
    assert "the shrimp" in visitor.wait_for_answer(2)
    assert page.locator(MARK.format(1)).first.get_attribute("class") == "ref ref-2"
    assert page.locator("#stage li.object").count() == 2

    # In other words, what only the old answer spoke of goes.
    page.locator("#chat .message.user").last.get_by_role("button", name="Edit").click()
    page.fill("#chat .editor textarea", "Where is the police car?")
    page.keyboard.press("Enter")
    page.wait_for_selector("#chat .message.user:has-text('Where is')")
    assert "the police car" in visitor.wait_for_answer(2).lower()
    assert page.locator(MARK.format(1)).first.get_attribute("class") == "ref ref-1"
    page.wait_for_function("document.querySelectorAll('#stage li.object').length === 1")

    last.get_by_role("button", name="Undo").click()
    page.wait_for_function("document.querySelectorAll('#chat .message.bot').length === 1")
    assert page.input_value("#question textarea") == "Where is the police car?"
    visitor.answers("What is it doing?", 2)  # "it" is the police car again
    assert page.locator(MARK.format(1)).first.get_attribute("class") == "ref ref-1"


def test_what_is_not_there_is_refused_politely(come: Come) -> None:
    visitor = come("?example=police-car")
    refusal = visitor.answers("Segment the zebra.", 1)
    assert re.search(r"\b(no|not|none)\b", refusal)
    assert visitor.page.locator(MARK.format(0)).count() == 0
    assert visitor.page.locator("#stage li.object").count() == 0


def test_text_stays_text(come: Come) -> None:
    visitor = come("?example=jellyfish")
    page = visitor.page
    hostile = "<img src=x onerror='window.hacked = 1'> **Where** is the ${window.hacked=1} pencil?"
    visitor.answers(hostile, 1)
    assert hostile in page.inner_text("#chat .message.user")  # shown, not run
    page.locator("#stage li.object .name").first.dblclick()
    page.fill("#stage .rename", "<b onclick=hacked=1>pen</b>")
    page.keyboard.press("Enter")
    page.wait_for_selector("#chat .seen:has-text('<b onclick=hacked=1>pen</b>')")
    page.get_by_role("button", name="Copy all").click()
    page.wait_for_function("document.querySelector('#chat .said').textContent.includes('copied')")
    visitor.reload()
    page.wait_for_selector("#chat .message.user")
    assert hostile in page.inner_text("#chat .message.user")
    assert "<b onclick=hacked=1>pen</b>" in page.inner_text("#stage li.object")
    assert page.evaluate("window.hacked") is None

"""The page as a person meets it: a real browser, the real app in its own process, the model that ships."""

from __future__ import annotations

import json
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import av
import pytest
from gradio_client import Client, handle_file
from playwright.sync_api import Browser, Page

from sparrow.page.examples import load_examples
from sparrow.page.opening import MAX_MEGABYTES
from sparrow.types import colour_of
from sparrow.video import load_video
from tests.e2e.visitor import Visitor
from tests.made_videos import Recipe, write

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

Clips = Callable[[str], Path]

WATCH_WORDS = """() => {
  window.lengths = [];
  const note = () => {
    const answers = document.querySelectorAll("#chat .bot.message");
    if (answers.length) window.lengths.push(answers[answers.length - 1].innerText.length);
  };
  new MutationObserver(note).observe(document.querySelector("#chat"),
    {childList: true, subtree: true, characterData: true});
}"""


def rgb(colour: str) -> str:
    """Write "#rrggbb" as a browser does."""
    return "rgb({}, {}, {})".format(*(int(colour[i : i + 2], 16) for i in (1, 3, 5)))


def scrolls_sideways(page: Page) -> bool:
    width, inner = page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
    return bool(width > inner)


def stream_of(path: Path) -> dict[str, object]:
    """Probe a video file."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        return {
            "codec": stream.codec_context.name,
            "pixels": stream.codec_context.pix_fmt,
            "rate": stream.average_rate,
            "frames": sum(1 for _ in container.decode(video=0)),
            "sound": [s.codec_context.name for s in container.streams.audio],
        }


def test_the_page_says_what_it_is_before_anything_is_sent(visitor: Visitor) -> None:
    page = visitor.page
    assert "sparrow-mini" in page.inner_text("#header")
    assert "synthetic" in page.inner_text("#header")
    assert "60 seconds" in page.inner_text("#chooser")
    assert "200 MB" in page.inner_text("#chooser")
    assert page.locator("#examples button").count() == len(load_examples()) >= 4
    page.click("#nouns button")
    page.wait_for_selector("#nouns li >> nth=50")
    assert page.locator("#send").is_disabled()
    assert not scrolls_sideways(page)


def test_a_conversation_with_coloured_words_a_playing_video_and_downloads(
    visitor: Visitor, tmp_path: Path
) -> None:
    page, example = visitor.page, load_examples()[0]
    visitor.open_example(0)
    page.evaluate(WATCH_WORDS)
    question = next(q for q in example.questions if q.startswith("Segment the "))
    thing = question.removeprefix("Segment the ").rstrip(".")
    page.get_by_role("button", name=question).click()
    answer = visitor.wait_for_answer(1)
    assert thing in answer
    assert page.locator("#chat .steps").count() == 1
    assert len(set(page.evaluate("window.lengths"))) >= 3  # it came word by word

    mark = page.locator("#chat mark.ref").first
    assert thing in mark.inner_text()
    assert mark.evaluate("m => getComputedStyle(m).backgroundColor") == rgb(colour_of(1))
    assert page.locator("#objects li").count() == 1
    page.wait_for_function(
        "document.querySelector('#stage video').currentSrc.includes('annotated.mp4')"
    )
    page.wait_for_function("document.querySelector('#stage video').videoWidth === 320")
    before = page.evaluate("document.querySelector('#stage video').currentTime")
    page.wait_for_function(
        "t => document.querySelector('#stage video').currentTime !== t", arg=before
    )

    with page.expect_download() as download:
        page.click("#get-annotated")
    assert download.value.suggested_filename == "annotated.mp4"
    download.value.save_as(tmp_path / "annotated.mp4")
    given, made = stream_of(example.path), stream_of(tmp_path / "annotated.mp4")
    assert (made["codec"], made["pixels"]) == ("h264", "yuv420p")
    assert (made["frames"], made["rate"]) == (given["frames"], given["rate"])
    assert made["sound"] == given["sound"] == ["aac"]
    with page.expect_download() as download:
        page.click("#get-masks")
    masks = json.loads(download.value.path().read_text())
    assert masks["videos"][0]["length"] == given["frames"]
    assert [a["phrase"] for a in masks["annotations"]] == [f"the {thing}"]

    visitor.ask("What is it doing?")
    visitor.wait_for_answer(2)
    again = page.locator("#chat .bot.message").nth(1).locator("mark.ref").first
    assert again.evaluate("m => getComputedStyle(m).backgroundColor") == rgb(colour_of(1))


def test_what_is_not_there_is_refused_politely(visitor: Visitor) -> None:
    visitor.open_example(0)
    visitor.ask("Segment the zebra.")
    refusal = visitor.wait_for_answer(1)
    assert re.search(r"\b(no|not|cannot|don't|none)\b", refusal)
    assert visitor.page.locator("#chat mark").count() == 0
    assert visitor.page.locator("#objects li").count() == 0


def test_bad_files_are_explained_and_the_page_goes_on(
    visitor: Visitor, clip: Clips, tmp_path: Path
) -> None:
    text, huge, long = (tmp_path / f"{name}.mp4" for name in ("text", "huge", "long"))
    text.write_text("this is no video")
    shutil.copy(clip("huge.gif"), huge)
    write(long, Recipe(fps=1, frames=75))
    # No message holds the words awaited after it, so each is waited for.
    for path, words in (
        (text, "expected a video"),
        (clip("sound.mp4"), "moving pictures"),
        (clip("cut-no-index.mp4"), "cut off"),
        (clip("no-frames.mp4"), "only sound"),
        (huge, "limit max_pixels"),
        (long, "at most 60 s"),
    ):
        visitor.upload(path)
        visitor.page.wait_for_selector(f"#status .error:has-text('{words}')")
    with (large := tmp_path / "large.mp4").open("wb") as file:
        file.truncate((MAX_MEGABYTES + 1) * 2**20)
    visitor.upload(large)
    visitor.page.wait_for_selector("text=/maximum allowed size|too large|exceeds/i")
    visitor.upload(clip("rotated.mp4"))
    visitor.wait_for_video()
    assert "rotated.mp4" in visitor.page.inner_text("#about")
    assert visitor.page.locator("#status .error").count() == 0


def test_pointing_follows_what_was_clicked_and_asks_about_it(visitor: Visitor) -> None:
    page = visitor.page
    visitor.open_example(2)
    page.click("#pointer button")
    page.wait_for_selector("#still img")
    page.evaluate("document.querySelector('#stage video').pause()")
    page.evaluate("document.querySelector('#stage video').currentTime = 2.05")
    visitor.after_new_still(lambda: page.click("#moment"))
    assert page.input_value("#frame input[type=number]") == "20"
    box = page.locator("#still img").bounding_box()
    assert box is not None
    for share in (0.3, 0.7):
        place = {"x": box["width"] * share, "y": box["height"] * share}
        visitor.after_new_still(lambda p=place: page.locator("#still img").click(position=p))  # type: ignore[misc]
    page.click("#track")
    page.wait_for_selector("#attached mark.ref-1")
    page.wait_for_selector("#send:enabled")
    assert "object 1" in page.inner_text("#objects")
    page.get_by_role("button", name="What is this?").click()
    visitor.wait_for_answer(1)
    assert page.locator("#chat .user.message mark.ref-1").count() == 1
    assert page.locator("#attached mark").count() == 0


def test_stop_keeps_the_partial_track(visitor: Visitor, tmp_path: Path) -> None:
    page, path = visitor.page, tmp_path / "longer.mp4"
    write(path, Recipe(frames=500, audio="aac"))
    visitor.upload(path)
    visitor.wait_for_video()
    page.click("#pointer button")
    page.wait_for_selector("#still img")
    visitor.after_new_still(lambda: page.locator("#still img").click())
    page.click("#track")
    page.wait_for_selector("#status:has-text('Tracking')")
    page.click("#stop")
    page.wait_for_selector("#objects li:has-text('partial')")
    page.wait_for_selector("#send:enabled")
    assert "Stopped" in page.inner_text("#status")
    reached = re.search(r"in (\d+) of 500", page.inner_text("#objects"))
    assert reached is not None
    assert int(reached[1]) < 500
    page.wait_for_selector("#get-annotated")


def test_nobody_sees_another_and_files_go_with_their_owner(
    visitor: Visitor, browser: Browser, address: str, home: Path
) -> None:
    def folders() -> set[Path]:
        return set((home / "sessions").iterdir())

    other = Visitor(browser, address)
    mine_and_theirs = folders()
    visitor.open_example(1)
    visitor.ask("<img src=x onerror='window.hacked = 1'> **Where** is the pencil?")
    visitor.wait_for_answer(1)
    assert "<img src=x" in visitor.page.inner_text("#chat")  # shown, not run
    assert visitor.page.evaluate("window.hacked") is None
    assert other.page.locator("#chat .message").count() == 0
    assert other.page.locator("#stage video").count() == 0

    visitor.page.click("#delete")
    visitor.page.wait_for_selector("#status:has-text('deleted')")
    assert visitor.page.locator("#chat .message").count() == 0
    assert len(folders() & mine_and_theirs) == len(mine_and_theirs) - 1
    assert other.troubles == []
    before = folders()
    other.leave()
    deadline = time.monotonic() + 60
    while folders() == before and time.monotonic() < deadline:
        visitor.page.wait_for_timeout(200)
    assert len(folders()) == len(before) - 1


@pytest.mark.parametrize(("width", "dark"), [(390, False), (1400, True)])
def test_narrow_and_dark(browser: Browser, address: str, width: int, dark: bool) -> None:
    person = Visitor(browser, address, width=width, dark=dark)
    person.open_example(2)
    person.page.click("#pointer button")
    person.page.wait_for_selector("#still img")
    assert not scrolls_sideways(person.page)
    background = person.page.evaluate("getComputedStyle(document.body).backgroundColor")
    red, green, blue = (int(number) for number in re.findall(r"\d+", background)[:3])
    assert (red + green + blue < 200) == dark
    nameless = person.page.evaluate(
        """[...document.querySelectorAll("button, input, textarea, select, a")]
        .filter(e => e.offsetParent && !(e.innerText || "").trim() && !e.title
            && !e.getAttribute("aria-label") && !e.labels?.length)
        .map(e => e.outerHTML.slice(0, 200))"""
    )
    assert nameless == []
    person.leave()
    assert person.troubles == []


def test_the_public_endpoint(address: str) -> None:
    example = load_examples()[0]
    question = next(q for q in example.questions if q.startswith("Segment the "))
    client = Client(address, verbose=False)
    assert list(client.view_api(return_format="dict")["named_endpoints"]) == ["/ask_video"]
    answer, annotated, masks = client.predict(
        handle_file(str(example.path)), question, api_name="/ask_video"
    )
    assert question.removeprefix("Segment the ").rstrip(".") in answer
    assert load_video(annotated).num_frames == load_video(example.path).num_frames
    assert len(json.loads(Path(masks).read_text())["annotations"]) == 1

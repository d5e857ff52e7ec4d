"""The transcript: readable Markdown of all that was said, in which nobody's words become markup."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from markdown_it import MarkdownIt

from sparrow.sessions.record import Exchange, Record
from sparrow.sessions.session import Session
from sparrow.sessions.transcript import clock, escaped, transcript, write_transcript
from sparrow.types import GroundedAnswer, History, MaskTrack, Referent, colour_of


def html(markdown: str) -> str:
    """Render as most viewers do: HTML passes, bare links become links."""
    return str(MarkdownIt("gfm-like", {"html": True, "linkify": False}).render(markdown))


def test_it_tells_everything(full: Session) -> None:
    text = transcript(full)
    assert text.startswith('# My "clip" &lt;1&gt;.mp4\n')
    for words in (
        "- Video: 0:03.0, 96 x 64, 30 frames at 10 a second\n",
        "- Note: its sound was &lt;odd&gt;\n",
        "- Model: sparrow-mini\n",
        "**You:** what moves? *(pointed at the fox \\[1\\] at 0:00.1 (frame 1), 3.25 4.1 px)*\n",
        "**Sparrow:** **the fox** \\[1\\] moves\n",
        "*Looked at 0:00.0 (frame 0), 0:00.7 (frame 7), 0:02.9 (frame 29).*\n",
        "**You:** and this one? 🦊 *(pointed at Rex \\[2\\]",
        "**You:** why?\n\n**Sparrow:** Because *This question could not be answered.*\n",
        "**You:** how?\n\n**Sparrow:** It was *Stopped: this answer is partial.*\n",
        "- \\[1\\] the fox: seen 0:00.0 (frame 0) to 0:00.5 (frame 5), 0:00.7 (frame 7) to",
        "; 26 of 30 frames\n",
        "- \\[2\\] Rex: seen",
        "- drew a box around Rex \\[2\\] at 0:00.3 (frame 3), 1 2 30.5 40 px\n",
        "- marked the fox \\[1\\] at 0:00.0 (frame 0)\n",
    ):
        assert words in text
    assert text.endswith("\n")
    assert not text.endswith("\n\n")


def test_an_empty_conversation_has_a_title() -> None:
    assert transcript(Record()) == "# A conversation\n"


def test_overlapping_phrases_are_marked_once() -> None:
    words = "the fox on the hill runs"
    spoken = (
        Referent(2, "the hill", (11, 19), colour_of(2)),
        Referent(1, "the fox on the hill", (0, 19), colour_of(1)),
        Referent(3, "", (3, 3), colour_of(3)),
    )
    answer = GroundedAnswer(words, spoken)
    record = Record(exchanges=[Exchange("?", text=words, answer=answer, state="done")])
    assert "**Sparrow:** **the fox on the hill** \\[1\\] runs\n" in transcript(record)


def test_things_seen_too_often_are_summed_up(full: Session) -> None:
    assert full.video is not None
    frames = [np.full(full.video.size_hw, i % 2 == 0) for i in range(30)]
    flicker = MaskTrack.from_masks(1, frames, [1.0] * 30)
    never = MaskTrack.from_masks(2, [np.zeros(full.video.size_hw, dtype=bool)] * 30, [0.0] * 30)
    full.history = History((), {1: "a lamp", 2: "a ghost"}, {1: flicker, 2: never}, 3)
    text = transcript(full)
    assert "a lamp" in text
    assert "and 7 more times; 15 of 30 frames" in text
    assert "Rex: never seen" in text


HOSTILE = [
    "<img src=x onerror=alert(1)>",
    "<script>alert(1)</script>",
    "[link](javascript:alert(1))",
    "![image](http://tracker.example/x.png)",
    "https://example.com and www.example.com and a@example.com",
    "# heading",
    "> quote",
    "- item",
    "+ item",
    "* item",
    "1. item",
    "12) item",
    "---",
    "===",
    "```\ncode\n```",
    "~~~\ncode",
    "    indented code",
    "`code`",
    "*emphasis* **strong** _under_ ~~gone~~",
    "| a | b |\n|---|---|\n| 1 | 2 |",
    "&lt;b&gt; &copy; &#60;",
    "a\\\nb\\",
    "[ref]: http://example.com",
    "a  \nb",
    "one\n\n\ntwo",
    "<!-- comment",
    "$x^2$",
    "\u202egnp.exe",
    "a\x1b[31mred\x00",
    "\ud800 half",
]


@pytest.mark.parametrize("words", HOSTILE)
def test_words_show_literally(words: str) -> None:
    rendered = html(f"**You:** {escaped(words)}")
    body = re.fullmatch(r"<p><strong>You:</strong> ?(.*)</p>\n", rendered, re.DOTALL)
    assert body is not None, rendered
    assert re.findall(r"<[^>]*>", body[1].replace("<br />", "").replace("<br>", "")) == []
    shown = re.sub(r"<br ?/?>", "", body[1])
    for entity, character in (("&lt;", "<"), ("&gt;", ">"), ("&quot;", '"'), ("&amp;", "&")):
        shown = shown.replace(entity, character)
    unseen = "\u202e\x1b\x00\ud800"
    assert shown.split() == words.translate({ord(c): None for c in unseen}).split()


@pytest.mark.parametrize("words", HOSTILE)
def test_a_title_stays_a_title(words: str) -> None:
    rendered = html(transcript(Record(title=words)))
    assert re.fullmatch(r"<h1>[^<]*</h1>\n", rendered), rendered


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0:00.0"), (0.04, "0:00.0"), (59.96, "1:00.0"), (65.25, "1:05.2"), (3600, "60:00.0")],
)
def test_clock(seconds: float, text: str) -> None:
    assert clock(seconds) == text


def test_the_file_is_there_only_when_whole(full: Session, tmp_path: Path) -> None:
    path = write_transcript(tmp_path / "chat.md", full)
    assert path.read_text(encoding="utf-8") == transcript(full)
    with pytest.raises(OSError):
        write_transcript(tmp_path / "none" / "chat.md", full)
    assert [p.name for p in tmp_path.iterdir() if p.suffix in (".md", ".part")] == ["chat.md"]

"""Blurring for privacy: before the download, the page says in words where the thing may show all the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sparrow.page.examples import load_examples
from sparrow.page.opening import open_example
from sparrow.page.visit import Visit
from sparrow.sessions.session_file import write_session_file
from sparrow.sessions.sessions import Sessions
from sparrow.types import TrackBuilder
from tests.e2e.conftest import Come

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """A session whose one object is lost in frames 10 to 14, and unsure in frame 30."""
    sessions = Sessions(tmp_path / "sessions")
    session = sessions.open()
    list(open_example(session, Visit(), load_examples()[0]))
    assert session.video is not None
    track = TrackBuilder(1, session.video.size_hw, session.video.num_frames)
    mask = np.zeros(session.video.size_hw, dtype=bool)
    mask[100:140, 100:160] = True
    for frame in range(session.video.num_frames):
        if not 10 <= frame < 15:
            track.put(frame, mask, 0.3 if frame == 30 else 0.9)
    session.history = session.history.with_track(track.build(), "<b>my face</b>")
    write_session_file(tmp_path / "face.sparrow", session)
    sessions.close()
    return tmp_path / "face.sparrow"


def test_it_is_said_where_a_blurred_thing_may_show(come: Come, saved: Path) -> None:
    visitor = come()
    page = visitor.page
    visitor.upload(saved)
    page.wait_for_selector("#stage li.object")
    visitor.rest()
    caution = page.locator("#downloads .caution")
    assert not caution.is_visible()
    page.click("#stage .toolbar .wide")
    page.check("#stage input[value=blur-object]")
    page.keyboard.press("Escape")
    caution.wait_for()
    words = caution.inner_text()
    assert "<b>my face</b> may show in 6 frames: 0:01.0–0:01.4, 0:03.0." in words
    caution.get_by_role("link", name="0:01.0").click()
    page.wait_for_function("window.sparrowStage.frame() === 10")

    # It is about what is downloaded: trimmed to frames where the thing is covered, the rest does not matter.
    page.locator("#stage .screen").focus()
    visitor.go(16)
    page.keyboard.press("i")
    visitor.go(25)
    page.keyboard.press("o")
    page.wait_for_selector("#downloads .caution:not(:has-text('may show'))")
    assert "Watch the whole video before you share it." in caution.inner_text()

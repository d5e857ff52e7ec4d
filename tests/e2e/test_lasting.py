"""What lasts and what does not: a restart of the server, another model, files of who has gone."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from sparrow.paths import ASSETS
from sparrow.sessions.sessions import Sessions
from tests.e2e.conftest import App, Come
from tests.e2e.visitor import Visitor

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

SERVER_GONE = ("ERR_CONNECTION_REFUSED", "ERR_INCOMPLETE_CHUNKED_ENCODING", "ERR_CONNECTION_RESET")


def test_a_restart_of_the_server_loses_nothing(browser: Browser, app: App) -> None:
    visitor = Visitor(browser, app.address, "?example=telephone")
    page = visitor.page
    visitor.answers("Segment the telephone.", 1)
    app.stop()
    app.start()
    visitor.reload()
    page.wait_for_selector("#chat .message.bot mark.ref-1")
    page.wait_for_function("window.sparrowStage.drawnIds().join() === '1'")
    visitor.answers("What is it doing?", 2)
    assert page.locator("#chat .message.bot >> nth=1 >> mark.ref-1").count() >= 1
    visitor.leave()
    told = [one for one in visitor.troubles if not any(words in one for words in SERVER_GONE)]
    assert told == []


def test_another_model_answers(come: Come, tmp_path: Path) -> None:
    folder = shutil.copytree(ASSETS / "sparrow-mini", tmp_path / "my-model")
    visitor = come("?example=telephone")
    page = visitor.page
    visitor.answers("Segment the telephone.", 1)
    page.fill("#model input", str(folder))
    page.press("#model input", "Enter")
    page.wait_for_selector("#status:has-text('Answers come from')")
    visitor.rest()
    assert page.input_value("#model input").startswith(str(folder))
    visitor.answers("What is it doing?", 2)  # and it knows what was said before
    assert page.locator("#chat .message.bot >> nth=1 >> mark.ref-1").count() >= 1

    page.fill("#model input", str(tmp_path / "no-model"))
    page.press("#model input", "Enter")
    page.wait_for_selector("#status .error:has-text('no-model')")
    page.wait_for_function(
        "f => document.querySelector('#model input').value.startsWith(f)", arg=str(folder)
    )


def test_files_go_some_time_after_the_page_was_closed(
    come: Come, home: Path, tmp_path: Path
) -> None:
    mine = tmp_path / "private holiday.mp4"
    shutil.copy(ASSETS / "examples" / "sloth.mp4", mine)
    size = mine.stat().st_size
    visitor, other = come(), come("?example=jellyfish")
    visitor.upload(mine)
    visitor.wait_for_video(mine.name)
    folders = [
        home / "sessions" / f"session-{one.page.evaluate('sessionStorage.sparrow')}"
        for one in (visitor, other)
    ]
    assert all(list(folder.rglob("*.mp4")) for folder in folders)
    visitor.page.close()
    deadline = time.monotonic() + 20
    while not (folders[0] / "left").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    seconds = Sessions(tmp_path / "sessions").grace_seconds + 60
    for path in (folders[0] / "claim", folders[0] / "left", folders[0]):  # so long ago
        os.utime(path, (time.time() - seconds, time.time() - seconds))
    come()  # whoever comes has the server look what is over
    assert [folder.exists() for folder in folders] == [False, True]
    assert not [f for f in (home / "gradio").rglob("*") if f.is_file() and f.stat().st_size == size]

"""Sessions: found by their id alone, in a folder of their own, deleted on request, on leaving and by age."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest

from sparrow.page.session import SessionError, Sessions, sweep_regularly


@pytest.fixture
def sessions(tmp_path: Path) -> Sessions:
    return Sessions(tmp_path / "sessions", max_age_seconds=100)


def age(folder: Path, seconds: float) -> None:
    then = time.time() - seconds
    os.utime(folder, (then, then))


@pytest.mark.parametrize("session_id", [None, "", "..", "../sessions", "guess", "session-"])
def test_no_session_is_found_by_a_guess(sessions: Sessions, session_id: str | None) -> None:
    sessions.open()
    with pytest.raises(SessionError, match="reload the page"):
        sessions.get(session_id)


def test_every_session_has_its_own_id_and_folder(sessions: Sessions) -> None:
    first, second = sessions.open(), sessions.open()
    assert first.id != second.id
    assert len(first.id) >= 32
    assert first.folder != second.folder
    assert first.folder.parent == second.folder.parent == sessions.root
    assert sessions.get(first.id) is first
    assert sessions.root.stat().st_mode & 0o077 == 0


def test_deleting_one_session_leaves_the_other(sessions: Sessions) -> None:
    first, second = sessions.open(), sessions.open()
    first.new_path("a.mp4").write_bytes(b"1")
    kept = second.new_path("a.mp4")
    kept.write_bytes(b"2")
    sessions.delete(first.id)
    assert not first.folder.exists()
    assert kept.read_bytes() == b"2"
    with pytest.raises(SessionError):
        sessions.get(first.id)
    sessions.delete(first.id)  # twice is no error
    with pytest.raises(FileNotFoundError):  # work that goes on does not bring the folder back
        first.new_path("b.mp4")


def test_deleting_stops_the_work_and_waits_for_it(sessions: Sessions) -> None:
    session = sessions.open()
    session.lock.acquire()
    stopped_with_files = []

    def work() -> None:
        session.stop.wait(10)
        stopped_with_files.append(session.folder.exists())
        session.lock.release()

    thread = threading.Thread(target=work)
    thread.start()
    sessions.delete(session.id)
    thread.join()
    assert stopped_with_files == [True]
    assert not session.folder.exists()


def test_a_visitor_who_leaves_takes_the_session_along(sessions: Sessions) -> None:
    session, other = sessions.open("tab 1"), sessions.open("tab 2")
    sessions.leave("tab 3")
    sessions.leave(None)
    sessions.leave("tab 1")
    assert not session.folder.exists()
    assert other.folder.exists()


def test_sweep_deletes_what_is_old_and_nothing_else(sessions: Sessions) -> None:
    old, busy, fresh = sessions.open(), sessions.open(), sessions.open()
    foreign = sessions.root / "notes"
    earlier = sessions.root / "session-of-an-earlier-server"
    for folder in (foreign, earlier):
        folder.mkdir()
    for folder in (old.folder, busy.folder, foreign, earlier):
        age(folder, 101)
    busy.working = True
    assert sessions.sweep() == 2
    assert [f.exists() for f in (old.folder, earlier)] == [False, False]
    assert [f.exists() for f in (busy.folder, fresh.folder, foreign)] == [True, True, True]


def test_using_a_session_keeps_it_from_the_sweep(sessions: Sessions) -> None:
    session = sessions.open()
    age(session.folder, 101)
    sessions.get(session.id)
    assert sessions.sweep() == 0


def test_sweeping_goes_on_in_the_background(sessions: Sessions) -> None:
    session = sessions.open()
    age(session.folder, 101)
    over = sweep_regularly(sessions, every_seconds=0.01)
    deadline = time.monotonic() + 10
    while session.folder.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    over.set()
    assert not session.folder.exists()


def test_closing_the_server_deletes_all(sessions: Sessions) -> None:
    folders = [sessions.open().folder for _ in range(3)]
    sessions.close()
    assert not any(folder.exists() for folder in folders)


def test_new_paths_never_meet(sessions: Sessions) -> None:
    session = sessions.open()
    first, second = session.new_path("a.mp4"), session.new_path("a.mp4")
    first.write_bytes(b"1")
    second.write_bytes(b"2")
    session.discard(first)
    session.discard(None)
    assert not first.exists()
    assert second.read_bytes() == b"2"

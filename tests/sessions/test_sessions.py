"""Sessions: found by their id alone, after a restart too; deleted on request, after leaving, by age and by size."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest

from sparrow.sessions.record import Exchange, SessionError
from sparrow.sessions.session import Session
from sparrow.sessions.sessions import Sessions, sweep_regularly
from tests.sessions.made_records import assert_same, fill, put_video


def age(session: Session | Path, seconds: float) -> None:
    """Make a session one that was last used so long ago."""
    folder = session if isinstance(session, Path) else session.folder
    then = time.time() - seconds
    for path in (folder / "claim", folder / "left", folder):
        if path.exists():
            os.utime(path, (then, then))


@pytest.mark.parametrize(
    "session_id",
    [
        None,
        "",
        "..",
        "../sessions",
        "guess",
        "session-",
        "0" * 32,
        "0" * 31 + "/",
        "a" * 33,
        "A" * 32,
    ],
)
def test_no_session_is_found_by_a_guess(sessions: Sessions, session_id: str | None) -> None:
    sessions.open()
    with pytest.raises(SessionError, match="reload the page"):
        sessions.get(session_id)
    assert sessions.delete(session_id) is False


def test_every_session_has_its_own_id_and_folder(sessions: Sessions) -> None:
    first, second = sessions.open(), sessions.open()
    assert first.id != second.id
    assert len(first.id) >= 32
    assert first.folder != second.folder
    assert first.folder.parent == second.folder.parent == sessions.root
    assert sessions.get(first.id) is first
    assert sessions.root.stat().st_mode & 0o077 == 0
    assert first.folder.stat().st_mode & 0o077 == 0


def test_deleting_one_session_leaves_the_other(sessions: Sessions) -> None:
    first, second = sessions.open(), sessions.open()
    first.new_path("a.mp4").write_bytes(b"1")
    kept = second.new_path("a.mp4")
    kept.write_bytes(b"2")
    assert sessions.delete(first.id)
    assert not first.folder.exists()
    assert kept.read_bytes() == b"2"
    with pytest.raises(SessionError):
        sessions.get(first.id)
    assert not sessions.delete(first.id)  # twice is no error


def test_work_that_goes_on_does_not_bring_a_deleted_folder_back(sessions: Sessions) -> None:
    session = sessions.open()
    sessions.delete(session.id)
    with pytest.raises(SessionError, match="over"):
        session.new_path("b.mp4")
    with pytest.raises(SessionError):
        session.save()
    assert list(sessions.root.iterdir()) == []


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


def test_a_restart_finds_everything_again(full: Session, sessions: Sessions) -> None:
    sessions.close()
    restarted = Sessions(sessions.root)
    again = restarted.get(full.id)
    assert again is not full
    assert again is restarted.get(full.id)
    assert_same(again, full)
    assert again.exchanges[0].answer is again.history.turns[1].answer
    assert not again.busy
    again.new_path("new.txt").write_text("goes on")
    restarted.close()


def test_a_session_that_never_saved_reopens_empty(sessions: Sessions) -> None:
    session = sessions.open()
    sessions.close()
    (session.folder / "session.db").unlink(missing_ok=True)
    assert Sessions(sessions.root).get(session.id).video is None


def test_what_was_being_answered_reopens_as_ended(sessions: Sessions, clip_path: Path) -> None:
    session = sessions.open()
    session.video = put_video(session, clip_path)
    session.exchanges = [Exchange("with words?", text="The fo"), Exchange("without?")]
    session.save()
    sessions.close()
    again = Sessions(sessions.root).get(session.id)
    assert [(e.state, e.text) for e in again.exchanges] == [("stopped", "The fo"), ("failed", "")]
    assert again.history.turns == ()


def test_reopening_deletes_what_is_not_saved(full: Session, sessions: Sessions) -> None:
    assert full.video is not None
    half = full.new_path("annotated.mp4.part")
    whole = full.new_path("annotated.mp4")
    beside = full.video.path.with_name("video-1.mp4.part")
    for path in (half, whole, beside, full.folder / "loose"):
        path.write_bytes(b"0")
    sessions.close()
    again = Sessions(sessions.root).get(full.id)
    assert [p.exists() for p in (half, whole, beside, full.folder / "loose")] == [False] * 4
    assert again.video is not None
    assert len(again.video.read([0])) == 1
    left = {p.name for p in full.folder.iterdir()} - {"session.db-wal", "session.db-shm"}
    assert left == {"session.db", "claim", full.video.path.parent.name}


def test_a_second_register_leaves_open_sessions_alone(sessions: Sessions) -> None:
    session = sessions.open()
    other = Sessions(sessions.root, max_age_seconds=100)
    with pytest.raises(SessionError, match="open in another Sparrow"):
        other.get(session.id)
    with pytest.raises(SessionError, match="open in another Sparrow"):
        other.delete(session.id)
    age(session, 1000)
    assert other.sweep() == 0
    session.save()
    assert [s.id for s in other.list()] == [session.id]
    sessions.close()
    assert other.sweep() == 1


def test_many_threads_get_one_and_the_same_session(full: Session, sessions: Sessions) -> None:
    sessions.close()
    restarted = Sessions(sessions.root)
    found: list[Session] = []
    threads = [
        threading.Thread(target=lambda: found.append(restarted.get(full.id))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len({id(session) for session in found}) == 1
    restarted.close()


def test_a_session_stays_for_a_while_after_its_page_was_closed(sessions: Sessions) -> None:
    session, other = sessions.open("tab 1"), sessions.open("tab 2")
    sessions.leave("tab 3")
    sessions.leave(None)
    sessions.leave("tab 1")
    assert sessions.sweep() == 0
    for each in (session, other):
        age(each, 11)  # the grace period is 10, the age 100
    assert sessions.sweep() == 1
    assert not session.folder.exists()
    assert other.folder.exists()


def test_a_reload_shows_the_session_again_in_whatever_order(sessions: Sessions) -> None:
    session = sessions.open("before")
    sessions.leave("before")  # a browser may close the old page first
    sessions.get(session.id, "after")
    age(session, 11)
    assert sessions.sweep() == 0
    sessions.get(session.id, "later")  # or last
    sessions.leave("after")
    age(session, 11)
    assert sessions.sweep() == 0
    sessions.leave("later")
    age(session, 11)
    assert sessions.sweep() == 1


def test_the_grace_period_outlives_a_restart(sessions: Sessions) -> None:
    session = sessions.open("tab")
    sessions.leave("tab")
    sessions.close()
    age(session, 11)
    assert Sessions(sessions.root, grace_seconds=10).sweep() == 1


def test_a_page_that_shows_another_session_leaves_the_first(sessions: Sessions) -> None:
    first = sessions.open("tab")
    second = sessions.open("tab")
    for session in (first, second):
        age(session, 11)
    assert sessions.sweep() == 1
    assert second.folder.exists()


def test_it_knows_which_page_shows_what(sessions: Sessions) -> None:
    session = sessions.open("tab")
    assert sessions.shown_to("tab") == session.id
    assert sessions.shows(session.id)
    sessions.leave("tab")
    assert sessions.shown_to("tab") is None
    assert sessions.shown_to(None) is None
    assert not sessions.shows(session.id)


def test_sweep_deletes_what_is_old_and_nothing_else(sessions: Sessions) -> None:
    old, busy, locked, fresh = (sessions.open() for _ in range(4))
    foreign = sessions.root / "notes"
    earlier = sessions.root / "session-of-an-earlier-server"
    remains = sessions.root / "deleted-0"
    for folder in (foreign, earlier, remains):
        folder.mkdir()
    for each in (old, busy, locked, foreign, earlier):
        age(each, 101)
    busy.working = True
    with locked.lock:
        assert sessions.sweep() == 2
    assert not any(f.exists() for f in (old.folder, earlier, remains))
    assert all(f.exists() for f in (busy.folder, locked.folder, fresh.folder, foreign))
    with pytest.raises(SessionError):
        sessions.get(old.id)


def test_using_a_session_keeps_it_from_the_sweep(sessions: Sessions) -> None:
    session = sessions.open()
    age(session, 101)
    sessions.get(session.id)
    assert sessions.sweep() == 0


def test_looking_at_the_list_is_no_use(full: Session, sessions: Sessions) -> None:
    age(full, 101)
    sessions.list()
    sessions.peek(full.id)
    assert sessions.sweep() == 1


def test_too_many_bytes_push_out_the_least_recently_used(tmp_path: Path) -> None:
    sessions = Sessions(tmp_path, max_bytes=2500)
    made = [sessions.open() for _ in range(4)]
    for place, session in enumerate(made):
        session.new_path("video.mp4").write_bytes(bytes(1000))
        age(session, 50 - place)
    made[0].working = True
    assert sessions.sweep() == 2
    assert [session.folder.exists() for session in made] == [True, False, False, True]
    assert sessions.sweep() == 0


def test_sweeping_goes_on_in_the_background(sessions: Sessions) -> None:
    session = sessions.open()
    age(session, 101)
    over = sweep_regularly(sessions, every_seconds=0.01)
    deadline = time.monotonic() + 10
    while session.folder.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    over.set()
    assert not session.folder.exists()


def test_closing_stops_saves_and_keeps_everything(sessions: Sessions, clip_path: Path) -> None:
    session = sessions.open()
    fill(session, clip_path)
    sessions.close()
    assert session.stop.is_set()
    with pytest.raises(SessionError, match="closed"):
        session.save()
    assert_same(sessions.peek(session.id), session)


def test_who_asked_is_told_which_sessions_are_gone(tmp_path: Path) -> None:
    told: list[str] = []
    sessions = Sessions(tmp_path, max_age_seconds=100, gone=told.append)
    deleted, swept, closed = (sessions.open() for _ in range(3))
    sessions.delete(deleted.id)
    age(swept, 101)
    sessions.sweep()
    sessions.close()
    assert told == [deleted.id, swept.id, closed.id]


def test_the_list_describes_sessions_and_names_damaged_ones(
    full: Session, sessions: Sessions
) -> None:
    empty, damaged = sessions.open("tab"), sessions.open()
    damaged.save()
    (damaged.folder / "session.db").write_bytes(b"not a database" * 100)
    sessions.leave("tab")
    age(damaged, 5)
    age(full, 9)
    summaries = {summary.id: summary for summary in sessions.list()}
    assert [s.id for s in sessions.list()] == [empty.id, damaged.id, full.id]
    about = summaries[full.id]
    assert (about.title, about.model, about.questions) == (full.title, "sparrow-mini", 4)
    assert about.bytes > 10_000
    assert not about.problem
    assert summaries[empty.id].left
    assert "cannot be read" in summaries[damaged.id].problem


def test_a_damaged_session_takes_no_other_down(full: Session, sessions: Sessions) -> None:
    damaged = sessions.open()
    damaged.save()
    sessions.close()
    (damaged.folder / "session.db").write_bytes(b"\xff" * 5000)
    restarted = Sessions(sessions.root, max_age_seconds=100)
    for _ in range(2):  # the first failure leaves it free for a second try
        with pytest.raises(SessionError, match=r"session.db cannot be read"):
            restarted.get(damaged.id)
    with pytest.raises(SessionError, match=r"session.db cannot be read"):
        restarted.peek(damaged.id)
    assert_same(restarted.get(full.id), full)
    age(damaged, 101)
    assert restarted.sweep() == 1
    restarted.close()


def test_a_damaged_claim_locks_nobody_out(full: Session, sessions: Sessions) -> None:
    sessions.close()
    (full.folder / "claim").write_bytes(b"rubbish" * 1000)
    restarted = Sessions(sessions.root)
    assert_same(restarted.get(full.id), full)
    restarted.close()

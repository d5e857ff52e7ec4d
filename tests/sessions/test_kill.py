"""kill -9 at chosen moments: nothing is lost but the unfinished turn, and nothing half-written is offered."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from sparrow.sessions.record import Record, SessionError
from sparrow.sessions.session import Session
from sparrow.sessions.sessions import Sessions
from tests.sessions.killed import MOMENTS, TURNS, converse
from tests.sessions.made_records import assert_same

ROOT = Path(__file__).parents[2]
PROGRAM = [sys.executable, "-m", "tests.sessions.killed"]


@pytest.fixture(scope="module")
def dead(clip_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which a process died at each moment."""
    root = tmp_path_factory.mktemp("dead")
    subprocess.run([*PROGRAM, str(root), str(clip_path)], cwd=ROOT, check=True, timeout=200)
    return root


def found(dead: Path, moment: str) -> tuple[Path, str, int]:
    """Give the sessions' folder that a process left, its session's id, and how many turns it committed."""
    place = list(MOMENTS).index(moment)
    session_id, *commits = (dead / f"{place}.txt").read_text().split("\n")[:-1]
    assert commits == [f"committed {n}" for n in range(1, len(commits) + 1)]
    return dead / str(place), session_id, len(commits)


def check(session: Session, turns: int) -> None:
    """Check that a session holds exactly so many turns, that its video plays, and that it goes on."""
    assert session.video is not None
    expected = Record(video=session.video)
    converse(expected, turns)
    assert_same(session, expected)
    assert session.video.read([0, 29]).shape == (2, 64, 96, 3)
    offered = {p.name for p in session.folder.rglob("*") if p.is_file()}
    beside = {"session.db", "session.db-wal", "session.db-shm", "claim"}
    assert offered - beside == {"video.mp4", "video.source.json"}
    converse(session, turns + 1)
    session.save()


KEPT = {
    "between a track's masks and the commit": TURNS,
    "before the commit": TURNS,
    "after the commit, before the file is closed": TURNS + 1,
    "in the middle of rendering": TURNS,
    "in the middle of opening another video": TURNS,
    "in the middle of writing a session file": TURNS,
    "in the middle of reopening": TURNS,
}


@pytest.mark.parametrize(("moment", "turns"), KEPT.items(), ids=KEPT)
def test_nothing_is_lost(moment: str, turns: int, dead: Path) -> None:
    root, session_id, committed = found(dead, moment)
    assert committed == TURNS
    for count in (turns, turns + 1):  # once more after a clean end
        sessions = Sessions(root)
        assert [summary.questions for summary in sessions.list()] == [count]
        check(sessions.get(session_id), count)
        sessions.close()
    assert not list(root.glob("*.sparrow"))


def test_the_unfinished_answer_keeps_its_words(dead: Path) -> None:
    root, session_id, _ = found(dead, "while an answer streams")
    session = Sessions(root).get(session_id)
    last = session.exchanges.pop()
    assert (last.question, last.text, last.state) == ("and now?", "The fox", "stopped")
    check(session, TURNS)


def test_a_kill_in_the_first_save_leaves_an_empty_session(dead: Path) -> None:
    root, session_id, committed = found(dead, "in the very first save")
    assert committed == 0
    session = Sessions(root).get(session_id)
    assert session.video is None
    assert session.exchanges == []
    session.save()


def test_a_deletion_once_begun_is_finished(dead: Path) -> None:
    root, session_id, _ = found(dead, "in the middle of deleting")
    sessions = Sessions(root)
    with pytest.raises(SessionError, match="over"):
        sessions.get(session_id)
    assert sessions.list() == ()
    sessions.sweep()
    assert list(root.iterdir()) == []


def test_two_processes_share_no_session_and_the_second_survives(
    clip_path: Path, tmp_path: Path
) -> None:
    """The first saves without a pause; meanwhile it can be read, not opened; killed, it gives everything up."""
    program = [*PROGRAM, str(tmp_path), str(clip_path), "for-ever"]
    with subprocess.Popen(program, cwd=ROOT, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        session_id = child.stdout.readline().strip()
        sessions = Sessions(tmp_path)
        committed = 0
        for _ in range(5):
            committed = int(child.stdout.readline().split()[1])
            with pytest.raises(SessionError, match="open in another Sparrow"):
                sessions.get(session_id)
            assert len(sessions.peek(session_id).exchanges) >= committed
        assert sessions.sweep() == 0
        child.kill()
        rest = [line for line in child.stdout.read().split("\n") if line.startswith("committed ")]
    committed = max([committed, *(int(line.split()[1]) for line in rest)])
    session = sessions.get(session_id)
    assert committed <= len(session.exchanges) <= committed + 1
    check(session, len(session.exchanges))
    sessions.close()

"""Run as a program: converses, tells each commit on stdout, and kills itself (SIGKILL) at the moment it is told.

python -m tests.sessions.killed ROOT CLIP MOMENT
"""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TextIO

from sparrow.ingest import open_video
from sparrow.render import render
from sparrow.sessions.record import Exchange, Record
from sparrow.sessions.session import Session
from sparrow.sessions.session_file import write_session_file
from sparrow.sessions.sessions import Sessions
from sparrow.types import Progress
from tests.sessions.made_records import put_video, say

TURNS = 3
"""Committed before the program dies, but for those moments that come before the first."""


def converse(record: Record, turns: int) -> None:
    """Have so many turns, the same ones every time."""
    for k in range(len(record.exchanges), turns):
        say(record, f"question {k}?", k % 3 + 1, seed=k)


def tell(line: str, out: TextIO) -> None:
    out.write(line + "\n")
    out.flush()


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def die_at(share: float) -> Callable[[Progress], None]:
    """Make a listener that dies when so much of the work is done."""

    def progress(now: Progress) -> None:
        if now.total and now.done >= share * now.total:
            die()

    return progress


def die_when(begins: str, *, done: bool) -> None:
    """Die when SQLite is given, or has done, a statement that begins so."""

    class Deadly(sqlite3.Connection):
        def execute(self, sql: str, *rest: Any) -> sqlite3.Cursor:
            return self._run(super().execute, sql, *rest)

        def executemany(self, sql: str, rows: Iterable[Any]) -> sqlite3.Cursor:
            return self._run(super().executemany, sql, rows)

        def _run(self, call: Callable[..., sqlite3.Cursor], sql: str, *rest: Any) -> sqlite3.Cursor:
            if sql.startswith(begins) and not done:
                die()
            cursor = call(sql, *rest)
            if sql.startswith(begins):
                die()
            return cursor

    connect = sqlite3.connect
    sqlite3.connect = lambda *args, **more: connect(*args, factory=Deadly, **more)  # type: ignore


def save_and_die_at(begins: str, *, done: bool) -> Callable[[Session, Sessions], None]:
    def act(session: Session, sessions: Sessions) -> None:
        die_when(begins, done=done)
        converse(session, TURNS + 1)
        session.save()

    return act


def render_and_die(session: Session, sessions: Sessions) -> None:
    assert session.video is not None
    out = session.new_path("annotated.mp4")
    tracks = list(session.history.tracks.values())
    render(session.video, tracks, session.referents(), out, progress=die_at(0.5))


def open_and_die(session: Session, sessions: Sessions) -> None:
    folder = session.new_path("video").parent
    open_video(Path(sys.argv[2]), workdir=folder, progress=die_at(0.5))


def export_and_die(session: Session, sessions: Sessions) -> None:
    write_session_file(sessions.root / "saved.sparrow", session, progress=die_at(0.5))


def stream_and_die(session: Session, sessions: Sessions) -> None:
    session.exchanges.append(Exchange("and now?", text="The fox"))
    session.save()
    session.exchanges[-1].text += " runs"
    die()


def delete_and_die(session: Session, sessions: Sessions) -> None:
    def remove_a_part(folder: Path) -> None:
        (folder / "session.db").unlink()
        die()

    shutil.rmtree = remove_a_part  # type: ignore[assignment]
    sessions.delete(session.id)


def reopen_and_die(session: Session, sessions: Sessions) -> None:
    session.new_path("annotated.mp4").write_bytes(b"0")
    sessions.close()
    shutil.rmtree = lambda folder: die()  # type: ignore[assignment]
    Sessions(sessions.root).get(session.id)


MOMENTS: dict[str, Callable[[Session, Sessions], None]] = {
    "in the very first save": lambda session, sessions: None,
    "between a track's masks and the commit": save_and_die_at("INSERT INTO track", done=True),
    "before the commit": save_and_die_at("COMMIT", done=False),
    "after the commit, before the file is closed": save_and_die_at("COMMIT", done=True),
    "in the middle of rendering": render_and_die,
    "in the middle of opening another video": open_and_die,
    "in the middle of writing a session file": export_and_die,
    "while an answer streams": stream_and_die,
    "in the middle of deleting": delete_and_die,
    "in the middle of reopening": reopen_and_die,
}


def die_at_moment(root: Path, clip: Path, moment: str, out: TextIO) -> None:
    sessions = Sessions(root)
    session = sessions.open()
    tell(session.id, out)
    if moment == "in the very first save":
        die_when("CREATE TABLE track", done=True)
    session.video = put_video(session, clip)
    for turns in range(1, TURNS + 1):
        converse(session, turns)
        session.save()
        tell(f"committed {turns}", out)
    MOMENTS[moment](session, sessions)


def save_for_ever(root: Path, clip: Path) -> None:
    session = Sessions(root).open()
    tell(session.id, sys.stdout)
    session.video = put_video(session, clip)
    while True:
        converse(session, len(session.exchanges) + 1)
        session.save()
        tell(f"committed {len(session.exchanges)}", sys.stdout)


def main() -> None:
    root, clip = Path(sys.argv[1]), Path(sys.argv[2])
    if sys.argv[3:]:
        save_for_ever(root, clip)
    for place, moment in enumerate(MOMENTS):
        child = os.fork()
        if child == 0:
            with (root / f"{place}.txt").open("w") as out:
                die_at_moment(root / str(place), clip, moment, out)
            os._exit(1)
        _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) == -signal.SIGKILL, moment


if __name__ == "__main__":
    main()

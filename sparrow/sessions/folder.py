"""A session's folder on disk: who has it open, when it was used, how large it is, and how it goes.

In it lie session.db, the video in a folder of its own, `claim` (its time says when the session was last used)
and `left` (there while no page shows the session). Knows nothing of what a session holds.
"""

from __future__ import annotations

import logging
import os
import secrets
import shutil
import sqlite3
from contextlib import suppress
from pathlib import Path

from sparrow.sessions.record import GONE, SessionError

logger = logging.getLogger(__name__)

PREFIX = "session-"
_CLAIM, _LEFT = "claim", "left"
_DELETED = "deleted-"


class Claim:
    """The right to change a session: one holder at a time, among all processes, until it dies or releases it.

    It is an exclusive transaction on an empty database, the one lock that every system gives up on kill -9.
    """

    def __init__(self, folder: Path) -> None:
        """Take the right.

        Raises:
            SessionError: somebody else has it, or there is no such folder (any more).
        """
        path = folder / _CLAIM
        try:
            self._connection = _exclusive(path)
        except sqlite3.OperationalError as error:
            if not folder.is_dir():
                raise SessionError(GONE) from error
            raise SessionError(
                "This session is open in another Sparrow on this computer: close it there first."
            ) from error
        except sqlite3.DatabaseError:  # not what we wrote, so nobody holds it
            path.unlink()
            self._connection = _exclusive(path)

    def release(self) -> None:
        """Let others have it; twice is no error."""
        self._connection.close()


def _exclusive(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=0, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA journal_mode = MEMORY")  # no other file beside it
        connection.execute("BEGIN EXCLUSIVE")
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def touch(folder: Path) -> None:
    """Note that a session is used now.

    Raises:
        SessionError: its folder is gone.
    """
    try:
        os.utime(folder / _CLAIM)
    except FileNotFoundError as error:
        raise SessionError(GONE) from error


def set_left(folder: Path) -> None:
    """Note that no page shows the session; a folder that is gone is no error."""
    with suppress(FileNotFoundError):
        (folder / _LEFT).touch()


def set_shown(folder: Path) -> None:
    """Note that a page shows the session."""
    (folder / _LEFT).unlink(missing_ok=True)


def used_at(folder: Path) -> float:
    """Say when a session was last used, in seconds since 1970; infinity if its folder is gone."""
    for path in (folder / _CLAIM, folder):
        with suppress(FileNotFoundError):
            return path.stat().st_mtime
    return float("inf")


def left_at(folder: Path) -> float | None:
    """Say when the last page that showed the session was closed; None while one shows it."""
    try:
        return (folder / _LEFT).stat().st_mtime
    except FileNotFoundError:
        return None


def size_of(folder: Path) -> int:
    """Add up the bytes of all files; what is deleted meanwhile counts nothing."""
    total = 0
    for directory, _, names in os.walk(folder):
        for name in names:
            with suppress(FileNotFoundError):
                total += (Path(directory) / name).lstat().st_size
    return total


def remove(folder: Path) -> None:
    """Delete a folder: found under its name no more at once, then file by file.

    What a kill leaves of it is deleted by `remove_remains`.
    """
    out_of_sight = folder.with_name(f"{_DELETED}{secrets.token_hex(8)}")
    try:
        folder.rename(out_of_sight)
        shutil.rmtree(out_of_sight)
    except FileNotFoundError:  # deleted by another thread or server meanwhile
        return
    except OSError as error:
        logger.warning("could not delete %s: %s", folder, error)


def remove_remains(root: Path) -> None:
    """Finish deletions that were interrupted."""
    for folder in root.glob(f"{_DELETED}*"):
        remove(folder)


def keep_only(folder: Path, video: Path | None) -> None:
    """Delete all that the session does not name: files half-written, or made of what is saved anyway."""
    kept = {_CLAIM, _LEFT, "session.db", "session.db-wal", "session.db-shm"}
    for path in folder.iterdir():
        if video is not None and path == video.parent:
            for beside in path.iterdir():
                if beside.stem.removesuffix(".source") != video.stem:
                    _delete(beside)
        elif path.name not in kept:
            _delete(path)


def _delete(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()

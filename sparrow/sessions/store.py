"""A record <-> session.db in the session's folder: SQLite, one transaction a save, only what has changed.

Documents and tracks are rows; a track's key is the digest of its text, so that the same one is kept once and
a damaged one is noticed. Nothing is opened between two calls.
"""

from __future__ import annotations

import hashlib
import io
import sqlite3
import threading
import zlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

from sparrow.errors import VideoError
from sparrow.sessions import checked, reading
from sparrow.sessions.documents import to_documents
from sparrow.sessions.record import GONE, MAX_EXCHANGES, Record, SessionError
from sparrow.sessions.track_text import MAX_BYTES, from_text, to_text
from sparrow.types import MaskTrack
from sparrow.video import Video, load_video

FILE = "session.db"
VERSION = 1
_APPLICATION = 0x53505257
"""Marks the file as ours (SQLite's application_id)."""
_VIDEO = "video"
"""The document that says where in the folder the video lies."""

_SCHEMA = (
    "CREATE TABLE document (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    "CREATE TABLE track (key TEXT PRIMARY KEY, content BLOB NOT NULL)",
    f"PRAGMA application_id = {_APPLICATION}",
    f"PRAGMA user_version = {VERSION}",
)


class Store:
    """The database of one session; several threads may call it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / FILE
        self._lock = threading.Lock()
        self._closed = False
        self._documents: dict[str, str] = {}
        """What the database holds."""
        self._tracks: dict[str, MaskTrack] = {}
        """By key, the tracks that it holds."""

    def save(self, record: Record) -> None:
        """Write what has changed since the last `save` or `load`, all of it or nothing.

        Raises:
            SessionError: closed, deleted, no room, or beyond a limit of what can be read back.
        """
        with self._lock:
            if self._closed:
                raise SessionError("This session is closed; reload the page to open it again.")
            if len(record.exchanges) > MAX_EXCHANGES:
                raise SessionError(
                    f"A conversation has at most {MAX_EXCHANGES} questions; start a new one."
                )
            known = {id(track): key for key, track in self._tracks.items()}
            tracks: dict[str, MaskTrack] = {}
            texts: dict[str, bytes] = {}

            def key(track: MaskTrack) -> str:
                if id(track) not in known:
                    text = to_text(track)
                    known[id(track)] = name = _digest(text)
                    if name not in self._tracks:
                        texts[name] = _checked(text)
                tracks[known[id(track)]] = track
                return known[id(track)]

            try:
                documents = to_documents(record, key)
                documents[_VIDEO] = self._place(record.video)
                values = {name: checked.dump(value) for name, value in documents.items()}
                changed = [n for n, value in values.items() if self._documents.get(n) != value]
                reading.check(documents, changed, tracks, record.video)
            except ValueError as error:
                raise SessionError(f"The session cannot be saved: {error}.") from error
            self._write(values, changed, texts, self._tracks.keys() - tracks.keys())
            self._documents, self._tracks = values, tracks

    def load(self) -> Record:
        """Read all; where nothing was saved yet, an empty record.

        Raises:
            SessionError: damaged, or written by a newer Sparrow.
        """
        with self._lock, self._explained("read"):
            if not self._path.is_file():
                return Record()
            with _connected(self._path, read_only=True) as database:
                if not _has_schema(database):
                    return Record()
                values = dict(
                    database.execute("SELECT CAST(name AS TEXT), CAST(value AS TEXT) FROM document")
                )
                rows = database.execute("SELECT key, CAST(content AS BLOB) FROM track")
                tracks = {key: _read_track(key, content) for key, content in rows}
            documents = {name: checked.parse(value, name) for name, value in values.items()}
            video = self._open_video(documents)
            record = reading.from_documents(documents, tracks, video)
            self._documents, self._tracks = values, tracks
            return record

    def describe(self) -> tuple[str, str, int]:
        """Read the title, the model and the number of questions.

        Raises:
            SessionError: damaged, or written by a newer Sparrow.
        """
        with self._lock, self._explained("read"):
            if not self._path.is_file():
                return "", "", 0
            with _connected(self._path, read_only=True) as database:
                if not _has_schema(database):
                    return "", "", 0
                rows = dict(database.execute("SELECT * FROM document WHERE name = 'about'"))
            return reading.heading({name: checked.parse(v, name) for name, v in rows.items()})

    def close(self) -> None:
        """Refuse to save from now on; waits for a save that goes on."""
        with self._lock:
            self._closed = True

    def _write(
        self,
        values: Mapping[str, str],
        changed: Sequence[str],
        texts: Mapping[str, bytes],
        lost: Collection[str],
    ) -> None:
        gone = self._documents.keys() - values.keys()
        if not (changed or gone or texts or lost):
            return
        with self._explained("save"), _connected(self._path, read_only=False) as database:
            for statement in () if _has_schema(database) else _SCHEMA:
                database.execute(statement)
            database.executemany(
                "INSERT INTO track VALUES (?, ?)",
                ((key, zlib.compress(text, 1)) for key, text in texts.items()),
            )
            database.executemany(
                "INSERT OR REPLACE INTO document VALUES (?, ?)",
                [(name, values[name]) for name in changed],
            )
            database.executemany("DELETE FROM document WHERE name = ?", [(n,) for n in gone])
            database.executemany("DELETE FROM track WHERE key = ?", [(key,) for key in lost])

    def _place(self, video: Video | None) -> str | None:
        if video is None:
            return None
        if not video.path.is_relative_to(self._folder):
            raise SessionError(
                "The session cannot be saved: its video must lie in the session's folder "
                f"(open it with workdir=session.new_path('video').parent), got {video.path.name}."
            )
        return video.path.relative_to(self._folder).as_posix()

    def _open_video(self, documents: reading.Documents) -> Video | None:
        place = checked.at(documents, _VIDEO, "session")
        if place is None:
            return None
        path = self._folder / checked.text(place, _VIDEO, 1000)
        if ".." in path.parts or not path.resolve().is_relative_to(self._folder.resolve()):
            raise ValueError("video: expected a path in the session's folder")
        try:
            return load_video(path)
        except VideoError as error:
            raise ValueError(f"its video is gone or damaged ({error})") from error

    @contextmanager
    def _explained(self, doing: str) -> Iterator[None]:
        """Say in the user's words what goes wrong with the database."""
        try:
            yield
        except (sqlite3.Error, OSError, ValueError, OverflowError, zlib.error) as error:
            if not self._folder.is_dir():
                raise SessionError(GONE) from error
            advice = {
                "save": "make room on the disk and try again",
                "read": "delete it, or ask whoever runs this server",
            }[doing]
            raise SessionError(
                f"This session's file {FILE} cannot be {doing}{'d' * (doing == 'save')} "
                f"({error}): {advice}."
            ) from error


@contextmanager
def _connected(path: Path, *, read_only: bool) -> Iterator[sqlite3.Connection]:
    """Open the database for one transaction, which is kept when the block ends, and only then."""
    mode = "ro" if read_only else "rwc"
    database = sqlite3.connect(
        f"file:{quote(str(path))}?mode={mode}", uri=True, timeout=10, isolation_level=None
    )
    try:
        if not read_only:
            database.execute("PRAGMA journal_mode = WAL")
            database.execute("PRAGMA synchronous = NORMAL")
        database.execute("BEGIN" if read_only else "BEGIN IMMEDIATE")
        try:
            yield database
            database.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):  # e.g. a full disk has ended it already
                database.execute("ROLLBACK")
            raise
    finally:
        database.close()


def _has_schema(database: sqlite3.Connection) -> bool:
    """Tell a database of ours from one to which nothing was ever saved.

    Raises:
        ValueError: another's, or a newer Sparrow's.
    """
    ((application,),) = database.execute("PRAGMA application_id")
    ((version,),) = database.execute("PRAGMA user_version")
    if (application, version) == (0, 0):
        return False
    if application != _APPLICATION:
        raise ValueError("it is not a session of Sparrow")
    if version > VERSION:
        raise ValueError("it was written by a newer Sparrow: update this one")
    return True


def _digest(text: bytes) -> str:
    return hashlib.blake2b(text, digest_size=16).hexdigest()


def _checked(text: bytes) -> bytes:
    """Refuse to write what could not be read back."""
    if len(text) > MAX_BYTES:
        raise ValueError(f"track: expected at most {MAX_BYTES} bytes, got {len(text)}")
    from_text(io.BytesIO(text))
    return text


def _read_track(key: str, content: bytes) -> MaskTrack:
    unpacker = zlib.decompressobj()
    text = unpacker.decompress(content, MAX_BYTES)
    if not unpacker.eof or _digest(text) != key:
        raise ValueError("track: its content is damaged")
    return from_text(io.BytesIO(text))

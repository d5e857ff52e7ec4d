"""A record <-> one .sparrow file to keep or to pass on: a zip of documents, tracks and, if wanted, the video.

    session.json     {"format": "sparrow-session", "version": 1, "documents": {...}}
    tracks/N.txt     see track_text.py
    video.mp4        the normalised video, with video.json: times in the original, notes

A file that is opened may be anybody's: nothing in it becomes a path, everything is bounded and checked, and its
video goes through the same door as an upload.
"""

from __future__ import annotations

import errno
import re
import shutil
import stat
import threading
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from sparrow.ingest import open_video
from sparrow.limits import Limits
from sparrow.sessions import checked, reading
from sparrow.sessions.documents import VideoFacts, to_documents
from sparrow.sessions.record import Record, SessionError, end_interrupted
from sparrow.sessions.track_text import check_masks, from_text, to_text
from sparrow.types import MaskTrack
from sparrow.video import Video, load_video, source_path, write_source
from sparrow.whole import whole
from sparrow.work import ProgressSink, Work

SUFFIX = ".sparrow"
FORMAT = "sparrow-session"
VERSION = 1

MAX_TRACKS = 1000
MAX_TRACK_BYTES = 2**29
"""Of all tracks together, unpacked."""
MAX_DOCUMENT_BYTES = 2**23
"""Of session.json, unpacked; video.json may have as much."""

_CHUNK = 2**20
_ABOUT, _VIDEO, _SOURCE = "session.json", "video.mp4", "video.json"
_TRACK = re.compile(r"tracks/([1-9][0-9]{0,3})\.txt")
_BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, ValueError, NotImplementedError)
"""What zipfile and our own checks raise about what the file holds, ..."""
_NO_FILE = (errno.EINVAL, errno.EISDIR, errno.ENOENT)
"""... and the system about a part outside of it, or a place that holds no file."""
_KNOWN_FLAGS = (
    0x080E  # sizes written behind, deflate's level, names in UTF-8: not encrypted, not patched
)


class VideoWantedError(SessionError):
    """The session file has no video: it opens together with the one that it was made from."""

    def __init__(self, name: str, facts: VideoFacts) -> None:
        super().__init__(
            f"{name} was saved without its video: choose the same video again ({facts}), "
            "and it will open with it."
        )
        self.facts = facts


def write_session_file(
    path: str | Path,
    record: Record,
    *,
    with_video: bool = True,
    progress: ProgressSink | None = None,
    cancel: threading.Event | None = None,
) -> Path:
    """Write a session file, there only when whole.

    Args:
        path: where; ".sparrow" is its usual ending.
        record: nobody may change it meanwhile.
        with_video: without, it is small, and opens only together with the same video.
        progress: told of the bytes copied, step "save".
        cancel: checked between pieces.

    Raises:
        SessionError: it is beyond what can be read back.
        Cancelled: `cancel` was set.
    """
    path, work = Path(path), Work(progress, cancel)
    names: dict[int, str] = {}
    tracks: list[MaskTrack] = []

    def key(track: MaskTrack) -> str:
        if id(track) not in names:
            tracks.append(track)
            names[id(track)] = str(len(tracks))
        return names[id(track)]

    try:
        with whole(path) as part, zipfile.ZipFile(part, "w", allowZip64=False) as archive:
            documents = to_documents(record, key)
            about = checked.entries(documents["about"], "about")
            documents["about"] = {**about, "model": _without_folder(record.model)}
            header = {"format": FORMAT, "version": VERSION, "documents": documents}
            content = checked.dump(header).encode()
            if len(content) > MAX_DOCUMENT_BYTES:
                raise ValueError("its conversation is too long for one file")
            _put(archive, _ABOUT, content)
            left = MAX_TRACK_BYTES * (len(tracks) <= MAX_TRACKS)
            for place, track in enumerate(tracks):
                work.step("save", place, len(tracks))
                text = to_text(track)
                left -= len(text)
                if left < 0:
                    raise ValueError(f"its {len(tracks)} tracks are too much for one file")
                _put(archive, f"tracks/{names[id(track)]}.txt", text)
            if with_video and record.video is not None:
                _put_video(archive, record.video, work)
    except (ValueError, zipfile.LargeZipFile) as error:
        raise SessionError(f"{path.name} cannot be written: {error}.") from error
    return path


def read_session_file(
    path: str | Path,
    folder: Path,
    *,
    video: Path | None = None,
    limits: Limits | None = None,
    progress: ProgressSink | None = None,
    cancel: threading.Event | None = None,
) -> Record:
    """Read a session file, made by anybody.

    Args:
        path: the file.
        folder: where its video is opened, as by `open_video`; on an error nothing is left there.
        video: the same video again, for a file without it; not looked at for others.
        limits: bounds on the video.
        progress: told of each piece of work.
        cancel: checked at each.

    Returns:
        What was saved; an answer that was being written then is marked as ended. For `Session.adopt`.

    Raises:
        SessionError: not a session file, damaged, beyond a limit, or not about this video.
        VideoWantedError: it needs `video`.
        VideoError: the video cannot be used.
        Cancelled: `cancel` was set.
    """
    path, limits, work = Path(path), limits or Limits(), Work(progress, cancel)
    opened: Video | None = None
    try:
        with _opened(path, limits) as archive:
            documents = _documents(archive)
            facts = reading.video_facts(documents)
            tracks = _tracks(archive, facts, limits, work)
            if facts is not None:
                if _VIDEO in archive.namelist():
                    opened = _bundled(archive, facts, folder, limits, progress, cancel)
                elif video is None:
                    raise VideoWantedError(path.name, facts)
                else:
                    opened = open_video(
                        video, workdir=folder, limits=limits, progress=progress, cancel=cancel
                    )
                _check_same(facts, opened)
            record = reading.from_documents(documents, tracks, opened)
    except BaseException as error:
        if opened is not None:
            opened.path.unlink(missing_ok=True)
            source_path(opened.path).unlink(missing_ok=True)
        at_fault = isinstance(error, OSError) and error.errno in _NO_FILE
        if isinstance(error, _BROKEN) or at_fault:
            raise SessionError(
                f"{path.name}: expected a session file as Sparrow saves it, but {error}."
            ) from error
        if isinstance(error, OSError):  # no room for its video, say
            raise SessionError(f"{path.name} cannot be opened: {error.strerror}.") from error
        raise
    end_interrupted(record)
    return record


def _without_folder(model: str) -> str:
    """Keep the places of files on this computer out of what is passed on."""
    return Path(model).name if Path(model).is_absolute() else model


def _put(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)


def _put_video(archive: zipfile.ZipFile, video: Video, work: Work) -> None:
    source = {"source_times": video.source_times.tolist(), "notes": list(video.notes)}
    _put(archive, _SOURCE, checked.dump(source).encode())
    size = video.path.stat().st_size
    info = zipfile.ZipInfo(_VIDEO)
    info.file_size = size
    with video.path.open("rb") as read, archive.open(info, "w") as write:
        while chunk := read.read(_CHUNK):
            write.write(chunk)
            work.step("save", read.tell(), size)


@contextmanager
def _opened(path: Path, limits: Limits) -> Iterator[zipfile.ZipFile]:
    """Open the zip if its table of contents is one of ours, small and plain."""
    _check_end(path, limits)
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        names = [member.filename for member in members]
        if len(set(names)) != len(names):
            raise ValueError("two of its parts have the same name")
        for member in members:
            plain = stat.S_IFMT(member.external_attr >> 16) in (0, stat.S_IFREG)
            packed = member.compress_type in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
            if not (plain and packed and not member.flag_bits & ~_KNOWN_FLAGS):
                raise ValueError(f"its part {member.filename[:60]!r} is not a plain file")
            known = member.filename in (_ABOUT, _VIDEO, _SOURCE)
            if not known and not _TRACK.fullmatch(member.filename):
                raise ValueError(f"it holds {member.filename[:60]!r}, which does not belong there")
        yield archive


def _check_end(path: Path, limits: Limits) -> None:
    """Bound the table of contents before zipfile reads it whole: it may claim millions of entries."""
    size = path.stat().st_size
    if size > limits.max_bytes + MAX_TRACK_BYTES + 2 * MAX_DOCUMENT_BYTES:
        raise ValueError(f"its {size} bytes are too many")
    with path.open("rb") as file:
        file.seek(max(0, size - 42))
        tail = file.read()
    end, before = tail[-22:], tail[:-22]
    if len(end) < 22 or end[:4] != b"PK\x05\x06" or end[20:] != b"\0\0":
        raise ValueError("it is not a zip, or not all of it")
    entries, length = int.from_bytes(end[10:12], "little"), int.from_bytes(end[12:16], "little")
    if entries > MAX_TRACKS + 3 or length > 256 * (MAX_TRACKS + 3) or b"PK\x06\x07" in before:
        raise ValueError(f"it holds too many parts ({entries})")


def _documents(archive: zipfile.ZipFile) -> Mapping[str, object]:
    header = checked.entries(_json(archive, _ABOUT), _ABOUT)
    if header.get("format") != FORMAT:
        raise ValueError(f"{_ABOUT} does not say that it is one")
    if checked.whole(checked.at(header, "version", _ABOUT), "version") > VERSION:
        raise ValueError("it was written by a newer Sparrow: update this one")
    return checked.entries(checked.at(header, "documents", _ABOUT), "documents")


def _tracks(
    archive: zipfile.ZipFile, facts: VideoFacts | None, limits: Limits, work: Work
) -> dict[str, MaskTrack]:
    if facts is not None:
        limits.check_frames("the session", facts.frames)
        limits.check_pixels("the session", facts.size_hw[1], facts.size_hw[0])
    found: dict[str, MaskTrack] = {}
    members = [(m, match[1]) for m in archive.namelist() if (match := _TRACK.fullmatch(m))]
    left = MAX_TRACK_BYTES
    for member, name in members:
        left -= archive.getinfo(member).file_size  # more than this zipfile does not give
        if left < 0:
            raise ValueError("its tracks are too large")
        with archive.open(member) as file:
            track = from_text(file)
        if facts is None or (track.num_frames, track.size_hw) != (facts.frames, facts.size_hw):
            raise ValueError(f"{member} is not about {facts or 'a session without a video'}")
        check_masks(track, work)
        found[name] = track
    return found


def _bundled(
    archive: zipfile.ZipFile,
    facts: VideoFacts,
    folder: Path,
    limits: Limits,
    progress: ProgressSink | None,
    cancel: threading.Event | None,
) -> Video:
    """Unpack the video that came along and open it like an upload."""
    limits.check_bytes(_VIDEO, archive.getinfo(_VIDEO).file_size)
    times, notes = _source(archive, facts)
    part = folder / "bundled.part"
    try:
        with archive.open(_VIDEO) as read, part.open("wb") as write:
            shutil.copyfileobj(read, write, _CHUNK)
        video = open_video(part, workdir=folder, limits=limits, progress=progress, cancel=cancel)
    finally:
        part.unlink(missing_ok=True)
    if len(times) == video.num_frames:
        write_source(video.path, times, notes)
        return load_video(video.path)
    return video


def _source(archive: zipfile.ZipFile, facts: VideoFacts) -> tuple[list[float], list[str]]:
    source = checked.entries(_json(archive, _SOURCE), _SOURCE)
    times = checked.items(checked.at(source, "source_times", _SOURCE), _SOURCE, facts.frames)
    if len(times) != facts.frames:
        raise ValueError(f"{_SOURCE}: expected {facts.frames} times, got {len(times)}")
    notes = checked.items(checked.at(source, "notes", _SOURCE), _SOURCE, 100)
    return (
        [checked.number(time, _SOURCE, -1e9, 1e9) for time in times],
        [checked.text(note, _SOURCE, 1000) for note in notes],
    )


def _check_same(facts: VideoFacts, video: Video) -> None:
    if not facts.same_as(VideoFacts.of(video)):
        raise ValueError(
            f"it is about another video, of {facts}, not of {VideoFacts.of(video)}: "
            "choose the one that it was made from"
        )


def _json(archive: zipfile.ZipFile, name: str) -> object:
    return checked.parse(_read(archive, name, MAX_DOCUMENT_BYTES), name)


def _read(archive: zipfile.ZipFile, name: str, most: int) -> bytes:
    """Unpack a part of at most so many bytes."""
    if name not in archive.namelist():
        raise ValueError(f"{name} is missing")
    size = archive.getinfo(name).file_size
    if size > most:
        raise ValueError(f"{name} is larger than {most} bytes")
    with archive.open(name) as file:
        return file.read(size)  # without a number zipfile unpacks all before it cuts

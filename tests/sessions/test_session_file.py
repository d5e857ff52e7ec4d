"""Session files: they come back equal, with the video inside or with the user's; Stop leaves nothing behind."""

from __future__ import annotations

import resource
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from sparrow.errors import Cancelled
from sparrow.sessions.record import MAX_EXCHANGES, Exchange, Record, SessionError
from sparrow.sessions.session import Session
from sparrow.sessions.session_file import VideoWantedError, read_session_file, write_session_file
from sparrow.sessions.sessions import Sessions
from sparrow.types import GroundedAnswer, Progress
from tests.sessions.made_records import assert_same


def test_a_session_comes_back_equal_with_its_video(
    full: Session, folder: Path, tmp_path: Path
) -> None:
    path = write_session_file(tmp_path / "a.sparrow", full)
    record = read_session_file(path, folder)
    assert_same(record, full)
    assert record.video is not None
    assert full.video is not None
    assert (record.video.read(range(30)) == full.video.read(range(30))).all()
    assert record.video.has_audio
    assert sorted(p.suffix for p in folder.iterdir()) == [".json", ".mp4"]
    assert record.exchanges[0].answer is record.history.turns[1].answer


def test_a_full_disk_is_not_the_files_fault(full: Session, folder: Path, tmp_path: Path) -> None:
    path = write_session_file(tmp_path / "a.sparrow", full)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))  # no file may grow beyond
    try:
        with pytest.raises(SessionError, match=r"^a\.sparrow cannot be opened: File too large"):
            read_session_file(path, folder)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(folder.iterdir()) == []


def test_the_same_session_gives_the_same_file(full: Session, tmp_path: Path) -> None:
    one, two = (write_session_file(tmp_path / f"{i}.sparrow", full) for i in (1, 2))
    assert one.read_bytes() == two.read_bytes()
    assert [p.name for p in tmp_path.glob("*.part")] == []


def test_without_its_video_it_asks_for_the_same_one(
    full: Session, folder: Path, tmp_path: Path, clip: Callable[[str], Path]
) -> None:
    small = write_session_file(tmp_path / "small.sparrow", full, with_video=False)
    with_video = write_session_file(tmp_path / "large.sparrow", full)
    assert small.stat().st_size < with_video.stat().st_size - clip("plain.mp4").stat().st_size / 2
    with pytest.raises(VideoWantedError, match="30 frames of 96 x 64 at 10 a second") as wanted:
        read_session_file(small, folder)
    assert wanted.value.facts.frames == 30
    for other in ("one.mp4", "rotated.mp4", "ntsc.mp4", "vfr.mp4"):
        with pytest.raises(SessionError, match="another video"):
            read_session_file(small, folder, video=clip(other))
    assert list(folder.iterdir()) == []
    record = read_session_file(small, folder, video=clip("plain.mp4"))
    assert record.video is not None
    full.video = record.video  # its notes and times are those of the file given
    assert_same(record, full)


def test_a_session_without_a_video_comes_back(folder: Path, tmp_path: Path) -> None:
    empty = Record(
        title="nothing yet", exchanges=[Exchange("hello?", text="Choose", state="failed")]
    )
    path = write_session_file(tmp_path / "empty.sparrow", empty)
    assert_same(read_session_file(path, folder), empty)


def test_it_opens_into_a_session_that_lasts(
    full: Session, sessions: Sessions, tmp_path: Path
) -> None:
    path = write_session_file(tmp_path / "a.sparrow", full)
    session = sessions.open()
    session.adopt(read_session_file(path, session.new_path("video").parent))
    full.model = ""
    sessions.close()
    assert_same(sessions.get(session.id), full)


def test_what_was_being_answered_opens_as_ended(
    full: Session, folder: Path, tmp_path: Path
) -> None:
    full.exchanges = [Exchange("?", text="so far")]
    record = read_session_file(write_session_file(tmp_path / "a.sparrow", full), folder)
    assert record.exchanges[0].state == "stopped"


def test_places_on_this_computer_are_not_passed_on(
    full: Session, folder: Path, tmp_path: Path
) -> None:
    full.model = str(tmp_path / "secret" / "my-model")
    path = write_session_file(tmp_path / "a.sparrow", full)
    assert read_session_file(path, folder).model == "my-model"
    with zipfile.ZipFile(path) as archive:
        everything = b"".join(archive.read(name) for name in archive.namelist())
    assert str(tmp_path).encode() not in everything
    assert full.id.encode() not in everything


def test_stop_leaves_nothing_behind(full: Session, folder: Path, tmp_path: Path) -> None:
    cancel = threading.Event()

    def stop_at(done: int) -> Callable[[Progress], None]:
        cancel.clear()
        return lambda now: cancel.set() if now.done >= done else None

    with pytest.raises(Cancelled):
        write_session_file(tmp_path / "a.sparrow", full, progress=stop_at(1), cancel=cancel)
    assert [p.name for p in tmp_path.iterdir() if "sparrow" in p.name or "part" in p.name] == []
    path = write_session_file(tmp_path / "a.sparrow", full)
    for done in (0, 1, 20):  # between tracks, and while the video is opened
        with pytest.raises(Cancelled):
            read_session_file(path, folder, progress=stop_at(done), cancel=cancel)
        assert list(folder.iterdir()) == []


def test_a_file_that_could_not_be_read_back_is_not_written(full: Session, tmp_path: Path) -> None:
    path = write_session_file(tmp_path / "a.sparrow", full)
    before = path.read_bytes()
    timeless = GroundedAnswer("yes", seconds={"answer": float("nan")})
    full.exchanges.append(Exchange("?", answer=timeless, state="done"))
    with pytest.raises(SessionError, match=r"a\.sparrow cannot be written"):
        write_session_file(path, full)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir() if p.suffix == ".part"] == []


def test_as_many_exchanges_as_allowed_open(folder: Path, tmp_path: Path) -> None:
    record = Record(exchanges=[Exchange(f"{i}?", state="failed") for i in range(MAX_EXCHANGES)])
    path = write_session_file(tmp_path / "a.sparrow", record)
    assert len(read_session_file(path, folder).exchanges) == MAX_EXCHANGES

"""Opening: an upload moves into its session, becomes its video or a clear error, and leaves no copy."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from sparrow.errors import VideoError
from sparrow.limits import Limits
from sparrow.page import opening
from sparrow.page.examples import Example
from sparrow.page.visit import Visit
from sparrow.sessions.record import Exchange, SessionError
from sparrow.sessions.session import Session
from sparrow.sessions.session_file import VideoWantedError, write_session_file
from sparrow.sessions.sessions import Sessions
from tests.page.conftest import Opened, run

Clips = Callable[[str], Path]


def files(folder: Path) -> list[str]:
    """List what a session keeps, without its record."""
    return sorted(
        path.name for path in folder.rglob("*") if path.is_file() and path.parent != folder
    )


def open_upload(session: Session, visit: Visit, sent: Path, title: str) -> None:
    run(opening.open_upload(session, visit, opening.take_upload(session, sent), title))


@pytest.fixture
def upload(tmp_path: Path, clip: Clips) -> Clips:
    """Put a copy of a clip where Gradio would put an upload."""

    def put(name: str) -> Path:
        return Path(shutil.copy(clip(name), tmp_path / name))

    return put


def test_limits_are_said() -> None:
    words = opening.limits_text(Limits(max_seconds=60, max_bytes=200 * 2**20, max_frames=3600))
    assert "60 seconds, 200 MB and 3600 frames" in words


def test_an_upload_is_moved_not_copied(sessions: Sessions, upload: Clips) -> None:
    session, sent = sessions.open(), upload("plain.mp4")
    size = sent.stat().st_size
    taken = opening.take_upload(session, sent)
    assert not sent.exists()
    assert taken.stat().st_size == size
    assert taken.is_relative_to(session.folder)
    assert taken.name == "upload"  # nothing of the visitor's name: served files are named by us


def test_a_lost_upload_is_explained(sessions: Sessions, tmp_path: Path) -> None:
    session = sessions.open()
    with pytest.raises(SessionError, match="upload the file again"):
        opening.take_upload(session, tmp_path / "gone.mp4")
    assert files(session.folder) == []


def test_a_good_upload_becomes_the_video(sessions: Sessions, upload: Clips) -> None:
    session, visit = sessions.open(), Visit(choosing=True)
    open_upload(session, visit, upload("odd.mkv"), "my odd.mkv")
    assert session.video is not None
    assert session.video.size_hw == (64, 96)
    assert session.video.path.is_relative_to(session.folder)
    assert session.title == "my odd.mkv"
    assert not visit.choosing
    assert len([name for name in files(session.folder) if name.endswith(".mp4")]) == 1
    assert "upload" not in files(session.folder)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("sound.m4a", "picture|video"),
        ("no-frames.mp4", "frame|video"),
        ("cut-no-index.mp4", "cut off"),
        ("huge.gif", "megapixels|max_pixels"),
    ],
)
def test_a_bad_upload_is_refused_and_the_old_video_stays(
    opened: Opened, upload: Clips, name: str, words: str
) -> None:
    before, kept = opened.session.video, files(opened.session.folder)
    with pytest.raises(VideoError, match=words):
        open_upload(opened.session, opened.visit, upload(name), name)
    assert opened.session.video is before
    assert files(opened.session.folder) == kept


def test_a_file_beyond_the_page_limits_is_refused(sessions: Sessions, upload: Clips) -> None:
    session, visit = sessions.open(), Visit()
    taken = opening.take_upload(session, upload("plain.mp4"))
    with pytest.raises(VideoError, match="at most 1 s"):
        run(opening.open_upload(session, visit, taken, "long", Limits(max_seconds=1)))
    assert files(session.folder) == []


def test_a_new_video_starts_over(opened: Opened, examples: tuple[Example, ...]) -> None:
    session = opened.session
    assert session.suggestions == ("Where is the fox?", "How many?")
    opened.give(1, "the fox")
    session.exchanges.append(Exchange("Where?"))
    run(opening.open_example(session, opened.visit, examples[1]))
    assert (session.exchanges, session.suggestions, session.referents()) == ([], (), ())
    assert not opened.video.path.exists()
    assert examples[0].path.exists()


def test_a_session_file_opens_with_its_video(
    opened: Opened, sessions: Sessions, tmp_path: Path
) -> None:
    track = opened.give(1, "the fox")
    saved = write_session_file(tmp_path / "a.sparrow", opened.session)
    session, visit = sessions.open(), Visit()
    open_upload(session, visit, saved, "A.SPARROW")
    assert session.history.tracks[1].rles == track.rles
    assert session.title == "The plain.mp4"
    assert session.video is not None
    assert session.video.num_frames == 30


def test_a_session_file_without_video_waits_for_it(
    opened: Opened, sessions: Sessions, tmp_path: Path, upload: Clips
) -> None:
    opened.give(1, "the fox")
    saved = write_session_file(tmp_path / "a.sparrow", opened.session, with_video=False)
    session, visit = sessions.open(), Visit()
    with pytest.raises(VideoWantedError, match="choose the same video again"):
        open_upload(session, visit, saved, "a.sparrow")
    assert visit.choosing
    with pytest.raises(SessionError, match="another video"):
        open_upload(session, visit, upload("ntsc.mp4"), "ntsc.mp4")
    open_upload(session, visit, upload("plain.mp4"), "plain.mp4")
    assert list(session.history.tracks) == [1]
    assert (visit.waiting, visit.choosing) == (None, False)
    assert "upload" not in files(session.folder)


def test_a_broken_session_file_is_refused(opened: Opened, tmp_path: Path) -> None:
    broken = tmp_path / "b.sparrow"
    broken.write_bytes(b"PK not really")
    with pytest.raises(SessionError, match="expected a session file"):
        open_upload(opened.session, opened.visit, broken, "b.sparrow")
    assert opened.session.video is opened.video

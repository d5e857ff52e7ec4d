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
from sparrow.page.session import Exchange, SessionError, Sessions
from sparrow.pipeline import Sparrow

Clips = Callable[[str], Path]


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


@pytest.fixture
def upload(tmp_path: Path, clip: Clips) -> Callable[[str], Path]:
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
    with pytest.raises(SessionError, match="upload the video again"):
        opening.take_upload(session, tmp_path / "gone.mp4")
    assert files(session.folder) == []


def test_a_good_upload_becomes_the_video(
    sparrow: Sparrow, sessions: Sessions, upload: Clips
) -> None:
    session = sessions.open()
    taken = opening.take_upload(session, upload("odd.mkv"))
    for _ in opening.open_upload(sparrow, session, taken, "my odd.mkv"):
        pass
    assert session.video is not None
    assert session.video.size_hw == (64, 96)
    assert session.video.path.is_relative_to(session.folder)
    assert session.title == "my odd.mkv"
    assert session.chat is not None
    assert not taken.exists()
    assert len([name for name in files(session.folder) if name.endswith(".mp4")]) == 1


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
    sparrow: Sparrow, sessions: Sessions, upload: Clips, name: str, words: str
) -> None:
    session = sessions.open()
    for _ in opening.open_upload(
        sparrow, session, opening.take_upload(session, upload("plain.mp4")), "good"
    ):
        pass
    before, kept = session.video, files(session.folder)
    taken = opening.take_upload(session, upload(name))
    with pytest.raises(VideoError, match=words):
        for _ in opening.open_upload(sparrow, session, taken, name):
            pass
    assert session.video is before
    assert files(session.folder) == kept


def test_a_file_beyond_the_page_limits_is_refused(
    sparrow: Sparrow, sessions: Sessions, upload: Clips
) -> None:
    session = sessions.open()
    taken = opening.take_upload(session, upload("plain.mp4"))
    with pytest.raises(VideoError, match="at most 1 s"):
        for _ in opening.open_upload(sparrow, session, taken, "long", Limits(max_seconds=1)):
            pass
    assert files(session.folder) == []


def test_a_new_video_starts_over(
    sparrow: Sparrow, sessions: Sessions, examples: tuple[Example, ...]
) -> None:
    session = sessions.open()
    for _ in opening.open_example(sparrow, session, examples[0]):
        pass
    assert session.suggestions == ("Where is the fox?", "How many?")
    first = session.video
    assert first is not None
    session.exchanges.append(Exchange("Where?"))
    for _ in opening.open_example(sparrow, session, examples[1]):
        pass
    assert session.exchanges == []
    assert session.suggestions == ()
    assert not first.path.exists()
    assert examples[0].path.exists()

"""One open session: files of its own, names and colours, undo and redo that leave the rest alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sparrow.sessions.record import MAX_EDITS, MAX_NAME, Record, SessionError
from sparrow.sessions.session import Session
from sparrow.sessions.sessions import Sessions
from sparrow.types import Prompt, colour_of
from tests.sessions.made_records import assert_same, put_video, say, track


@pytest.fixture
def session(sessions: Sessions, clip_path: Path) -> Session:
    """Two things were spoken of."""
    session = sessions.open()
    session.video = put_video(session, clip_path)
    say(session, "what?", 1)
    say(session, "and?", 2)
    return session


def test_new_paths_never_meet(session: Session) -> None:
    first, second = session.new_path("a.mp4"), session.new_path("a.mp4")
    first.write_bytes(b"1")
    second.write_bytes(b"2")
    session.discard(first)
    session.discard(first)
    session.discard(None)
    assert not first.exists()
    assert second.read_bytes() == b"2"


@pytest.mark.parametrize("name", ["", ".", "..", "../a.mp4", "/etc/passwd", "a/b"])
def test_a_new_path_has_a_plain_name(session: Session, name: str) -> None:
    with pytest.raises(ValueError, match="name of a file"):
        session.new_path(name)


def test_only_what_new_path_gave_is_discarded(session: Session, tmp_path: Path) -> None:
    for path in (session.folder / "session.db", tmp_path / "a" / "b", session.folder):
        with pytest.raises(ValueError, match="new_path"):
            session.discard(path)
    assert session.folder.is_dir()


def test_busy_while_work_waits_or_goes_on(session: Session) -> None:
    assert not session.busy
    session.pending = lambda: iter(())
    assert session.busy
    session.pending, session.working = None, True
    assert session.busy


def test_names_and_colours_of_the_user_are_shown(session: Session) -> None:
    session.rename(1, "  Rex \n the  dog ")
    session.recolour(2, "#ABCDEF")
    assert [(r.id, r.phrase, r.colour) for r in session.referents()] == [
        (1, "Rex the dog", colour_of(1)),
        (2, "the fox", "#abcdef"),
    ]
    session.rename(1, " ")
    assert session.referents()[0].phrase == "the fox"


@pytest.mark.parametrize(
    ("referent_id", "name", "message"),
    [(1, "x" * (MAX_NAME + 1), "80 characters"), (3, "Rex", "no object 3"), (0, "", "no object 0")],
)
def test_bad_names_are_refused(session: Session, referent_id: int, name: str, message: str) -> None:
    with pytest.raises(SessionError, match=message):
        session.rename(referent_id, name)
    assert session.names == {}


@pytest.mark.parametrize(
    "colour", ["red", "#12345", "#1234567", "#12345g", "#fff;x", "", "#123456\n"]
)
def test_bad_colours_are_refused(session: Session, colour: str) -> None:
    with pytest.raises(SessionError, match="#rrggbb"):
        session.recolour(1, colour)
    with pytest.raises(SessionError, match="no object 9"):
        session.recolour(9, "#123456")
    assert session.colours == {}


def correct(session: Session, i: int, seed: int) -> None:
    assert session.video is not None
    session.remember(i)
    fixed = track(session.video, i, seed)
    session.history = session.history.with_track(fixed, session.history.phrases.get(i, "a thing"))
    pointed = Prompt(i, seed, "point-", np.array([1, 2], np.float32))
    session.prompts = (*session.prompts, pointed)


def test_undo_and_redo_give_back_the_very_tracks(session: Session) -> None:
    tracks = [session.history.tracks[1]]
    for seed in (1, 2):
        correct(session, 1, seed)
        tracks.append(session.history.tracks[1])
    session.undo()
    assert session.history.tracks[1] is tracks[1]
    assert [p.frame for p in session.prompts] == [1]
    session.undo()
    assert session.history.tracks[1] is tracks[0]
    assert session.prompts == ()
    with pytest.raises(SessionError, match="nothing to undo"):
        session.undo()
    session.redo()
    session.redo()
    assert session.history.tracks[1] is tracks[2]
    assert [p.frame for p in session.prompts] == [1, 2]
    with pytest.raises(SessionError, match="nothing to redo"):
        session.redo()


def test_a_new_change_forgets_what_could_be_redone(session: Session) -> None:
    correct(session, 1, 1)
    session.undo()
    correct(session, 2, 2)
    with pytest.raises(SessionError, match="nothing to redo"):
        session.redo()


def test_undo_of_a_new_thing_takes_it_away_and_never_gives_its_id_again(session: Session) -> None:
    assert session.history.next_id == 3
    correct(session, 3, 1)
    session.attached = (1, 3)
    session.undo()
    assert set(session.history.tracks) == {1, 2}
    assert session.attached == (1,)
    assert session.history.next_id == 4
    session.redo()
    assert session.history.phrases[3] == "a thing"


def test_undo_of_a_deletion_brings_back_name_and_track(session: Session) -> None:
    session.rename(2, "Rex")
    session.remember(2)
    session.history = session.history.without(2)
    assert [r.id for r in session.referents()] == [1]
    session.undo()
    assert [(r.id, r.phrase) for r in session.referents()] == [(1, "the fox"), (2, "Rex")]


def test_undo_leaves_answers_given_since_alone(session: Session) -> None:
    correct(session, 1, 1)
    say(session, "who else?", 3)
    turns, third = session.history.turns, session.history.tracks[3]
    session.undo()
    assert session.history.turns == turns
    assert session.history.tracks[3] is third


def test_no_more_changes_are_kept_than_can_be_undone(session: Session) -> None:
    for _ in range(MAX_EDITS + 5):
        session.remember(1)
    assert len(session.undo_stack) == MAX_EDITS


def test_telling_ends_the_status(session: Session) -> None:
    session.tell("Broken.", failed=True)
    assert (session.status, session.notice, session.failed) == (None, "Broken.", True)


def test_adopting_a_record_replaces_all_and_deletes_the_old_video(
    full: Session, sessions: Sessions, clip_path: Path
) -> None:
    session = sessions.open()
    old = session.video = put_video(session, clip_path)
    session.model = "loaded here"
    record = Record(model="named in a file", title="Theirs")
    record.video = put_video(session, clip_path)
    record.exchanges, record.history = full.exchanges, full.history
    session.adopt(record)
    record.model = "loaded here"
    assert_same(session, record)
    assert not old.path.exists()
    assert record.video.path.exists()
    assert_same(sessions.peek(session.id), record)


def test_a_record_that_cannot_be_saved_is_not_adopted(session: Session, sessions: Sessions) -> None:
    session.save()
    before = sessions.peek(session.id)
    with pytest.raises(SessionError, match="at most 2000 characters"):
        session.adopt(Record(title="x" * 2001))
    assert_same(session, before)
    assert session.video is not None
    assert session.video.path.exists()

"""session.db: everything comes back to the bit, a save writes only what changed, damage is noticed and named."""

from __future__ import annotations

import io
import resource
import sqlite3
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
import pytest

from sparrow.sessions.record import MAX_EXCHANGES, Exchange, SessionError
from sparrow.sessions.session import Session
from sparrow.sessions.sessions import Sessions
from sparrow.sessions.store import Store
from sparrow.sessions.track_text import MAX_BYTES, check_masks, from_text, to_text
from sparrow.types import GroundedAnswer, MaskTrack, Prompt, Referent
from sparrow.video import Video
from tests.sessions.made_records import assert_same, fill, put_video, say, track


def run(session: Session, *statements: str) -> None:
    """Change a session's database behind its back."""
    with closing(sqlite3.connect(session.folder / "session.db")) as database, database:
        for statement in statements:
            database.execute(statement)


@contextmanager
def watched(session: Session) -> Iterator[list[str]]:
    """Collect what is written meanwhile, as "insert exchanges/3"."""
    changes = (("document", "name"), ("track", "key"))
    run(session, "CREATE TABLE watch (what TEXT)")
    for table, column in changes:
        for event, row in (("insert", "NEW"), ("update", "NEW"), ("delete", "OLD")):
            run(
                session,
                f"CREATE TRIGGER {table}_{event} AFTER {event} ON {table} BEGIN "
                f"INSERT INTO watch VALUES ('{event} ' || {row}.{column}); END",
            )
    what: list[str] = []
    yield what
    with closing(sqlite3.connect(session.folder / "session.db")) as database:
        what += [row[0] for row in database.execute("SELECT what FROM watch")]
    run(
        session,
        *(f"DROP TRIGGER {t}_{e}" for t, _ in changes for e in ("insert", "update", "delete")),
    )
    run(session, "DROP TABLE watch")


def test_everything_comes_back_to_the_bit(full: Session) -> None:
    assert_same(Store(full.folder).load(), full)


def test_what_is_read_is_saved_again_without_a_write(full: Session) -> None:
    store = Store(full.folder)
    record = store.load()
    with watched(full) as written:
        store.save(record)
    assert written == []


def test_a_turn_writes_only_that_turn(full: Session) -> None:
    with watched(full) as written:
        say(full, "and now?", 4)
        full.save()
    kinds = [what.partition("/")[0] for what in written]
    tracks = [what for what in written if "/" not in what and what != "insert about"]
    assert sorted(kinds) == sorted(
        [
            "insert about",
            "insert exchanges",
            "insert answers",
            "insert turns",
            "insert turns",
            *tracks,
        ]
    )
    assert len(tracks) == 1
    assert f"insert exchanges/{len(full.exchanges) - 1}" in written


def test_words_that_stream_write_only_their_exchange(full: Session) -> None:
    full.exchanges.append(Exchange("and?"))
    full.save()
    with watched(full) as written:
        full.exchanges[-1].text = "The fox"
        full.save()
    assert written == [f"insert exchanges/{len(full.exchanges) - 1}"]


def test_nothing_new_writes_nothing(full: Session) -> None:
    with watched(full) as written:
        full.save()
    assert written == []


def test_what_nothing_refers_to_any_more_is_deleted(full: Session) -> None:
    full.exchanges, full.undo_stack, full.redo_stack = [], [], []
    full.history = full.history.before(0).without(1).without(2)
    full.save()
    with closing(sqlite3.connect(full.folder / "session.db")) as database:
        names = {row[0] for row in database.execute("SELECT name FROM document")}
        assert names == {"about", "prompts", "video"}
        assert database.execute("SELECT count(*) FROM track").fetchone() == (0,)
    assert_same(Store(full.folder).load(), full)


def test_the_same_track_is_kept_once(full: Session) -> None:
    assert full.video is not None
    before = len(Store(full.folder)._tracks)
    with closing(sqlite3.connect(full.folder / "session.db")) as database:
        count = "SELECT count(*) FROM track"
        (before,) = database.execute(count).fetchone()
        full.remember(2)
        equal = full.history.tracks[1]
        full.history = full.history.with_track(from_text(io.BytesIO(to_text(equal))), "the fox")
        full.save()
        assert database.execute(count).fetchone() == (before,)
    assert_same(Store(full.folder).load(), full)


def test_tracks_take_little_room(full: Session) -> None:
    """A ragged 4K-like mask in RLE must not become megabytes; here: less than the raw bits by far."""
    assert full.video is not None
    height, width = full.video.size_hw
    raw = height * width * full.video.num_frames // 8
    with closing(sqlite3.connect(full.folder / "session.db")) as database:
        sizes = [row[0] for row in database.execute("SELECT length(content) FROM track")]
    assert max(sizes) < raw


def test_others_may_keep_tables_in_the_same_file(sessions: Sessions) -> None:
    """The chat assistant's checkpoints do, from before the first save on."""
    session = sessions.open()
    run(session, "PRAGMA journal_mode = WAL", "CREATE TABLE checkpoints (c)")
    assert Store(session.folder).load().title == ""
    session.title = "both"
    session.save()
    run(session, "INSERT INTO checkpoints VALUES (1)")
    session.title = "still both"
    session.save()
    sessions.close()
    assert sessions.get(session.id).title == "still both"


def test_half_characters_are_replaced_not_refused(sessions: Sessions) -> None:
    session = sessions.open()
    session.exchanges = [Exchange("a\ud83d b\udc00\x00", text="\ud83e\udd8a fox", state="failed")]
    session.save()
    loaded = Store(session.folder).load().exchanges[0]
    assert loaded.question == "a\ufffd b\ufffd\x00"
    assert len(loaded.text) == len(session.exchanges[0].text)


def too_long(session: Session) -> None:
    session.exchanges.append(Exchange("x" * 100_001))


def too_many(session: Session) -> None:
    session.exchanges = [Exchange("?", state="failed")] * (MAX_EXCHANGES + 1)


def not_a_time(session: Session) -> None:
    answer = GroundedAnswer("no", seconds={"answer": float("nan")})
    session.exchanges.append(Exchange("?", answer=answer, state="done"))


def long_name(session: Session) -> None:
    session.names = {1: "x" * 81}


def not_a_colour(session: Session) -> None:
    session.colours = {1: "red;background:url(x)"}


def prompt_after_the_end(session: Session) -> None:
    session.prompts = (Prompt(1, 30, "point+", np.array([1, 1], np.float32)),)


def prompt_outside(session: Session) -> None:
    session.prompts = (Prompt(1, 0, "point+", np.array([97, 1], np.float32)),)


def track_of_other_size(session: Session) -> None:
    small = MaskTrack.from_masks(9, [np.ones((4, 4), dtype=bool)] * 30, [1.0] * 30)
    session.history = session.history.with_track(small, "small")


def no_video(session: Session) -> None:
    session.video = None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (too_long, "at most 100000 characters"),
        (too_many, f"at most {MAX_EXCHANGES} questions"),
        (not_a_time, "cannot be saved"),
        (long_name, "at most 80 characters"),
        (not_a_colour, "colour"),
        (prompt_after_the_end, "from 0 to 29, got 30"),
        (prompt_outside, "from 0 to 96, got 97"),
        (track_of_other_size, "tracks: expected masks for 30 frames of 96 x 64"),
        (no_video, "none without a video"),
    ],
)
def test_what_could_not_be_read_back_is_not_written(
    full: Session, change: Callable[[Session], None], message: str
) -> None:
    before = Store(full.folder).load()
    change(full)
    with pytest.raises(SessionError, match=message):
        full.save()
    assert_same(Store(full.folder).load(), before)


def test_the_video_lies_in_the_sessions_folder(sessions: Sessions, plain_video: Video) -> None:
    session = sessions.open()
    session.video = plain_video
    with pytest.raises(SessionError, match=r"workdir=session\.new_path"):
        session.save()


def test_a_full_disk_loses_nothing(full: Session) -> None:
    before = Store(full.folder).load()
    say(full, "one more?", 5)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8192, hard))
    try:
        with pytest.raises(SessionError, match="make room on the disk"):
            full.save()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert_same(Store(full.folder).load(), before)
    full.save()
    assert_same(Store(full.folder).load(), full)


def cut(session: Session) -> None:
    path = session.folder / "session.db"
    path.write_bytes(path.read_bytes()[:5000])


def scratched(session: Session) -> None:
    path = session.folder / "session.db"
    content = bytearray(path.read_bytes())
    content[4096:] = b"\xa5" * (len(content) - 4096)
    path.write_bytes(content)


def rubbish(session: Session) -> None:
    (session.folder / "session.db").write_bytes(b"rubbish" * 3000)


def a_folder(session: Session) -> None:
    (session.folder / "session.db").unlink()
    (session.folder / "session.db").mkdir()


def track_bomb(session: Session) -> None:
    bomb = zlib.compress(bytes(MAX_BYTES + 10), 1)
    with closing(sqlite3.connect(session.folder / "session.db")) as database, database:
        database.execute("UPDATE track SET content = ?", (bomb,))


def gone_video(session: Session) -> None:
    assert session.video is not None
    session.video.path.unlink()


def other_video(session: Session) -> None:
    assert session.video is not None
    session.video.path.write_bytes(b"no video" * 100)


def sql(*statements: str) -> Callable[[Session], None]:
    def change(session: Session) -> None:
        run(session, *statements)

    change.__name__ = statements[0][:60]
    return change


def put(name: str, value: str) -> Callable[[Session], None]:
    return sql(f"UPDATE document SET value = '{value}' WHERE name = '{name}'")


def set_about(path: str, value: str) -> Callable[[Session], None]:
    return sql(
        f"UPDATE document SET value = json_set(value, '$.{path}', json('{value}')) WHERE name = 'about'"
    )


DAMAGE = [
    (cut, "cannot be read"),
    (scratched, "cannot be read"),
    (rubbish, "not a database"),
    (track_bomb, "content is damaged"),
    (gone_video, "its video is gone or damaged"),
    (other_video, "its video is gone or damaged"),
    (sql("UPDATE track SET content = x'00'"), "cannot be read"),
    (sql("UPDATE track SET content = 'text'"), "cannot be read"),
    (sql("UPDATE track SET content = substr(content, 1, length(content) / 2)"), "damaged"),
    (sql("DELETE FROM track"), "is missing"),
    (sql("DELETE FROM document WHERE name = 'turns/1'"), "turns/1 is missing"),
    (sql("DELETE FROM document WHERE name = 'about'"), "about is missing"),
    (sql("DELETE FROM document WHERE name LIKE 'answers/%'"), "is missing"),
    (sql("DROP TABLE track"), "no such table"),
    (sql("PRAGMA application_id = 7"), "not a session of Sparrow"),
    (sql("PRAGMA user_version = 2"), "newer Sparrow"),
    (put("about", "{"), "expected JSON"),
    (put("about", "[]"), "expected an object"),
    (put("prompts", "NaN"), "NaN is not JSON"),
    (put("prompts", "[" * 100_000), "expected JSON"),
    (put("exchanges/0", "7"), "expected an object"),
    (put("video", '"/etc/passwd"'), "in the session"),
    (put("video", '"../../a.mp4"'), "in the session"),
    (put("video", "7"), "expected a text"),
    (put("video", "null"), "video: expected 30 frames"),
    (set_about("video.frames", "31"), "expected 31 frames"),
    (set_about("next_id", "1"), "below next_id"),
    (set_about("exchanges", "1000000000"), "from 0 to 1000"),
    (set_about("exchanges", "true"), "a whole number"),
    (set_about("span", "[5, 2]"), "start < stop"),
    (set_about("look", '{"mode": "lasers", "opacity": 1, "label": true}'), "look: expected one of"),
    (set_about("names", '{"-1": "x"}'), "referent ids as keys"),
    (set_about("tracks", '{"1": "none"}'), "track 'none' is missing"),
]


@pytest.mark.parametrize(("damage", "message"), DAMAGE, ids=lambda d: getattr(d, "__name__", d))
def test_damage_is_named_and_stays_in_its_session(
    full: Session, sessions: Sessions, damage: Callable[[Session], None], message: str
) -> None:
    other = sessions.open()
    other.title = "sound"
    other.save()
    sessions.close()
    damage(full)
    restarted = Sessions(sessions.root)
    with pytest.raises(SessionError, match=message):
        restarted.get(full.id)
    assert restarted.get(other.id).title == "sound"
    assert len(restarted.list()) == 2
    assert restarted.delete(full.id)
    restarted.close()


def test_a_folder_in_the_databases_place_is_no_crash(full: Session, sessions: Sessions) -> None:
    sessions.close()
    a_folder(full)
    with pytest.raises(SessionError):
        restarted = Sessions(sessions.root)
        restarted.get(full.id).save()


def test_threads_that_save_at_once_corrupt_nothing(sessions: Sessions, clip_path: Path) -> None:
    session = sessions.open()
    session.video = put_video(session, clip_path)
    failures: list[Exception] = []

    def work(i: int) -> None:
        try:
            for k in range(5):
                with session.lock:
                    say(session, f"{i} {k}?", i)
                    session.save()
                session.save()
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(1, 7)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    loaded = Store(session.folder).load()
    assert len(loaded.exchanges) == 30
    assert_same(loaded, session)


def test_reading_while_another_saves_sees_whole_turns(sessions: Sessions, clip_path: Path) -> None:
    session = sessions.open()
    fill(session, clip_path)
    session.save()
    over = threading.Event()

    def work() -> None:
        for k in range(10):
            say(session, f"{k}?", 1, seed=k)
            session.save()
        over.set()

    thread = threading.Thread(target=work)
    thread.start()
    while not over.is_set():
        record = sessions.peek(session.id)
        finished = [e.answer for e in record.exchanges if e.answer is not None]
        assert [t.answer for t in record.history.turns[1::2]] == finished
    thread.join()


EDGES = {
    "empty": np.zeros((2, 2), dtype=bool),
    "full": np.ones((2, 2), dtype=bool),
    "one pixel": np.eye(2, dtype=bool) & np.array([[True, False]] * 2),
}


@pytest.mark.parametrize("mask", EDGES.values(), ids=EDGES)
def test_tracks_of_any_mask_come_back(mask: np.ndarray) -> None:
    for frames in (1, 3):
        made = MaskTrack.from_masks(7, [mask] * frames, [0.1, 1.0, 0.0][:frames])
        again = from_text(io.BytesIO(to_text(made)))
        check_masks(again)
        assert (again.referent_id, again.size_hw, again.rles) == (7, (2, 2), made.rles)
        assert again.scores.tobytes() == made.scores.tobytes()
        assert again.boxes.tobytes() == made.boxes.tobytes()


TRACK = b"sparrow-track 1 1 2 2 2 1\n0.5\n0.5 0.0 0.0 1.0 1.0 013\n"


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"\n",
        TRACK[:-1],
        TRACK + b"0.5\n",
        TRACK.replace(b"track 1", b"track 2"),
        TRACK.replace(b"1 1 2 2 2 1", b"1 0 2 2 2 1"),
        TRACK.replace(b"1 1 2 2 2 1", b"1 1 0 2 2 1"),
        TRACK.replace(b"1 1 2 2 2 1", b"1 1 2 99999 2 1"),
        TRACK.replace(b"1 1 2 2 2 1", b"1 1 2 2 99999999999 1"),
        TRACK.replace(b"1 1 2 2 2 1", b"1 1 2 2 2 2"),
        TRACK.replace(b"1 1 2 2 2 1", b"1 1 2 2 -2 1"),
        TRACK.replace(b"1 1 2 2 2 1", b"1 1 2 2 \xb2 1"),
        TRACK.replace(b"\n0.5\n", b"\nnan\n"),
        TRACK.replace(b"\n0.5\n", b"\n1.5\n"),
        TRACK.replace(b"\n0.5\n", b"\nx\n"),
        TRACK.replace(b"\n0.5\n", b"\n\n"),
        TRACK.replace(b" 013", b""),
        TRACK.replace(b" 013", b" "),
        TRACK.replace(b" 013", b" 0 13"),
        TRACK.replace(b"1.0 1.0", b"1.0 3.0"),
        TRACK.replace(b"1.0 1.0", b"0.0 1.0"),
        TRACK.replace(b"1.0 1.0", b"inf 1.0"),
        TRACK.replace(b" 013", b" 0132"),
        TRACK.replace(b" 013", b" 05"),
        TRACK.replace(b" 013", b" \xff\xff"),
        TRACK.replace(b" 013", b" ooooooooo"),
    ],
)
def test_bad_tracks_are_refused(text: bytes) -> None:
    check_masks(from_text(io.BytesIO(TRACK)))
    with pytest.raises(ValueError):
        check_masks(from_text(io.BytesIO(text)))


def test_a_track_beyond_what_can_be_read_is_not_written(full: Session) -> None:
    assert full.video is not None
    made = track(full.video, 3)
    long = MaskTrack(3, made.size_hw, (b"0" * (2**21 + 1), *made.rles[1:]), made.boxes, made.scores)
    full.history = full.history.with_track(long, "long")
    with pytest.raises(SessionError, match="expected score, box and RLE at frame 0"):
        full.save()


def test_an_answer_may_speak_of_things_without_tracks(full: Session) -> None:
    given = GroundedAnswer(
        "a and b", (Referent(7, "a", (0, 1), "#000000"), Referent(8, "b", None, "#ffffff"))
    )
    full.exchanges.append(Exchange("?", answer=given, state="cut"))
    full.history = full.history.after("?", (), given)
    full.save()
    assert_same(Store(full.folder).load(), full)

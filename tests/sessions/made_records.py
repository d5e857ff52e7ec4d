"""Records for the tests: tracks over a real video, conversations with everything in them, exact comparison."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from sparrow.looks import Look
from sparrow.sessions.record import Exchange, Record
from sparrow.sessions.session import Session
from sparrow.types import GroundedAnswer, MaskTrack, Prompt, Referent, TrackBuilder, colour_of
from sparrow.video import Video, load_video, source_path, write_source


def track(video: Video, i: int, seed: int = 0, *, complete: bool = True) -> MaskTrack:
    """Make a track of a ragged blob that moves, and is away in every seventh frame."""
    rng = np.random.default_rng([i, seed])
    height, width = video.size_hw
    builder = TrackBuilder(i, video.size_hw, video.num_frames)
    for frame in range(video.num_frames):
        mask = np.zeros(video.size_hw, dtype=bool)
        if frame % 7 != 6:
            top, left = frame % (height // 2), (frame * 2 + i) % (width // 2)
            mask[top : top + height // 3, left : left + width // 3] = True
            mask &= rng.random(video.size_hw) < 0.9
        builder.put(frame, mask, float(rng.random(dtype=np.float32)))
    return builder.build(complete=complete)


def answer(video: Video, i: int, seed: int = 0, phrase: str = "the fox") -> GroundedAnswer:
    """Answer that a referent moves, with its track."""
    return GroundedAnswer(
        f"{phrase} moves",
        (Referent(i, phrase, (0, len(phrase)), colour_of(i)),),
        (track(video, i, seed),),
        (0, 7, video.num_frames - 1),
        {"read": 0.1, "answer": 1 / 3},
        said=(3, 1, 4),
    )


def say(record: Record, question: str, i: int, seed: int = 0) -> None:
    """Add a finished exchange about a referent."""
    assert record.video is not None
    given = answer(record.video, i, seed)
    pointed = (Prompt(i, 1, "point+", np.array([3.25, 4.1], np.float32)),)
    record.exchanges.append(Exchange(question, (i,), pointed, given.text, given, "done"))
    record.history = record.history.after(question, pointed, given)


def put_video(session: Session, source: Path) -> Video:
    """Copy a normalised video into a session's folder and open it there."""
    path = session.new_path("video.mp4")
    path.write_bytes(source.read_bytes())
    times = load_video(source).timestamps
    write_source(path, (times * 1.5 + 0.25).tolist(), ["its sound was <odd>"])
    assert source_path(path).is_file()
    return load_video(path)


def fill(session: Session, source: Path) -> None:
    """Give a session everything that one can have."""
    video = session.video = put_video(session, source)
    session.model, session.title = "sparrow-mini", 'My "clip" <1>.mp4'
    session.suggestions = ("Where is the fox?", "Wie viele Füchse?")
    say(session, "what moves?", 1)
    mask = np.zeros(video.size_hw, dtype=bool)
    mask[2:9, 3:11] = True
    session.prompts = (
        Prompt(2, 3, "box", np.array([1, 2, 30.5, 40], np.float32)),
        Prompt(2, 4, "point-", np.array([5, 6], np.float32)),
        Prompt(1, 0, "mask", mask),
    )
    session.remember(2)
    session.history = session.history.with_track(track(video, 2), "object 2")
    say(session, "and this one? 🦊", 2, seed=5)
    session.remember(1)
    session.history = session.history.with_track(track(video, 1, seed=9, complete=False), "the fox")
    session.undo()
    session.remember(2)
    session.history = session.history.without(2)
    session.undo()
    session.exchanges += [
        Exchange("why?", text="Because", state="failed"),
        Exchange("how?", text="It was", state="stopped"),
    ]
    session.names, session.colours = {2: "Rex"}, {2: "#123abc"}
    session.hidden, session.attached = {1}, (2,)
    session.span, session.look = (3, 20), Look("spotlight", 0.7, label=False)


def assert_same(one: Record, other: Record) -> None:
    """Compare two records to the bit, but for the place of the video."""
    assert (one.model, one.title, one.suggestions) == (other.model, other.title, other.suggestions)
    assert (one.names, one.colours, one.hidden) == (other.names, other.colours, other.hidden)
    assert (one.attached, one.span, one.look) == (other.attached, other.span, other.look)
    assert _prompts(one.prompts) == _prompts(other.prompts)
    assert [_exchange(e) for e in one.exchanges] == [_exchange(e) for e in other.exchanges]
    turns = [
        [(t.role, t.text, _prompts(t.prompts), _answer(t.answer)) for t in record.history.turns]
        for record in (one, other)
    ]
    assert turns[0] == turns[1]
    assert dict(one.history.phrases) == dict(other.history.phrases)
    assert _tracks(one.history.tracks) == _tracks(other.history.tracks)
    assert one.history.next_id == other.history.next_id
    for stacks in ((one.undo_stack, other.undo_stack), (one.redo_stack, other.redo_stack)):
        edits = [
            [(e.ids, dict(e.phrases), _tracks(e.tracks), _prompts(e.prompts)) for e in stack]
            for stack in stacks
        ]
        assert edits[0] == edits[1]
    assert (one.video is None) == (other.video is None)
    if one.video is not None and other.video is not None:
        assert (one.video.num_frames, one.video.size_hw) == (
            other.video.num_frames,
            other.video.size_hw,
        )
        assert one.video.fps == other.video.fps
        assert one.video.notes == other.video.notes
        np.testing.assert_array_equal(one.video.source_times, other.video.source_times)
        np.testing.assert_array_equal(one.video.timestamps, other.video.timestamps)


def _exchange(exchange: Exchange) -> tuple[object, ...]:
    return (
        (exchange.question, exchange.attached, exchange.text, exchange.state),
        _prompts(exchange.prompts),
        _answer(exchange.answer),
    )


def _answer(given: GroundedAnswer | None) -> object:
    if given is None:
        return None
    return (
        (given.text, given.referents, given.frames, dict(given.seconds), given.complete),
        given.said,
        [_bits(found) for found in given.tracks],
    )


def _tracks(tracks: object) -> object:
    assert isinstance(tracks, dict)
    return {i: _bits(found) for i, found in tracks.items()}


def _bits(found: MaskTrack) -> object:
    return (
        (found.referent_id, found.size_hw, found.rles, found.complete),
        (found.boxes.dtype, found.boxes.tobytes(), found.scores.dtype, found.scores.tobytes()),
    )


def _prompts(prompts: tuple[Prompt, ...]) -> object:
    return [
        (p.referent_id, p.frame, p.kind, p.coordinates.dtype, p.coordinates.tobytes())
        for p in prompts
    ]

"""Tracks, requests and events over the wire: what arrives is what was sent, and what is broken is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from sparrow import errors
from sparrow.errors import BackendError, PromptError, SparrowError
from sparrow.remote.events import Receiver, RoomGoneError, Sender, pack_error
from sparrow.remote.requests import MAX_CHARACTERS, Request, pack, unpack
from sparrow.remote.tracks import UNSENT, read_thin, read_update, thin, update
from sparrow.sessions.record import SessionError
from sparrow.types import (
    GroundedAnswer,
    History,
    MaskTrack,
    Progress,
    Prompt,
    Referent,
    TextDelta,
    TracksSoFar,
    colour_of,
)
from sparrow.video import Video

FRAMES, SIZE = 30, (64, 96)


def made(referent_id: int = 1, seed: int = 0, *, complete: bool = True) -> MaskTrack:
    """Noise masks, some of them empty."""
    rng = np.random.default_rng(seed)
    masks = [rng.random(SIZE) < (0.0 if t % 7 == 3 else 0.3) for t in range(FRAMES)]
    track = MaskTrack.from_masks(referent_id, masks, rng.random(FRAMES).astype(np.float32).tolist())
    return replace(track, complete=complete)


EMPTY = MaskTrack.from_masks(1, [np.zeros(SIZE, bool)] * FRAMES, [0.0] * FRAMES)


def same(one: MaskTrack, other: MaskTrack) -> bool:
    return (
        (one.referent_id, one.size_hw, one.rles, one.complete)
        == (other.referent_id, other.size_hw, other.rles, other.complete)
        and np.array_equal(one.boxes, other.boxes, equal_nan=True)
        and np.array_equal(one.scores, other.scores)
    )


def wired(value: object) -> Any:
    return json.loads(json.dumps(value, allow_nan=False))


@pytest.mark.parametrize("track", [EMPTY, made(), made(complete=False)])
def test_a_thin_track_says_where_but_not_what(track: MaskTrack) -> None:
    read = read_thin(wired(thin(track, [4, 3, 29, 4])), 1, FRAMES, SIZE)
    assert np.array_equal(read.boxes, track.boxes, equal_nan=True)
    assert np.array_equal(read.scores, track.scores) and read.complete == track.complete
    assert np.array_equal(read.visible(), track.visible())
    for t in range(FRAMES):
        sent = t in (3, 4, 29)
        expected = track.rles[t] if sent or track.rles[t] is None else UNSENT
        assert read.rles[t] == expected


@pytest.mark.parametrize("known", [None, EMPTY, made(), made(seed=1), made(complete=False)])
@pytest.mark.parametrize("track", [EMPTY, made(), made(seed=2, complete=False)])
def test_an_update_gives_the_very_track(track: MaskTrack, known: MaskTrack | None) -> None:
    written = wired(update(track, known))
    read = read_update(written, {} if known is None else {1: known}, FRAMES, SIZE)
    assert same(read, track)


def test_nothing_new_is_no_more_than_a_few_words_and_the_same_object() -> None:
    track = made()
    written = update(made(), track)
    assert len(json.dumps(written)) < 120
    assert read_update(written, {1: track}, FRAMES, SIZE) is track


def test_an_update_onto_a_thin_track_is_one_onto_the_whole() -> None:
    before, after = made(), made(seed=3)
    mixed = replace(
        before,
        rles=(*before.rles[:10], *after.rles[10:12], *before.rles[12:]),
        boxes=np.concatenate([before.boxes[:10], after.boxes[10:12], before.boxes[12:]]),
        scores=np.concatenate([before.scores[:10], after.scores[10:12], before.scores[12:]]),
    )
    far = read_thin(wired(thin(before)), 1, FRAMES, SIZE)
    there = replace(mixed, rles=(*far.rles[:10], *after.rles[10:12], *far.rles[12:]))
    assert same(read_update(wired(update(there, far)), {1: before}, FRAMES, SIZE), mixed)


def changed(value: dict[str, Any], **entries: object) -> dict[str, Any]:
    return {**value, **entries}


@pytest.mark.parametrize(
    "spoil",
    [
        lambda u: changed(u, id=0),
        lambda u: changed(u, id="1"),
        lambda u: changed(u, complete=1),
        lambda u: changed(u, frames="AAAA"),
        lambda u: changed(u, frames="not base64!"),
        lambda u: changed(u, scores=""),
        lambda u: changed(u, masks=u["masks"][1:]),
        lambda u: changed(u, masks=["zz"] * len(u["masks"])),
        lambda u: changed(u, masks=[5] * len(u["masks"])),
        lambda u: {k: v for k, v in u.items() if k != "masks"},
        lambda u: [u],
        lambda u: None,
    ],
)
def test_broken_updates_are_refused(spoil: Callable[[Any], object]) -> None:
    with pytest.raises(ValueError):
        read_update(spoil(wired(update(made(), None))), {}, FRAMES, SIZE)
    with pytest.raises(ValueError, match="expected"):
        read_update(wired(update(made(), None)), {}, FRAMES - 5, SIZE)


def asked(video: Video) -> Request:
    answer = GroundedAnswer(
        "A dog.", (Referent(1, "A dog", (0, 5), colour_of(1)),), (made(),), (0, 5), {}, True, (7, 8)
    )
    history = History().after("What?", [box()], answer).with_track(made(4, 4), "object 4")
    return Request("ask", history, "And \u2603?", (box(4), Prompt(2, 3, "mask", made().mask(1))))


def box(referent_id: int = 1) -> Prompt:
    return Prompt(referent_id, 2, "box", np.array([1.5, 2, 30, 40], np.float32))


def test_a_question_arrives_with_all_that_was_said(plain_video: Video) -> None:
    sent = asked(plain_video)
    got = unpack(pack(sent, plain_video), plain_video)
    assert (got.kind, got.question, got.span, got.stopped) == ("ask", "And \u2603?", None, False)
    assert [turn.text for turn in got.history.turns] == ["What?", "A dog."]
    answer = got.history.turns[1].answer
    assert answer is not None and (answer.said, answer.tracks) == ((7, 8), ())
    assert got.history.phrases == {1: "A dog", 4: "object 4"} and got.history.next_id == 5
    assert [track.rles[0] for track in got.history.tracks.values()] == [UNSENT, UNSENT]
    for one, other in zip(got.prompts, sent.prompts, strict=True):
        assert (one.referent_id, one.frame, one.kind) == (
            other.referent_id,
            other.frame,
            other.kind,
        )
        assert np.array_equal(one.coordinates, other.coordinates)


def test_a_correction_arrives_with_the_masks_that_it_corrects(plain_video: Video) -> None:
    before = {3: made(3)}
    sent = Request.of_prompts("track", [box(3)], before, span=(1, 9), adapt_seconds=2.5)
    got = unpack(pack(sent, plain_video), plain_video)
    assert (got.kind, got.span, got.adapt_seconds) == ("track", (1, 9), 2.5)
    assert got.history.tracks[3].rles[2] == before[3].rles[2]
    assert got.history.tracks[3].rles[1] == UNSENT
    assert (
        unpack(pack(Request.of_prompts("preview", [], None), plain_video), plain_video).prompts
        == ()
    )


@pytest.mark.parametrize(
    "spoil",
    [
        lambda r: changed(r, kind="delete"),
        lambda r: changed(r, question=5),
        lambda r: changed(r, question="x" * 100_001),
        lambda r: changed(r, adapt_seconds=1e9),
        lambda r: changed(r, tracks={"1": {}}),
        lambda r: changed(r, tracks={"0": r["tracks"]["1"]}),
        lambda r: changed(r, documents={}),
        lambda r: changed(r, stopped="no"),
        lambda r: changed(r, span=[1, 2, 3]),
        lambda r: {},
        lambda r: [],
    ],
)
def test_broken_requests_are_refused(plain_video: Video, spoil: Callable[[Any], object]) -> None:
    request = json.loads(pack(asked(plain_video), plain_video))
    with pytest.raises((ValueError, PromptError)):
        unpack(json.dumps(spoil(request)), plain_video)


def test_endless_requests_are_refused(plain_video: Video) -> None:
    with pytest.raises(ValueError, match="at most"):
        unpack(" " * (MAX_CHARACTERS + 1), plain_video)


def test_events_arrive_as_they_were(plain_video: Video) -> None:
    known, new = made(1), made(2, 5, complete=False)
    referents = tuple(Referent(i, f"thing {i}", None, colour_of(i)) for i in (1, 2))
    answer = GroundedAnswer(
        "thing 1", (Referent(1, "thing 1", (0, 7), "#012345"), referents[1]), (known, made(2, 5)),
        (0, 3), {"read": 0.5}, False, (1, 2), 5,
    )  # fmt: skip
    events = [
        TextDelta("caf\u00e9 "),
        Progress("track", 3, 10, 1.5),
        TracksSoFar(referents, (known, new)),
        answer,
    ]
    sender, receiver = Sender({1: known}), Receiver({1: known}, plain_video)
    got = [receiver.unpack(wired(sender.pack(event))) for event in events]
    assert got[:2] == events[:2]
    shown, last = got[2:]
    assert isinstance(shown, TracksSoFar) and isinstance(last, GroundedAnswer)
    assert shown.tracks[0] is known and same(shown.tracks[1], new)
    assert last.tracks[0] is known and same(last.tracks[1], made(2, 5))
    assert replace(last, tracks=()) == replace(answer, tracks=())


@pytest.mark.parametrize(
    "error",
    [
        errors.PromptError("a"),
        errors.Busy("b"),
        errors.VideoError("c"),
        errors.ModelError("d"),
        errors.StaleError(),
        errors.Cancelled("e"),
        SessionError("f"),
        RoomGoneError("g"),
        BackendError("h"),
    ],
)
def test_errors_arrive_as_they_were(plain_video: Video, error: SparrowError) -> None:
    with pytest.raises(type(error)) as met:
        Receiver({}, plain_video).unpack(wired(pack_error(error)))
    assert str(met.value) == str(error)


@pytest.mark.parametrize(
    "value",
    [
        {},
        [],
        None,
        {"kind": "dance"},
        {"kind": "text"},
        {"kind": "text", "text": 5},
        {"kind": "tracks"},
    ],
)
def test_broken_events_are_refused(plain_video: Video, value: object) -> None:
    with pytest.raises(ValueError):
        Receiver({}, plain_video).unpack(value)
    with pytest.raises(BackendError):
        Receiver({}, plain_video).unpack({"kind": "error", "error": "KeyboardInterrupt"})

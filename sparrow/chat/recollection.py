"""Finished turns as messages hold them, and what a memory kept -> the History that a backend goes on from.

Where a memory holds nothing, names and ids come from the messages, and the user's drawings are tracked again; what
only words spoke of the model knows again by what it said, and tracks when it speaks of it again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from sparrow.chat.messages import Known, Place, Pointing, Said, Spoken, count_words
from sparrow.chat.pointing import best_frame, drawn, main_box
from sparrow.errors import PromptError
from sparrow.types import GroundedAnswer, History, MaskTrack, Prompt, Referent, Turn

_STEP = 4  # turns are left out by so many at once: what the model has read then mostly stays the beginning


def known_from(said: Iterable[Said]) -> History:
    """Give names and ids of all that finished turns speak of or point at, without tracks and turns."""
    phrases: dict[int, str] = {}
    for turn in said:
        if turn.grounding is not None:
            phrases |= {spoken.id: spoken.phrase for spoken in turn.grounding.referents}
    return History((), phrases, {}, max(phrases, default=0) + 1)


def drawn_in(said: Iterable[Said]) -> list[Prompt]:
    """Give what the user drew in finished turns, under the ids that it got."""
    return [
        drawn(pointing, i)
        for turn in said
        if turn.grounding is not None
        for pointing, i in zip(turn.pointings, turn.grounding.pointed, strict=False)
        if not isinstance(pointing, Known)
    ]


def shown_by(referent_id: int, known: History, said: Sequence[Said]) -> list[Prompt]:
    """Give prompts that show a known thing: the user's own, else its box where it is seen best.

    Raises:
        PromptError: nobody knows where it is.
    """
    own = [prompt for prompt in drawn_in(said) if prompt.referent_id == referent_id]
    if own:
        first = min(prompt.frame for prompt in own)
        return [prompt for prompt in own if prompt.frame == first]
    track = known.tracks.get(referent_id)
    if track is not None and track.visible().any():
        frame = best_frame(track)
        return [Prompt(referent_id, frame, "box", main_box(track.mask(frame)))]
    for turn in reversed(said):
        for spoken in turn.grounding.referents if turn.grounding is not None else ():
            if spoken.id == referent_id and spoken.seen:
                place = spoken.seen[len(spoken.seen) // 2]
                corners = np.array(place.xyxy, dtype=np.float32)
                return [Prompt(referent_id, place.frame, "box", corners)]
    raise PromptError(
        f"referent {referent_id}: expected a thing that is seen in the video, got one that is seen nowhere; "
        "draw a box around it"
    )


def pointed_by(
    pointings: Iterable[Pointing], ids: Iterable[int], known: History, said: Sequence[Said]
) -> tuple[Prompt, ...]:
    """Give the prompts of a question's pointings.

    Args:
        pointings: what it points at.
        ids: which referent each is about.
        known: what is known.
        said: the turns before it.

    Raises:
        PromptError: nobody knows where a thing is.
    """
    prompts: list[Prompt] = []
    for pointing, i in zip(pointings, ids, strict=False):
        if isinstance(pointing, Known):
            prompts += shown_by(i, known, said)
        else:
            prompts.append(drawn(pointing, i))
    return tuple(prompts)


def turns_of(said: Sequence[Said], known: History) -> tuple[Turn, ...]:
    """Give finished turns as a backend knows them."""
    return tuple(
        turn for number, one in enumerate(said) for turn in _turns(one, known, said[:number])
    )


def latest(turns: tuple[Turn, ...], words: int) -> tuple[Turn, ...]:
    """Give the latest questions and answers that have at most so many words together."""
    start = 0
    while sum(count_words(turn.text) for turn in turns[start:]) > words:
        start += 2 * _STEP
    return turns[start:]


def places_in(track: MaskTrack, frames: Iterable[int]) -> tuple[Place, ...]:
    """Say where a thing is in those of the frames that show it, and where it is seen best."""
    visible = track.visible()
    if not visible.any():
        return ()
    shown = sorted({frame for frame in frames if visible[frame]} | {best_frame(track)})
    return tuple(Place(frame=f, xyxy=tuple(main_box(track.mask(f)).tolist())) for f in shown[:64])


def _turns(said: Said, known: History, before: Sequence[Said]) -> tuple[Turn, Turn]:
    grounding = said.grounding
    if grounding is None:
        return Turn("user", said.question), Turn(
            "assistant", said.text, (), GroundedAnswer(said.text)
        )
    referents = tuple(_referents(said.text, grounding.referents))
    tracks = tuple(known.tracks[r.id] for r in referents if r.id in known.tracks)
    answer = GroundedAnswer(
        said.text,
        referents,
        tracks if len(tracks) == len(referents) else (),
        tuple(sorted(set(grounding.frames))),
        dict(grounding.seconds),
        grounding.complete,
        said=grounding.said,
    )
    try:
        prompts = pointed_by(said.pointings, grounding.pointed, known, before)
    except PromptError:  # what it pointed at is gone; the words stay
        prompts = ()
    return Turn("user", said.question, prompts), Turn("assistant", said.text, (), answer)


def _referents(text: str, spoken: Iterable[Spoken]) -> Iterable[Referent]:
    """Give those that the answer names; where somebody wrote the answer anew, a phrase may have moved."""
    given: set[int] = set()
    for one in spoken:
        if one.span is None or one.id in given:
            continue
        start, end = one.span
        if start <= end and text[start:end] == one.phrase:
            given.add(one.id)
            yield Referent(one.id, one.phrase, one.span, one.colour)

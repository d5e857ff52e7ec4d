"""Answers, tracks and proposals against the truth of a clip -> outcomes.

A referent that is not grounded scores 0, and so does one too many. Knows neither models nor files.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from scipy.optimize import linear_sum_assignment

from sparrow import boxes as boxes_of
from sparrow.bench.outcome import Outcome, Pointed, Ranks, Sure
from sparrow.bench.truth import Truth
from sparrow.metrics import score_track
from sparrow.types import GroundedAnswer, MaskTrack
from sparrow.world.dialogue import QA

FOUND = 0.5
"""Overlap from which a mask counts as being on a thing."""
SOON = 5
"""Frames in view, the one of its return the first, within which a thing's mask must be back."""
PROPOSED_SHARE = 0.25
"""Share of a thing that must be seen in a frame for a proposal to be expected there."""
_DIGITS = 4  # of what is kept for each frame

Meant = Mapping[int, Mapping[int, np.ndarray]]
"""By referent id, then by sampled frame: the box (4,) that the answer meant, pixel xyxy."""


def judge(
    qa: QA,
    answer: GroundedAnswer,
    truth: Truth,
    *,
    nouns: Sequence[str] = (),
    meant: Meant | None = None,
) -> Outcome:
    """Compare an answer with the truth.

    Args:
        qa: the question with its true answer and referents.
        answer: what the model said.
        truth: of the clip.
        nouns: what the answer should call the things pointed at.
        meant: the boxes of what the answer meant; None where they are not known.
    """
    wanted = list(dict.fromkeys(phrase.thing_id - 1 for phrase in qa.phrases))
    volumes, overlaps = _overlaps(answer.tracks, truth)
    rows, columns = linear_sum_assignment(-volumes[:, wanted])
    chosen = {wanted[column]: int(row) for row, column in zip(rows, columns, strict=True)}
    scores = {t: score_track(answer.tracks[row], truth.masks[:, t]) for t, row in chosen.items()}
    too_many = (0.0,) * max(0, len(answer.tracks) - len(wanted))
    firsts = {t: first for t in wanted if (first := truth.first(t)) is not None}
    switches, frames = _switches(overlaps)
    return Outcome(
        family=qa.family,
        exact=answer.text == qa.answer,
        j=tuple(float(scores[t].j.mean()) if t in scores else 0.0 for t in wanted) + too_many,
        f=tuple(float(scores[t].f.mean()) if t in scores else 0.0 for t in wanted) + too_many,
        right=tuple(t in chosen and _belongs(volumes[chosen[t]], t) for t in wanted),
        late=tuple(firsts.get(t) != 0 for t in wanted),
        first=tuple(
            float(scores[t].j[first]) if t in scores else 0.0 for t, first in firsts.items()
        ),
        boxes=tuple(_box_overlaps(answer, truth, wanted, meant or {})),
        refused=None if qa.family != "absent" else not answer.referents,
        missed=None if not wanted else not answer.referents,
        nouns=tuple(_says(answer.text, noun) for noun in nouns),
        returns=tuple(
            t in chosen and bool((overlaps[chosen[t], t][back : back + SOON] >= FOUND).any())
            for t in wanted
            for back in truth.returns(t)
        ),
        switches=switches,
        frames=frames,
        sure=tuple(_sure(answer.tracks, overlaps, volumes, chosen)),
    )


def judge_pointed(track: MaskTrack, truth: Truth, thing: int) -> Pointed:
    """Compare a track from a box in the first frame with the thing (from 0) that it was drawn around."""
    volumes, overlaps = _overlaps([track], truth)
    j = score_track(track, truth.masks[:, thing]).j
    return Pointed(
        float(j[0]), float(j.mean()), tuple(_sure([track], overlaps, volumes, {thing: 0}))
    )


def judge_proposals(proposals: Mapping[int, np.ndarray], truth: Truth) -> Iterator[Ranks]:
    """Give the ranks of each thing in each frame.

    Args:
        proposals: by frame, boxes (P, 4), best first, pixel xyxy.
        truth: things of which less than `PROPOSED_SHARE` is seen in a frame are left out there.
    """
    for frame, proposed in proposals.items():
        for thing, box in enumerate(truth.boxes(frame)):
            if np.isnan(box[0]) or truth.shares[frame, thing] < PROPOSED_SHARE:
                continue
            overlaps = boxes_of.iou_matrix(box[None], proposed)[0]  # (P,)
            yield _first(overlaps >= 0.5), _first(overlaps >= 0.75)


def _first(hits: np.ndarray) -> int:
    """Give the place of the first of some (P,) bool that is true, -1 for none."""
    return int(hits.argmax()) if hits.any() else -1


def _overlaps(tracks: Sequence[MaskTrack], truth: Truth) -> tuple[np.ndarray, np.ndarray]:
    """Give the overlap of P tracks with each thing, over the whole clip (P, N) and by frame (P, N, T)."""
    shape = (len(tracks), truth.num_things, len(truth.masks))
    shared, joined = np.zeros((2, *shape), dtype=np.int64)
    for row, track in enumerate(tracks):
        for frame, things in enumerate(truth.masks):
            mask = track.mask(frame)
            shared[row, :, frame] = np.count_nonzero(things & mask, axis=(1, 2))
            joined[row, :, frame] = np.count_nonzero(things | mask, axis=(1, 2))
    return shared.sum(2) / np.maximum(joined.sum(2), 1), shared / np.maximum(joined, 1)


def _belongs(volumes: np.ndarray, thing: int) -> bool:
    """Is a track, with these overlaps (N,) in space and time, on this thing more than on others?"""
    return bool(volumes[thing] > 0 and volumes.argmax() == thing)


def _says(text: str, noun: str) -> bool:
    return re.search(rf"\b{re.escape(noun)}\b", text, re.IGNORECASE) is not None


def _switches(overlaps: np.ndarray) -> tuple[int, int]:
    """Count over tracks (P, N, T) how often each goes to another thing, and frames on any thing."""
    switches = frames = 0
    for things in overlaps:  # (N, T)
        seen = things.argmax(axis=0)[things.max(axis=0, initial=0) >= FOUND]
        switches += int(np.count_nonzero(np.diff(seen)))
        frames += len(seen)
    return switches, frames


def _sure(
    tracks: Sequence[MaskTrack],
    overlaps: np.ndarray,
    volumes: np.ndarray,
    chosen: Mapping[int, int],
) -> Iterator[Sure]:
    """Pair the scores of tracks with what their masks are worth, where they have one.

    Args:
        tracks: P of them.
        overlaps: (P, N, T).
        volumes: (P, N).
        chosen: thing to the row of the track that is compared with it.
    """
    meant = {row: thing for thing, row in chosen.items()}
    for row, track in enumerate(tracks):
        followed = int(volumes[row].argmax()) if volumes.shape[1] else None
        for frame in np.flatnonzero(track.visible()):
            score = float(track.scores[frame])
            j = float(overlaps[row, meant[row], frame]) if row in meant else 0.0
            own = 0.0 if followed is None else float(overlaps[row, followed, frame])
            yield round(score, _DIGITS), round(j, _DIGITS), round(own, _DIGITS)


def _box_overlaps(
    answer: GroundedAnswer, truth: Truth, wanted: Sequence[int], meant: Meant
) -> Iterator[float]:
    """Give for each wanted thing the mean overlap of the boxes meant with its own, in the frames that have one.

    What was meant goes with the thing that it overlaps best, one with one.
    """
    if not wanted:
        return
    found = [meant[r.id] for r in answer.referents if meant.get(r.id)]
    overlaps = np.zeros((len(found), len(wanted)))
    for row, by_frame in enumerate(found):
        for frame, box in by_frame.items():
            own = boxes_of.iou_matrix(box[None], truth.boxes(frame)[wanted])[0]
            overlaps[row] += own / len(by_frame)
    rows, columns = linear_sum_assignment(-overlaps)
    best = {
        int(column): float(overlaps[row, column]) for row, column in zip(rows, columns, strict=True)
    }
    yield from (best.get(place, 0.0) for place in range(len(wanted)))

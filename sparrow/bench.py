"""A model on clips of the world -> numbers: what it answers, what it grounds, what it follows.

Asks as a user would, through a Chat, and compares with what the scene knows of itself. A referent that
is not grounded scores 0, and so does one too many. Knows the world and the pipeline, and no model.
"""

from __future__ import annotations

import dataclasses
import json
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import linear_sum_assignment

from sparrow.ingest import open_video
from sparrow.masks import box_of
from sparrow.metrics import jaccard, score_track
from sparrow.types import GroundedAnswer, MaskTrack, Progress, Prompt
from sparrow.world.clip import Annotation, write_clip
from sparrow.world.dialogue import QA, ask, dialogue
from sparrow.world.picture import Atlas, load_atlas
from sparrow.world.scene import Difficulty, Scene

if TYPE_CHECKING:
    from sparrow.pipeline import Chat, Sparrow
    from sparrow.video import Video

TURNS = 5
"""Questions of a clip's conversation; one more points at something."""
FOUND = 0.5
"""Overlap from which a mask counts as being on a thing."""
NOUN_PIXELS = 24
"""Longer side from which a pointed thing must be called by its noun."""
GAP = 3
"""Frames out of sight after which a thing comes back rather than flickers."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the answer to one question was worth."""

    family: str
    exact: bool
    """Is the answer the true one, word for word?"""
    j: tuple[float, ...] = ()
    """Mean J over the clip for each true referent, and 0 for each one too many."""
    f: tuple[float, ...] = ()
    right: tuple[bool, ...] = ()
    """For each true referent: is there a track that is on it more than on anything else?"""
    refused: bool | None = None
    """About something absent: did the answer ground nothing? None for other questions."""
    missed: bool | None = None
    """About something there: did the answer ground nothing? None for other questions."""
    nouns: tuple[bool, ...] = ()
    """For each pointed thing, if large enough: was it called by its noun?"""
    reentries: tuple[bool, ...] = ()
    """For each true referent that comes back into view: was it followed then?"""
    switches: int = 0
    """Times that a track went over to another thing."""
    frames: int = 0
    """Frames in which a track was on some thing."""


@dataclass(frozen=True, slots=True)
class Scores:
    """Means over questions, fractions in [0, 1]; None where no question asked for it."""

    questions: int
    j: float | None
    f: float | None
    j_and_f: float | None
    answer_accuracy: float | None
    refusal_recall: float | None
    false_refusals: float | None
    reentry_recall: float | None
    id_switches_per_100: float | None
    referent_chosen_right: float | None
    noun_accuracy: float | None

    @classmethod
    def of(cls, outcomes: Sequence[Outcome]) -> Scores:
        """Average outcomes; J and F over referents, the others over questions."""
        j = _mean(value for o in outcomes for value in o.j)
        f = _mean(value for o in outcomes for value in o.f)
        frames = sum(o.frames for o in outcomes)
        return cls(
            questions=len(outcomes),
            j=j,
            f=f,
            j_and_f=None if j is None or f is None else (j + f) / 2,
            answer_accuracy=_mean(o.exact for o in outcomes),
            refusal_recall=_mean(o.refused for o in outcomes if o.refused is not None),
            false_refusals=_mean(o.missed for o in outcomes if o.missed is not None),
            reentry_recall=_mean(back for o in outcomes for back in o.reentries),
            id_switches_per_100=100 * sum(o.switches for o in outcomes) / frames
            if frames
            else None,
            referent_chosen_right=_mean(right for o in outcomes for right in o.right),
            noun_accuracy=_mean(said for o in outcomes for said in o.nouns),
        )


@dataclass(frozen=True, slots=True)
class Pointing:
    """A box around one thing in the first frame, and no words."""

    clips: int
    key_frame_iou: float | None
    """Overlap on the frame pointed at."""
    j: float | None
    """Mean over all frames."""


@dataclass(frozen=True, slots=True)
class Report:
    """The result of a benchmark run, laid out as its JSON file."""

    seeds: tuple[int, int]
    difficulty: str
    model: str
    overall: Scores
    families: dict[str, Scores]
    pointing: Pointing


def bench_world(
    sparrow: Sparrow,
    seeds: range,
    *,
    difficulty: Difficulty = "full",
    atlas: Atlas | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> Report:
    """Measure a model on the clips of these seeds, one conversation and one pointed thing each."""
    atlas = atlas or load_atlas()
    outcomes: list[Outcome] = []
    pointed: list[np.ndarray] = []
    for done, seed in enumerate(seeds):
        if progress is not None:
            progress(Progress("clip", done, len(seeds)))
        scene = Scene.sample(seed, difficulty=difficulty, atlas=atlas)
        with tempfile.TemporaryDirectory(prefix="sparrow-bench-") as folder:
            annotation = write_clip(scene, Path(folder), dialogues=0)
            video = open_video(Path(folder) / "clip.mp4", workdir=Path(folder) / "opened")
            truth = _truth(annotation)
            outcomes += _converse(sparrow.chat(video), scene, truth)
            pointed += _point(sparrow, video, truth, seed)
    families = sorted({o.family for o in outcomes})
    return Report(
        seeds=(seeds.start, seeds.stop),
        difficulty=difficulty,
        model=str(sparrow.card["name"]),
        overall=Scores.of(outcomes),
        families={name: Scores.of([o for o in outcomes if o.family == name]) for name in families},
        pointing=Pointing(
            len(pointed), _mean(j[0] for j in pointed), _mean(j.mean() for j in pointed)
        ),
    )


def write_report(report: Report, path: Path) -> None:
    """Write the numbers as JSON, and the tables as Markdown beside it (same name, .md)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(dataclasses.asdict(report), indent=1) + "\n"
    for target, content in ((path, text), (path.with_suffix(".md"), markdown(report) + "\n")):
        part = target.with_name(target.name + ".part")
        part.write_text(content, encoding="utf-8")
        part.replace(target)


def markdown(report: Report) -> str:
    """Lay the report out as a table, a row for each family and one for all."""
    columns = [field.name for field in dataclasses.fields(Scores)]
    lines = [
        f"{report.model} on worlds {report.seeds[0]} to {report.seeds[1] - 1} ({report.difficulty})",
        "",
        "| family | " + " | ".join(column.replace("_", " ") for column in columns) + " |",
        "|---|" + "---:|" * len(columns),
    ]
    for name, scores in (*report.families.items(), ("**all**", report.overall)):
        cells = (_cell(getattr(scores, column)) for column in columns)
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    box = report.pointing
    lines += [
        "",
        f"Pointing with a box in the first frame, {box.clips} clips: overlap there "
        f"{_cell(box.key_frame_iou)}, mean J over the clip {_cell(box.j)}.",
    ]
    return "\n".join(lines)


def judge(qa: QA, answer: GroundedAnswer, truth: np.ndarray, nouns: Sequence[str] = ()) -> Outcome:
    """Compare an answer with the truth.

    Args:
        qa: The question with its true answer and referents.
        answer: What the model said.
        truth: (T, N, H, W) bool, the masks of the scene's things 1 to N.
        nouns: What the answer should call the things pointed at.
    """
    wanted = list(dict.fromkeys(phrase.thing_id - 1 for phrase in qa.phrases))
    shape = (len(answer.tracks), truth.shape[1], truth.shape[0])
    shared, joined = np.zeros((2, *shape))  # (P, N, T)
    for row, track in enumerate(answer.tracks):
        shared[row], joined[row] = _pixels(track, truth)
    volumes = shared.sum(2) / np.maximum(joined.sum(2), 1)  # (P, N)
    overlaps = shared / np.maximum(joined, 1)  # (P, N, T)
    rows, columns = linear_sum_assignment(-volumes[:, wanted])
    chosen = {wanted[column]: int(row) for row, column in zip(rows, columns, strict=True)}
    scores = {
        thing: score_track(answer.tracks[row], truth[:, thing]) for thing, row in chosen.items()
    }
    too_many = (0.0,) * max(0, len(answer.tracks) - len(wanted))
    switches, frames = _switches(overlaps)
    return Outcome(
        family=qa.family,
        exact=answer.text == qa.answer,
        j=tuple(float(scores[t].j.mean()) if t in scores else 0.0 for t in wanted) + too_many,
        f=tuple(float(scores[t].f.mean()) if t in scores else 0.0 for t in wanted) + too_many,
        right=tuple(t in chosen and _belongs(volumes[chosen[t]], t) for t in wanted),
        refused=None if qa.family != "absent" else not answer.referents,
        missed=None if not wanted else not answer.referents,
        nouns=tuple(_says(answer.text, noun) for noun in nouns),
        reentries=tuple(
            t in chosen and bool(overlaps[chosen[t], t][back].mean() >= FOUND)
            for t in wanted
            if (back := _back_in_view(truth[:, t])).any()
        ),
        switches=switches,
        frames=frames,
    )


def _converse(chat: Chat, scene: Scene, truth: np.ndarray) -> Iterator[Outcome]:
    """Hold the conversation that the scene's seed gives."""
    rng = np.random.Generator(np.random.PCG64([scene.seed, 1]))
    pointing = ask(scene, rng, "pointed")
    for qa in (*dialogue(scene, rng, TURNS), *((pointing,) if pointing else ())):
        prompts, nouns = [], []
        for offset, thing in enumerate(qa.pointed):
            frame, box = _best_view(truth[:, thing - 1])
            prompts.append(Prompt(chat.next_id + offset, frame, "box", box))
            if max(box[2] - box[0], box[3] - box[1]) >= NOUN_PIXELS:
                nouns.append(scene.things[thing - 1].noun)
        yield judge(qa, chat.ask(qa.question, prompts), truth, nouns)


def _point(sparrow: Sparrow, video: Video, truth: np.ndarray, seed: int) -> list[np.ndarray]:
    """Follow one thing from a box in the first frame: its J per frame, (T,); none if nothing is there."""
    rng = np.random.Generator(np.random.PCG64([seed, 2]))
    there = np.flatnonzero(truth[0].any(axis=(1, 2)))
    if not there.size:
        return []
    thing = truth[:, rng.choice(there)]
    (track,) = sparrow.track(video, [Prompt(1, 0, "box", box_of(thing[0]))])
    return [np.array([jaccard(track.mask(frame), mask) for frame, mask in enumerate(thing)])]


def _truth(annotation: Annotation) -> np.ndarray:
    """Decode the masks of all things in all frames, (T, N, H, W) bool."""
    tracks = [thing.track for thing in annotation.things]
    frames = range(annotation.num_frames)
    return np.stack([np.stack([track.mask(frame) for track in tracks]) for frame in frames])


def _pixels(track: MaskTrack, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Count a track's pixels shared and joined with each thing (T, N, H, W), both (N, T)."""
    followed = np.stack([track.mask(frame) for frame in range(track.num_frames)])[:, None]
    shared = np.count_nonzero(followed & truth, axis=(2, 3)).T
    joined = np.count_nonzero(followed | truth, axis=(2, 3)).T
    return shared, joined


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


def _back_in_view(masks: np.ndarray) -> np.ndarray:
    """Mark, (T,) bool, where a thing (T, H, W) is seen after it was seen and then out of sight."""
    seen = [bool(mask.any()) for mask in masks]
    back = np.zeros(len(seen), dtype=bool)
    missing, returned = 0, False
    for frame in range(seen.index(True) if any(seen) else 0, len(seen)):
        returned = returned or (seen[frame] and missing >= GAP)
        missing = 0 if seen[frame] else missing + 1
        back[frame] = returned and seen[frame]
    return back


def _best_view(masks: np.ndarray) -> tuple[int, np.ndarray]:
    """Give the frame in which a thing (T, H, W) is largest, and its box there."""
    frame = int(np.count_nonzero(masks, axis=(1, 2)).argmax())
    return frame, box_of(masks[frame])


def _mean(values: Iterable[float | None]) -> float | None:
    given = [float(value) for value in values if value is not None]
    return float(np.mean(given)) if given else None


def _cell(value: float | int | None) -> str:
    if value is None:
        return "–"
    return str(value) if isinstance(value, int) else f"{value:.3f}"

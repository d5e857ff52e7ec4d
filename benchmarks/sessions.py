"""Many conversations at once on one backend: is anything mixed up, does anything hang, does memory come back?

Each session opens a clip of its own, asks, saves a file and is deleted, again and again; every answer, id, track and
file is compared with the same conversation held alone.

    python -m benchmarks.sessions --sessions 20 --seconds 180
"""

from __future__ import annotations

import argparse
import ctypes
import ctypes.util
import gc
import hashlib
import statistics
import tempfile
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import torch
from langchain_core.messages import ToolMessage

from sparrow.backend import Backend
from sparrow.chat.assistant import Assistant
from sparrow.chat.messages import grounding_of
from sparrow.export.youtube_vis import read_masks_json
from sparrow.ingest import open_video
from sparrow.local_backend import LocalBackend
from sparrow.pipeline import Sparrow
from sparrow.sessions.sessions import Sessions
from sparrow.types import MaskTrack
from sparrow.world.clip import write_clip
from sparrow.world.picture import load_atlas
from sparrow.world.scene import Scene

SEED = 8_100_300  # of the test split
FRAMES = 12
PATIENCE = 300.0
"""Seconds after the end in which every session must be through with its conversation."""


@dataclass(frozen=True)
class Script:
    """A clip and what is asked about it."""

    clip: Path
    questions: tuple[str, ...]


@dataclass(frozen=True)
class Step:
    """What came of one question."""

    text: str
    ids: tuple[int, ...]
    """Referents that the answer names."""
    tracks: str
    """Digest of the ids and masks of all that the session has found."""
    file: str
    """Digest of those in the file that was made."""


@dataclass
class Figures:
    """What was measured."""

    conversations: int = 0
    questions: int = 0
    wrong: list[str] = field(default_factory=list)
    """Differences from the conversation held alone, and errors."""
    hung: int = 0
    """Sessions that did not come to their end."""
    waits: list[float] = field(default_factory=list)
    """Seconds to the end of each answer."""
    start_mib: float = 0.0
    peak_mib: float = 0.0
    end_mib: float = 0.0
    left: int = 0
    """Files that deleted sessions left behind."""


def write_scripts(folder: Path, count: int) -> list[Script]:
    """Draw clips with two things each, and a conversation about each clip."""
    atlas, scripts, seed = load_atlas(), [], SEED
    while len(scripts) < count:
        scene = Scene.sample(seed, difficulty="easy", atlas=atlas, num_frames=FRAMES)
        seed += 1
        nouns = list(dict.fromkeys(thing.noun for thing in scene.things))
        if len(nouns) < 2:
            continue
        place = folder / str(seed)
        place.mkdir()
        write_clip(scene, place)
        asked = (
            f"Segment the {nouns[0]}.",
            "What is it doing?",
            f"Where is the {nouns[1]}?",
            "When is it visible?",
            "How many things are there?",
            "Save the masks as YouTube-VIS.",
        )
        scripts.append(Script(place / "clip.mp4", asked))
    return scripts


def converse(
    backend: Backend, sessions: Sessions, script: Script, waits: list[float]
) -> list[Step]:
    """Hold one conversation in a session of its own, which is deleted afterwards."""
    session = sessions.open()
    session.video = open_video(script.clip, workdir=session.new_path("video").parent)
    assistant = Assistant(backend, session)
    steps = []
    try:
        for question in script.questions:
            began, made = time.monotonic(), ""
            for message in assistant.ask(question):
                if isinstance(message, ToolMessage) and "file" in message.artifact:
                    path = Path(message.artifact["file"])
                    assert path.is_relative_to(session.folder), f"{path} lies elsewhere"
                    made = _digest(read_masks_json(path))
            waits.append(time.monotonic() - began)
            answer = assistant.messages[-1]
            grounding = grounding_of(answer)
            ids = () if grounding is None else tuple(r.id for r in grounding.referents)
            steps.append(Step(answer.text, ids, _digest(session.history.tracks.values()), made))
    finally:
        assistant.close()
        sessions.delete(session.id)
    return steps


def measure(
    backend: Backend, folder: Path, *, sessions: int, seconds: float, scripts: Sequence[Script]
) -> Figures:
    """Hold conversations in so many threads for so long, after one in each that is checked but not timed."""
    register = Sessions(folder / "sessions", gone=backend.forget)
    crowd = _Crowd(backend, register, scripts)
    crowd.talk(sessions, 0.0)
    figures = crowd.figures
    figures.waits, figures.start_mib = [], _memory()
    crowd.talk(sessions, seconds)
    register.close()
    figures.left = sum(path.is_file() for path in register.root.rglob("*"))
    figures.end_mib = _memory()
    return figures


class _Crowd:
    """Conversations in several threads, each compared with the same one held alone."""

    def __init__(self, backend: Backend, register: Sessions, scripts: Sequence[Script]) -> None:
        self.figures = Figures()
        self._backend, self._register, self._scripts = backend, register, scripts
        self._alone = [converse(backend, register, script, []) for script in scripts]
        self._lock = threading.Lock()

    def talk(self, sessions: int, seconds: float) -> None:
        """Let each thread hold conversations until the time is over, at least one."""
        until = time.monotonic() + seconds
        threads = [
            threading.Thread(target=self._work, args=(n, until), daemon=True)
            for n in range(sessions)
        ]
        for thread in threads:
            thread.start()
        figures = self.figures
        while any(t.is_alive() for t in threads) and time.monotonic() < until + PATIENCE:
            figures.peak_mib = max(figures.peak_mib, psutil.Process().memory_info().rss / 2**20)
            time.sleep(0.2)
        figures.hung += sum(thread.is_alive() for thread in threads)

    def _work(self, number: int, until: float) -> None:
        turn = number
        while True:
            self._hold(number, turn % len(self._scripts))
            turn += 1
            if time.monotonic() >= until:
                return

    def _hold(self, number: int, chosen: int) -> None:
        """Hold one conversation, and note what it was and where it differed."""
        script, expected, waits = self._scripts[chosen], self._alone[chosen], list[float]()
        try:
            got = converse(self._backend, self._register, script, waits)
            wrong = [
                f"session {number}, {question!r}: expected {one}, got {other}"
                for question, one, other in zip(script.questions, expected, got, strict=True)
                if one != other
            ]
        except Exception as error:  # whatever it is, the figures tell
            wrong = [f"session {number}: {type(error).__name__}: {error}"]
        with self._lock:
            self.figures.wrong += wrong
            self.figures.waits += waits
            self.figures.questions += len(waits)
            self.figures.conversations += 1


def _digest(tracks: Iterable[MaskTrack]) -> str:
    masks = sorted((track.referent_id, track.rles) for track in tracks)
    return hashlib.sha256(repr(masks).encode()).hexdigest()


def _memory() -> float:
    """Say how many MiB this process holds once the garbage is gone."""
    gc.collect()
    library = ctypes.util.find_library("c")
    if library is not None and hasattr(trim := ctypes.CDLL(library), "malloc_trim"):
        trim.malloc_trim(0)
    return psutil.Process().memory_info().rss / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--sessions", type=int, default=20, help="conversations at the same time")
    parser.add_argument("--seconds", type=float, default=180.0, help="when no new one begins")
    parser.add_argument("--clips", type=int, default=5, help="different clips")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    backend = LocalBackend(Sparrow.from_pretrained(device="cpu"))
    with tempfile.TemporaryDirectory() as folder:
        scripts = write_scripts(Path(folder), chosen.clips)
        figures = measure(
            backend,
            Path(folder),
            sessions=chosen.sessions,
            seconds=chosen.seconds,
            scripts=scripts,
        )
    print(
        f"{chosen.sessions} sessions for {chosen.seconds:g} s, {chosen.clips} clips of {FRAMES} frames"
    )
    print(f"conversations {figures.conversations}, questions {figures.questions}")
    print(f"wrong {len(figures.wrong)}, hung {figures.hung}, files left {figures.left}")
    print(
        f"seconds to the end of an answer: median {statistics.median(figures.waits):.2f}, "
        f"longest {max(figures.waits):.2f}"
    )
    print(
        f"memory in MiB: start {figures.start_mib:.0f}, peak {figures.peak_mib:.0f}, "
        f"end {figures.end_mib:.0f}"
    )
    for line in figures.wrong[:10]:
        print(line)


if __name__ == "__main__":
    main()

"""A program that is killed while an assistant works: once for each moment, each time in a process of its own.

Loads the model once and forks; the child answers one question, begins another, and is killed at the moment.
Usage: python -m tests.chat.victim FOLDER CLIP FIRST_QUESTION SECOND_QUESTION
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any, NoReturn

import torch

import sparrow.chat.assistant
from sparrow.chat.assistant import Assistant
from sparrow.ingest import open_video
from sparrow.local_backend import LocalBackend
from sparrow.pipeline import Sparrow
from sparrow.sessions.sessions import Sessions
from sparrow.types import Progress, TracksSoFar
from sparrow.work import Work

MOMENTS = ("asked", "second word", "fourth frame", "drawing a file", "before it is noted")


def die(*_: Any) -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("killed before this")


def live(
    moment: str, backend: LocalBackend, folder: Path, clip: Path, questions: list[str]
) -> None:
    """Answer the first question, then die at the moment while answering the second."""
    session = Sessions(folder).open()
    session.video = open_video(clip, workdir=session.new_path("video").parent)
    with session.lock:
        session.save()
    frames: list[int] = []

    def told(event: Progress | TracksSoFar) -> None:
        if isinstance(event, Progress) and event.step == "track" and frames:
            frames.append(event.done)
            if len(frames) == 5:
                die()

    assistant = Assistant(backend, session, progress=told)
    for _ in assistant.ask(questions[0]):
        pass
    track = session.history.tracks[1]
    known = {
        "id": session.id,
        "text": assistant.messages[-1].text,
        "rles": [None if rle is None else rle.decode() for rle in track.rles],
    }
    (folder / f"{moment}.json").write_text(json.dumps(known))
    if moment == "fourth frame":
        frames.append(0)
    if moment == "drawing a file":
        questions[1] = "Save the video."
        step = Work.step

        def counted(work: Work, name: str, done: int, total: int = 0) -> None:
            step(work, name, done, total)
            if done == 5:
                die()

        Work.step = counted  # type: ignore[method-assign]
    if moment == "before it is noted":
        sparrow.chat.assistant.turns_of = die
    words = 0
    for chunk in assistant.ask(questions[1]):
        if moment == "asked":
            die()
        words += bool(chunk.text)
        if moment == "second word" and words == 2:
            die()


def main() -> None:
    torch.set_num_threads(1)
    folder, clip, *questions = sys.argv[1:]
    backend = LocalBackend(Sparrow.from_pretrained(device="cpu"))
    for moment in MOMENTS:
        child = os.fork()
        if child == 0:
            live(moment, backend, Path(folder), Path(clip), questions)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        sys.stdout.write(f"{moment} {os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()  # or the next child writes it, too


if __name__ == "__main__":
    main()

"""Kill -9 at chosen moments: what was answered is there again, the unfinished turn is not, no file is half-written."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from langchain_core.messages import AIMessage, HumanMessage

from sparrow.chat.assistant import Assistant
from sparrow.local_backend import LocalBackend
from sparrow.sessions.sessions import Sessions
from sparrow.world.scene import Scene
from tests.chat.victim import MOMENTS

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory, clip_path: Path, scene: Scene) -> Path:
    """A folder of sessions whose processes were killed, one at each moment."""
    folder = tmp_path_factory.mktemp("killed")
    questions = [f"Segment the {thing.noun}." for thing in scene.things[:2]]
    done = subprocess.run(
        [sys.executable, "-m", "tests.chat.victim", str(folder), str(clip_path), *questions],
        capture_output=True,
        text=True,
        timeout=240,
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.stdout.splitlines() == [f"{moment} -9" for moment in MOMENTS], done.stderr
    return folder


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_killed_conversation_is_taken_up_again(
    moment: str, killed: Path, backend: LocalBackend, scene: Scene
) -> None:
    known = json.loads((killed / f"{moment}.json").read_text())
    sessions = Sessions(killed)
    session = sessions.get(known["id"])
    assistant = Assistant(backend, session)
    noted = moment == "before it is noted"
    questions = [m.text for m in assistant.messages if isinstance(m, HumanMessage)]
    answers = [m.text for m in assistant.messages if isinstance(m, AIMessage)]
    assert questions == [f"Segment the {thing.noun}." for thing in scene.things[: 1 + noted]]
    assert answers[0] == known["text"] and len(answers) == 1 + noted
    assert bool(assistant.unfinished) != noted
    assert [(e.question, e.state) for e in session.exchanges] == [(q, "done") for q in questions]
    rles = [None if rle is None else rle.decode() for rle in session.history.tracks[1].rles]
    assert rles == known["rles"]
    assert sorted(session.history.tracks) == [1, 2][: 1 + noted]
    left = [path for path in session.folder.rglob("*") if path.is_file()]
    assert not [path for path in left if path.suffix == ".part" or "annotated" in path.name]
    for _ in assistant.ask("What is it doing?"):
        pass
    assert assistant.messages[-1].text and len(session.exchanges) == 2 + noted
    assistant.close()
    sessions.close()

"""The benchmark of many sessions at once, for a moment: nothing is mixed up, nothing hangs, nothing is left."""

from __future__ import annotations

from pathlib import Path

from benchmarks.sessions import measure, write_scripts
from sparrow.local_backend import LocalBackend
from sparrow.pipeline import Sparrow


def test_sessions_at_the_same_time_stay_apart(sparrow: Sparrow, tmp_path: Path) -> None:
    backend = LocalBackend(sparrow, keep=2)  # too few: most are taken up from their histories
    scripts = write_scripts(tmp_path, 2)
    figures = measure(backend, tmp_path, sessions=3, seconds=0.0, scripts=scripts)
    assert figures.wrong == []
    assert (figures.hung, figures.left) == (0, 0)
    assert (figures.conversations, figures.questions) == (6, 36)

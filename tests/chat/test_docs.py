"""Every program in docs/assistant.md runs as it stands there."""

from __future__ import annotations

import re
from pathlib import Path

import av
import pytest
from langchain_core.language_models import FakeMessagesListChatModel
from langchain_core.messages import AIMessage

from tests.chat.scripted import Scripted

ROOT = Path(__file__).parents[2]
PROGRAMS = re.findall(
    r"```python\n(.*?)```", (ROOT / "docs" / "assistant.md").read_text(encoding="utf-8"), re.S
)


def llm() -> FakeMessagesListChatModel:
    """Stands for any tool-calling model."""
    called = {"name": "ground", "args": {"what": "the hedgehog"}, "id": "1"}
    return Scripted(responses=[AIMessage("", tool_calls=[called]), AIMessage("Done.")])


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda text: text.split("\n")[0])
def test_programs_of_the_page_run(
    program: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "assets").symlink_to(ROOT / "assets")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SPARROW_HOME", str(tmp_path / "home"))
    exec(compile(program, "docs/assistant.md", "exec"), {"llm": llm()})
    printed = capsys.readouterr().out
    if "save_video" in program:
        assert len(program.splitlines()) == 5
        assert "hedgehog" in printed
        with av.open(str(tmp_path / "annotated.mp4")) as container:
            assert container.streams.video[0].frames == 40
    if "instead_of" in program:
        lines = printed.splitlines()
        assert "hedgehog" in lines[0] and "is seen from" in lines[1]
        assert "annotated.mp4" in lines[2] and "hedgehog" in lines[3]

"""`sparrow sessions`: what it prints and writes, exit codes, and that a running server's sessions are safe."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from sparrow.cli import main
from sparrow.sessions.session import Session
from sparrow.sessions.session_file import read_session_file
from sparrow.sessions.sessions import Sessions
from sparrow.sessions.transcript import transcript
from tests.sessions.made_records import assert_same

Out = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def _home(sessions: Sessions, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPARROW_HOME", str(sessions.root.parent))


def refused(arguments: str, capsys: Out) -> str:
    """Run a command that must fail and give its one line."""
    assert main(arguments.split()) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    assert line.startswith("sparrow: ")
    return line


def test_list_is_empty_at_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Out
) -> None:
    monkeypatch.setenv("SPARROW_HOME", str(tmp_path / "new"))
    assert main(["sessions", "list"]) == 0
    assert capsys.readouterr().out == ""


def test_list_shows_each_session_on_a_line(full: Session, sessions: Sessions, capsys: Out) -> None:
    odd = sessions.open()
    odd.title = "red \x1b[31m \u202e\ntitle"
    odd.save()
    then = time.time() - 3600
    os.utime(full.folder / "claim", (then, then))
    assert main(["sessions", "list"]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith(odd.id)
    assert first.isprintable()
    assert second.startswith(full.id)
    assert "4 questions" in second
    assert second.endswith(full.title)
    assert main(["sessions", "list", "--json"]) == 0
    entries = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [entry["id"] for entry in entries] == [odd.id, full.id]
    assert entries[1]["questions"] == 4


def test_list_names_damaged_sessions(full: Session, sessions: Sessions, capsys: Out) -> None:
    sessions.close()
    (full.folder / "session.db").write_bytes(b"rubbish" * 1000)
    assert main(["sessions", "list"]) == 0
    assert "cannot be read" in capsys.readouterr().out


def test_show_prints_the_conversation(full: Session, capsys: Out) -> None:
    assert main(["sessions", "show", full.id]) == 0
    assert capsys.readouterr().out == transcript(full)


def test_export_writes_what_opens_again(
    full: Session, folder: Path, tmp_path: Path, capsys: Out
) -> None:
    out = tmp_path / "deep" / "chat.sparrow"
    assert main(["sessions", "export", full.id, "--out", str(out)]) == 0
    assert capsys.readouterr().out == f"{out}\n"
    assert_same(read_session_file(out, folder), full)
    small = tmp_path / "small.sparrow"
    assert main(["sessions", "export", full.id, "--out", str(small), "--without-video"]) == 0
    assert small.stat().st_size < out.stat().st_size
    text = tmp_path / "chat.md"
    assert main(["sessions", "export", full.id, "--out", str(text)]) == 0
    assert text.read_text(encoding="utf-8") == transcript(full)


def test_delete_leaves_those_alone_that_a_server_has_open(
    full: Session, sessions: Sessions, capsys: Out
) -> None:
    assert "open in another Sparrow" in refused(f"sessions delete {full.id}", capsys)
    assert "open in another Sparrow" in refused("sessions delete --all", capsys)
    assert full.folder.is_dir()
    other = sessions.open()
    sessions.close()
    assert main(["sessions", "delete", full.id]) == 0
    assert not full.folder.exists()
    assert other.folder.exists()
    assert main(["sessions", "delete", "--all"]) == 0
    assert list(sessions.root.iterdir()) == []


def test_what_can_be_deleted_is_deleted_though_another_is_not_there(
    full: Session, sessions: Sessions, capsys: Out
) -> None:
    sessions.close()
    line = refused(f"sessions delete {'0' * 32} {full.id}", capsys)
    assert f"no session '{'0' * 32}'" in line
    assert not full.folder.exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("sessions show 00000000000000000000000000000000", "no session '000"),
        ("sessions show ../../etc", "no session '../../etc'"),
        ("sessions delete ../../etc", "no session"),
        ("sessions export 00000000000000000000000000000000 --out {tmp}/a.sparrow", "no session"),
        ("sessions export {id} --out {tmp}/file/a.sparrow", "file"),
    ],
)
def test_errors_are_one_line(
    arguments: str, message: str, full: Session, tmp_path: Path, capsys: Out
) -> None:
    (tmp_path / "file").write_text("not a folder")
    assert message in refused(arguments.format(id=full.id, tmp=tmp_path), capsys)
    assert not (tmp_path / "a.sparrow").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        "sessions",
        "sessions show",
        "sessions delete",
        "sessions delete --all x",
        "sessions export x",
        "sessions export x --out file.zip",
        "sessions export x --out",
        "sessions list x",
    ],
)
def test_wrong_usage_exits_with_2(arguments: str, capsys: Out) -> None:
    with pytest.raises(SystemExit) as stop:
        main(arguments.split())
    assert stop.value.code == 2
    assert "usage: sparrow" in capsys.readouterr().err

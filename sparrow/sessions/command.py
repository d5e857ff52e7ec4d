"""The command `sparrow sessions list|show|delete|export`: arguments -> calls of `Sessions`, results -> stdout.

What it needs is imported when it runs: `sparrow --help` loads nothing. It reads sessions that a server has open,
and leaves those alone that it may not change.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from sparrow.errors import SparrowError
from sparrow.paths import home

if TYPE_CHECKING:
    from sparrow.sessions.sessions import Sessions, Summary

    Commands = argparse._SubParsersAction[argparse.ArgumentParser]


def add_sessions(commands: Commands) -> None:
    """Add the command to the others."""
    text = "List, show, delete or export saved conversations."
    parser = commands.add_parser("sessions", help=text, description=text, allow_abbrev=False)
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    listing = _action(actions, "list", "List all, the last used first.", _list)
    listing.add_argument("--json", action="store_true", help="print JSON, one line each")
    showing = _action(actions, "show", "Print one as Markdown.", _show)
    showing.add_argument("id", metavar="ID")
    deleting = _action(actions, "delete", "Delete some, with their files.", _delete)
    which = deleting.add_mutually_exclusive_group(required=True)
    which.add_argument("ids", nargs="*", default=[], metavar="ID")
    which.add_argument("--all", action="store_true", help="every one that is open nowhere")
    exporting = _action(actions, "export", "Write one to a file.", _export)
    exporting.add_argument("id", metavar="ID")
    exporting.add_argument(
        "--out",
        type=_out,
        required=True,
        metavar="FILE",
        help=".sparrow: opens in the page again; .md: the conversation as text",
    )
    exporting.add_argument(
        "--without-video", action="store_true", help="a .sparrow that needs the same video to open"
    )


def _action(
    actions: Commands, name: str, help_text: str, handler: Callable[[argparse.Namespace], None]
) -> argparse.ArgumentParser:
    parser = actions.add_parser(name, help=help_text, description=help_text, allow_abbrev=False)
    parser.set_defaults(handler=handler)
    return parser


def _sessions() -> Sessions:
    from sparrow.sessions.sessions import Sessions  # reads videos: only for who asks

    return Sessions(home() / "sessions")


def _list(arguments: argparse.Namespace) -> None:
    for summary in _sessions().list():
        print(json.dumps(asdict(summary)) if arguments.json else _line(summary))


def _show(arguments: argparse.Namespace) -> None:
    from sparrow.sessions.transcript import transcript  # reads videos: only for who asks

    print(transcript(_sessions().peek(arguments.id)), end="")


def _delete(arguments: argparse.Namespace) -> None:
    sessions = _sessions()
    ids = [summary.id for summary in sessions.list()] if arguments.all else arguments.ids
    problems = []
    for session_id in ids:
        try:
            if not sessions.delete(session_id):
                problems.append(f"there is no session {session_id!r}")
        except SparrowError as error:
            problems.append(f"{session_id}: {error}")
    if problems:
        raise SparrowError("; ".join(problems))


def _export(arguments: argparse.Namespace) -> None:
    from sparrow.sessions.session_file import write_session_file  # reads videos: only for who asks
    from sparrow.sessions.transcript import write_transcript

    record, out = _sessions().peek(arguments.id), arguments.out
    out.parent.mkdir(parents=True, exist_ok=True)
    if out.suffix == ".md":
        write_transcript(out, record)
    else:
        write_session_file(out, record, with_video=not arguments.without_video)
    print(out)


def _line(summary: Summary) -> str:
    used = time.strftime("%Y-%m-%d %H:%M", time.localtime(summary.used_at))
    size = f"{summary.bytes / 2**20:.1f} MiB"
    questions = f"{summary.questions} question{'s' if summary.questions != 1 else ''}"
    words = " ".join(summary.problem.split()) or summary.title or "(nothing opened yet)"
    shown = "".join(c if c.isprintable() else "\ufffd" for c in words)
    return f"{summary.id}  {used}  {size:>10}  {questions:>13}  {shown}"


def _out(text: str) -> Path:
    path = Path(text)
    if path.suffix not in (".sparrow", ".md"):
        raise argparse.ArgumentTypeError(f"expected a name ending in .sparrow or .md, got {text!r}")
    return path

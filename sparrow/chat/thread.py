"""The messages of one session on disk: langgraph's SQLite checkpointer, in the session's own database.

Knows what is unfinished after a crash; keeps only the latest state, as earlier ones would hold every message again.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.sqlite import SqliteSaver

from sparrow.sessions.session import Session
from sparrow.sessions.store import FILE


class Checkpoints(SqliteSaver):
    """A checkpointer in a session's folder: it goes with the session."""

    def __init__(self, session: Session) -> None:
        super().__init__(sqlite3.connect(session.folder / FILE, check_same_thread=False))
        self._thread = session.id

    @property
    def config(self) -> RunnableConfig:
        """What a graph needs to find the conversation."""
        return {"configurable": {"thread_id": self._thread}}

    def forget_earlier(self) -> None:
        """Keep only the latest state."""
        with self.cursor() as cursor:
            for table in ("writes", "checkpoints"):
                cursor.execute(
                    f"DELETE FROM {table} WHERE thread_id = ? AND checkpoint_id < "
                    "(SELECT MAX(checkpoint_id) FROM checkpoints WHERE thread_id = ?)",
                    (self._thread, self._thread),
                )

    def close(self) -> None:
        self.conn.close()


def split_unfinished(
    messages: Sequence[BaseMessage],
) -> tuple[list[BaseMessage], list[BaseMessage]]:
    """Part finished turns from the one whose answer never came: a question, calls of tools, their results."""
    last = messages[-1] if messages else None
    if last is None or (isinstance(last, AIMessage) and not last.tool_calls):
        return list(messages), []
    questions = [i for i, message in enumerate(messages) if isinstance(message, HumanMessage)]
    start = questions[-1] if questions else 0
    return list(messages[:start]), list(messages[start:])

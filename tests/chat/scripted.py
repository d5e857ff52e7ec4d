"""Any tool-calling model: langchain_core's own stand-in, which says what it is told to say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from langchain_core.language_models import FakeMessagesListChatModel


class Scripted(FakeMessagesListChatModel):
    """Gives its responses in turn, whatever tools it is given."""

    def bind_tools(self, tools: Sequence[Any], **_: Any) -> Scripted:  # type: ignore[override]
        return self

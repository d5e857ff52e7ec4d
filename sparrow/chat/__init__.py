"""The chat assistant for LangChain programs: a chat model, tools with artifacts, conversations that last."""

from sparrow.chat.chat_sparrow import ChatSparrow

__all__ = ["ChatSparrow"]

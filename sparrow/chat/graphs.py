"""The two graphs that a conversation can be: Sparrow's own words with a few rules, or another model with tools.

Both end soon once the session's stop is set. Neither keeps anything itself.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Sequence
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, ToolMessage
from langchain_core.tools import BaseTool
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.prebuilt import ToolNode

from sparrow.chat.chat_sparrow import ChatSparrow
from sparrow.chat.messages import METADATA, Grounding, read_messages
from sparrow.chat.router import route

Graph = CompiledStateGraph[Any, Any, Any, Any]
State = dict[str, Any]

SYSTEM = (
    "You help with one video. You cannot see it: look at it through the tools, which find things by words, follow "
    "what is at a place, and say when things are seen. Things have ids, the same in every tool. Say only what the "
    "tools say, in the user's language."
)


def own_graph(
    chat: ChatSparrow,
    tools: Sequence[BaseTool],
    checkpoints: BaseCheckpointSaver[Any],
    *,
    session: str,
    video: str,
) -> Graph:
    """Make the graph that needs no other model: rules choose a tool, or Sparrow answers in words.

    Args:
        chat: answers.
        tools: of the same session.
        checkpoints: keep the conversation.
        session: id of the session.
        video: names the content of the video.
    """

    def decide(state: MessagesState) -> State:
        call = route(read_messages(state["messages"]))
        if call is None:
            return {}
        made = {"name": call.tool, "args": dict(call.arguments), "id": uuid.uuid4().hex}
        return {"messages": [AIMessage("", tool_calls=[made])]}

    def decided(state: MessagesState) -> str:
        return "tools" if isinstance(state["messages"][-1], AIMessage) else "answer"

    def answer(state: MessagesState) -> State:
        return {"messages": [chat.invoke(state["messages"])]}

    def tell(state: MessagesState) -> State:
        return {"messages": [_told(state["messages"][-1], session, video)]}

    graph = StateGraph(MessagesState)
    graph.add_node("decide", decide)
    graph.add_node("tools", ToolNode(tools))
    graph.add_node("answer", answer)
    graph.add_node("tell", tell)
    graph.add_edge(START, "decide")
    graph.add_conditional_edges("decide", decided, ["tools", "answer"])
    graph.add_edge("tools", "tell")
    graph.add_edge("tell", END)
    graph.add_edge("answer", END)
    return graph.compile(checkpointer=checkpoints)


def agent_graph(
    llm: BaseChatModel,
    tools: Sequence[BaseTool],
    checkpoints: BaseCheckpointSaver[Any],
    *,
    stop: threading.Event,
) -> Graph:
    """Make the graph in which another model talks and uses the tools; with `stop` set it is not asked again."""
    from langchain.agents import create_agent  # 1.3 s, needed only with another model
    from langchain.agents.middleware import AgentState, before_model

    @before_model(can_jump_to=["end"])
    def halt(state: AgentState[Any], runtime: Any) -> State | None:
        if not stop.is_set():
            return None
        return {"jump_to": "end", "messages": [AIMessage("Stopped.")]}

    return create_agent(
        llm, list(tools), system_prompt=SYSTEM, middleware=[halt], checkpointer=checkpoints
    )


def _told(message: BaseMessage, session: str, video: str) -> AIMessage:
    """Let what a tool says be the answer, with the referents that it speaks of."""
    assert isinstance(message, ToolMessage)
    artifact = message.artifact or {}
    referents = [
        {key: value for key, value in referent.items() if key != "seconds_seen"}
        for referent in artifact.get("referents", ())
        if isinstance(referent, dict)
    ]
    complete = bool(artifact.get("complete", True))
    grounding = Grounding.model_validate(
        {
            "conversation": session,
            "answer": uuid.uuid4().hex,
            "video": video,
            "referents": referents,
            "pointed": artifact.get("pointed", ()),
            "complete": complete,
        }
    )
    return AIMessage(
        message.text,
        response_metadata={
            METADATA: grounding.model_dump(mode="json"),
            "finish_reason": "stop" if complete else "stopped",
        },
    )

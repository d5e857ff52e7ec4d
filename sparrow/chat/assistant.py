"""A conversation that lasts: a graph of words and tools over one session, saved after every step.

Messages go into the session's database, tracks into the session itself. Whatever ends the process, what was
answered is there again; at most the unfinished turn is lost.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import BaseMessage, HumanMessage, RemoveMessage

from sparrow.backend import Backend
from sparrow.chat.chat_sparrow import ChatSparrow
from sparrow.chat.graphs import agent_graph, own_graph
from sparrow.chat.messages import finished_turns, read_messages
from sparrow.chat.recollection import turns_of
from sparrow.chat.retelling import exchanges_of, told_anew
from sparrow.chat.session_memory import SessionMemory
from sparrow.chat.thread import Checkpoints, split_unfinished
from sparrow.chat.tools import video_tools
from sparrow.chat.videos import name_of_video
from sparrow.errors import Busy, PromptError
from sparrow.sessions.session import Session
from sparrow.types import Progress, TracksSoFar


class Assistant:
    """Talks about the video of one session. One thread asks; others may `stop` it."""

    def __init__(
        self,
        backend: Backend,
        session: Session,
        *,
        llm: BaseChatModel | None = None,
        progress: Callable[[Progress | TracksSoFar], None] | None = None,
    ) -> None:
        """Take up the conversation of a session, or begin it.

        Args:
            backend: runs Sparrow.
            session: has a video.
            llm: a model that calls tools, which then leads the conversation; None: Sparrow's own words, and
                rules that tell which questions are for a tool.
            progress: told the steps of Sparrow's answers.

        Raises:
            PromptError: the session has no video.
        """
        if session.video is None:
            raise PromptError("session: expected one with a video, it has none; open a video in it")
        self._session = session
        self._checkpoints = Checkpoints(session)
        tools = video_tools(backend, session)
        name = name_of_video(session.video)
        if llm is None:
            chat = ChatSparrow(
                backend=backend,
                video=session.video,
                memory=SessionMemory(session),
                cancel=session.stop,
                progress=progress,
            )
            self._graph = own_graph(chat, tools, self._checkpoints, session=session.id, video=name)
        else:
            self._graph = agent_graph(llm, tools, self._checkpoints, stop=session.stop)
        self._take_over(name, "answer" if llm is None else "model")
        _, unfinished = split_unfinished(self._messages())
        self.unfinished = unfinished[0].text if unfinished else ""
        """The question that was being answered when the process ended; empty where there was none."""
        self._catch_up()

    @property
    def messages(self) -> list[BaseMessage]:
        """What was asked and answered; the messages of tools carry their artifacts."""
        finished, _ = split_unfinished(self._messages())
        return finished

    def ask(
        self, question: str | HumanMessage, *, instead_of: int | None = None
    ) -> Iterator[BaseMessage]:
        """Answer a question; yields chunks of the answer, and messages of tools that are used.

        Closing the iterator stops the work within a word or a frame; what there was by then is the answer, marked
        as stopped.

        Args:
            question: words, or a message that points at things (`ChatSparrow.question`).
            instead_of: number of the question, from 0, that this one replaces, with all that came after it; what
                was found since keeps its id.

        Raises:
            Busy: the last question is still being answered.
            PromptError: the question cannot be used.
            SessionError: the session was deleted, or cannot be saved.
        """
        session = self._session
        if session.working:
            raise Busy("The last question is still being answered; stop that first.")
        session.stop.clear()
        session.working = True
        try:
            message = HumanMessage(question) if isinstance(question, str) else question
            if read_messages([message]).source is not None:
                raise PromptError(
                    "message: expected a question about the session's video, got one with a video of its own"
                )
            message = message.model_copy(update={"id": uuid.uuid4().hex})
            steps = self._graph.stream(
                {"messages": [*self._away(instead_of), message]},
                self._checkpoints.config,
                stream_mode="messages",
                durability="sync",
            )
            over = False
            try:
                for chunk, _ in steps:
                    assert isinstance(chunk, BaseMessage)  # what this stream mode gives
                    yield chunk
                over = True
            finally:
                if not over:
                    session.stop.set()
                    for _ in steps:  # to the end of this word or frame, that it is kept
                        pass
                self._catch_up()
        finally:
            session.working = False

    def stop(self) -> None:
        """End what is going on; may be called from any thread."""
        self._session.stop.set()

    def close(self) -> None:
        """Let go of the files; the session stays."""
        self._checkpoints.close()

    def _messages(self) -> list[BaseMessage]:
        return list(self._graph.get_state(self._checkpoints.config).values.get("messages", ()))

    def _take_over(self, video: str, node: str) -> None:
        """Go on from the session's exchanges where they tell another story: the page, or a session file, went on."""
        session = self._session
        noted = [e for e in session.exchanges if e.answer is not None and e.answer.text]
        told = finished_turns(self.messages)[: len(noted)]
        if [(e.question, e.text) for e in noted] == [(turn.question, turn.text) for turn in told]:
            return
        with session.lock:
            messages = told_anew(noted, session.history, session.id, video)
        self._checkpoints.delete_thread(session.id)
        self._graph.update_state(self._checkpoints.config, {"messages": messages}, as_node=node)

    def _away(self, instead_of: int | None) -> list[RemoveMessage]:
        """Say which messages a question does away with: an unfinished turn, and what it replaces."""
        finished, unfinished = split_unfinished(self._messages())
        if instead_of is not None:
            places = [i for i, m in enumerate(finished) if isinstance(m, HumanMessage)]
            if not 0 <= instead_of < len(places):
                raise PromptError(
                    f"instead_of: expected a question from 0 to {len(places) - 1}, got {instead_of}"
                )
            unfinished = [*finished[places[instead_of] :], *unfinished]
        return [RemoveMessage(id=str(message.id)) for message in unfinished]

    def _catch_up(self) -> None:
        """Write into the session what the messages say: turns for the backend, exchanges for its transcript."""
        session = self._session
        finished = self.messages
        with session.lock:
            turns = turns_of(finished_turns(finished), session.history)
            session.history = replace(session.history, turns=turns)
            session.exchanges = exchanges_of(finished, turns)
            session.save()
        self._checkpoints.forget_earlier()

"""Wires the layout to what it does: each listener reads what the browser sent and hands it to the runner.

None of these listeners is public: programs call the endpoints of api.py.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path

import gradio as gr
from gradio.components import Component
from gradio.events import Dependency

from sparrow.page import asking, correcting, exporting, objects, opening, pointing
from sparrow.page.arriving import Arrivals
from sparrow.page.examples import Example
from sparrow.page.layout import Layout
from sparrow.page.redraw import Updates
from sparrow.page.running import MAX_WORKING, Runner
from sparrow.page.sent import Sent, SentError
from sparrow.page.visit import Visit
from sparrow.sessions.record import MAX_EXCHANGES, Exchange
from sparrow.sessions.session import Session, Task

_KEPT_IDS = "() => [[sessionStorage.sparrow ?? '', localStorage.sparrow ?? '']]"
_KEEP_ID = "(id) => { sessionStorage.sparrow = localStorage.sparrow = id ?? ''; }"

_HIGHEST_ID = 2**31

Light = Callable[[Session, Visit, Sent], None]


class Events:
    """The listeners of one page."""

    def __init__(self, runner: Runner, layout: Layout, examples: Sequence[Example]) -> None:
        self._run = runner
        self._at = layout
        self._examples = examples
        self._arrivals = Arrivals(runner, layout, examples)

    def wire(self, page: gr.Blocks) -> None:
        """Attach every listener; call it inside the page's context."""
        at, own, quick = self._at, [self._at.session_id], self._quick
        arrive = quick(page.load, self._arrivals.arrive, at.kept_ids, js=_KEPT_IDS)
        delete = quick(at.delete.click, self._arrivals.delete, own)
        for new_id in (arrive, delete):
            new_id.success(None, own, js=_KEEP_ID, show_progress="hidden", api_visibility="private")
        for start in (
            arrive,
            quick(at.upload.upload, self.upload, [*own, at.upload]),
            quick(at.examples.select, self.choose, own),
            quick(at.question.submit, self.ask, [*own, at.question]),
            quick(at.send.click, self.ask, [*own, at.question]),
            quick(at.chat.suggest, self.suggest, own),
            quick(at.chat.retry, self.retry, own),
            quick(at.chat.edit, self.reword, own),
            quick(at.chat.save, self.save, own),
            quick(at.stage.object, self.touch, own),
            quick(at.stage.edit, self.correct, own),
            quick(at.downloads.make, self.make, own),
            quick(at.model.input, self.pick, [*own, at.model]),
        ):
            start.success(
                self._run.watch,
                own,
                at.components(),
                concurrency_limit=4 * MAX_WORKING,
                show_progress="hidden",
                api_visibility="private",
                # While one is on its way the next must not be left out: it may be the one with work to watch.
                trigger_mode="always_last",
            )
        quick(at.chat.undo, self.undo, own)
        quick(at.chat.attach, self._light(objects.attach), own)
        quick(at.chat.detach, self._light(objects.detach), own)
        quick(at.stage.pointed, self.point, own)
        quick(at.stage.look, self._light(objects.look), own)
        quick(at.stage.trim, self._light(objects.trim), own)
        quick(at.stop.click, self._run.stop, own)
        quick(at.another.click, self.another, own)
        page.unload(self._arrivals.leave)

    def _quick(
        self,
        trigger: Callable[..., Dependency],
        handler: Callable[..., Updates],
        inputs: Sequence[Component] | Component,
        js: str | None = None,
    ) -> Dependency:
        """Attach a listener that answers at once, outside Gradio's queue."""
        return trigger(
            handler,
            inputs,
            self._at.components(),
            js=js,
            queue=False,
            show_progress="hidden",
            api_visibility="private",
            trigger_mode="multiple",
        )

    def upload(self, session_id: str, upload: str, request: gr.Request) -> Updates:
        """Take an uploaded video or session file and have it opened."""
        path = Path(upload)

        def begin(session: Session, visit: Visit) -> Task:
            taken = opening.take_upload(session, path)
            work = opening.open_upload(session, visit, taken, path.name)
            return lambda: self._run.in_line(session, visit, work)

        updates = self._run.start(request, session_id, begin)
        path.unlink(missing_ok=True)  # refused uploads are not kept either
        return {**updates, self._at.upload: None}

    def choose(self, session_id: str, event: gr.SelectData, request: gr.Request) -> Updates:
        """Have one of the example clips opened."""
        example = self._examples[int(event.index)]

        def begin(session: Session, visit: Visit) -> Task:
            work = opening.open_example(session, visit, example)
            return lambda: self._run.in_line(session, visit, work)

        return self._run.start(request, session_id, begin)

    def another(self, session_id: str, request: gr.Request) -> Updates:
        """Show the chooser of videos, or hide it again."""

        def change(_: Session, visit: Visit) -> None:
            visit.choosing = not visit.choosing

        return self._run.change(request, session_id, change)

    def pick(self, session_id: str, name: str, request: gr.Request) -> Updates:
        """Go on with another model."""

        def begin(session: Session, visit: Visit) -> Task:
            chosen = self._run.models.check(name)
            return lambda: self._run.take_model(session, visit, chosen)

        updates = self._run.start(request, session_id, begin)
        # Until it is loaded, and if it cannot be, the one before goes on.
        return {**self._run.redraw_model(session_id), **updates}

    def ask(self, session_id: str, question: str, request: gr.Request) -> Updates:
        """Put the question into the conversation and have it answered."""

        def begin(session: Session, visit: Visit) -> Task:
            return self._answer(session, visit, asking.begin_question(session, visit, question))

        return self._run.start(request, session_id, begin, {self._at.question: ""})

    def suggest(self, session_id: str, event: gr.EventData, request: gr.Request) -> Updates:
        """Ask the question that a button shows."""

        def begin(session: Session, visit: Visit) -> Task:
            question = Sent.by(event).text("text", asking.MAX_QUESTION)
            return self._answer(session, visit, asking.begin_question(session, visit, question))

        return self._run.start(request, session_id, begin)

    def retry(self, session_id: str, event: gr.EventData, request: gr.Request) -> Updates:
        """Ask a question again."""

        def begin(session: Session, visit: Visit) -> Task:
            turn = Sent.by(event).whole("turn", 0, MAX_EXCHANGES)
            return self._answer(session, visit, *asking.retry(session, turn))

        return self._run.start(request, session_id, begin)

    def reword(self, session_id: str, event: gr.EventData, request: gr.Request) -> Updates:
        """Ask a question in other words."""

        def begin(session: Session, visit: Visit) -> Task:
            sent = Sent.by(event)
            turn = sent.whole("turn", 0, MAX_EXCHANGES)
            words = sent.text("text", 4 * asking.MAX_QUESTION)
            return self._answer(session, visit, *asking.reword(session, turn, words))

        return self._run.start(request, session_id, begin)

    def undo(self, session_id: str, event: gr.EventData, request: gr.Request) -> Updates:
        """Take a question back, and put it where the next one is written."""
        question: list[str] = []

        def change(session: Session, _: Visit) -> None:
            turn = Sent.by(event).whole("turn", 0, MAX_EXCHANGES)
            question.append(asking.take_back(session, turn))

        updates = self._run.change(request, session_id, change)
        return {**updates, self._at.question: question[0]} if question else updates

    def point(self, session_id: str, event: gr.EventData, request: gr.Request) -> Updates:
        """Take a click or a box on the stage, and show what mask it gives."""

        def change(session: Session, visit: Visit) -> None:
            pointing.point(self._run.models.get(session.model), session, visit, Sent.by(event))

        return self._run.change(request, session_id, change)

    def touch(self, session_id: str, event: gr.EventData, request: gr.Request) -> Updates:
        """Do something to an object: at once, or as work."""
        try:
            action = Sent.by(event).one_of("action", (*objects.LIGHT, *objects.HEAVY))
        except SentError as error:
            return self._run.refuse(request, None, error)
        if action in objects.LIGHT:
            return self._light(objects.change)(session_id, event, request)

        def change(session: Session, visit: Visit) -> None:
            objects.delete(session, visit, objects.known_id(session, visit, Sent.by(event)))

        def begin(session: Session, visit: Visit) -> Task:
            i = Sent.by(event).whole("id", 1, _HIGHEST_ID)
            steps = correcting.track_again if action == "retrack" else correcting.learn
            return lambda: self._run.with_backend(
                session, visit, lambda backend: steps(backend, session, visit, i)
            )

        if action == "delete":
            return self._run.change(request, session_id, change)
        return self._run.start(request, session_id, begin)

    def correct(self, session_id: str, event: gr.EventData, request: gr.Request) -> Updates:
        """Undo, redo, forget clicks, or have the track follow them."""
        try:
            action = Sent.by(event).one_of("action", ("undo", "redo", "discard", "apply"))
        except SentError as error:
            return self._run.refuse(request, None, error)

        def change(session: Session, visit: Visit) -> None:
            if action == "redo":
                correcting.redo(session)
            elif action == "discard":
                pointing.discard(visit)
            elif visit.draft is not None:
                pointing.take_back(self._run.models.get(session.model), session, visit)
            else:
                correcting.undo(session)

        def begin(session: Session, visit: Visit) -> Task:
            direction = Sent.by(event).one_of("direction", correcting.DIRECTIONS)
            return lambda: self._run.with_backend(
                session,
                visit,
                lambda backend: correcting.apply(backend, session, visit, direction),
            )

        if action == "apply":
            return self._run.start(request, session_id, begin)
        return self._run.change(request, session_id, change)

    def make(self, session_id: str, event: gr.EventData, request: gr.Request) -> Updates:
        """Make a file for the visitor to download."""

        def begin(session: Session, visit: Visit) -> Task:
            offer = exporting.offer_of(Sent.by(event).text("format", 40), session)
            work = exporting.make(session, visit, offer)
            return lambda: self._run.in_line(session, visit, work)

        return self._run.start(request, session_id, begin)

    def save(self, session_id: str, request: gr.Request) -> Updates:
        """Make a file of the conversation."""

        def begin(session: Session, visit: Visit) -> Task:
            offer = exporting.offer_of(exporting.TRANSCRIPT, session)
            work = exporting.make(session, visit, offer)
            return lambda: self._run.in_line(session, visit, work)

        return self._run.start(request, session_id, begin)

    def _answer(
        self, session: Session, visit: Visit, exchange: Exchange, dropped: Collection[int] = ()
    ) -> Task:
        return lambda: self._run.with_backend(
            session,
            visit,
            lambda backend: asking.answer_question(backend, session, visit, exchange, dropped),
        )

    def _light(self, change: Light) -> Callable[[str, gr.EventData, gr.Request], Updates]:
        """Make a listener of a change that long work does not mind."""

        def listen(session_id: str, event: gr.EventData, request: gr.Request) -> Updates:
            return self._run.lightly(
                request, session_id, lambda session, visit: change(session, visit, Sent.by(event))
            )

        return listen

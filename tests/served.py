"""A backend behind a served page, and what conversations with it are compared by."""

from __future__ import annotations

from dataclasses import dataclass, field

import gradio as gr
import numpy as np

from sparrow.backend import Backend, answer_of
from sparrow.limits import Limits
from sparrow.local_backend import LocalBackend
from sparrow.page.serving import Serving
from sparrow.sessions.sessions import Sessions
from sparrow.types import History, MaskTrack, Progress
from sparrow.video import Video
from sparrow.world.scene import Scene

SEED = 8_100_009  # of the test split


@dataclass(eq=False)
class Server:
    """A served backend."""

    backend: LocalBackend
    sessions: Sessions
    limits: Limits = field(default_factory=Limits)
    port: int | None = None

    def start(self) -> None:
        with gr.Blocks(analytics_enabled=False) as self.page:
            Serving(lambda: self.backend, self.sessions, self.limits).wire()
        self.page.queue()
        _, url, _ = self.page.launch(
            server_name="127.0.0.1",
            server_port=self.port,
            prevent_thread_lock=True,
            quiet=True,
            ssr_mode=False,
            footer_links=[],
        )
        self.url = str(url)
        self.port = int(self.url.rstrip("/").rsplit(":", 1)[1])

    def stop(self) -> None:
        self.page.close()
        self.sessions.close()

    def rooms(self) -> int:
        return len(self.sessions.list())


def questions(scene: Scene) -> tuple[str, ...]:
    first, second = (thing.noun for thing in scene.things[:2])
    return f"Segment the {first}.", "How many things are there?", f"Where is the {second}?"


def converse(backend: Backend, key: str, video: Video, said: tuple[str, ...]) -> History:
    history = History()
    for question in said:
        history = history.after(question, (), answer_of(backend.ask(key, video, history, question)))
    return history


def same_track(one: MaskTrack, other: MaskTrack) -> bool:
    return (
        (one.referent_id, one.rles, one.complete) == (other.referent_id, other.rles, other.complete)
        and np.array_equal(one.boxes, other.boxes, equal_nan=True)
        and np.array_equal(one.scores, other.scores)
    )


def same_history(one: History, other: History) -> bool:
    answers = [[turn.answer for turn in each.turns if turn.answer] for each in (one, other)]
    return (
        [(a.text, a.said, a.referents, a.frames, a.complete) for a in answers[0]]
        == [(a.text, a.said, a.referents, a.frames, a.complete) for a in answers[1]]
        and (one.phrases, one.next_id) == (other.phrases, other.next_id)
        and all(same_track(track, other.tracks[i]) for i, track in one.tracks.items())
    )


def steps(events: list[object]) -> list[str]:
    return [event.step for event in events if isinstance(event, Progress)]

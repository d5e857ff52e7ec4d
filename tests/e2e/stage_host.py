"""A page with nothing but the stage on it, and the little that its server must know to answer it."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import gradio as gr
import numpy as np

from sparrow.looks import Look
from sparrow.page.stage import Can, StageObject, stage, stage_value, write_masks
from sparrow.types import MaskTrack, Prompt, colour_of
from sparrow.video import Video

EVENTS = ("pointed", "object", "look", "trim", "edit")
OUTSIDE = """
<div id="words"><p>Words outside: <mark class="ref ref-2" tabindex="0">the second thing</mark>
<a class="moment" href="#t=1.0">0:01</a> <a href="#f=7">frame 7</a> <mark class="ref ref-99">gone</mark></p>
<textarea id="typing"></textarea></div>
"""


@dataclass
class StageHost:
    """What a session would hold, and every event that came from the browser."""

    folder: Path
    video: Video | None = None
    objects: list[StageObject] = field(default_factory=list)
    prompts: list[Prompt] = field(default_factory=list)
    looked_at: Sequence[int] = ()
    span: tuple[int, int] | None = None
    preview: tuple[int, MaskTrack] | None = None
    selected: int | None = None
    seek: tuple[int, int] | None = None
    look: Look = field(default_factory=Look)
    can: Can = field(default_factory=Can)
    notice: str = ""
    events: list[tuple[str, dict[str, object]]] = field(default_factory=list)
    arrived: threading.Condition = field(default_factory=threading.Condition)
    page: gr.Blocks = field(init=False)
    version: int = 0

    def __post_init__(self) -> None:
        with gr.Blocks(title="Stage", analytics_enabled=False, fill_width=True) as self.page:
            shown = stage()
            gr.HTML(OUTSIDE)
            again = gr.Button("Again", elem_id="again")
            gr.Button("Stop", elem_id="stop").click(
                lambda: self._note("stop", {}), queue=False, api_visibility="private"
            )
            quick = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
            for name in EVENTS:
                getattr(shown, name)(
                    self._listener(name), None, shown, trigger_mode="multiple", **quick
                )
            again.click(self.value, None, shown, **quick)
            self.page.load(self.value, None, shown, **quick)

    def value(self) -> dict[str, object]:
        return stage_value(
            self.video,
            notice=self.notice,
            objects=self.objects,
            looked_at=self.looked_at,
            drafted=self.prompts,
            span=self.span,
            preview=self.preview,
            selected=self.selected,
            seek=self.seek,
            look=self.look,
            can=self.can,
            learn_seconds=20,
        )

    def show(self, video: Video | None, tracks: Sequence[MaskTrack], names: Sequence[str]) -> None:
        """Begin anew with a video and tracks."""
        self.video, self.objects, self.prompts, self.looked_at = video, [], [], ()
        self.span = self.preview = self.selected = self.seek = None
        self.look, self.can, self.notice = Look(), Can(), ""
        self.events.clear()
        for track, name in zip(tracks, names, strict=True):
            i = track.referent_id
            self.objects.append(
                StageObject(i, name, colour_of(i), True, track, *self.masks_of(track))
            )

    def masks_of(self, track: MaskTrack) -> tuple[Path, int]:
        """Write a track for the browser; give the file and its version."""
        self.version += 1
        path = self.folder / f"masks-{track.referent_id}-{self.version}.json"
        write_masks(track, path)
        return path, self.version

    def retracked(self, track: MaskTrack) -> None:
        """Replace the track of an object."""
        masks, version = self.masks_of(track)
        self.objects = [
            replace(thing, track=track, masks=masks, version=version)
            if thing.id == track.referent_id
            else thing
            for thing in self.objects
        ]

    def wait_for(self, name: str, count: int = 1) -> dict[str, object]:
        """Wait for an event; give its data."""

        def found() -> list[dict[str, object]]:
            return [data for event, data in self.events if event == name]

        with self.arrived:
            assert self.arrived.wait_for(lambda: len(found()) >= count, 20), self.events
            return found()[count - 1]

    def _note(self, name: str, data: dict[str, object]) -> None:
        with self.arrived:
            self.events.append((name, data))
            self.arrived.notify_all()

    def _listener(self, name: str):  # type: ignore[no-untyped-def]
        def listen(event: gr.EventData) -> dict[str, object]:
            data = dict(event._data)
            getattr(self, f"_{name}", lambda _: None)(data)
            self._note(name, data)
            return self.value()

        return listen

    def _pointed(self, data: dict) -> None:  # type: ignore[type-arg]
        """Do what the page does: keep the prompt, and draw a preview of it."""
        assert self.video is not None
        height, width = self.video.size_hw
        i = data["object"] or max((thing.id for thing in self.objects), default=0) + 1
        at = np.array(data["at"]) * ([width, height] * 2)[: len(data["at"])]
        self.prompts.append(Prompt(i, data["frame"], data["kind"], at.astype(np.float32)))
        mask = np.zeros((height, width), dtype=bool)
        x, y = (at[:2] + at[-2:]) / 2
        rows, columns = np.ogrid[:height, :width]
        mask[(rows - y) ** 2 + (columns - x) ** 2 < (height / 8) ** 2] = True
        empty = np.zeros_like(mask)
        frames = [mask if f == data["frame"] else empty for f in range(self.video.num_frames)]
        self.preview = (data["frame"], MaskTrack.from_masks(i, frames, [0.9] * len(frames)))
        self.selected, self.can = i, Can(undo=True, apply=True, learn=True)

    def _object(self, data: dict) -> None:  # type: ignore[type-arg]
        i, action, value = data["id"], data["action"], data["value"]
        if action == "select":
            self.selected = i
        changes = {
            "show": {"shown": True},
            "hide": {"shown": False},
            "rename": {"name": value},
            "recolour": {"colour": value},
        }.get(action, {})
        self.objects = [
            replace(thing, **changes) if thing.id == i else thing for thing in self.objects
        ]
        if action == "solo":
            alone = all(thing.shown == (thing.id == i) for thing in self.objects)
            self.objects = [replace(thing, shown=alone or thing.id == i) for thing in self.objects]
        if action == "delete":
            self.objects = [thing for thing in self.objects if thing.id != i]

    def _look(self, data: dict) -> None:  # type: ignore[type-arg]
        self.look = Look(**data)

    def _trim(self, data: dict) -> None:  # type: ignore[type-arg]
        self.span = (data["start"], data["stop"])

    def _edit(self, data: dict) -> None:  # type: ignore[type-arg]
        if data["action"] in ("discard", "undo"):
            self.prompts, self.preview, self.can = [], None, Can(redo=True)

"""A session's video, tracks and prompts -> the stage: the one component in which they are seen and touched.

The stage is a `gr.HTML` (elem_id "stage") whose scripts and styles lie in static/stage/. This module builds
the component and the JSON that it shows; it knows no session, no model, and wires no event.

To the browser: `stage_value(...)` IS THE VALUE of the component. Return the dict itself as its output, whole;
the browser finds out what is new, and neither the player nor a menu is disturbed by what is not. (Not props:
Gradio 6.31 breaks a prop whose name stands in quotes anywhere in the script.) Never use it as an input.

    video     null | {url, frames, fps, width, height, sound}
    notice    words shown while there is no video: "Reading the video …"; "" = the invitation to choose one
    objects   [{id, name, colour, pattern, shown, confidence (0..1, null unknown), complete,
              masks: {url, version}}], drawn in this order
    looked_at [frame ...]
    prompts   [{object, frame, kind: point+ | point- | box, at: 2 or 4 numbers 0..1,
              applied (the track follows it)}], masks are left out
    span      [start, stop) frames: what is played, tracked again (direction "span") and exported
    preview   null | {object, frame, rle, colour, pattern, name}: the mask that prompts would give
    selected  id | null: also an id without an object yet: what is being pointed out anew
    seek      null | {frame, nonce}: go there, once for each nonce
    look      {mode, opacity, label}
    can       {undo, redo, apply, learn, busy}
    learn_seconds  what "learn this object" takes

A `masks.url` is a file of `write_masks`; a new version is a new file, and what it replaces may be deleted
some seconds later (a page that cannot fetch one keeps what it has).

From the browser: events, each `stage.NAME(handler, trigger_mode="multiple", queue=False, ...)` with one
parameter `event: gr.EventData`. Whatever arrives may be made up: check types, ids and ranges.

    pointed {frame, kind: point+ | point- | box, at: [x, y] | [x0, y0, x1, y1] in 0..1 of the picture,
             object: id | null}      null = the new thing being pointed out, or the first prompt of one
    object  {action, id, value}      select (id null = nothing; the next pointing is a new thing)
                                     show, hide
                                     solo: show only this one; sent again: show all
                                     rename (value: text) · recolour (value: "#rrggbb")
                                     delete · retrack · learn (id of an object, or of the preview)
    look    {mode, opacity, label}
    trim    {start, stop}            frames, stop exclusive; the whole video = no trim
    edit    {action, direction}      undo, redo, discard (the prompts not applied yet),
                                     apply (direction: both | forward | backward of the prompts | span)

show, hide, solo, select, look and trim are drawn by the browser at once and stand until a value with another
list comes. Escape presses #stop. In the whole document, `mark.ref.ref-3` selects object 3 and goes to where
it is seen (with Alt: shows it alone), hovering flashes it; links `#t=2.5` and `#f=40` seek.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from urllib.parse import quote

import gradio as gr

from sparrow.looks import Look, measures, pattern_of
from sparrow.types import PALETTE, MaskTrack, Prompt, colour_of
from sparrow.video import Video
from sparrow.whole import write_text

_FOLDER = Path(__file__).parent / "static" / "stage"

_SCRIPTS = (  # in this order they are one script: the last one starts what the others define
    "elements.js", "popover.js",
    "rle.js", "masks.js", "outlines.js", "labels.js", "drawing.js", "player.js", "scene.js",
    "marks.js", "pointer.js", "cross.js", "playing.js", "choosing.js", "prompting.js",
    "look_panel.js", "toolbar.js", "apply_bar.js", "transport.js",
    "lanes.js", "object_row.js", "objects.js", "trim.js", "ruler.js", "timeline.js",
    "keys.js", "links.js", "sticking.js", "stage.js",
)  # fmt: skip
_STYLES = ("stage.css", "picture.css", "timeline.css", "panels.css")


UNSURE = 0.5
"""A tracker's score below which a frame is told, and drawn, as unsure."""


@dataclass(frozen=True, slots=True, eq=False)
class StageObject:
    """A thing in the video, as the user sees it: under the user's name and colour."""

    id: int
    name: str
    colour: str
    """ "#rrggbb"."""
    shown: bool
    track: MaskTrack
    masks: Path
    """A file of `write_masks` with this very track."""
    version: int
    """Another number for another track of this object."""


@dataclass(frozen=True, slots=True)
class Can:
    """What may be done now; the rest is greyed."""

    undo: bool = False
    redo: bool = False
    apply: bool = False
    """There are prompts that the tracks do not follow yet."""
    learn: bool = False
    """The model learns objects, and it helps."""
    busy: bool = False
    """Long work goes on: nothing can be pointed at, changed or deleted."""


def stage() -> gr.HTML:
    """Build the component, empty; call it inside gr.Blocks."""
    return gr.HTML(
        stage_value(),
        html_template='<div class="sparrow-stage"></div>',
        head=f"<style>{_text(_STYLES)}</style>",
        js_on_load=_script(),
        apply_default_css=False,
        elem_id="stage",
    )


def stage_value(
    video: Video | None = None,
    *,
    notice: str = "",
    objects: Sequence[StageObject] = (),
    looked_at: Sequence[int] = (),
    prompts: Sequence[Prompt] = (),
    drafted: Sequence[Prompt] = (),
    span: tuple[int, int] | None = None,
    preview: tuple[int, MaskTrack] | None = None,
    selected: int | None = None,
    seek: tuple[int, int] | None = None,
    look: Look | None = None,
    can: Can | None = None,
    learn_seconds: float = 0.0,
) -> dict[str, object]:
    """Describe what the stage shows, as JSON; see the top of this module.

    Args:
        video: None for the empty stage.
        notice: what is said on the empty stage instead of the invitation.
        objects: in the order in which they are drawn, later ones above.
        looked_at: the frames that the model saw.
        prompts: those that the tracks follow, in pixels; masks among them are not shown.
        drafted: those that they do not follow yet.
        span: first frame and the one after the last, None for all.
        preview: a frame, and the track whose mask there is what the prompts would give.
        selected: the id of the object that is corrected, or of a new one that is being pointed out.
        seek: a frame to go to, and a number that was not used for an earlier seek.
        look: how masks are drawn, None for the usual look.
        can: None for nothing.
        learn_seconds: what learning an object takes.
    """
    return {
        "video": None if video is None else _video(video),
        "notice": notice,
        "objects": [_object(thing) for thing in objects],
        "looked_at": [int(frame) for frame in looked_at],
        "prompts": []
        if video is None
        else [
            *_prompts(prompts, video.size_hw, applied=True),
            *_prompts(drafted, video.size_hw, applied=False),
        ],
        "span": [0, 0] if video is None else list(span or (0, video.num_frames)),
        "preview": None if preview is None else _preview(*preview, objects),
        "selected": selected,
        "seek": None if seek is None else {"frame": seek[0], "nonce": seek[1]},
        "look": (look or Look()).to_json(),
        "can": asdict(can or Can()),
        "learn_seconds": learn_seconds,
    }


def write_masks(track: MaskTrack, path: Path) -> None:
    """Write a track as the stage reads it: {"size": [h, w], "rles": [str | null], "scores": [float]}.

    Raises:
        OSError: the file cannot be written; nothing half-written is left under its name.
    """
    masks = {
        "size": list(track.size_hw),
        "rles": [None if rle is None else rle.decode("ascii") for rle in track.rles],
        "scores": [round(float(score), 3) for score in track.scores],
    }
    write_text(path, json.dumps(masks, separators=(",", ":")))


def file_url(path: Path) -> str:
    """Give the address at which Gradio serves a file, relative to the page: right under any root path."""
    return "gradio_api/file=" + quote(path.resolve().as_posix())


def _script() -> str:
    constants = {"MEASURES": measures(), "PALETTE": PALETTE, "UNSURE": UNSURE}
    lines = [f"const {name} = {json.dumps(value)};" for name, value in constants.items()]
    return "\n".join(['"use strict";', *lines, _text(_SCRIPTS)])


@cache
def _text(names: tuple[str, ...]) -> str:
    return "\n".join((_FOLDER / name).read_text(encoding="utf-8") for name in names)


def _video(video: Video) -> dict[str, object]:
    height, width = video.size_hw
    return {
        "url": file_url(video.path),
        "frames": video.num_frames,
        "fps": video.fps,
        "width": width,
        "height": height,
        "sound": video.has_audio,
    }


def _object(thing: StageObject) -> dict[str, object]:
    visible = thing.track.visible()
    return {
        "id": thing.id,
        "name": thing.name,
        "colour": thing.colour,
        "pattern": pattern_of(thing.id),
        "shown": thing.shown,
        "confidence": float(thing.track.scores[visible].mean()) if visible.any() else None,
        "complete": thing.track.complete,
        "masks": {"url": file_url(thing.masks), "version": thing.version},
    }


def _prompts(
    prompts: Sequence[Prompt], size_hw: tuple[int, int], *, applied: bool
) -> list[dict[str, object]]:
    height, width = size_hw
    return [
        {
            "object": prompt.referent_id,
            "frame": prompt.frame,
            "kind": prompt.kind,
            "at": [
                float(value) / (height if axis % 2 else width)
                for axis, value in enumerate(prompt.coordinates)
            ],
            "applied": applied,
        }
        for prompt in prompts
        if prompt.kind != "mask"
    ]


def _preview(frame: int, track: MaskTrack, objects: Sequence[StageObject]) -> dict[str, object]:
    i, rle = track.referent_id, track.rles[frame]
    known = {thing.id: thing for thing in objects}.get(i)
    return {
        "object": i,
        "frame": frame,
        "rle": None if rle is None else rle.decode("ascii"),
        "colour": colour_of(i) if known is None else known.colour,
        "pattern": pattern_of(i),
        "name": "" if known is None else known.name,
    }

"""Clicks on a still frame -> prompts for the tracker -> a new object of the session.

One click is a point on the thing, two are opposite corners of a box around it, a third starts over.
Knows no component of the page.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw

from sparrow.page.session import Pointing, Session, SessionError
from sparrow.types import Prompt, colour_of

if TYPE_CHECKING:
    from sparrow.video import Video

_SMALLEST_BOX = 4
"""Pixels a side; two clicks nearer than this are one point."""


def show_frame(session: Session, frame: int) -> None:
    """Show a frame to point at, the nearest there is, without clicks."""
    frame = min(max(frame, 0), _video(session).num_frames - 1)
    _show(session, frame, ())


def show_moment(session: Session, seconds: float) -> None:
    """Show the frame that the player shows at this time."""
    times = _video(session).timestamps
    show_frame(session, int(np.searchsorted(times, seconds + 1e-3, side="right")) - 1)


def click(session: Session, x: int, y: int) -> None:
    """Add a click at pixel (x, y) of the frame shown."""
    if session.pointing is None:
        raise SessionError("Choose a frame to point at first.")
    height, width = _video(session).size_hw
    if not (0 <= x < width and 0 <= y < height):
        raise SessionError(f"That click is outside the picture of {width} × {height} pixels.")
    earlier = session.pointing.clicks if len(session.pointing.clicks) < 2 else ()
    _show(session, session.pointing.frame, (*earlier, (x, y)))


def clear_clicks(session: Session) -> None:
    """Forget the clicks on the frame shown."""
    if session.pointing is not None:
        _show(session, session.pointing.frame, ())


def prompt_of(pointing: Pointing, referent_id: int) -> Prompt:
    """Make the clicks a point, or a box if there are two that are apart.

    Raises:
        SessionError: nothing was clicked.
    """
    if not pointing.clicks:
        raise SessionError("Click on the thing in the picture first.")
    box = _box(pointing.clicks)
    if box is None:
        return Prompt(referent_id, pointing.frame, "point+", np.array(pointing.clicks[-1], np.float32))
    return Prompt(referent_id, pointing.frame, "box", box)


def _box(clicks: tuple[tuple[int, int], ...]) -> np.ndarray | None:
    """Give the box (4,) float32 pixel xyxy, edge pixels included, or None where it is but a point."""
    corners = np.array(clicks)
    low, high = corners.min(axis=0), corners.max(axis=0)
    if (high - low < _SMALLEST_BOX).any():
        return None
    return np.concatenate([low, high + 1]).astype(np.float32)


def _show(session: Session, frame: int, clicks: tuple[tuple[int, int], ...]) -> None:
    """Write the frame with the clicks drawn on it, under a new name, so that no browser shows the old one."""
    image = Image.fromarray(_video(session).read([frame])[0])
    _draw_clicks(image, clicks, colour_of(max(session.referents, default=0) + 1))
    still = session.new_path("frame.jpg")
    image.save(still, quality=90)
    if session.pointing is not None:
        session.discard(session.pointing.still)
    session.pointing = Pointing(frame, still, clicks)


def _draw_clicks(image: Image.Image, clicks: tuple[tuple[int, int], ...], colour: str) -> None:
    pen = ImageDraw.Draw(image)
    line = max(2, round(image.width / 200))
    box = _box(clicks) if clicks else None
    if box is not None:
        pen.rectangle([*box[:2].tolist(), *(box[2:] - 1).tolist()], outline=colour, width=line)
        return
    for x, y in clicks:
        for radius, ink in ((3 * line, "#000000"), (3 * line - 1, "#ffffff"), (2 * line, colour)):
            pen.ellipse([x - radius, y - radius, x + radius, y + radius], fill=ink)


def _video(session: Session) -> Video:
    if session.video is None:
        raise SessionError("Choose a video first.")
    return session.video

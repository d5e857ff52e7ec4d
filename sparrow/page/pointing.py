"""Clicks on a still frame -> prompts for the tracker -> a new object of the session.

One click is a point on the thing, two are opposite corners of a box around it, a third starts over.
Knows no component of the page.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw

from sparrow.page.session import Pointing, Session, SessionError
from sparrow.types import Prompt, colour_of

if TYPE_CHECKING:
    from sparrow.video import Video

_STILL_WIDTH = 1024
"""Pixels; wider than the column it is shown in."""

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
    """Add a click at pixel (x, y) of the still.

    Raises:
        SessionError: no still is shown, or the click lies outside it.
    """
    if session.pointing is None:
        raise SessionError("Choose a frame to point at first.")
    height, width = _video(session).size_hw
    scale = still_scale(width)
    x, y = x // scale, y // scale
    if not (0 <= x < width and 0 <= y < height):
        raise SessionError(f"That click is outside the picture of {width} × {height} pixels.")
    earlier = session.pointing.clicks if len(session.pointing.clicks) < 2 else ()
    _show(session, session.pointing.frame, (*earlier, (x, y)))


def clear_clicks(session: Session) -> None:
    """Forget the clicks on the frame shown."""
    if session.pointing is not None:
        _show(session, session.pointing.frame, ())


def still_scale(width: int) -> int:
    """Say how many times a frame of this width is enlarged for the still.

    Gradio reports wrong places for clicks on an image that the browser enlarges, so ours never needs it.
    """
    return max(1, -(-_STILL_WIDTH // width))


def prompt_of(pointing: Pointing, referent_id: int) -> Prompt:
    """Make the clicks a point, or a box if there are two that are apart.

    Raises:
        SessionError: nothing was clicked.
    """
    if not pointing.clicks:
        raise SessionError("Click on the thing in the picture first.")
    box = _box(pointing.clicks)
    if box is None:
        return Prompt(
            referent_id, pointing.frame, "point+", np.array(pointing.clicks[-1], np.float32)
        )
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
    scale = still_scale(image.width)
    image = image.resize((image.width * scale, image.height * scale), Image.Resampling.BICUBIC)
    _draw_clicks(image, clicks, scale, colour_of(max(session.referents, default=0) + 1))
    still = session.new_path("frame.jpg")
    image.save(still, quality=90)
    if session.pointing is not None:
        session.discard(session.pointing.still)
    session.pointing = Pointing(frame, still, clicks)


def _draw_clicks(
    image: Image.Image, clicks: tuple[tuple[int, int], ...], scale: int, colour: str
) -> None:
    pen = ImageDraw.Draw(image)
    line = max(2, image.width // 250)
    box = _box(clicks) if clicks else None
    if box is not None:
        x0, y0, x1, y1 = (int(edge) * scale for edge in box)
        pen.rectangle([x0, y0, x1 - 1, y1 - 1], outline=colour, width=line)
        return
    for x, y in clicks:
        middle = ((x + 0.5) * scale, (y + 0.5) * scale)
        for radius, ink in ((3 * line, "#000000"), (2.5 * line, "#ffffff"), (2 * line, colour)):
            pen.circle(middle, radius, fill=ink)


def _video(session: Session) -> Video:
    if session.video is None:
        raise SessionError("Choose a video first.")
    return session.video

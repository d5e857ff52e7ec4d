"""A person before the stage alone: what is drawn, where it is touched, and every trouble on the way."""

from __future__ import annotations

import base64
import io

import numpy as np
from PIL import Image
from playwright.sync_api import Browser, Locator, Page

from tests.e2e.stage_host import StageHost


class Viewer:
    """A browser window with the stage in it; notes every trouble."""

    def __init__(self, browser: Browser, host: StageHost, *, width: int = 1000) -> None:
        phone = width < 500
        self.context = browser.new_context(
            viewport={"width": width, "height": 844}, has_touch=phone, is_mobile=phone
        )
        self.page: Page = self.context.new_page()
        self.troubles: list[str] = []
        address = host.page.local_url
        self.page.on("pageerror", lambda error: self.troubles.append(f"error: {error}"))
        self.page.on("console", lambda m: self._note(m.type, m.text))
        self.page.on(
            "request",
            lambda r: r.url.startswith((address, "data:", "blob:")) or self._note("error", r.url),
        )
        self.page.goto(address)
        self.page.wait_for_selector(".sparrow-stage .empty", state="attached")
        if host.video is not None:
            self.page.wait_for_function("() => window.sparrowStage.frame() >= 0")
            self.page.wait_for_selector(".screen .cover", state="hidden")
        if any(thing.shown for thing in host.objects):
            self.page.wait_for_function("() => window.sparrowStage.drawnIds().length > 0")
            # Each mask is a file of its own: wait for all that show in this frame.
            frame = self.page.evaluate("() => window.sparrowStage.frame()")
            due = [t.id for t in host.objects if t.shown and t.track.mask(frame).any()]
            self.page.wait_for_function(
                "ids => ids.every((id) => window.sparrowStage.drawnIds().includes(id))", arg=due
            )

    def _note(self, kind: str, text: str) -> None:
        if kind in ("error", "warning"):
            self.troubles.append(f"{kind}: {text}")

    def at(self, frame: int) -> None:
        """Wait until a frame is drawn."""
        self.page.wait_for_function("f => window.sparrowStage.frame() === f", arg=frame)

    def go(self, frame: int) -> None:
        """Type a frame, and wait until it is drawn."""
        self.page.fill(".frame-number", str(frame))
        self.page.keyboard.press("Enter")
        self.at(frame)

    def ids(self, x: int, y: int) -> list[int]:
        return list(self.page.evaluate("([x, y]) => window.sparrowStage.maskPixel(x, y)", [x, y]))

    def canvas(self) -> np.ndarray:
        """Read the canvas, (H, W, 3) uint8 RGB."""
        url = self.page.evaluate("() => document.querySelector('.picture').toDataURL()")
        data = base64.b64decode(url.split(",")[1])
        picture = Image.open(io.BytesIO(data)).convert("RGB")
        return np.asarray(picture)

    def press_at(self, x: float, y: float, to: tuple[float, float] | None = None) -> None:
        """Click at a place of the picture given in shares of it, or drag on to another one."""
        at = self.page.locator(".picture").bounding_box()
        assert at is not None
        self.page.mouse.move(at["x"] + x * at["width"], at["y"] + y * at["height"])
        self.page.mouse.down()
        if to is not None:
            end = at["x"] + to[0] * at["width"], at["y"] + to[1] * at["height"]
            self.page.mouse.move(*end, steps=4)
        self.page.mouse.up()

    def button(self, name: str) -> Locator:
        return self.page.get_by_role("button", name=name, exact=True)

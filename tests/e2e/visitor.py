"""A person with a browser: does what people do on the page, by what they see, and notes every trouble."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from playwright.sync_api import Browser, ConsoleMessage, Download, Page, Request

GRADIO_UPLOADED = "Method not implemented."
"""Gradio 6.31 warns so after every upload, when it closes its own progress stream."""

GRADIO_LEFT = ("AbortError", "Unexpected error Connection errored out")
"""It says so when a page is left while it listens to the server."""

MASKS_DRAWN = """(id) => {
  const [width, height] = window.sparrowStage.size();
  let digits = "";
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++)
      digits += window.sparrowStage.maskPixel(x, y).includes(id) ? "1" : "0";
  return digits;
}"""


class Visitor:
    """A person with a browser window of their own, who notes what goes wrong in it."""

    def __init__(
        self,
        browser: Browser,
        address: str,
        link: str = "",
        *,
        width: int = 1400,
        dark: bool = False,
    ) -> None:
        self.address = address
        self.troubles: list[str] = []
        self._reloading = False
        self._context = browser.new_context(
            viewport={"width": width, "height": 1000 if width > 500 else 844},
            has_touch=width <= 500,
            is_mobile=width <= 500,
            color_scheme="dark" if dark else "light",
            accept_downloads=True,
        )
        self.page: Page = self.new_tab(link)

    def new_tab(self, link: str = "") -> Page:
        """Open the page, or a link into it, in another tab of the same browser."""
        page = self._context.new_page()
        page.set_default_timeout(120_000)
        page.on("pageerror", lambda error: self.troubles.append(f"page error: {error}"))
        page.on("console", self._note_console)
        page.on("request", self._note_request)
        page.goto(f"{self.address}/{link}")
        page.wait_for_selector("#chat .sparrow-chat")
        # The page has its session, and what the link names is open.
        page.wait_for_function("sessionStorage.sparrow")
        page.wait_for_selector(
            "#send:enabled" if "example=" in link else "#chooser, #about .about", state="visible"
        )
        return page

    def _note_console(self, message: ConsoleMessage) -> None:
        known = message.text == GRADIO_UPLOADED
        known |= self._reloading and message.text.startswith(GRADIO_LEFT)
        if message.type in ("error", "warning") and not known:
            self.troubles.append(f"console: {message.text} {message.location['url']}")

    def _note_request(self, request: Request) -> None:
        if not request.url.startswith((self.address, "data:", "blob:")):
            self.troubles.append(f"request to {request.url}")

    def reload(self) -> None:
        """Load the page anew."""
        self._reloading = True
        self.page.reload()
        self.page.wait_for_selector("#chooser, #about .about", state="visible")
        self._reloading = False

    def upload(self, path: Path) -> None:
        """Send a file of one's own."""
        if not self.page.locator("#chooser").is_visible():
            self.page.click("#another")
        self.page.wait_for_selector("#upload input[type=file]", state="attached")
        self.page.set_input_files("#upload input[type=file]", path)

    def wait_for_video(self, title: str) -> None:
        """Wait until the video of this title has a picture and the page is at rest."""
        self.page.wait_for_selector(f"#about:has-text('{title}')")
        self.page.wait_for_function("document.querySelector('#stage video')?.videoWidth > 0")
        self.rest()

    def rest(self) -> None:
        """Wait until nothing is being done."""
        self.page.wait_for_selector("#send:enabled", state="visible")

    def status(self) -> str:
        """Read the status line."""
        return self.page.inner_text("#status")

    def ask(self, question: str) -> None:
        """Type a question and send it with Enter."""
        self.page.fill("#question textarea", question)
        self.page.press("#question textarea", "Enter")

    def wait_for_answer(self, number: int) -> str:
        """Wait until the answer of this number (from 1) is complete; give its words."""
        self.page.wait_for_function(
            "n => document.querySelectorAll('#chat .message.bot').length === n"
            " && !document.querySelector('#chat .message.working')",
            arg=number,
        )
        self.rest()
        return self.page.locator("#chat .message.bot").nth(number - 1).inner_text()

    def answers(self, question: str, number: int) -> str:
        """Ask, and wait for the answer of this number."""
        self.ask(question)
        return self.wait_for_answer(number)

    def go(self, frame: int) -> None:
        """Go to a frame, as a link in the chat does."""
        self.page.evaluate(
            """frame => {
              const link = document.createElement("a");
              link.href = `#f=${frame}`;
              document.body.append(link);
              link.click();
              link.remove();
            }""",
            frame,
        )
        self.page.wait_for_function("f => window.sparrowStage.frame() === f", arg=frame)

    def press(self, x: float, y: float, to: tuple[float, float] | None = None) -> None:
        """Click on the picture, or draw a box; places as shares of its width and height."""
        at = self.page.locator("#stage canvas.picture").bounding_box()
        assert at is not None
        self.page.mouse.move(at["x"] + x * at["width"], at["y"] + y * at["height"])
        self.page.mouse.down()
        if to is not None:
            self.page.mouse.move(
                at["x"] + to[0] * at["width"], at["y"] + to[1] * at["height"], steps=4
            )
        self.page.mouse.up()

    def touch(self, x: float, y: float, to: tuple[float, float] | None = None) -> None:
        """Tap on the picture with one finger, or drag it; places as shares of its width and height."""
        picture = self.page.locator("#stage canvas.picture")
        picture.scroll_into_view_if_needed()
        at = picture.bounding_box()
        assert at is not None
        path = [np.array([x, y])]
        if to is not None:
            path += [path[0] + (np.array(to) - path[0]) * step / 6 for step in range(1, 7)]
        finger = self._context.new_cdp_session(self.page)
        for kind, (right, down) in zip(["touchStart"] + ["touchMove"] * 6, path, strict=False):
            place = {"x": at["x"] + right * at["width"], "y": at["y"] + down * at["height"]}
            finger.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [place]})
        finger.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
        finger.detach()

    def point(self, kind: str, x: float, y: float, to: tuple[float, float] | None = None) -> None:
        """Point at something and wait for the mask that it gives."""
        before = self.page.locator("#stage .prompts .prompt").count()
        self.page.click(f"[data-tool='{kind}']")
        self.press(x, y, to)
        self.page.wait_for_function(
            "n => document.querySelectorAll('#stage .prompts .prompt').length > n", arg=before
        )
        self.page.wait_for_selector("#stage .apply", state="visible")

    def apply(self, direction: str = "both") -> None:
        """Have the track follow what was pointed at, and wait until it does."""
        self.page.select_option("#stage .apply select", direction)
        self.page.click("#stage .apply .primary")
        self.page.wait_for_selector("#stage .apply", state="hidden")
        self.rest()

    def mask(self, referent_id: int, size_hw: tuple[int, int]) -> np.ndarray:
        """See where an object is drawn on the frame that is shown, (H, W) bool."""
        digits = self.page.evaluate(MASKS_DRAWN, referent_id)
        return np.frombuffer(digits.encode(), np.uint8).reshape(size_hw) == ord("1")

    def download(self, key: str, folder: Path) -> Path:
        """Have a format made and keep what the browser gets."""
        panel = self.page.locator("#downloads details")
        if panel.get_attribute("open") is None:
            panel.locator("summary").click()
        return self.keep(lambda: self.page.click(f"#get-{key}"), folder)

    def keep(self, act: Callable[[], object], folder: Path) -> Path:
        """Do something that downloads a file, and keep it under the name that it comes with."""
        with self.page.expect_download() as expected:
            act()
        got: Download = expected.value
        got.save_as(folder / got.suggested_filename)
        self.rest()
        return folder / got.suggested_filename

    def leave(self) -> None:
        """Close the window."""
        self._context.close()

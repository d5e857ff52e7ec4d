"""A person with a browser: does what people do on the page, by what they see, and notes every trouble."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Browser, ConsoleMessage, Page, Request

GRADIO_UPLOADED = "Method not implemented."
"""Gradio 6.31 warns so after every upload, when it closes its own progress stream."""


class Visitor:
    """A person with a browser window of their own, who notes what goes wrong in it."""

    def __init__(
        self, browser: Browser, address: str, *, width: int = 1400, dark: bool = False
    ) -> None:
        self.address = address
        self.troubles: list[str] = []
        self._context = browser.new_context(
            viewport={"width": width, "height": 1000 if width > 500 else 844},
            has_touch=width <= 500,
            is_mobile=width <= 500,
            color_scheme="dark" if dark else "light",
        )
        self.page: Page = self._context.new_page()
        self.page.set_default_timeout(120_000)
        self.page.on("pageerror", lambda error: self.troubles.append(f"page error: {error}"))
        self.page.on("console", self._note_console)
        self.page.on("request", self._note_request)
        self.page.goto(address)
        self.page.wait_for_selector("#examples button")

    def _note_console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and message.text != GRADIO_UPLOADED:
            self.troubles.append(f"console: {message.text}")

    def _note_request(self, request: Request) -> None:
        if not request.url.startswith((self.address, "data:", "blob:")):
            self.troubles.append(f"request to {request.url}")

    def open_example(self, number: int) -> None:
        """Choose an example clip and wait until it plays."""
        self.page.locator("#examples button").nth(number).click()
        self.wait_for_video()

    def upload(self, path: Path) -> None:
        """Send a file of one's own."""
        if not self.page.locator("#upload input[type=file]").count():
            self.page.locator("#chooser button").first.click()
        self.page.set_input_files("#upload input[type=file]", path)

    def wait_for_video(self) -> None:
        """Wait until the player has a picture and the page is at rest."""
        self.page.wait_for_function("document.querySelector('#stage video')?.videoWidth > 0")
        self.page.wait_for_selector("#send:enabled")

    def ask(self, question: str) -> None:
        """Type a question and send it with Enter."""
        self.page.fill("#question textarea", question)
        self.page.keyboard.press("Enter")

    def wait_for_answer(self, number: int) -> str:
        """Wait until the answer of this number (from 1) is complete; give its text."""
        self.page.wait_for_function(
            "n => document.querySelectorAll('#chat .bot.message').length === n"
            " && !document.querySelector('#chat .cursor')",
            arg=number,
        )
        self.page.wait_for_selector("#send:enabled")
        return self.page.locator("#chat .bot.message").nth(number - 1).inner_text()

    def after_new_still(self, act: Callable[[], None]) -> None:
        """Do something and wait until the still frame to click on is another one."""
        before = self.page.get_attribute("#still img", "src")
        act()
        self.page.wait_for_function(
            "s => { const i = document.querySelector('#still img');"
            " return i && i.src !== s && i.complete && i.naturalWidth > 0 }",
            arg=before,
        )

    def leave(self) -> None:
        """Close the window."""
        self._context.close()

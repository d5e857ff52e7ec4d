"""The real page in a process of its own, with the model that ships, and a browser that watches for trouble."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.e2e.visitor import Visitor

ROOT = Path(__file__).parent.parent.parent
SECONDS_TO_START = 300


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the server keeps everything that visitors send or get."""
    return tmp_path_factory.mktemp("home")


class App:
    """app.py in a process of its own, which can be stopped and started anew at the same address."""

    def __init__(self, home: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        self.address = f"http://127.0.0.1:{self._port}"
        self._log = home / "app.log"
        self._environment = os.environ | {
            "SPARROW_HOME": str(home),
            "GRADIO_TEMP_DIR": str(home / "gradio"),
            "OMP_NUM_THREADS": "1",
        }

    def start(self) -> None:
        with self._log.open("a") as output:
            self._server = subprocess.Popen(
                [sys.executable, "app.py", "--port", str(self._port), "--device", "cpu"],
                cwd=ROOT,
                env=self._environment,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        _wait_for(self.address, self._server, self._log)

    def stop(self) -> None:
        self._server.terminate()
        self._server.wait(30)

    def said(self) -> str:
        return self._log.read_text()


@pytest.fixture(scope="session")
def app(home: Path) -> Iterator[App]:
    """Run app.py."""
    running = App(home)
    try:
        running.start()
        yield running
    finally:
        running.stop()
        print(running.said())  # noqa: T201 - pytest shows it beside a failure


@pytest.fixture(scope="session")
def address(app: App) -> str:
    """Give the address of the page."""
    return app.address


def _wait_for(address: str, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + SECONDS_TO_START
    while time.monotonic() < deadline:
        if server.poll() is not None:
            pytest.fail(f"app.py ended with {server.returncode}:\n{log.read_text()}")
        try:
            with urllib.request.urlopen(address, timeout=30):
                return
        except OSError:  # not yet, or not in time
            time.sleep(0.2)
    pytest.fail(f"app.py did not answer within {SECONDS_TO_START} s:\n{log.read_text()}")


@pytest.fixture(scope="module")  # open, its event loop would be in the way of async tests
def browser() -> Iterator[Browser]:
    """Start the Chromium of the system, or the one that Playwright brought."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        yield launched
        launched.close()


Come = Callable[..., Visitor]


@pytest.fixture
def come(browser: Browser, address: str) -> Iterator[Come]:
    """Let visitors come, whose visits must pass without trouble: come("?example=sloth", width=390)."""
    people: list[Visitor] = []

    def one(link: str = "", *, width: int = 1400, dark: bool = False) -> Visitor:
        people.append(Visitor(browser, address, link, width=width, dark=dark))
        return people[-1]

    yield one
    for person in people:
        person.leave()
    assert [person.troubles for person in people] == [[] for _ in people]


@pytest.fixture
def visitor(come: Come) -> Visitor:
    """A visitor at a wide window."""
    return come()

"""The models that visitors may choose among: loaded when first chosen, the least recently used let go.

Knows a model only as a Backend; how one is loaded is told by who serves the page.
"""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path

from sparrow.backend import Backend
from sparrow.errors import ModelError

MINI = "sparrow-mini"

MOST_LOADED = 2
"""Models held at a time; another one takes the place of the one not used for longest."""

LONGEST_NAME = 200

_HUB_ID = re.compile(r"\w[\w.-]*/\w[\w./-]*")


class Models:
    """What `app.py --model` allowed, and beyond it what a visitor types where that is allowed."""

    def __init__(
        self, allowed: Sequence[str], load: Callable[[str], Backend], *, typed: bool = False
    ) -> None:
        """Hold no model yet.

        Args:
            allowed: names, local folders or hub ids; the first is the default.
            load: gives the model of a name; may take long, raises ModelError.
            typed: any other folder or hub id may be named as well.
        """
        self.allowed = tuple(dict.fromkeys(allowed))
        self.typed = typed
        self._load = load
        self._lock = threading.Lock()
        self._loading = threading.Lock()
        self._loaded: OrderedDict[str, Backend] = OrderedDict()

    @property
    def default(self) -> str:
        """The model of a new session."""
        return self.allowed[0]

    def check(self, name: str) -> str:
        """Give the name of a model that may be chosen.

        Raises:
            ModelError: it may not.
        """
        name = name.strip()
        if name in self.allowed:
            return name
        if not self.typed:
            raise ModelError(f"Choose one of these models: {', '.join(self.allowed)}.")
        if 0 < len(name) <= LONGEST_NAME and (Path(name).is_dir() or _HUB_ID.fullmatch(name)):
            return name
        raise ModelError(
            f"Expected the folder of a model or a hub id like owner/model, got {name[:80]!r}."
        )

    def of(self, name: str) -> str:
        """Give the model that a session uses: the one that it names, if that is allowed, else the default."""
        return name if name in self.allowed or (self.typed and name) else self.default

    def loaded(self, name: str) -> Backend | None:
        """Give a model if it is there at once."""
        with self._lock:
            found = self._loaded.get(name)
            if found is not None:
                self._loaded.move_to_end(name)
            return found

    def get(self, name: str) -> Backend:
        """Give the model that a session uses, loading it first if need be.

        Raises:
            ModelError: it cannot be loaded.
        """
        name = self.of(name)
        found = self.loaded(name)
        if found is not None:
            return found
        with self._loading:  # one at a time, and those that are there can be used meanwhile
            found = self.loaded(name) or self._load(name)
            with self._lock:
                self._loaded[name] = found
                while len(self._loaded) > MOST_LOADED:
                    self._loaded.popitem(last=False)
        return found

    def forget(self, key: str) -> None:
        """Let every model drop what it remembers of a conversation."""
        with self._lock:
            backends = list(self._loaded.values())
        for backend in backends:
            backend.forget(key)


def needs_text(name: str) -> str:
    """Say in a few words what a model needs to run."""
    if name == MINI:
        return "small, any computer"
    if is_remote(name):
        return "runs on another machine"
    folder = Path(name)
    if folder.is_dir():
        size = sum(f.stat().st_size for p in ("*.safetensors", "*.bin") for f in folder.glob(p))
        return f"needs {size / 1e9:.1f} GB of memory for its weights"
    return "downloaded when first chosen, wants a GPU with 16 GB or more"


def is_remote(name: str) -> bool:
    """Say whether a model is named by the address of another machine that runs it."""
    return name.startswith(("http://", "https://"))

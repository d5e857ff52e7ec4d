"""What a message says of its video -> a video that can be read, each opened once.

Paths, bytes, and addresses of hosts that the program allowed; nothing else is ever fetched. Knows no model.
"""

from __future__ import annotations

import base64
import hashlib
import shutil
import tempfile
import threading
import urllib.request
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Any
from urllib.error import URLError
from urllib.parse import unquote, urlsplit

import av
import numpy as np
from PIL import Image, ImageOps

from sparrow.chat.messages import Source
from sparrow.errors import PromptError, VideoError
from sparrow.ingest import open_video
from sparrow.limits import Limits
from sparrow.video import Video

_KEPT = 32  # opened videos; the file of one goes when nobody holds it any more
_CHUNK = 1 << 20  # bytes read from the network at once
_PATIENCE = 30.0  # seconds without a byte, after which a host is given up


class Videos:
    """The videos that a program's messages name."""

    def __init__(
        self, limits: Limits, *, folder: Path | None = None, hosts: Sequence[str] = ()
    ) -> None:
        """Allow files that fit `limits`.

        Args:
            limits: bounds on a file.
            folder: paths must lie in it; None: any file that this process may read.
            hosts: from these alone addresses are fetched, by http and https.
        """
        self._limits = limits
        self._folder = None if folder is None else folder.resolve()
        self._hosts = frozenset(hosts)
        self._opened: OrderedDict[str, Video] = OrderedDict()
        self._lock = threading.Lock()

    def open(self, source: Source, cancel: threading.Event | None = None) -> tuple[str, Video]:
        """Give a name for the content, the same for the same content, and the opened video.

        Raises:
            PromptError: the source may not be read, or is no file.
            VideoError: it is not a usable video or picture.
            Cancelled: `cancel` was set while the video was prepared.
        """
        value = source.value
        if source.kind == "url" and isinstance(value, str):
            if value.startswith("file:"):
                return self._open_path(self._allowed(unquote(urlsplit(value).path)), source, cancel)
            if not value.startswith("data:"):
                return self._open_address(value, source, cancel)
        if source.kind == "path" and isinstance(value, str):
            return self._open_path(self._allowed(value), source, cancel)
        content = _decoded(value)
        name = name_of(content)
        if (known := self.known(name)) is not None:
            return name, known
        self._limits.check_bytes("the video in the message", len(content))
        with tempfile.TemporaryDirectory(prefix="sparrow-sent-") as folder:
            path = Path(folder) / "the video in the message"
            path.write_bytes(content)
            return name, self._opened_from(path, name, source, cancel)

    def known(self, name: str) -> Video | None:
        """Give a video that was opened under this name, None if it is not open any more."""
        with self._lock:
            video = self._opened.get(name)
            if video is not None:
                self._opened.move_to_end(name)
            return video

    def open_own(self, path: Path, cancel: threading.Event | None = None) -> tuple[str, Video]:
        """Open a file that the program itself chose, wherever it lies; otherwise like `open`."""
        return self._open_path(path.expanduser().resolve(), Source("path", str(path)), cancel)

    def _open_path(
        self, path: Path, source: Source, cancel: threading.Event | None
    ) -> tuple[str, Video]:
        if not path.is_file():
            raise PromptError(
                f"video path: expected a file, got {str(source.value)[:200]!r}; there is none"
            )
        stat = path.stat()
        name = name_of(f"{path}:{stat.st_size}:{stat.st_mtime_ns}".encode())
        return name, self.known(name) or self._opened_from(path, name, source, cancel)

    def _open_address(
        self, address: str, source: Source, cancel: threading.Event | None
    ) -> tuple[str, Video]:
        self._check_address(address)
        name = name_of(address.encode())
        if (known := self.known(name)) is not None:
            return name, known
        with tempfile.TemporaryDirectory(prefix="sparrow-fetched-") as folder:
            path = Path(folder) / "the video at this address"
            self._fetch(address, path)
            return name, self._opened_from(path, name, source, cancel)

    def _opened_from(
        self, path: Path, name: str, source: Source, cancel: threading.Event | None
    ) -> Video:
        prepare = _open_picture if source.picture else open_video
        video = prepare(path, limits=self._limits, cancel=cancel)
        with self._lock:
            self._opened[name] = video
            while len(self._opened) > _KEPT:
                self._opened.popitem(last=False)
        return video

    def _allowed(self, given: str) -> Path:
        path = Path(given).expanduser().resolve()
        if self._folder is not None and not path.is_relative_to(self._folder):
            raise PromptError(
                f"video path: expected a file in {self._folder}, got {given[:200]!r}; only that folder may be read"
            )
        return path

    def _check_address(self, given: str) -> None:
        parts = urlsplit(given)
        if parts.scheme not in ("http", "https") or parts.hostname not in self._hosts:
            allowed = ", ".join(sorted(self._hosts)) or "none"
            raise PromptError(
                f"video url: expected one of the allowed hosts ({allowed}), got {given[:200]!r}; "
                "send the file itself, or allow the host with ChatSparrow(allowed_hosts=...)"
            )

    def _fetch(self, address: str, path: Path) -> None:
        """Copy what is at an address into a file, without following it to hosts that are not allowed."""
        opener = urllib.request.build_opener(_Redirects(self._check_address))
        size = 0
        try:
            with opener.open(address, timeout=_PATIENCE) as answer, path.open("wb") as file:
                while chunk := answer.read(_CHUNK):
                    size += len(chunk)
                    self._limits.check_bytes(address[:200], size)
                    file.write(chunk)
        except (URLError, OSError) as error:
            raise VideoError(
                f"{address[:200]}: cannot be fetched ({error}); send the file itself"
            ) from error


def name_of(content: bytes) -> str:
    """Name a content, or what stands for one, by 64 characters."""
    return hashlib.sha256(content).hexdigest()


def name_of_video(video: Video) -> str:
    """Name an opened video by its file, which ingest names like no other."""
    return name_of(video.path.name.encode())


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows an address only to where it may go."""

    def __init__(self, check: Callable[[str], None]) -> None:
        self._check = check

    def redirect_request(
        self, req: Any, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        self._check(newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _decoded(value: str | bytes) -> bytes:
    if isinstance(value, bytes):
        return value
    text = value.partition(",")[2] if value.startswith("data:") else value
    try:
        return base64.b64decode(text, validate=True)
    except ValueError as error:
        raise PromptError(
            f"video in the message: expected base64, got something else ({error}); encode the file's bytes"
        ) from error


def _open_picture(path: Path, *, limits: Limits, cancel: threading.Event | None = None) -> Video:
    """Open a picture (PNG, JPEG, WebP ...) as a video of one frame."""
    try:
        with Image.open(path) as image:
            limits.check_pixels(path.name, *image.size)
            upright = ImageOps.exif_transpose(image).convert("RGB")
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise VideoError(
            f"{path.name}: expected a picture (PNG, JPEG, WebP), it cannot be read ({error})"
        ) from error
    folder = Path(tempfile.mkdtemp(prefix="sparrow-picture-"))
    try:
        still = folder / "picture.mp4"
        with av.open(str(still), "w") as container:
            stream = container.add_stream("libx264", rate=1, options={"crf": "0"})
            stream.width, stream.height, stream.pix_fmt = *upright.size, "yuv444p"
            frame = av.VideoFrame.from_ndarray(np.asarray(upright), format="rgb24")
            container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        return open_video(still, limits=limits, cancel=cancel)
    finally:
        shutil.rmtree(folder)

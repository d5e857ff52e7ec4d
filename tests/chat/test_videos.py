"""Where a message's video may come from, and what is refused."""

from __future__ import annotations

import base64
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sparrow.chat.messages import Source
from sparrow.chat.videos import Videos, name_of_video
from sparrow.errors import Cancelled, PromptError, SparrowError, VideoError
from sparrow.limits import Limits


class _Served(BaseHTTPRequestHandler):
    """Serves one file, and addresses that lead elsewhere."""

    content = b""
    asked = 0

    def do_GET(self) -> None:
        type(self).asked += 1
        if self.path == "/away":
            self.send_response(302)
            self.send_header("Location", "http://elsewhere.invalid/clip.mp4")
            self.end_headers()
        elif self.path == "/clip.mp4":
            self.send_response(200)
            self.end_headers()
            self.wfile.write(self.content)
        else:
            self.send_error(404)

    def log_message(self, *_: object) -> None:
        """Keep the tests' output clean."""


@pytest.fixture
def address(clip: Callable[[str], Path]) -> Iterator[str]:
    _Served.content, _Served.asked = clip("silent.mp4").read_bytes(), 0
    server = HTTPServer(("127.0.0.1", 0), _Served)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_the_same_content_is_opened_once(clip: Callable[[str], Path]) -> None:
    videos, path = Videos(Limits()), clip("silent.mp4")
    name, video = videos.open(Source("path", str(path)))
    assert videos.open(Source("path", str(path))) == (name, video)
    assert videos.open(Source("url", path.as_uri())) == (name, video)
    assert videos.open_own(path) == (name, video)
    assert videos.known(name) is video and videos.known("other") is None
    encoded = base64.b64encode(path.read_bytes()).decode()
    sent = videos.open(Source("bytes", encoded))
    assert sent[1].num_frames == video.num_frames
    assert videos.open(Source("bytes", path.read_bytes())) == sent
    assert videos.open(Source("url", f"data:video/mp4;base64,{encoded}")) == sent
    assert len(name) == len(sent[0]) == len(name_of_video(video)) == 64


@pytest.mark.parametrize("size", [(64, 48), (61, 83), (16, 16)])
def test_a_picture_is_a_video_of_one_frame(size: tuple[int, int], tmp_path: Path) -> None:
    Image.new("RGB", size, "teal").save(tmp_path / "a.png")
    _, video = Videos(Limits()).open(Source("path", str(tmp_path / "a.png"), True))
    width, height = size
    assert video.num_frames == 1
    assert video.size_hw == (height + height % 2, width + width % 2)
    colour = video.read([0])[0, height // 2, width // 2]
    assert np.abs(colour.astype(int) - (0, 128, 128)).max() < 12


@pytest.mark.parametrize(
    ("source", "error", "expected"),
    [
        (Source("path", "none.mp4"), PromptError, "there is none"),
        (Source("path", "/"), PromptError, "there is none"),
        (Source("bytes", "%%%"), PromptError, "expected base64"),
        (Source("bytes", "Ä"), PromptError, "expected base64"),
        (Source("bytes", b""), VideoError, "the video in the message"),
        (Source("bytes", b"no video"), VideoError, "the video in the message"),
        (Source("bytes", b"no picture", True), VideoError, "expected a picture"),
        (Source("url", "https://example.org/a.mp4"), PromptError, r"allowed hosts \(none\)"),
        (Source("url", "ftp://127.0.0.1/a.mp4"), PromptError, "allowed hosts"),
        (Source("url", "a.mp4"), PromptError, "allowed hosts"),
        (Source("url", "file:///none.mp4"), PromptError, "there is none"),
    ],
    ids=str,
)
def test_what_cannot_be_opened_is_explained(
    source: Source, error: type[SparrowError], expected: str
) -> None:
    with pytest.raises(error, match=expected):
        Videos(Limits()).open(source)


def test_paths_stay_in_their_folder(clip: Callable[[str], Path], tmp_path: Path) -> None:
    inside = tmp_path / "media"
    inside.mkdir()
    (inside / "clip.mp4").write_bytes(clip("silent.mp4").read_bytes())
    outside = tmp_path / "secret.mp4"
    outside.write_bytes(clip("silent.mp4").read_bytes())
    (inside / "link.mp4").symlink_to(outside)
    videos = Videos(Limits(), folder=inside)
    assert videos.open(Source("path", str(inside / "clip.mp4")))[1].num_frames > 1
    for given in (outside, inside / "link.mp4", inside / ".." / "secret.mp4"):
        with pytest.raises(PromptError, match="only that folder"):
            videos.open(Source("path", str(given)))
        with pytest.raises(PromptError, match="only that folder"):
            videos.open(Source("url", f"file://{given}"))
    assert videos.open_own(outside)[1].num_frames > 1  # the program's own choice


def test_an_allowed_host_is_asked_once(address: str) -> None:
    videos = Videos(Limits(), hosts=["127.0.0.1"])
    first = videos.open(Source("url", f"{address}/clip.mp4"))
    assert videos.open(Source("url", f"{address}/clip.mp4")) == first
    assert _Served.asked == 1 and first[1].num_frames > 1


def test_nobody_else_is_asked(address: str) -> None:
    with pytest.raises(PromptError, match="allowed hosts"):
        Videos(Limits(), hosts=["example.org"]).open(Source("url", f"{address}/clip.mp4"))
    assert _Served.asked == 0
    with pytest.raises(PromptError, match=r"elsewhere\.invalid"):
        Videos(Limits(), hosts=["127.0.0.1"]).open(Source("url", f"{address}/away"))


def test_a_fetched_file_has_the_same_limits(address: str) -> None:
    videos = Videos(Limits(max_bytes=1000), hosts=["127.0.0.1"])
    with pytest.raises(VideoError, match="max_bytes"):
        videos.open(Source("url", f"{address}/clip.mp4"))
    with pytest.raises(VideoError, match="cannot be fetched"):
        Videos(Limits(), hosts=["127.0.0.1"]).open(Source("url", f"{address}/none"))


def test_limits_hold_for_what_is_sent(clip: Callable[[str], Path]) -> None:
    content = clip("silent.mp4").read_bytes()
    with pytest.raises(VideoError, match="max_bytes"):
        Videos(Limits(max_bytes=1000)).open(Source("bytes", content))
    drawn = BytesIO()
    Image.new("RGB", (100, 100)).save(drawn, "png")
    with pytest.raises(VideoError, match="max_pixels"):
        Videos(Limits(max_pixels=5000)).open(Source("bytes", drawn.getvalue(), True))


def test_opening_can_be_stopped(clip: Callable[[str], Path]) -> None:
    stop = threading.Event()
    stop.set()
    with pytest.raises(Cancelled):
        Videos(Limits()).open(Source("path", str(clip("silent.mp4"))), stop)

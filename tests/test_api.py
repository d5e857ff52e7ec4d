"""The public endpoints and the MCP tools as programs call them, and the examples of docs/api.md."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr
import httpx
import pytest
from gradio import processing_utils
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from mcp import ClientSession
from mcp.client.streamable_http import streamable_http_client
from pycocotools import mask as coco

from sparrow.local_backend import LocalBackend
from sparrow.page.api import Api, refuse_links
from sparrow.page.models import MINI, Models
from sparrow.page.serving import Serving
from sparrow.pipeline import Sparrow
from sparrow.sessions.sessions import Sessions
from sparrow.video import load_video
from sparrow.world.clip import write_clip
from sparrow.world.picture import load_atlas
from sparrow.world.scene import Scene

SEED = 8_100_009  # of the test split
DOCS = Path(__file__).parent.parent / "docs" / "api.md"


@pytest.fixture(scope="module")
def scene() -> Scene:
    return Scene.sample(SEED, difficulty="easy", atlas=load_atlas(), num_frames=8)


@pytest.fixture(scope="module")
def clip(scene: Scene, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clip")
    write_clip(scene, folder)
    return folder / "clip.mp4"


@pytest.fixture(scope="module")
def sessions(tmp_path_factory: pytest.TempPathFactory) -> Sessions:
    return Sessions(tmp_path_factory.mktemp("sessions"))


@pytest.fixture(scope="module")
def address(sessions: Sessions) -> Iterator[str]:
    fetches = processing_utils.async_ssrf_protected_download
    models = Models([MINI], lambda _: LocalBackend(Sparrow.from_pretrained()))
    with gr.Blocks(analytics_enabled=False) as page:
        Api(models, sessions).wire()
        Serving(lambda: models.get(MINI), sessions).wire()
    refuse_links()
    page.queue()
    _, url, _ = page.launch(
        server_name="127.0.0.1",
        prevent_thread_lock=True,
        quiet=True,
        ssr_mode=False,
        mcp_server=True,
        allowed_paths=[str(sessions.root)],
    )
    yield str(url)
    page.close()
    sessions.close()
    processing_utils.async_ssrf_protected_download = fetches


@pytest.fixture(scope="module")
def client(address: str, tmp_path_factory: pytest.TempPathFactory) -> Client:
    return Client(
        address,
        verbose=False,
        analytics_enabled=False,
        download_files=tmp_path_factory.mktemp("downloads"),
    )


def test_only_the_public_endpoints_are_told_of(client: Client) -> None:
    told = client.view_api(return_format="dict", print_info=False)
    assert isinstance(told, dict)
    assert sorted(told["named_endpoints"]) == ["/ask_video", "/export", "/track"]
    assert told["unnamed_endpoints"] == {}
    for endpoint in told["named_endpoints"].values():
        assert endpoint["description"]
    names = [p["parameter_name"] for p in told["named_endpoints"]["/ask_video"]["parameters"]]
    assert names == ["video", "question", "conversation"]


def test_the_examples_of_the_documentation_run(
    address: str, clip: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names: dict[str, Any] = {"address": address, "clip": str(clip)}
    for block in re.findall(r"```python\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL):
        exec(compile(block, str(DOCS), "exec"), names)
    told = capsys.readouterr().out
    assert "is seen in 8 frames" in told
    assert names["pixels"].shape == (240, 320) and names["pixels"].any()
    assert load_video(names["annotated"]).num_frames == 8
    assert "ask_video" in told and "cow" in names["again"].text.lower() + names["answer"].text
    assert re.fullmatch("[0-9a-f]{32}", names["conversation"])


def test_ids_last_through_a_conversation(client: Client, clip: Path, scene: Scene) -> None:
    noun = scene.things[0].noun
    _, first, masks, key = client.predict(
        handle_file(clip), f"Segment the {noun}.", api_name="/ask_video"
    )
    answer, again, _, same_key = client.predict(
        question=f"Where is the {noun}?", conversation=key, api_name="/ask_video"
    )
    assert (first[0]["id"], again[0]["id"], same_key) == (1, 1, key)
    start, stop = again[0]["words"]
    assert answer[start:stop].lower() == again[0]["name"].lower()
    found = json.loads(Path(masks).read_text(encoding="utf-8"))
    assert len(found["annotations"][0]["segmentations"]) == 8
    words, things, none, _ = client.predict(
        question="How many things are there?", conversation=key, api_name="/ask_video"
    )
    assert words and (none is None or things)


def test_two_programs_share_nothing(client: Client, clip: Path) -> None:
    keys = {
        client.predict(handle_file(clip), "How many things are there?", api_name="/ask_video")[3]
        for _ in range(2)
    }
    assert len(keys) == 2


@pytest.mark.parametrize(
    ("endpoint", "inputs", "told"),
    [
        ("/ask_video", {"question": "What?"}, "Give a video"),
        ("/ask_video", {"question": "What?", "conversation": "0" * 32}, "session is over"),
        ("/ask_video", {"question": "What?", "conversation": "../../etc"}, "session is over"),
        ("/ask_video", {"question": " ", "conversation": None}, "Write a question"),
        ("/ask_video", {"question": "x" * 500, "conversation": None}, "400 characters"),
        ("/track", {"frame": 0, "conversation": None}, "expected a box or points"),
        ("/track", {"frame": 99, "points": "5,5", "conversation": None}, "got 99"),
        ("/track", {"frame": -1, "points": "5,5", "conversation": None}, "got -1"),
        ("/track", {"frame": 0, "points": "5", "conversation": None}, "expected 2 numbers"),
        ("/track", {"frame": 0, "box": "a,b,c,d", "conversation": None}, "expected numbers"),
        ("/track", {"frame": 0, "box": "9,9,2,2", "conversation": None}, "x0 &lt; x1"),
        ("/track", {"frame": 0, "points": "nan,1", "conversation": None}, "finite"),
        ("/track", {"frame": 0, "points": "1,1 " * 99, "conversation": None}, "at most 64"),
        ("/track", {"frame": 0, "points": "9999,5", "conversation": None}, "inside the 320 x 240"),
        ("/track", {"frame": 0, "not_points": "5,5", "conversation": None}, "no mask yet"),
        ("/track", {"frame": 0, "points": "5,5", "thing": 7, "conversation": None}, "no thing 7"),
        ("/export", {"conversation": None, "format": "exe"}, "no download called"),
        ("/export", {"conversation": None}, "Nothing is marked"),
        ("/export", {"conversation": ""}, "Give a video"),
    ],
)
def test_mistakes_are_explained(
    client: Client, opened: str, endpoint: str, inputs: dict[str, Any], told: str
) -> None:
    given = {key: opened if value is None else value for key, value in inputs.items()}
    with pytest.raises(AppError, match=re.escape(told)):
        client.predict(**given, api_name=endpoint)


@pytest.fixture(scope="module")
def opened(client: Client, clip: Path) -> str:
    """A conversation in which nothing is marked."""
    question = "Segment the guitar."
    return str(client.predict(handle_file(clip), question, api_name="/ask_video")[3])


def test_an_unusable_file_leaves_nothing_behind(
    client: Client, sessions: Sessions, tmp_path: Path
) -> None:
    before = len(sessions.list())
    (tmp_path / "notes.mp4").write_text("no video")
    with pytest.raises(AppError, match=r"notes|video"):
        client.predict(handle_file(tmp_path / "notes.mp4"), "What?", api_name="/ask_video")
    assert len(sessions.list()) == before


@pytest.mark.parametrize("endpoint", ["ask_video", "remote_open"])
def test_links_and_paths_are_not_followed(address: str, endpoint: str) -> None:
    data: list[object] = ["What?", ""] if endpoint == "ask_video" else []
    for path in ("http://192.0.2.1/clip.mp4", "/etc/passwd"):
        file = {"path": path, "meta": {"_type": "gradio.FileData"}}
        call = httpx.post(f"{address}gradio_api/call/{endpoint}", json={"data": [file, *data]})
        told = httpx.get(
            f"{address}gradio_api/call/{endpoint}/{call.json()['event_id']}", timeout=60
        )
        assert "event: error" in told.text and "root:" not in told.text


async def test_an_agent_lists_the_tools_and_gets_masks(address: str, clip: Path) -> None:
    video = "data:video/mp4;base64," + base64.b64encode(clip.read_bytes()).decode()
    async with (
        streamable_http_client(f"{address}gradio_api/mcp/") as (read, write, _),
        ClientSession(read, write) as session,
    ):
        await session.initialize()
        tools = {tool.name: tool for tool in (await session.list_tools()).tools}
        assert sorted(tools) == ["ask_video", "export", "track"]
        assert "in every frame" in (tools["ask_video"].description or "")
        assert set(tools["track"].inputSchema["properties"]) == {
            "video",
            "frame",
            "box",
            "points",
            "not_points",
            "thing",
            "conversation",
        }
        asked = await session.call_tool(
            "ask_video", {"video": video, "question": "Segment the cow."}
        )
        assert not asked.isError
        answer, things, masks, key = (part.text for part in asked.content)
        assert "cow" in answer.lower() and "'id': 1" in things
        found = httpx.get(masks).json()
        counts = found["annotations"][0]["segmentations"][0]
        assert coco.decode(counts).any()
        refused = await session.call_tool("track", {"frame": 0, "conversation": key})
        assert refused.isError and "expected a box or points" in refused.content[0].text

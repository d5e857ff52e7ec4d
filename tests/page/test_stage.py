from __future__ import annotations

import json
import re
from pathlib import Path

import gradio as gr
import numpy as np
import pytest

from sparrow.looks import MODES, Look, measures
from sparrow.page import stage as stage_module
from sparrow.page.stage import Can, StageObject, file_url, stage, stage_value, write_masks
from sparrow.types import MaskTrack, Prompt, colour_of
from sparrow.video import Video

STATIC = Path(stage_module.__file__).parent / "static" / "stage"
EVENTS = ("pointed", "object", "look", "trim", "edit")


def video(frames: int = 6) -> Video:
    times = np.arange(frames) / 10
    return Video(Path("/clips/a film #1.mp4"), frames, (20, 40), 10.0, times, True, times)


def track(i: int = 1, frames: int = 6, *, complete: bool = True) -> MaskTrack:
    """Give a track that is seen in the second half, with scores that rise from 0."""
    masks = [np.zeros((20, 40), dtype=bool) for _ in range(frames)]
    for mask in masks[frames // 2 :]:
        mask[2:5, 3:9] = True
    built = MaskTrack.from_masks(i, masks, np.arange(frames) / 10)
    return MaskTrack(i, built.size_hw, built.rles, built.boxes, built.scores, complete)


def thing(i: int = 1, **changes: object) -> StageObject:
    facts = {"id": i, "name": "dog", "colour": "#123456", "shown": True, "track": track(i)}
    return StageObject(**(facts | {"masks": Path("/s/m-1-4.json"), "version": 4} | changes))  # type: ignore[arg-type]


def test_an_empty_stage_is_json_and_invites() -> None:
    value = stage_value()
    assert json.loads(json.dumps(value)) == value
    assert value["video"] is None and value["objects"] == [] and value["span"] == [0, 0]
    assert value["look"] == Look().to_json()
    assert value["can"] == dict.fromkeys(("undo", "redo", "apply", "learn", "busy"), False)
    assert stage_value(notice="Reading …")["notice"] == "Reading …"


def test_a_video_is_described_with_an_address_that_fits_any_root() -> None:
    assert stage_value(video())["video"] == {
        "url": "gradio_api/file=/clips/a%20film%20%231.mp4",
        "frames": 6,
        "fps": 10.0,
        "width": 40,
        "height": 20,
        "sound": True,
    }
    assert stage_value(video())["span"] == [0, 6]
    assert stage_value(video(), span=(2, 4))["span"] == [2, 4]


def test_an_object_is_told_under_the_users_name_and_colour() -> None:
    (told,) = stage_value(video(), objects=[thing(2, shown=False)])["objects"]  # type: ignore[misc]
    assert told == {
        "id": 2,
        "name": "dog",
        "colour": "#123456",
        "pattern": "dashed",
        "shown": False,
        "confidence": pytest.approx(0.4),  # of the frames 3, 4 and 5
        "complete": True,
        "masks": {"url": "gradio_api/file=/s/m-1-4.json", "version": 4},
    }
    never = MaskTrack.from_masks(1, [np.zeros((20, 40), dtype=bool)] * 6, [0.9] * 6)
    value = stage_value(video(), objects=[thing(track=never), thing(track=track(complete=False))])
    assert [o["confidence"] for o in value["objects"]] == [None, pytest.approx(0.4)]  # type: ignore[attr-defined]
    assert [o["complete"] for o in value["objects"]] == [True, False]  # type: ignore[attr-defined]


def test_prompts_are_told_in_shares_of_the_picture() -> None:
    prompts = [
        Prompt(1, 2, "point+", np.array([10, 5], np.float32)),
        Prompt(1, 3, "box", np.array([0, 5, 40, 20], np.float32)),
        Prompt(1, 3, "mask", np.ones((20, 40), dtype=bool)),
    ]
    value = stage_value(video(), prompts=prompts[1:], drafted=prompts[:1])
    assert value["prompts"] == [
        {"object": 1, "frame": 3, "kind": "box", "at": [0, 0.25, 1, 1], "applied": True},
        {"object": 1, "frame": 2, "kind": "point+", "at": [0.25, 0.25], "applied": False},
    ]


def test_a_preview_has_the_colour_that_its_object_has_or_will_have() -> None:
    rle = track().rles[4]
    assert rle is not None
    value = stage_value(video(), objects=[thing(1)], preview=(4, track(1)))
    assert value["preview"] == {
        "object": 1,
        "frame": 4,
        "rle": rle.decode(),
        "colour": "#123456",
        "pattern": "solid",
        "name": "dog",
    }
    new = stage_value(video(), objects=[thing(1)], preview=(0, track(3)))["preview"]
    assert new == {
        "object": 3,
        "frame": 0,
        "rle": None,
        "colour": colour_of(3),
        "pattern": "double",
        "name": "",
    }


def test_the_rest_is_passed_on() -> None:
    value = stage_value(
        video(),
        looked_at=np.array([1, 4]),  # type: ignore[arg-type]
        selected=3,
        seek=(5, 17),
        look=Look("box", 0.2, False),
        can=Can(apply=True),
        learn_seconds=12.5,
    )
    assert json.loads(json.dumps(value)) == value
    assert value["looked_at"] == [1, 4] and value["selected"] == 3
    assert value["seek"] == {"frame": 5, "nonce": 17}
    assert value["look"] == {"mode": "box", "opacity": 0.2, "label": False}
    assert value["can"]["apply"] is True and value["can"]["busy"] is False  # type: ignore[index]


def test_masks_are_written_as_the_browser_reads_them(tmp_path: Path) -> None:
    write_masks(track(), tmp_path / "masks-1-1.json")
    written = json.loads((tmp_path / "masks-1-1.json").read_text())
    assert written["size"] == [20, 40]
    assert written["scores"] == [0.0, 0.1, 0.2, 0.3, 0.4, 0.5]
    assert [rle and rle.encode() for rle in written["rles"]] == list(track().rles)
    assert [path.name for path in tmp_path.iterdir()] == ["masks-1-1.json"]
    with pytest.raises(FileNotFoundError):
        write_masks(track(), tmp_path / "gone" / "masks.json")


def test_an_address_cannot_be_made_to_mean_more(tmp_path: Path) -> None:
    url = file_url(tmp_path / "a?b#c&d %2e.json")
    assert url.startswith("gradio_api/file=/") and not re.search(r"[?#& ]", url)


def test_the_component_has_its_events_and_constants() -> None:
    with gr.Blocks():
        made = stage()
    assert made.elem_id == "stage"
    script = made.js_on_load
    assert script is not None
    for name in EVENTS:
        assert f'"{name}"' in script and callable(getattr(made, name))
    assert json.dumps(measures()) in script
    for mode in MODES:
        assert mode in script
    assert json.loads(json.dumps(made.value)) == stage_value()


@pytest.mark.parametrize("path", sorted(STATIC.iterdir()), ids=lambda path: path.name)
def test_the_sources_are_small_inert_and_ask_nobody(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) < 400
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", text)
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", text)
    assert path.name in (*stage_module._SCRIPTS, *stage_module._STYLES)
    assert text.lstrip().startswith(("//", "/*"))

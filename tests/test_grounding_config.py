"""The switches of grounding: what each takes away from the prompts that an answer becomes, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sparrow.grounding import Grounding, Pointed, near_frames
from sparrow.ingest import open_video
from sparrow.model.alone import alone_steps
from sparrow.model.config import GroundingConfig
from sparrow.model.pixel_decoder import FramePrompt
from sparrow.model.tracking import Target
from sparrow.paths import ASSETS
from sparrow.pipeline import Sparrow
from sparrow.targets import HeldFrames
from sparrow.types import History, Progress
from sparrow.video import Video
from sparrow.work import finish
from sparrow.world.clip import CLIP, write_clip
from sparrow.world.picture import load_atlas
from sparrow.world.scene import Scene

QUESTION = "what is in this video?"


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Video:
    folder = tmp_path_factory.mktemp("clip")
    scene = Scene.sample(8_000_011, difficulty="easy", atlas=load_atlas(), num_frames=20)
    write_clip(scene, folder, dialogues=0)
    return open_video(folder / CLIP, workdir=folder / "opened")


@pytest.fixture(scope="module")
def sparrow() -> Sparrow:
    return Sparrow.from_pretrained(ASSETS / "sparrow-mini", device="cpu")


@pytest.fixture
def grounded(sparrow: Sparrow) -> Iterator[Sparrow]:
    """Give a model whose grounding may be changed."""
    config = sparrow.model.config
    yield sparrow
    sparrow.model.config = config


def targets(sparrow: Sparrow, video: Video, config: GroundingConfig) -> list[Target]:
    sparrow.model.config = replace(sparrow.model.config, grounding=config)
    grounding = Grounding(sparrow.model, video)
    reply = finish(grounding.dialogue.say(QUESTION, None, None))
    found = list(grounding.ground(reply.phrases, Pointed(), History()).targets)
    assert found
    return found


def boxes(target: Target) -> dict[int, list[float]]:
    return {f: p.box.tolist() for f, p in target.prompts.items() if p.box is not None}


def tokens(target: Target) -> list[int]:
    return [frame for frame, prompt in target.prompts.items() if prompt.token is not None]


def test_each_switch_takes_away_its_own(grounded: Sparrow, video: Video) -> None:
    whole = targets(grounded, video, GroundingConfig())
    cases = {
        name: targets(grounded, video, GroundingConfig(**{name: value}))
        for name, value in {
            "box": False,
            "seg": False,
            "linked": False,
            "first_anchor": True,
            "memory": False,
        }.items()
    }
    first = video.sample(grounded.model.num_frames)[0]
    for place, target in enumerate(whole):
        assert tokens(target) == [target.anchor]
        assert len(boxes(target)) > 2
        other = {name: found[place] for name, found in cases.items()}
        assert [other[n].anchor for n in ("box", "seg", "linked", "memory")] == [target.anchor] * 4
        assert (list(other["box"].prompts), boxes(other["box"])) == ([target.anchor], {})
        assert tokens(other["box"]) == [target.anchor]
        assert (tokens(other["seg"]), boxes(other["seg"])) == ([], boxes(target))
        assert tokens(other["linked"]) == list(other["linked"].prompts) == [target.anchor]
        assert boxes(other["linked"]) == {target.anchor: boxes(target)[target.anchor]}
        assert other["first_anchor"].anchor == first
        assert tokens(other["first_anchor"]) == [first]
        assert boxes(other["first_anchor"]) == boxes(target)
        assert tokens(other["memory"]) == list(range(video.num_frames))
        assert boxes(other["memory"]) == boxes(target)


@pytest.mark.parametrize("memory", [True, False])
def test_boxes_between_those_that_were_seen_are_guesses(
    grounded: Sparrow, video: Video, memory: bool
) -> None:
    sampled = video.sample(grounded.model.num_frames)
    for target in targets(grounded, video, GroundingConfig(memory=memory)):
        drawn = {f: p for f, p in target.prompts.items() if p.box is not None}
        seen = [frame for frame, prompt in drawn.items() if not prompt.guessed]
        assert target.anchor in seen and set(seen) <= set(sampled)
        assert sorted(drawn) == list(range(min(seen), max(seen) + 1))
        assert len(seen) < len(drawn)
        assert not any(p.guessed for f, p in target.prompts.items() if f not in drawn)


@pytest.mark.parametrize(
    ("config", "snaps"),
    [
        (GroundingConfig(), True),
        (GroundingConfig(seg=False), True),
        (GroundingConfig(box=False), False),
        (GroundingConfig(linked=False), False),
    ],
)
def test_proposals_correct_masks_only_where_boxes_go_on(
    grounded: Sparrow, config: GroundingConfig, snaps: bool
) -> None:
    grounded.model.config = replace(grounded.model.config, grounding=config)
    assert (grounded.model.snapping is not None) is snaps


@pytest.mark.parametrize("config", [{"box": False, "seg": False}, {"seg": False, "memory": False}])
def test_a_frame_needs_something_that_points(config: dict[str, bool]) -> None:
    with pytest.raises(ValueError, match="got n"):
        GroundingConfig(**config)


def test_an_answer_tells_which_boxes_it_meant(grounded: Sparrow, video: Video) -> None:
    chat = grounded.chat(video)
    assert chat.meant(1) == {}
    answer = chat.ask(QUESTION)
    assert answer.tracks
    for referent in answer.referents:
        meant = chat.meant(referent.id)
        assert set(meant) <= set(answer.frames)
        assert len(meant) >= 2
        assert all(box.shape == (4,) and not np.isnan(box).any() for box in meant.values())
    assert chat.meant(99) == {}


def test_without_memory_frames_do_not_know_each_other(grounded: Sparrow, video: Video) -> None:
    frames = video.read([0, 7, 14])
    box = FramePrompt(box=np.array([40, 40, 120, 120], np.float32))
    decoder = grounded.model.pixel_decoder

    def run(order: list[int]) -> list[bytes | None]:
        told: list[Progress] = []
        target = Target(1, 0, dict.fromkeys((0, 1, 2), box))
        steps = alone_steps(decoder, HeldFrames(frames[order]), [target])
        (track,) = finish(steps, told.append)
        assert [progress.done for progress in told] == [1, 2, 3]
        assert track.complete
        return list(track.rles)

    straight = run([0, 1, 2])
    assert any(straight)
    assert run([2, 1, 0]) == straight[::-1]


def test_without_memory_a_frame_without_a_prompt_has_no_mask(
    grounded: Sparrow, video: Video
) -> None:
    held = HeldFrames(video.read([0, 7]))
    box = FramePrompt(box=np.array([40, 40, 120, 120], np.float32))
    target = Target(3, 1, {1: box})
    (track,) = finish(alone_steps(grounded.model.pixel_decoder, held, [target]))
    assert (track.referent_id, track.rles[0]) == (3, None)
    assert track.scores[0] == 0.0


def test_answers_can_be_grounded_without_memory(grounded: Sparrow, video: Video) -> None:
    grounded.model.config = replace(grounded.model.config, grounding=GroundingConfig(memory=False))
    answer = grounded.chat(video).ask(QUESTION)
    assert answer.tracks
    assert answer.complete
    assert all(track.num_frames == video.num_frames for track in answer.tracks)


def test_a_stored_model_keeps_its_grounding(tmp_path: Path, grounded: Sparrow) -> None:
    from sparrow.model import checkpoint
    from sparrow.model.config import SparrowConfig

    config = replace(grounded.model.config, grounding=GroundingConfig(linked=False))
    checkpoint.write_config(tmp_path, config)
    assert checkpoint.read_config(tmp_path, SparrowConfig) == config


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        ({}, None),
        ({7}, range(3, 12)),
        ({2, 3, 7}, range(0, 12)),
        ({12, 17}, range(8, 20)),
        ({2, 17}, range(0, 20)),
    ],
    ids=["nowhere", "once", "from the start", "to the end", "all along"],
)
def test_a_thing_may_be_up_to_where_it_was_not_found(
    known: set[int], expected: range | None
) -> None:
    assert near_frames(known, [2, 7, 12, 17], 20) == expected

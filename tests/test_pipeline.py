"""The whole flow with the sparrow-mini that ships, on clips of the world, as a program would use it."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest

from sparrow.errors import ModelError, PromptError
from sparrow.masks import iou
from sparrow.pipeline import Sparrow
from sparrow.types import GroundedAnswer, MaskTrack, Progress, Prompt, TextDelta, colour_of
from sparrow.video import Video
from sparrow.world.picture import load_atlas
from sparrow.world.scene import Scene
from tests.made_clips import video_of

SEED = 8_100_011  # of the test split


@pytest.fixture(scope="module")
def sparrow() -> Sparrow:
    return Sparrow.from_pretrained()


@pytest.fixture(scope="module")
def scene() -> Scene:
    return Scene.sample(SEED, difficulty="easy", atlas=load_atlas(), num_frames=16)


@pytest.fixture(scope="module")
def video(scene: Scene, tmp_path_factory: pytest.TempPathFactory) -> Video:
    return video_of(scene, tmp_path_factory.mktemp("clip"))


def absent_noun(scene: Scene) -> str:
    there = {thing.noun for thing in scene.things}
    return next(noun for noun in ("guitar", "banana", "zebra") if noun not in there)


def test_an_answer_streams_words_then_tracks(sparrow: Sparrow, scene: Scene, video: Video) -> None:
    chat = sparrow.chat(video)
    events = list(chat.stream(f"Segment the {scene.things[0].noun}."))
    answer = events[-1]
    assert isinstance(answer, GroundedAnswer)
    words = [e.text for e in events if isinstance(e, TextDelta)]
    assert "".join(words) == answer.text
    assert len(words) >= 3
    steps = [e.step for e in events if isinstance(e, Progress)]
    assert steps[0] == "read" and steps.count("track") == video.num_frames
    assert answer.complete
    assert [t.referent_id for t in answer.tracks] == [r.id for r in answer.referents] == [1]
    assert answer.referents[0].colour == colour_of(1)
    assert len(answer.frames) == 8
    truth = np.stack([scene.render(t).masks[0] for t in range(video.num_frames)])
    found = [iou(answer.tracks[0].mask(t), truth[t]) for t in range(video.num_frames)]
    assert np.mean(found) > 0.5


def test_a_referent_keeps_its_id_and_is_tracked_once(
    sparrow: Sparrow, scene: Scene, video: Video
) -> None:
    chat = sparrow.chat(video)
    noun = scene.things[0].noun
    first = chat.ask(f"Segment the {noun}.")
    again: list[Progress] = []
    second = chat.ask(f"Where is the {noun}?", progress=again.append)
    assert [r.id for r in second.referents] == [r.id for r in first.referents] == [1]
    assert second.tracks[0] is first.tracks[0]
    assert not again  # neither reading nor tracking anew
    assert [turn.role for turn in chat.turns] == ["user", "assistant"] * 2
    assert [r.id for r in chat.referents] == [1]


def test_what_is_not_there_gets_words_and_no_mask(
    sparrow: Sparrow, scene: Scene, video: Video
) -> None:
    noun = absent_noun(scene)
    answer = sparrow.chat(video).ask(f"Segment the {noun}.")
    assert answer.text == f"There is no {noun} in this video."
    assert answer.referents == () and answer.tracks == ()


def test_stop_before_the_first_word_keeps_the_conversation(sparrow: Sparrow, video: Video) -> None:
    chat = sparrow.chat(video)
    stop = threading.Event()
    stop.set()
    answer = chat.ask("How many things are there?", cancel=stop)
    assert (answer.text, answer.complete, answer.tracks) == ("", False, ())
    assert chat.ask("How many things are there?").complete


def test_stop_while_tracking_keeps_the_frames_reached(
    sparrow: Sparrow, scene: Scene, video: Video
) -> None:
    stop = threading.Event()

    def after_three(progress: Progress) -> None:
        if progress.step == "track" and progress.done == 3:
            stop.set()

    chat = sparrow.chat(video)
    answer = chat.ask(f"Segment the {scene.things[0].noun}.", progress=after_three, cancel=stop)
    assert not answer.complete and not answer.tracks[0].complete
    assert np.count_nonzero(answer.tracks[0].scores) == 3


def test_a_box_is_tracked(sparrow: Sparrow, scene: Scene, video: Video) -> None:
    box = scene.render(0).boxes[0]
    found = sparrow.track(video, [Prompt(3, 0, "box", box)])
    assert [t.referent_id for t in found] == [3]
    assert iou(found[0].mask(0), scene.render(0).masks[0]) > 0.6


def test_a_negative_click_takes_away_and_a_positive_one_adds(
    sparrow: Sparrow, scene: Scene, video: Video
) -> None:
    drawn = scene.render(5)
    thing, other = drawn.masks[0], drawn.masks[1]
    x, y = (float(v) for v in np.argwhere(other & ~thing).mean(0)[::-1])
    before = sparrow.track(video, [Prompt(1, 5, "mask", thing | other)])[0]
    assert before.mask(5)[int(y), int(x)]
    less = sparrow.track(
        video, [Prompt(1, 5, "point-", np.array([x, y]))], before={1: before}, span=(4, 7)
    )[0]
    assert not less.mask(5)[int(y), int(x)]
    assert iou(less.mask(5), thing) > iou(before.mask(5), thing)
    more = sparrow.track(video, [Prompt(1, 5, "point+", np.array([x, y]))], before={1: less})[0]
    assert more.mask(5)[int(y), int(x)]
    for changed, frames in ((less, range(4, 7)), (more, range(16))):
        differ = [t for t in range(16) if changed.rles[t] != before.rles[t]]
        assert set(differ) <= set(frames)


def test_a_preview_is_what_the_correction_gives(
    sparrow: Sparrow, scene: Scene, video: Video
) -> None:
    drawn = scene.render(5)
    before = sparrow.track(video, [Prompt(1, 5, "mask", drawn.masks[0] | drawn.masks[1])])[0]
    y, x = np.argwhere(drawn.masks[1])[0]
    clicks = [Prompt(1, 5, "point-", np.array([x, y], np.float32))]
    preview = sparrow.preview(video, clicks, before)
    assert np.flatnonzero(preview.visible()).tolist() == [5]
    assert sparrow.track(video, clicks, before={1: before})[0].rles[5] == preview.rles[5]
    first = [Prompt(2, 3, "point+", np.array([x, y], np.float32))]
    assert sparrow.preview(video, first).rles[3] == sparrow.track(video, first)[0].rles[3]


@pytest.mark.parametrize(
    ("prompts", "told"),
    [
        ([], "got none"),
        ([Prompt(1, 2, "box", np.array([1.0, 1, 5, 5]))] * 2, None),
        (
            [Prompt(i, 2, "box", np.array([1.0, 1, 5, 5])) for i in (1, 2)],
            "one object on one frame",
        ),
        ([Prompt(1, t, "box", np.array([1.0, 1, 5, 5])) for t in (1, 2)], "one object on one"),
        ([Prompt(1, 2, "point-", np.array([1.0, 1]))], "there is no mask yet"),
    ],
)
def test_previews_that_make_no_sense(
    sparrow: Sparrow, video: Video, prompts: list[Prompt], told: str | None
) -> None:
    if told is None:
        assert sparrow.preview(video, prompts).num_frames == 16
        return
    with pytest.raises(PromptError, match=told):
        sparrow.preview(video, prompts)


BOX = Prompt(1, 5, "box", np.array([10.0, 10, 60, 60]))


@pytest.mark.parametrize(
    ("span", "told"),
    [
        ((0, 5), "expected 0 to 4, got 5"),
        ((6, 9), "expected 6 to 8, got 5"),
        ((5, 5), "0 <= first < end <= 16"),
        ((-1, 9), "got -1 to 9"),
        ((2, 17), "got 2 to 17"),
    ],
)
def test_spans_that_make_no_sense(
    sparrow: Sparrow, video: Video, span: tuple[int, int], told: str
) -> None:
    with pytest.raises(PromptError, match=told):
        sparrow.track(video, [BOX], span=span)


def test_a_track_of_another_video_is_not_corrected(sparrow: Sparrow, video: Video) -> None:
    other = MaskTrack.from_masks(1, [np.ones((3, 3), bool)], [1.0])
    with pytest.raises(PromptError, match="belongs to another video"):
        sparrow.track(video, [BOX], before={1: other})


def test_learning_obeys_span_before_and_clicks(
    sparrow: Sparrow, scene: Scene, video: Video
) -> None:
    drawn = scene.render(5)
    before = sparrow.track(video, [Prompt(1, 5, "mask", drawn.masks[0])])[0]
    y, x = np.argwhere(drawn.masks[0])[0]
    click = Prompt(1, 5, "point-", np.array([x, y], np.float32))
    found = sparrow.track(video, [click], before={1: before}, span=(4, 7), adapt_seconds=0.1)[0]
    assert found.complete and not found.mask(5)[y, x]
    same = [t for t in range(16) if found.rles[t] == before.rles[t]]
    assert set(same) >= set(range(16)) - {4, 5, 6}


def test_what_is_pointed_at_takes_part_in_the_question(
    sparrow: Sparrow, scene: Scene, video: Video
) -> None:
    chat = sparrow.chat(video)
    box = Prompt(chat.next_id, 0, "box", scene.render(0).boxes[0])
    chat.add(sparrow.track(video, [box])[0], "object 1")
    answer = chat.ask("What is this?", [box])
    assert scene.things[0].noun in answer.text.lower()
    assert [r.id for r in answer.referents] == [1]
    assert chat.next_id == 2


@pytest.mark.parametrize(
    ("prompts", "expected"),
    [
        ([], "expected at least one point"),
        ([Prompt(1, 99, "box", np.array([1.0, 1, 5, 5]))], "expected 0 to 15, got 99"),
        ([Prompt(1, 0, "point+", np.array([400.0, 5]))], "inside the 320 x 240 frame"),
        ([Prompt(1, 0, "mask", np.zeros((3, 3), bool))], r"got \(3, 3\)"),
    ],
)
def test_prompts_outside_the_video_are_refused(
    sparrow: Sparrow, video: Video, prompts: list[Prompt], expected: str
) -> None:
    with pytest.raises(PromptError, match=expected):
        sparrow.track(video, prompts)


@pytest.mark.parametrize(("question", "expected"), [("", "got none"), ("fox " * 900, "at most")])
def test_unusable_questions_are_refused(
    sparrow: Sparrow, video: Video, question: str, expected: str
) -> None:
    chat = sparrow.chat(video)
    with pytest.raises(PromptError, match=expected):
        chat.ask(question)
    assert chat.turns == []


def test_a_video_of_one_frame(sparrow: Sparrow, tmp_path: Path) -> None:
    scene = Scene.sample(SEED, difficulty="easy", atlas=load_atlas(), num_frames=1)
    video = video_of(scene, tmp_path)
    answer = sparrow.chat(video).ask("How many things are there?")
    assert answer.frames == (0,)
    box = scene.render(0).boxes[0]
    assert sparrow.track(video, [Prompt(1, 0, "box", box)])[0].num_frames == 1


def test_two_chats_know_nothing_of_each_other(sparrow: Sparrow, scene: Scene, video: Video) -> None:
    one, other = sparrow.chat(video), sparrow.chat(video)
    one.ask(f"Segment the {scene.things[0].noun}.")
    assert other.turns == [] and other.tracks == {} and other.referents == []


def test_a_missing_model_is_explained(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"expected a config\.json"):
        Sparrow.from_pretrained(tmp_path)


def test_the_card_says_what_the_model_is(sparrow: Sparrow) -> None:
    assert sparrow.card["name"] == "sparrow-mini"
    assert "synthetic world" in sparrow.card["trained_on"]
    assert len(sparrow.card["nouns"]) >= 200

"""A dialogue of the released kind of model, tiny and taught one sentence, and the pipeline on it."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from threading import Event

import numpy as np
import pytest
import torch

from sparrow.errors import Cancelled
from sparrow.ingest import open_video
from sparrow.model.dialogue import Reply
from sparrow.model.glamm_dialogue import GlammDialogue
from sparrow.model.sparrow import SparrowModel
from sparrow.model.tokenizer import MarkedPhrase
from sparrow.pipeline import Sparrow
from sparrow.types import GroundedAnswer, Prompt, Referent, colour_of
from sparrow.video import Video
from tests.made_phi3 import phi3_tokenizer, teach
from tests.made_sam import CONFIG as SAM
from tests.made_videos import Recipe, write
from tests.model.release.made_release import tiny_sparrow

FRAMES = 16


def sentence(model: SparrowModel, words: str, marks: tuple[str, ...]) -> list[int]:
    """The end of a prompt, then an answer of letters and marks and its end."""
    vocabulary = model.tokenizer.get_vocab()
    last = model.tokenizer("\n<|assistant|>\n")["input_ids"][-1]
    return [last, *(vocabulary[piece] for piece in (*words, *marks, "<|end|>"))]


def build(marks: tuple[str, ...], **changes: object) -> SparrowModel:
    torch.manual_seed(0)
    config = tiny_sparrow().config
    encoder = replace(config.proposer.encoder, stages=(1, 2, 2, 1), global_blocks=(4,))
    proposer = replace(config.proposer, encoder=encoder, image_size=128)
    parts = replace(config, sam=SAM, proposer=proposer, **changes)
    model = SparrowModel(parts, phi3_tokenizer()).eval()
    teach(model.video_llm, sentence(model, "Dog", marks))
    return model


@pytest.fixture(scope="module")
def model() -> SparrowModel:
    return build(("[BOX]", "[SEG]"))


@pytest.fixture(scope="module")
def frames() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (FRAMES, 40, 60, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Video:
    folder = tmp_path_factory.mktemp("video")
    return open_video(write(folder / "clip.mp4", Recipe(frames=20)), workdir=folder / "opened")


def whole(words: Generator[str, None, Reply]) -> tuple[str, Reply]:
    shown = ""
    while True:
        try:
            shown += next(words)
        except StopIteration as end:
            return shown, end.value


def open_dialogue(model: SparrowModel, frames: np.ndarray) -> GlammDialogue:
    dialogue = model.open(frames)
    assert isinstance(dialogue, GlammDialogue)
    return dialogue


def test_an_answer_is_clean_and_its_phrase_has_both_marks(
    model: SparrowModel, frames: np.ndarray
) -> None:
    shown, reply = whole(open_dialogue(model, frames).say("what is this?", None, None))
    assert shown == reply.text == "Dog"
    assert reply.phrases == (MarkedPhrase("Dog", (0, 3), 0, 0),)
    assert reply.complete


def test_a_phrase_means_a_box_in_one_frame_and_stays_the_same_thing(
    model: SparrowModel, frames: np.ndarray
) -> None:
    dialogue = open_dialogue(model, frames)
    assert dialogue.tracks.shape == (0, FRAMES, 4)
    things = []
    for question in ("what is this?", "and this?"):
        _, reply = whole(dialogue.say(question, None, None))
        things.append(dialogue.find(reply.phrases[0]))
    first, second = things
    assert first.key == second.key == 0
    known = ~np.isnan(first.boxes_norm[:, 0])
    assert known.sum() == 1 and known[first.anchor]
    box = first.boxes_norm[first.anchor]
    assert (box >= 0).all() and (box <= 1).all() and (box[2:] > box[:2]).all()
    assert first.token.shape == (model.config.llm.state_width,)
    where = np.full((FRAMES, 4), np.nan)
    where[3] = [0.1, 0.1, 0.4, 0.5]
    dialogue.settle(0, where)
    assert np.allclose(dialogue.tracks[0, 3], where[3])
    assert not np.isnan(dialogue.tracks[0, first.anchor]).any()


def test_one_anchor_is_the_first_frame_and_more_are_asked_too(frames: np.ndarray) -> None:
    for anchors, allowed in ((1, {0}), (4, {0, 4, 8, 12})):
        dialogue = open_dialogue(build(("[BOX]", "[SEG]"), anchors=anchors), frames)
        _, reply = whole(dialogue.say("what is this?", None, None))
        assert dialogue.find(reply.phrases[0]).anchor in allowed
        assert set(dialogue._looked) == allowed


def test_repeated_frames_are_asked_once(model: SparrowModel, frames: np.ndarray) -> None:
    dialogue = open_dialogue(model, np.repeat(frames[:1], FRAMES, 0))
    _, reply = whole(dialogue.say("what is this?", None, None))
    assert dialogue.find(reply.phrases[0]).anchor == 0
    assert set(dialogue._looked) == {0}


def test_without_a_box_mark_the_seg_state_asks(frames: np.ndarray) -> None:
    dialogue = open_dialogue(build(("[SEG]",)), frames)
    _, reply = whole(dialogue.say("what is this?", None, None))
    assert reply.phrases[0].box is None
    assert dialogue.find(reply.phrases[0]) is not None


def test_pointing_joins_a_turn(model: SparrowModel, frames: np.ndarray) -> None:
    dialogue = open_dialogue(model, frames)
    rows = np.full((2, FRAMES, 4), np.nan)
    rows[:, :6] = [0.2, 0.2, 0.6, 0.7]
    assert dialogue._features(rows).shape == (4, model.config.llm.hidden_size)
    assert dialogue._features(rows[:1]).shape == (4, model.config.llm.hidden_size)
    assert dialogue._features(rows[:, 6:].repeat(2, 1)[:, :FRAMES]) is None
    assert whole(dialogue.say("what is this?", rows[:1], None))[1].text == "Dog"


def test_a_stopped_answer_leaves_the_dialogue_as_it_was(
    model: SparrowModel, frames: np.ndarray
) -> None:
    dialogue, stop = open_dialogue(model, frames), Event()
    words = dialogue.say("what is this?", None, stop)
    assert next(words)
    stop.set()
    with pytest.raises(Cancelled):
        whole(words)
    assert whole(dialogue.say("what is this?", None, None))[1].text == "Dog"


def test_the_pipeline_tracks_what_it_speaks_of(model: SparrowModel, video: Video) -> None:
    chat = Sparrow(model).chat(video)
    answer = chat.ask("what is this?")
    assert answer.text == "Dog"
    assert [r.id for r in answer.referents] == [t.referent_id for t in answer.tracks] == [1]
    assert answer.tracks[0].num_frames == video.num_frames
    again = chat.ask("and this?", [Prompt(2, 0, "box", np.array([10.0, 10.0, 40.0, 40.0]))])
    assert [r.id for r in again.referents] == [1]
    assert "track" not in again.seconds  # tracked once


def test_a_remembered_turn_means_the_same_thing_as_the_one_that_was_said(
    model: SparrowModel, frames: np.ndarray
) -> None:
    said, told = (open_dialogue(model, frames) for _ in "ab")
    _, reply = whole(said.say("what is this?", None, None))
    phrases = told.remember("what is this?", None, GroundedAnswer(reply.text, said=reply.said))
    assert phrases == reply.phrases and reply.said
    first, second = said.find(reply.phrases[0]), told.find(phrases[0])
    assert (first.key, first.anchor) == (second.key, second.anchor)
    assert np.array_equal(first.boxes_norm, second.boxes_norm, equal_nan=True)
    assert torch.allclose(first.token, second.token, atol=1e-5)


@pytest.mark.parametrize("said", [(), (10**9,), (5, 6, 7)])
def test_words_without_ids_are_marked_as_the_model_would(
    model: SparrowModel, frames: np.ndarray, said: tuple[int, ...]
) -> None:
    dialogue = open_dialogue(model, frames)
    referent = Referent(4, "og", (1, 3), colour_of(4))
    within = Referent(5, "g", (2, 3), colour_of(5))
    answer = GroundedAnswer("Dog <p> [SEG] <|end|>.", (referent, within), said=said)
    phrases = dialogue.remember("what?", None, answer)
    assert [(phrase.text, phrase.box, phrase.seg) for phrase in phrases] == [("og", 0, 0)]
    assert dialogue.find(phrases[0]) is not None
    dialogue.rewind(0)
    assert whole(dialogue.say("what is this?", None, None))[1].text == "Dog"


def test_the_pipeline_goes_on_from_a_history(model: SparrowModel, video: Video) -> None:
    sparrow = Sparrow(model)
    chat = sparrow.chat(video)
    chat.ask("what is this?")
    restarted = sparrow.chat(video, chat.history)
    for each in (chat, restarted):
        answer = each.ask("and this?")
        assert [r.id for r in answer.referents] == [1]
        assert answer.tracks[0] is chat.tracks[1]
    restarted.catch_up(chat.history.before(0))
    assert [r.id for r in restarted.ask("what is this?").referents] == [1]


def test_a_saved_model_answers_alike(
    model: SparrowModel, frames: np.ndarray, tmp_path: Path
) -> None:
    model.save_pretrained(tmp_path / "saved")
    loaded = SparrowModel.from_pretrained(tmp_path / "saved")
    results = []
    for each in (model, loaded):
        dialogue = open_dialogue(each, frames)
        _, reply = whole(dialogue.say("what is this?", None, None))
        results.append((reply, dialogue.find(reply.phrases[0])))
    (reply, thing), (reply_2, thing_2) = results
    assert (reply.text, reply.phrases) == (reply_2.text, reply_2.phrases)
    assert np.array_equal(thing.boxes_norm, thing_2.boxes_norm, equal_nan=True)
    assert torch.equal(thing.token, thing_2.token)
    assert loaded.card()["nouns"] == []

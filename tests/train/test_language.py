from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from sparrow.model.mini import MiniConfig, MiniVideoLLM
from sparrow.model.selector import Selector, mini_selector
from sparrow.model.tokenizer import BOX, END, TSF, WordTokenizer
from sparrow.train.language import Language
from sparrow.train.objects import encoder_config
from sparrow.train.seen_clips import (
    ClipOrder,
    encode_dialogue,
    load_clips,
    save_clips,
    see_clip,
    see_clips,
)
from sparrow.train.stage import Stage
from sparrow.world.dialogue import QA, Phrase, vocabulary
from sparrow.world.picture import load_atlas


class Holder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        atlas = load_atlas()
        config = MiniConfig(encoder_config(atlas), width=64, layers=2, heads=2, feed_forward=96)
        tokenizer = WordTokenizer.from_words(vocabulary(atlas))
        self.video_llm = MiniVideoLLM(config, tokenizer)
        self.selector = Selector(mini_selector(config.state_width, self.video_llm.key_width))

    @property
    def mini(self) -> MiniVideoLLM:
        return self.video_llm


@pytest.fixture(scope="module")
def settings(tmp_path_factory) -> dict[str, object]:
    return {
        "cache": str(tmp_path_factory.mktemp("seen")),
        "clips": 4,
        "validation_clips": 4,
        "dialogues_per_step": 3,
        "dialogues": 2,
        "turns": 3,
    }


@pytest.fixture(scope="module")
def task(settings) -> Language:
    return Language(Holder(), Stage("language", "language", steps=2, settings=settings))


def test_marks_of_a_dialogue():
    words = ["here", "is", "the", "fox", "and", "car", ".", "what", "this", "?"]
    tokenizer = WordTokenizer.from_words(words)
    turns = (
        QA("pointed", "What is this?", "The fox.", (Phrase("The fox", (0, 7), 2),), (2,), (2,)),
        QA(
            "several",
            "The car and the fox",
            "Here is the car and the fox.",
            (Phrase("the fox", (20, 27), 2), Phrase("the car", (8, 15), 1)),
            (1, 2),
        ),
    )
    told = encode_dialogue(turns, tokenizer)
    spelled = [tokenizer.word_of(i) for i in told.ids]
    assert told.pointed == (2,)
    assert spelled[1] == TSF
    assert [thing for _, thing in told.boxes] == [2, 1, 2]
    assert all(spelled[place] == BOX for place, _ in told.boxes)
    assert [spelled[t.begins] for t in told.turns] == ["<assistant>"] * 2
    assert [spelled[t.ends - 1] for t in told.turns] == [END] * 2
    assert told.turns[1].targets == (1, 2)


def test_clips_survive_the_disk(task, tmp_path):
    llm, order = task.model.video_llm.eval(), ClipOrder(10, 2, views=2, dialogues=2, turns=2)
    clips = see_clips(llm, order, load_atlas())
    save_clips(clips, tmp_path)
    again = load_clips(tmp_path)
    assert [c.seed for c in again] == [10, 11]
    for one, two in zip(clips, again, strict=True):
        assert one.dialogues == two.dialogues
        assert one.easy == two.easy
        for a, b in zip((*one.views, one.true), (*two.views, two.true), strict=True):
            assert np.array_equal(a.tokens, b.tokens)
            assert np.array_equal(a.owners, b.owners)


def test_a_proposer_that_sees_the_truth_gives_every_thing_a_track(task):
    atlas, llm = load_atlas(), task.model.video_llm.eval()
    from sparrow.train.clips import draw_clip, spread_frames
    from sparrow.world.scene import Scene

    scene = Scene.sample(20, difficulty="easy", atlas=atlas)

    def perfect(frames: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
        for offset in np.linspace(0, 0.99, 100):
            clip = draw_clip(scene, spread_frames(40, 8, offset), frames.shape[1:3])
            if np.array_equal(clip.frames, frames):
                boxes = [clip.boxes[:, t][~np.isnan(clip.boxes[:, t, 0])] for t in range(8)]
                return [(b, np.full(len(b), 0.9, np.float32)) for b in boxes]
        raise AssertionError("frames of another scene")

    with torch.inference_mode():
        llm.object_encoder.objectness_head.bias.fill_(9.0)
        order = ClipOrder(20, 1, views=1, dialogues=1, turns=1, full_share=0.0, size_hw=(48, 64))
        clip = see_clip(llm, 20, order, atlas, perfect)
    assert set(clip.true.owners.tolist()) == set(clip.views[0].owners.tolist())


def test_a_batch_marks_the_words_and_objects_to_be_found(task):
    batch = task.batch(3)
    again = task.batch(3)
    assert np.array_equal(batch.ids, again.ids)
    assert np.array_equal(batch.tokens, again.tokens)
    tokenizer = task.model.video_llm.tokenizer
    for row, place, index in batch.boxes:
        assert tokenizer.word_of(batch.ids[row, place]) == BOX
        assert index < batch.counts[row]
    ends = batch.ids[batch.turns[:, 0], batch.turns[:, 2] - 1]
    assert (ends == tokenizer.id_of(END)).all()
    assert (batch.ids == tokenizer.id_of(TSF)).sum() == len(batch.pointed_tokens)
    assert batch.answered.sum() == (batch.turns[:, 2] - batch.turns[:, 1] - 1).sum()


def test_clips_of_an_earlier_stage_are_mixed_in(task, settings, tmp_path):
    clips = load_clips(Path(settings["cache"]) / "train")
    other = [replace(clip, seed=clip.seed + 1000) for clip in clips]
    save_clips(other, tmp_path / "earlier" / "train")
    both = {**settings, "also": str(tmp_path / "earlier")}
    mixed = Language(Holder(), Stage("language", "language", steps=2, settings=both))
    drawn: list[int] = []
    mixed._collate = lambda pairs, *_: drawn.extend(clip.seed for clip, _ in pairs)
    for index in range(20):
        mixed.batch(index)
    share = np.mean([seed >= 1_001_000 for seed in drawn])
    assert len(drawn) == 60 and 0.3 < share < 0.7


def test_a_few_steps_lower_the_loss_and_leave_the_encoder_alone(task):
    batch = task.batch(0)
    trained = [p for n, p in task.model.named_parameters() if n.startswith(task.parts)]
    before = task.model.video_llm.object_encoder.merge[0].weight.clone()
    optimizer = torch.optim.AdamW(trained, lr=3e-3)
    losses = []
    for step in range(8):
        loss, logs = task.loss(batch, step)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.7 * losses[0]
    assert {"words", "pointer"} <= set(logs)
    assert torch.equal(before, task.model.video_llm.object_encoder.merge[0].weight)


def test_validation_gives_fractions_per_family(task):
    task.model.eval()
    with torch.inference_mode():
        metrics = task.validate()
    assert {"easy/exact", "easy/box", "easy/pointer", "score"} <= set(metrics)
    assert all(0 <= v <= 1 for name, v in metrics.items() if name != "score")


def test_without_target_features_only_what_is_pointed_at_is_hidden(task, settings):
    settings = settings | {"target_features": False}
    blind = Language(Holder(), Stage("blind", "language", steps=2, settings=settings))
    number = next(n for n in range(50) if len(task.batch(n).pointed_tokens))
    one, other = task.batch(number), blind.batch(number)
    assert one.pointed_tokens.any()
    assert one.pointed_numbers.any()
    assert other.pointed_tokens.shape == one.pointed_tokens.shape
    assert not other.pointed_tokens.any()
    assert not other.pointed_numbers.any()
    assert other.pointed_tokens.dtype == one.pointed_tokens.dtype
    for name in ("tokens", "numbers", "ids", "answered", "boxes", "turns", "relevance", "worded"):
        assert np.array_equal(getattr(one, name), getattr(other, name))
    loss, _ = blind.loss(other, 0)
    assert torch.isfinite(loss)


def test_one_crop_is_one_view_of_each_thing(task, settings, tmp_path):
    settings = settings | {"cache": str(tmp_path), "clips": 1, "validation_clips": 2, "crops": 1}
    single = Language(Holder(), Stage("single", "language", steps=2, settings=settings))
    encoder = single.model.video_llm.object_encoder
    assert encoder.config.crops_per_track == 1
    pixels = torch.rand(8, 3, 48, 64) - 0.5
    boxes = np.tile(np.array([0.2, 0.2, 0.6, 0.6], np.float32), (1, 8, 1))
    boxes[0, 3] = [0.1, 0.1, 0.8, 0.8]  # the largest: the only one whose pixels count
    changed = pixels.clone()
    changed[torch.arange(8) != 3] = 0.0
    with torch.inference_mode():
        assert torch.equal(
            encoder.encode(pixels, boxes).tokens, encoder.encode(changed, boxes).tokens
        )
        several = task.model.video_llm.object_encoder
        assert not torch.equal(
            several.encode(pixels, boxes).tokens, several.encode(changed, boxes).tokens
        )
        assert torch.isfinite(encoder.encode_pointed(pixels, boxes).tokens).all()

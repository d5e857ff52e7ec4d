import numpy as np
import pytest
import torch
from torch import nn

from sparrow.errors import SparrowError
from sparrow.model.object_encoder import ATTRIBUTES, ObjectEncoder
from sparrow.train.clips import bad_tracks, draw_clip, noisy_tracks, spread_frames, track_overlaps
from sparrow.train.objects import UNLABELLED, Objects, encoder_config, labels_of
from sparrow.train.pasted import Stamp, paste, pieces
from sparrow.train.stage import Stage
from sparrow.world.picture import load_atlas
from sparrow.world.scene import Scene


class Holder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.video_llm = nn.Module()
        self.video_llm.object_encoder = ObjectEncoder(encoder_config(load_atlas()))

    @property
    def mini(self) -> nn.Module:
        return self.video_llm


@pytest.fixture(scope="module")
def task() -> Objects:
    settings = {"clips": 4, "fresh": 2, "window": 8, "validation_clips": 4, "size_hw": [96, 128]}
    return Objects(Holder(), Stage("objects", "objects", steps=2, settings=settings))


@pytest.mark.parametrize(
    ("frames", "count", "offset", "expected"),
    [
        (1, 1, 0.5, [0]),
        (1, 3, 0.5, [0, 0, 0]),
        (8, 8, 0.0, list(range(8))),
        (40, 8, 0.5, [2, 7, 12, 17, 22, 27, 32, 37]),
        (40, 4, 0.99, [9, 19, 29, 39]),
    ],
)
def test_spread_frames(frames, count, offset, expected):
    assert spread_frames(frames, count, offset).tolist() == expected


def test_overlap_of_tracks_counts_frames_where_either_is_seen():
    whole = np.tile(np.array([0, 0, 0.5, 0.5], np.float32), (1, 4, 1))
    half = whole.copy()
    half[:, 2:] = np.nan
    far = whole + 0.5
    assert track_overlaps(whole, np.concatenate([whole, half, far])).tolist() == [[1.0, 0.5, 0.0]]
    assert track_overlaps(whole[:0], whole).shape == (0, 1)


def test_noise_stays_near_and_in_the_frame():
    rng = np.random.default_rng(0)
    boxes = np.tile(np.array([0.0, 0.2, 0.4, 0.6], np.float32), (50, 8, 1))
    boxes[:, 3] = np.nan
    noisy = noisy_tracks(boxes, rng, 0.06)
    assert np.isnan(noisy[:, 3]).all()
    assert (np.isnan(noisy[..., 0]).sum(1) <= 5).all()
    assert np.nanmin(noisy) >= 0
    assert np.nanmax(noisy) <= 1
    assert 0.7 < np.nanmean(track_overlaps(noisy, boxes[:1])) < 0.95
    exact = noisy_tracks(boxes, rng, 0.0)
    kept = ~np.isnan(exact)
    assert np.array_equal(exact[kept], boxes[kept])


def test_bad_tracks_hold_no_thing():
    rng = np.random.default_rng(1)
    boxes = np.tile(
        np.array([[0.1, 0.1, 0.3, 0.4], [0.6, 0.5, 0.9, 0.8]], np.float32)[:, None], (1, 8, 1)
    )
    bad = bad_tracks(boxes, 60, rng)
    assert 20 < len(bad) <= 60
    assert track_overlaps(bad, boxes).max() < 0.45
    assert bad_tracks(boxes, 0, rng).shape == (0, 8, 4)


def test_clip_and_labels_of_a_scene():
    atlas = load_atlas()
    config = encoder_config(atlas)
    scene = Scene.sample(5, difficulty="easy", atlas=atlas)
    clip = draw_clip(scene, spread_frames(40, 8), (96, 128))
    labels = labels_of(scene, config)
    assert clip.frames.shape == (8, 96, 128, 3)
    assert clip.boxes.shape == (len(scene.things), 8, 4)
    for thing, row in zip(scene.things, labels, strict=True):
        for name, index in zip(ATTRIBUTES, row, strict=True):
            word = getattr(thing, name)
            assert (index == UNLABELLED and not word) or config.classes(name)[index] == word


def test_a_batch_is_the_same_however_it_is_reached(task):
    fresh = Objects(task.model, Stage("objects", "objects", steps=2, settings=task_settings(task)))
    for index in range(3):
        last = task.batch(index)
    again = fresh.batch(2)
    assert np.array_equal(last.crops, again.crops)
    assert np.array_equal(last.labels, again.labels)
    assert set(np.unique(last.whole)) <= {0.0, 1.0}
    assert (last.labels[last.whole == 0] == UNLABELLED).all()


def task_settings(task: Objects) -> dict[str, object]:
    return {name: getattr(task.settings, name) for name in ("clips", "fresh", "window", "size_hw")}


def test_a_few_steps_lower_the_loss_of_a_batch(task):
    batch = task.batch(0)
    optimizer = torch.optim.AdamW(task.model.parameters(), lr=2e-3)
    losses = []
    for step in range(6):
        loss, logs = task.loss(batch, step)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.7 * losses[0]
    assert set(logs) == {*ATTRIBUTES, "objectness"}


def test_validation_gives_fractions_and_a_score(task):
    task.model.eval()
    with torch.inference_mode():
        metrics = task.validate()
    score = metrics.pop("score")
    assert all(0 <= value <= 1 for value in metrics.values())
    assert score == pytest.approx(
        metrics["noun"] + 0.2 * (metrics["colour"] + metrics["motion"] + metrics["objectness"])
    )


def test_pasted_tracks_carry_the_words_of_their_pictures():
    settings = {"clips": 2, "fresh": 1, "pasted": 12, "size_hw": [96, 128]}
    task = Objects(Holder(), Stage("objects", "objects", steps=1, settings=settings))
    batch = task.batch(0)
    assert (batch.labels[-12:] >= 0)[:, :3].all()
    assert (batch.whole[-12:] == 1).all()
    assert batch.crops[-12:].std(axis=(2, 3, 4)).min() > 0
    config = task.model.video_llm.object_encoder.config
    trained = {(p.noun, p.group, p.colour) for p in load_atlas().select("train")}
    for noun, group, colour in batch.labels[-12:, :3]:
        words = config.nouns[noun], config.groups[group], config.colours[colour]
        assert words in trained or words[1] == "shape"


def test_a_pasted_picture_fills_its_share_of_the_crop():
    stamp = Stamp(np.ones((64, 64, 4), np.float32), "square", "shape", "white")
    grounds = np.zeros((6, 32, 32, 3), np.uint8)
    crops = paste(stamp, grounds, np.random.default_rng(2), 1.25)
    share = (crops.max(-1) > 100).mean((1, 2))
    assert crops.shape == (6, 32, 32, 3)
    assert 0.3 < share.mean() < 0.85
    assert pieces(crops, 3, 16, np.random.default_rng(0)).shape == (3, 16, 16, 3)


def test_unknown_settings_are_refused():
    with pytest.raises(SparrowError, match="unknown keys"):
        Objects(Holder(), Stage("objects", "objects", steps=1, settings={"clip": 3}))

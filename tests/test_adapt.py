"""Adapting to what is pointed at: reproducible, the shared model untouched, stopped and freed when told to."""

from __future__ import annotations

import gc
import json
import threading
import weakref
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from sparrow import adapt, masks
from sparrow.adapt import (
    Effort,
    adapt_and_track,
    adapt_and_track_steps,
    dream_loss,
    own_copy,
)
from sparrow.cli import main
from sparrow.dreams import Dreamer
from sparrow.errors import ModelError, PromptError
from sparrow.model.following import Follower, hints
from sparrow.model.pixel_decoder import FramePrompt, PixelDecoder
from sparrow.model.sam import Decoded, SamConfig
from sparrow.model.sparrow import SparrowModel
from sparrow.model.tracking import Target
from sparrow.paths import ASSETS
from sparrow.targets import HeldFrames
from sparrow.types import MaskTrack, Progress
from sparrow.video import Video
from sparrow.work import finish, progress_only
from tests.model.test_tracking import TINY

SIZE = (90, 120)


def made(count: int = 8) -> tuple[HeldFrames, list[np.ndarray]]:
    """A bright mottled disc that goes right over a dark mottled wall."""
    rng = np.random.default_rng(0)
    wall = cv2.resize(rng.integers(20, 140, (5, 7, 3), np.uint8), SIZE[::-1])
    coat = cv2.resize(rng.integers(120, 255, (8, 8, 3), np.uint8), SIZE[::-1])
    frames, drawn = [], []
    for index in range(count):
        mask = np.zeros(SIZE, np.uint8)
        cv2.circle(mask, (40 + 4 * index, 45), 18, 1, -1)
        moved = np.roll(coat, 4 * index, axis=1)
        frames.append(np.where(mask[..., None] > 0, moved, wall))
        drawn.append(mask > 0)
    return HeldFrames(np.stack(frames)), drawn


@pytest.fixture(scope="module")
def decoder() -> PixelDecoder:
    torch.manual_seed(0)
    return PixelDecoder(TINY).eval()


@pytest.fixture(scope="module")
def mini() -> PixelDecoder:
    return SparrowModel.from_pretrained(ASSETS / "sparrow-mini").eval().pixel_decoder


def drawn_target(truth: list[np.ndarray], referent_id: int = 1, *frames: int) -> Target:
    chosen = frames or (0,)
    prompts = {frame: FramePrompt(mask=truth[frame]) for frame in chosen}
    return Target(referent_id, min(chosen), prompts)


QUICK = Effort(steps=4, side=64, sceneries=2, look_frames=3, batch=2)


def test_same_seed_same_track_and_the_shared_model_stays_as_it_is(decoder: PixelDecoder) -> None:
    frames, truth = made()
    before = {name: value.clone() for name, value in decoder.state_dict().items()}
    flags = [weight.requires_grad for weight in decoder.parameters()]
    random = torch.random.get_rng_state()
    found = [adapt_and_track(decoder, frames, [drawn_target(truth)], QUICK)[0] for _ in range(2)]
    assert np.array_equal(found[0].scores, found[1].scores)
    assert found[0].rles == found[1].rles
    other = adapt_and_track(decoder, frames, [drawn_target(truth)], replace(QUICK, seed=1))[0]
    assert not np.array_equal(found[0].scores, other.scores)
    for name, value in decoder.state_dict().items():
        assert torch.equal(value, before[name]), name
    assert [weight.requires_grad for weight in decoder.parameters()] == flags
    assert all(weight.grad is None for weight in decoder.parameters())
    assert torch.equal(torch.random.get_rng_state(), random)


def test_a_copy_owns_what_is_trained_and_shares_the_rest(decoder: PixelDecoder) -> None:
    shared, own = dict(decoder.named_parameters()), dict(own_copy(decoder, 96).named_parameters())
    assert shared.keys() == own.keys()
    apart = {name for name in own if own[name].data_ptr() != shared[name].data_ptr()}
    assert apart == {name for name in own if name.startswith(adapt._TRAINED)}
    assert any("image_encoder" in name for name in apart)
    assert not any("memory_attention" in name for name in apart)


def test_adapting_follows_better_on_a_made_clip(mini: PixelDecoder) -> None:
    frames, truth = made()
    effort = Effort(steps=24, side=96, look_frames=4, sceneries=2)
    held = Dreamer(next(frames.iter()), truth[0], 96)
    adapting = adapt._Adapting(
        mini,
        frames,
        [adapt.Still(0, next(frames.iter()), truth[0])],
        effort,
    )

    def overlap(decoder: PixelDecoder) -> float:
        """Mean IoU on dreams that were not trained on."""
        rng = np.random.default_rng(99)
        dreams = [held.dream(rng) for _ in range(12)]
        with torch.inference_mode():
            features = decoder.sam.encode(decoder.prepare([dream.frame for dream in dreams]))
            decoded = decoder.sam.decode_alone(
                features, hints(decoder, [dream.before for dream in dreams])
            )
        small = [cv2.resize(d.mask.astype(np.float32), decoded.gated.shape[2:]) for d in dreams]
        found = (decoded.gated[:, 0] > 0).numpy()
        return float(np.mean([masks.iou(f, s >= 0.5) for f, s in zip(found, small, strict=True)]))

    before = overlap(own_copy(mini, 96))
    shares = list(adapting.run(60.0, lambda: 0.0, None))
    assert len(shares) == 24
    assert overlap(adapting.decoder) > before + 0.1
    follower = Follower(adapting.decoder, next(frames.iter(0, 1)), truth[0])
    found = [follower.step(frame)[0] for frame in frames.iter(1)]
    assert np.mean([masks.iou(f, t) for f, t in zip(found, truth[1:], strict=True)]) > 0.75


class Clock:
    """A second passes with each look at it."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 1.0
        return self.now


def run(
    decoder: PixelDecoder,
    frames: HeldFrames,
    targets: list[Target],
    effort: Effort,
    cancel: threading.Event | None = None,
    stop_after: int | None = None,
) -> tuple[list[MaskTrack], list[Progress]]:
    steps = adapt_and_track_steps(decoder, frames, targets, effort, cancel=cancel, clock=Clock())
    seen: list[Progress] = []

    def look(progress: Progress) -> None:
        seen.append(progress)
        if cancel is not None and len(seen) == stop_after:
            cancel.set()

    return finish(steps, progress_only(look)), seen


@pytest.mark.parametrize(("seconds", "things", "steps"), [(6, 1, 5), (6, 2, 4), (0.5, 1, 0)])
def test_the_budget_is_kept_and_shared_out(
    decoder: PixelDecoder, seconds: float, things: int, steps: int
) -> None:
    frames, truth = made(3)
    targets = [drawn_target(truth, referent_id) for referent_id in range(1, things + 1)]
    effort = Effort(seconds=seconds, side=64, looks=(), batch=1)
    tracks, seen = run(decoder, frames, targets, effort)
    adapting = [p for p in seen if p.step == "adapt"]
    assert len(adapting) == steps
    assert [p.done for p in adapting] == sorted(p.done for p in adapting)
    assert all(0 <= p.done <= p.total == 100 for p in adapting)
    assert [p.done for p in seen if p.step == "track"] == [1, 2, 3]
    assert [track.referent_id for track in tracks] == list(range(1, things + 1))


def test_adapting_ends_early_where_it_no_longer_helps(decoder: PixelDecoder) -> None:
    frames, truth = made(3)
    idle = Effort(
        steps=500, side=64, batch=1, learning_rate=0.0, looks=(), check_every=1, patience=2
    )
    _, seen = run(decoder, frames, [drawn_target(truth)], idle)
    assert len([p for p in seen if p.step == "adapt"]) == 4 + adapt._SETTLING


@pytest.mark.parametrize(
    ("overlaps", "flat"),
    [
        ([], False),
        ([0.5, 0.5, 0.5], False),
        ([0.5, 0.5, 0.5, 0.5], True),
        ([0.1, 0.9, 0.5, 0.5], True),
        ([0.4, 0.4, 0.5, 0.5], False),
        ([0.1, 0.1, 0.5, 0.5, 0.4, 0.5], True),
    ],
)
def test_flat_is_no_better_than_before(overlaps: list[float], flat: bool) -> None:
    assert adapt._is_flat(overlaps, 2) == flat


def test_stop_ends_adapting_and_tracks_nothing(decoder: PixelDecoder) -> None:
    frames, truth = made(4)
    cancel = threading.Event()
    tracks, seen = run(decoder, frames, [drawn_target(truth)], Effort(steps=50, side=64), cancel, 2)
    assert len(seen) == 2
    assert not tracks[0].complete and not tracks[0].visible().any()


def test_copies_are_given_back(decoder: PixelDecoder, monkeypatch: pytest.MonkeyPatch) -> None:
    copies: list[weakref.ref[PixelDecoder]] = []

    def kept(shared: PixelDecoder, side: int) -> PixelDecoder:
        own = own_copy(shared, side)
        copies.append(weakref.ref(own))
        return own

    monkeypatch.setattr(adapt, "own_copy", kept)
    frames, truth = made(3)
    targets = [drawn_target(truth, 1), drawn_target(truth, 2, 1)]
    assert len(adapt_and_track(decoder, frames, targets, QUICK)) == 2
    gc.collect()
    assert len(copies) == 2 and all(copy() is None for copy in copies)


def test_every_corrected_frame_is_dreamt_from_and_kept(
    decoder: PixelDecoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    dreamers: list[Dreamer] = []

    class Counted(Dreamer):
        def __init__(self, *given: object) -> None:
            super().__init__(*given)  # type: ignore[arg-type]
            dreamers.append(self)

    monkeypatch.setattr(adapt, "Dreamer", Counted)
    frames, truth = made(8)
    found = adapt_and_track(decoder, frames, [drawn_target(truth, 1, 2, 6)], QUICK)[0]
    assert len(dreamers) == 2
    for frame in (2, 6):
        assert np.array_equal(found.mask(frame), truth[frame])


@pytest.mark.parametrize(("count", "anchor"), [(1, 0), (2, 1), (5, 4), (5, 2)])
def test_short_clips_and_any_anchor(decoder: PixelDecoder, count: int, anchor: int) -> None:
    frames, truth = made(count)
    found = adapt_and_track(decoder, frames, [drawn_target(truth, 1, anchor)], QUICK)[0]
    assert found.num_frames == count and found.complete
    assert np.array_equal(found.mask(anchor), truth[anchor])


def test_what_cannot_be_adapted_to_is_refused(decoder: PixelDecoder) -> None:
    frames, truth = made(2)
    nothing = Target(1, 0, {0: FramePrompt(mask=np.zeros(SIZE, dtype=bool))})
    with pytest.raises(PromptError, match="found nothing at the prompt in frame 0"):
        adapt_and_track(decoder, frames, [nothing], QUICK)
    full = PixelDecoder(SamConfig(**{**TINY.__dict__, "dense_prompts": False}))
    with pytest.raises(ModelError, match="expected a model whose decoder has dense_prompts"):
        adapt_and_track(full, frames, [drawn_target(truth)], QUICK)


@pytest.mark.parametrize(
    "wrong", [{"seconds": 0.0}, {"seconds": float("nan")}, {"steps": 0}, {"side": 100}]
)
def test_efforts_that_are_none_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(PromptError, match="adapt: expected"):
        Effort(**wrong)  # type: ignore[arg-type]


def decoded(logits: torch.Tensor, score: float) -> Decoded:
    one = torch.ones(len(logits))
    return Decoded(logits, logits, one, score * one, one[:, None], one[:, None])


def test_the_loss_of_a_right_mask_is_nothing_and_absence_is_only_presence() -> None:
    truth = torch.zeros(1, 16, 16, dtype=torch.bool)
    truth[0, 4:12, 4:12] = True
    sharp = torch.nn.functional.interpolate(truth[:, None].float(), size=8) * 40 - 20
    assert float(dream_loss(decoded(sharp, 20.0), truth)) < 1.0
    assert float(dream_loss(decoded(-sharp, 20.0), truth)) > 500
    gone = torch.zeros(1, 16, 16, dtype=torch.bool)
    empty = torch.full((1, 1, 8, 8), -20.0)
    assert float(dream_loss(decoded(empty, -20.0), gone)) == pytest.approx(0, abs=1e-4)
    assert float(dream_loss(decoded(empty, 20.0), gone)) == pytest.approx(20, abs=1e-3)


def test_the_command_adapts_and_tracks(
    clip: Callable[[str], Path], plain_video: Video, tmp_path: Path
) -> None:
    where = ["track", str(clip("plain.mp4")), "--frame", "3", "--box", "20,10,60,40"]
    assert main([*where, "--adapt", "0.2", "--out", str(tmp_path)]) == 0
    content = json.loads((tmp_path / "masks.json").read_text())
    assert len(content["annotations"][0]["segmentations"]) == plain_video.num_frames
    assert content["annotations"][0]["segmentations"][3] is not None


@pytest.mark.parametrize("seconds", ["-1", "nan", "inf", "soon"])
def test_seconds_that_are_none_are_wrong_usage(
    seconds: str, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ["track", "video.mp4", "--frame", "0", "--point", "1,2", "--out", "here"]
    with pytest.raises(SystemExit) as stop:
        main([*where, "--adapt", seconds])
    assert stop.value.code == 2
    assert "expected seconds from 0" in capsys.readouterr().err

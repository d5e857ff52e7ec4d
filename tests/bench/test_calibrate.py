"""Fitting a model's confidence on worlds, and storing it: what is written is read back and changes scores alone."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from benchmarks.calibrate import Curves, Masks, Recording, follow, held_out, joined, main, write
from sparrow.bench.calibration import Reliability
from sparrow.confidence import Curve
from sparrow.errors import ModelError, SparrowError
from sparrow.model.pixel_decoder import FramePrompt
from sparrow.model.sparrow import SparrowModel
from sparrow.model.tracking import Target, track
from sparrow.paths import ASSETS
from sparrow.targets import HeldFrames
from sparrow.world.picture import load_atlas
from sparrow.world.scene import Scene

MINI = ASSETS / "sparrow-mini"


def made(seed: int, frames: int = 400) -> Masks:
    """Make masks whose J follows one curve with a box and another without."""
    rng = np.random.default_rng(seed)
    aided, scores = rng.random(frames) < 0.5, rng.uniform(0.3, 0.99, frames)
    true = np.where(aided, Curve(0.5, 0.2)(scores), Curve(1.5, -3.0)(scores))
    return Masks(aided, scores, true)


def test_two_curves_are_found_apart() -> None:
    worlds = [made(seed) for seed in range(6)]
    curves = Curves.fitted(joined(worlds))
    assert (curves.aided.scale, curves.aided.bias) == pytest.approx((0.5, 0.2), abs=0.01)
    assert (curves.unaided.scale, curves.unaided.bias) == pytest.approx((1.5, -3.0), abs=0.01)
    scores, masks = held_out(worlds)
    assert len(scores) == len(masks.j) == 6 * 400
    assert Reliability.of(masks.scores, masks.j).error > 0.2
    assert Reliability.of(scores, masks.j).error < 0.01


def test_without_such_frames_nothing_is_changed() -> None:
    masks = made(0)
    curves = Curves.fitted(masks.of(masks.aided))
    assert curves.unaided == Curve()
    nothing = masks.of(np.zeros(400, dtype=bool))
    assert Curves.fitted(nothing) == Curves(Curve(), Curve())
    assert Curves(Curve(), Curve())(nothing).shape == (0,)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(shutil.copytree(MINI, tmp_path_factory.mktemp("model") / "mini"))


def test_what_is_stored_changes_scores_alone(folder: Path) -> None:
    scene = Scene.sample(8_000_001, difficulty="easy", atlas=load_atlas())
    drawn = [scene.render(frame) for frame in range(4)]
    video = HeldFrames(np.stack([frame.rgb for frame in drawn]))
    target = Target(1, 0, {0: FramePrompt(box=drawn[0].boxes[0])})
    write(folder, Curves(Curve(), Curve()))
    before = SparrowModel.from_pretrained(folder)
    (plain,) = track(before.pixel_decoder, video, [target])
    write(folder, Curves(Curve(0.5, 0.2), Curve(1.5, -3.0)))
    after = SparrowModel.from_pretrained(folder)
    assert after.config.sam.confidence == Curve(0.5, 0.2)
    (curved,) = track(after.pixel_decoder, video, [target])
    assert curved.rles == plain.rles
    expected = Curves(Curve(0.5, 0.2), Curve(1.5, -3.0))
    aided = np.arange(4) == 0  # no proposals here: only the first frame has a box
    given = expected(Masks(aided, plain.scores.astype(np.float64), np.zeros(4)))
    assert curved.scores == pytest.approx(given, abs=1e-6)


def test_a_model_is_measured_as_its_decoder_says(folder: Path) -> None:
    write(folder, Curves(Curve(0.5, -3.0), Curve(0.5, -3.0)))
    scene = Scene.sample(8_000_001, difficulty="easy", atlas=load_atlas(), num_frames=5)
    measured = []
    for path in (folder, MINI):
        model = SparrowModel.from_pretrained(path)
        measured.append(list(follow(model, Recording(model.pixel_decoder), scene)))
    assert measured[0] == measured[1]
    assert any(aided for aided, _, _ in measured[0])
    assert all(0 < score <= 1 and 0 <= j <= 1 for _, score, j in measured[0])


def test_wrong_use_is_told(tmp_path: Path) -> None:
    with pytest.raises(SparrowError, match="two worlds"):
        main(["--model", str(MINI), "--seeds", "1:2"])
    with pytest.raises(ModelError, match="gone"):
        main(["--model", str(tmp_path / "gone"), "--seeds", "1:3"])

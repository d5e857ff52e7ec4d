"""The last stage and the recipe: [SEG] states reach the decoder, stages load each other's parts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from sparrow.errors import SparrowError
from sparrow.model.sparrow import SparrowModel
from sparrow.train.prompting import Prompting
from sparrow.train.recipe import assemble, load_parts
from sparrow.train.sizes import mini_config, mini_tokenizer
from sparrow.train.stage import Stage
from sparrow.world import splits

STAGE = Stage(
    name="prompting",
    task="prompting",
    steps=10,
    settings={"clips": 2, "referents": 6, "windows": {"phases": ((1.0, 1, 2),)}},
)


@pytest.fixture(scope="module")
def task() -> Prompting:
    torch.manual_seed(0)
    return Prompting(SparrowModel(mini_config(), mini_tokenizer()), STAGE)


def test_referents_come_with_their_frame_box_and_states(task: Prompting) -> None:
    batch = task.batch(3)[1]
    count, side = len(batch.things), task.model.pixel_decoder.side
    assert 1 <= count <= 6
    assert batch.frames.shape == (count, side, side, 3)
    assert batch.masks.shape == (count, side // 2, side // 2)
    width = task.model.config.llm.width
    assert batch.box_states.shape == batch.seg_states.shape == (count, width)
    assert batch.keys.shape[2] == 2 * width
    for row in range(count):
        assert batch.there[row, batch.things[row]]
        (x0, y0), (x1, y1) = batch.corners[row] / 2
        rows, columns = np.nonzero(batch.masks[row])
        inside = (columns + 1 > x0) & (columns < x1) & (rows + 1 > y0) & (rows < y1)
        assert inside.mean() > 0.6
    again = task.batch(3)[1]
    assert np.array_equal(batch.seg_states, again.seg_states)


def test_the_loss_reaches_the_token_the_selector_and_the_decoder(task: Prompting) -> None:
    loss, logs = task.loss(task.batch(0), 0)
    loss.backward()
    assert {"box_right", "box", "iou"} <= set(logs)
    model = task.model
    for module in (model.pixel_decoder.token_proj, model.video_llm.text_hidden_fcs, model.selector):
        grads = [p.grad for p in module.parameters() if p.grad is not None]
        assert sum(float(g.abs().sum()) for g in grads) > 0
    model.zero_grad()


def test_no_batch_leaves_the_training_split(
    task: Prompting, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[int] = []
    monkeypatch.setattr(task, "_referents", lambda first, index: drawn.append(first))
    for index in (0, 10_000_123, 30_000_000):
        task.batch(index)
    assert all(splits.TRAIN[0] <= first < splits.TRAIN[1] for first in drawn)


def test_a_stage_that_has_not_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(SparrowError, match="stage tracker: no weights at"):
        load_parts(SparrowModel(mini_config(), mini_tokenizer()), tmp_path / "tracker")


def test_strange_weights_are_named(tmp_path: Path) -> None:
    save_file({"pixel_decoder.nothing": torch.zeros(1)}, tmp_path / "best.safetensors")
    with pytest.raises(SparrowError, match=r"does not have: \['pixel_decoder\.nothing'\]"):
        load_parts(SparrowModel(mini_config(), mini_tokenizer()), tmp_path)


def test_later_stages_overwrite_earlier_ones(tmp_path: Path) -> None:
    name = "pixel_decoder.token_proj.bias"
    paths = []
    for number, stage in enumerate(("windows", "prompting")):
        paths.append(tmp_path / f"{stage}.yaml")
        paths[-1].write_text(f"name: {stage}\ntask: {stage}\nsteps: 1")
        (tmp_path / stage).mkdir()
        width = mini_config().sam.dim
        weights = {name: torch.full((width,), float(number))}
        save_file(weights, tmp_path / stage / "best.safetensors")
    made = assemble(paths, tmp_path, tmp_path / "model")
    loaded = SparrowModel.from_pretrained(tmp_path / "model")
    assert made.state_dict()[name].unique().tolist() == [1.0]
    assert loaded.state_dict()[name].unique().tolist() == [1.0]

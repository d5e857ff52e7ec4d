"""Differences and their spread, and the tables that say which are real."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.ablations import (
    FIGURES,
    VALIDATION,
    WAYS,
    Difference,
    blocks,
    main,
    run_name,
    table,
)
from sparrow.bench.outcome import World
from sparrow.errors import SparrowError
from sparrow.model.config import GroundingConfig
from sparrow.train.stage import Stage
from tests.bench.made_worlds import world

CONFIGS = Path(__file__).parents[2] / "configs" / "ablations"
NAN = np.nan


@pytest.mark.parametrize(
    ("values", "reference", "mean", "spread", "real"),
    [
        ([], [], NAN, NAN, False),
        ([0.5], [0.1], 0.4, NAN, False),  # one time tells no spread
        ([NAN, 0.5], [0.1, 0.1], 0.4, NAN, False),
        ([0.5, 0.7], [0.5, 0.7], 0.0, 0.0, False),
        ([0.6, 0.8], [0.5, 0.7], 0.1, 0.0, True),
        ([0.1, 0.9], [0.0, 0.6], 0.2, 0.1 * 2**0.5, True),
        ([0.1, 0.9], [0.2, 0.6], 0.1, 0.2 * 2**0.5, False),
        ([0.2, 0.6], [0.3, 0.8], -0.15, 0.05 * 2**0.5, True),
    ],
)
def test_difference(
    values: list[float], reference: list[float], mean: float, spread: float, real: bool
) -> None:
    found = Difference.of(np.array(values), np.array(reference))
    assert found.mean == pytest.approx(mean, nan_ok=True)
    assert found.spread == pytest.approx(spread, nan_ok=True, abs=1e-12)
    assert found.real is real


def test_blocks_are_neighbours_and_as_many_as_there_are_worlds() -> None:
    worlds = [world(seed) for seed in range(6)]  # J 0, .1, .2 and so on
    found = blocks(worlds, 3)
    assert found.shape == (len(FIGURES), 3)
    assert found[list(FIGURES).index("J&F")] == pytest.approx([0.05, 0.25, 0.45])
    assert found[list(FIGURES).index("J&F, absent in frame 0")] == pytest.approx([0.1, 0.3, 0.5])
    assert blocks(worlds[:2], 5).shape == (len(FIGURES), 2)
    assert np.isnan(blocks([World(0, "bird", (), None, ())], 1)).all()


def test_table_says_what_is_real() -> None:
    measured = {
        "whole": np.array([[0.5, 0.7], [0.1, 0.2]]),
        "half": np.array([[0.4, 0.6], [0.0, 0.35]]),
        "none": np.array([[NAN, NAN], [0.1, 0.2]]),
    }
    text = table(["J", "F"], measured, {"whole": None, "half": "whole", "none": "whole"})
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len({row.count("|") for row in rows}) == 1
    assert "| whole | 0.600 | 0.150 |" in text
    assert "| half | 0.500 (-0.100 ± 0.000 *) | 0.175 (+0.025 ± 0.177) |" in text
    assert "| none | – | 0.150 (+0.000 ± 0.000) |" in text
    once = {name: values[:, :1] for name, values in measured.items()}
    assert "| half | 0.400 (-0.100) |" in table(
        ["J", "F"], once, {**dict.fromkeys(once, "whole"), "whole": None}
    )
    beyond, within = text.split("Within the spread:")
    assert "- half: J -0.100 against whole" in beyond
    assert "- half: F +0.025 against whole" in within


def test_ways_differ_from_what_they_are_compared_with() -> None:
    assert WAYS["whole"].grounding == GroundingConfig()
    assert len({way.grounding for way in WAYS.values()}) == len(WAYS)
    for name, way in WAYS.items():
        assert (way.against is None) == (name == "whole")
        assert way.against is None or way.against in WAYS


def test_trained_stages_are_tabulated(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    configs = [str(CONFIGS / f"{name}.yaml") for name in ("tsf", "no_tsf")]
    for config, base in zip(configs, (0.8, 0.5), strict=True):
        for seed in (0, 1):
            folder = tmp_path / run_name(Stage.read(Path(config)), seed)
            folder.mkdir()
            metrics = {name: base + 0.01 * seed for name in VALIDATION if name != "full/box"}
            (folder / "best.json").write_text(json.dumps({"step": 5, **metrics}))
    rest = ["--seeds", "0", "1", "--runs", str(tmp_path)]
    main(["trained", *configs, *rest])
    text = capsys.readouterr().out
    assert "| tsf | 0.805 |" in text
    assert "| no_tsf | 0.505 (-0.300 ± 0.000 *) |" in text
    with pytest.raises(SparrowError, match="tsf-2: expected a trained stage"):
        main(["trained", *configs, "--seeds", "2", "--runs", str(tmp_path)])

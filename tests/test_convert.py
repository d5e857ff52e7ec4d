"""`sparrow convert`: one folder that loads as it is, whole or not there at all."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from sparrow.cli import main
from sparrow.convert import convert
from sparrow.errors import ModelError
from sparrow.model import checkpoint
from sparrow.model.release.load import load_release
from sparrow.model.sparrow import SparrowModel
from tests.model.release.made_release import made_stores, tiny_sparrow


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return made_stores(tiny_sparrow()).write(tmp_path_factory.mktemp("release"))


def equal(one: SparrowModel, other: SparrowModel) -> bool:
    own, theirs = one.state_dict(), other.state_dict()
    return own.keys() == theirs.keys() and all(
        own[name].dtype == theirs[name].dtype and torch.equal(own[name], theirs[name])
        for name in own
    )


@pytest.mark.parametrize("dtype", [None, "bfloat16", "float32"])
def test_a_converted_folder_loads_as_the_release_does(
    dtype: str | None, release: dict[str, Path], tmp_path: Path
) -> None:
    folder = convert(**release, dtype=dtype, out=tmp_path / "new" / "model")
    assert {path.name for path in folder.iterdir()} >= {
        "README.md",
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    }
    loaded = SparrowModel.from_pretrained(folder)
    wanted = load_release(**release, dtype=getattr(torch, dtype or "float16"))
    assert equal(loaded, wanted)
    assert loaded.config == wanted.config
    text = "It is [BOX] [SEG].<|end|>"
    assert loaded.tokenizer(text)["input_ids"] == wanted.tokenizer(text)["input_ids"]
    assert not list(tmp_path.rglob("*.part"))


def test_large_weights_lie_in_several_files(
    release: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = checkpoint.write_weights
    monkeypatch.setattr(
        checkpoint,
        "write_weights",
        lambda folder, weights: small(folder, weights, shard_bytes=10**6),
    )
    folder = convert(**release, out=tmp_path / "model")
    index = json.loads((folder / "model.safetensors.index.json").read_text())
    files = sorted(path.name for path in folder.glob("*.safetensors"))
    assert files == sorted(set(index["weight_map"].values()))
    assert files[0] == f"model-00001-of-{len(files):05}.safetensors"
    assert len(files) > 2
    assert all((folder / file).stat().st_size < 1.5e6 for file in files)
    assert equal(SparrowModel.from_pretrained(folder), load_release(**release))
    (folder / files[1]).unlink()
    with pytest.raises(ModelError, match=f"1 are not there, {files[1]} the first"):
        SparrowModel.from_pretrained(folder)


def test_a_folder_rewritten_smaller_keeps_no_old_files(tmp_path: Path) -> None:
    weights = {f"w{i}": torch.full((100,), float(i)) for i in range(4)}
    checkpoint.write_weights(tmp_path, weights.items(), shard_bytes=800)
    assert len(list(tmp_path.iterdir())) == 3
    checkpoint.write_weights(tmp_path, weights.items())
    assert [path.name for path in tmp_path.iterdir()] == ["model.safetensors"]
    checkpoint.write_weights(tmp_path, weights.items(), shard_bytes=1)
    assert len(list(tmp_path.iterdir())) == 5


@pytest.mark.parametrize("places", [{"w": "../other.safetensors"}, {"w": "/x"}, {}, None])
def test_an_index_that_leads_elsewhere_is_told(places: Any, tmp_path: Path) -> None:
    (tmp_path.parent / "other.safetensors").write_bytes(b"")
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": places}))
    with pytest.raises(ModelError, match="expected weight files beside it"):
        checkpoint.load_weights(tmp_path, torch.nn.Linear(1, 1))


def test_the_card_names_the_sources_and_no_path_of_this_machine(
    release: dict[str, Path], tmp_path: Path
) -> None:
    folder = convert(**release, out=tmp_path / "model")
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert "- video tower: InternVideo2-stage2_1b-224p-f4.pt\n" in card
    assert "stored as float16" in card
    for file in ("README.md", "config.json", "tokenizer_config.json"):
        content = (folder / file).read_text(encoding="utf-8")
        assert str(tmp_path.parent) not in content
        assert "/mnt/authors" not in content


def test_nothing_is_left_where_it_fails(release: dict[str, Path], tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(release["main"], broken)
    first, second = sorted(broken.glob("*.bin"))
    torch.save({**torch.load(first), "model.extra": torch.ones(1)}, second)
    out = tmp_path / "out"
    with pytest.raises(ModelError, match="do not fit together"):
        convert(**{**release, "main": broken}, out=out)
    assert not list(tmp_path.glob("out*"))


def test_a_failure_while_writing_leaves_no_folder(
    release: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(checkpoint, "write_config", full)
    with pytest.raises(OSError, match="No space left"):
        convert(**release, out=tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_too_small_a_disk_is_told_before_writing(
    release: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr("sparrow.convert.shutil.disk_usage", lambda _: usage._replace(free=10))
    with pytest.raises(ModelError, match=r"needs 0\.0 GB, 0\.0 GB are free there"):
        convert(**release, out=tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_the_command(
    release: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "model"
    command = ["convert", str(release["main"]), "--proposer", str(release["proposer"])]
    command += ["--video-tower", str(release["video_tower"])]
    command += ["--image-tower", str(release["image_tower"])]
    assert main([*command, "--dtype", "bfloat16", "--out", str(out)]) == 0
    assert capsys.readouterr().out == f"{out}\n"
    assert main([*command, "--out", str(out)]) == 1
    assert "expected a new or empty folder" in capsys.readouterr().err
    assert main([*command[:2], "--proposer", str(tmp_path / "no"), "--out", str(out / "x")]) == 1
    assert "expected a folder, a weight file or a hub id" in capsys.readouterr().err

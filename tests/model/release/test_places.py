"""Stores on the hub, by a stand-in for the network: what would be downloaded, and every refusal in words."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fnmatch import fnmatch
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
import torch
from huggingface_hub.errors import GatedRepoError, LocalEntryNotFoundError

from sparrow.errors import ModelError
from sparrow.model.release import needs as needs_module
from sparrow.model.release import places as places_module
from sparrow.model.release.load import load_release, needs
from sparrow.model.release.places import fetch, locate
from tests.model.release.made_release import made_stores, tiny_sparrow

GB = 10**9


class Hub:
    """Repositories as folders, behind the face of `snapshot_download`."""

    def __init__(self, repositories: Mapping[str, Path]) -> None:
        self.repositories = dict(repositories)
        self.downloaded: dict[str, list[str]] = {}
        self.sizes: dict[str, int] = {}
        self.down = False
        self.cached: set[str] = set()

    def snapshot(self, repo: str, **asked: Any) -> Any:
        if asked.get("local_files_only"):
            if repo in self.cached:
                return str(self.repositories[repo])
            raise LocalEntryNotFoundError("not in the cache")
        if self.down or repo not in self.repositories:
            raise LocalEntryNotFoundError("no connection")
        folder = self.repositories[repo]
        files = sorted(f.relative_to(folder).as_posix() for f in folder.rglob("*") if f.is_file())
        if asked.get("dry_run"):
            return [
                SimpleNamespace(
                    filename=file,
                    file_size=self.sizes.get(file, (folder / file).stat().st_size),
                    commit_hash="c0ffee",
                    will_download=repo not in self.cached,
                )
                for file in files
            ]
        assert asked["revision"] == "c0ffee"
        patterns = asked["allow_patterns"]
        self.downloaded[repo] = [f for f in files if any(fnmatch(f, p) for p in patterns)]
        return str(folder)


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Hub]:
    def put(**repositories: Path) -> Hub:
        hub = Hub({name.replace("__", "/"): path for name, path in repositories.items()})
        monkeypatch.setattr(places_module, "snapshot_download", hub.snapshot)
        return hub

    return put


def write(folder: Path, *files: str) -> Path:
    for file in files:
        path = folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"12345")
    return folder


def test_only_weights_and_their_companions_are_wanted(
    tmp_path: Path, use: Callable[..., Hub]
) -> None:
    write(
        tmp_path,
        "config.json",
        "tokenizer.model",
        "pytorch_model-00001-of-00002.bin",
        "pytorch_model-00002-of-00002.bin",
        "pytorch_model.bin.index.json",
        "optimizer.bin",
        "training_args.bin",
        "old/pytorch_model.bin",
        "tf_model.h5",
        "README.md",
    )
    hub = use(owner__model=tmp_path)
    place = locate("owner/model")
    assert place.missing == 4 * 5
    assert fetch(place).folder == tmp_path
    assert hub.downloaded["owner/model"] == [
        "config.json",
        "pytorch_model-00001-of-00002.bin",
        "pytorch_model-00002-of-00002.bin",
        "tokenizer.model",
    ]


def test_safetensors_are_preferred(tmp_path: Path, use: Callable[..., Hub]) -> None:
    write(tmp_path, "pytorch_model.bin", "model.safetensors", "model-00001-of-00001.safetensors")
    use(owner__model=tmp_path)
    assert list(locate("owner/model").files) == ["model-00001-of-00001.safetensors"]
    assert locate(tmp_path).files == {"model-00001-of-00001.safetensors": 5}


def test_a_folder_and_a_file_inside_a_repository(tmp_path: Path, use: Callable[..., Hub]) -> None:
    write(tmp_path, "step-5/model.safetensors", "step-5/config.json", "step-9/model.safetensors")
    write(tmp_path, "tower.pt", "other.pt")
    hub = use(owner__model=tmp_path)
    inside = fetch(locate("owner/model/step-5"))
    assert inside.folder == tmp_path / "step-5"
    assert hub.downloaded["owner/model"] == ["step-5/config.json", "step-5/model.safetensors"]
    single = fetch(locate("owner/model/tower.pt"))
    assert (single.folder, list(single.files)) == (tmp_path, ["tower.pt"])
    assert hub.downloaded["owner/model"] == ["tower.pt"]
    with pytest.raises(ModelError, match="there are some in its step-5, step-9: add one"):
        locate("owner/model")


def test_what_is_cached_serves_without_a_connection(
    tmp_path: Path, use: Callable[..., Hub]
) -> None:
    hub = use(owner__model=write(tmp_path, "model.safetensors"))
    hub.down = True
    with pytest.raises(ModelError, match="neither a folder here nor a hub id"):
        locate("owner/model")
    hub.cached.add("owner/model")
    assert locate("owner/model").folder == tmp_path
    hub.down = False
    assert locate("owner/model").missing == 0


def test_owners_who_want_to_be_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def gated(*_: object, **__: object) -> None:
        raise GatedRepoError("403", response=httpx.Response(403, request=httpx.Request("GET", "/")))

    monkeypatch.setattr(places_module, "snapshot_download", gated)
    with pytest.raises(ModelError, match=r"accept their terms at https://huggingface\.co/owner/it"):
        locate("owner/it/file.pt")


@pytest.mark.parametrize("name", ["model", "a/b c", "../up", "owner/", "", "~nobody/x/../y"])
def test_what_is_no_name_never_reaches_the_hub(name: str, use: Callable[..., Hub]) -> None:
    use()
    with pytest.raises(ModelError):
        locate(name)


def test_paths_that_a_release_stores_are_not_followed(
    tmp_path: Path, use: Callable[..., Hub]
) -> None:
    """Its config.json names its authors' folders; asked for are the published towers."""
    hub = use()
    places = made_stores(tiny_sparrow()).write(tmp_path)
    with pytest.raises(ModelError, match="OpenGVLab/InternVideo2-Stage2_1B-224p-f4") as caught:
        load_release(places["main"], proposer=places["proposer"])
    assert "/mnt/authors" not in str(caught.value)
    assert hub.downloaded == {}


def test_needs_are_told_and_too_small_a_disk_is_refused(
    tmp_path: Path, use: Callable[..., Hub], monkeypatch: pytest.MonkeyPatch
) -> None:
    places = made_stores(tiny_sparrow()).write(tmp_path)
    hub = use(owner__main=places["main"], owner__det=places["proposer"])
    hub.sizes = {"pytorch_model-00001-of-00002.bin": 8 * GB, "model.safetensors": GB}
    given = {
        "proposer": "owner/det",
        "video_tower": places["video_tower"],
        "image_tower": places["image_tower"],
    }
    monkeypatch.setattr(needs_module, "disk_free", lambda: 20 * GB)
    needed = needs("owner/main", **given, dtype=torch.float16)
    assert needed.describe() == (
        "to download 9.0 GB (main 8.0, proposer 1.0, video_tower 0.0, image_tower 0.0), "
        "free on disk 20.0 GB, memory for the weights 12.1 GB"
    )
    assert 5 * GB < needs("owner/main", **given, quantise="4bit").memory < 8 * GB
    monkeypatch.setattr(needs_module, "disk_free", lambda: 2 * GB)
    with pytest.raises(ModelError, match=r"free on disk 2\.0 GB.*not enough disk.*HF_HOME"):
        load_release("owner/main", **given)
    assert hub.downloaded == {}


def test_a_tower_that_a_hub_release_holds_is_not_downloaded(
    tmp_path: Path, use: Callable[..., Hub]
) -> None:
    places = made_stores(tiny_sparrow()).write(tmp_path, towers=("video_tower",))
    tower = "OpenGVLab__InternVideo2-Stage2_1B-224p-f4"
    hub = use(
        owner__main=places["main"],
        owner__det=places["proposer"],
        openai__clip=places["image_tower"],
        **{tower: places["video_tower"].parent},
    )
    loaded = load_release("owner/main", proposer="owner/det", image_tower="openai/clip")
    assert sorted(hub.downloaded) == ["openai/clip", "owner/det", "owner/main"]
    assert loaded.config.card.trained_on == (
        "Released weights: owner/main, owner/det, openai/clip."
    )

"""Where a released store lies: a folder, a file, or the hub; and what must be downloaded of it.

It chooses weight files by their names and reads none.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from huggingface_hub import constants, snapshot_download
from huggingface_hub.errors import GatedRepoError, HFValidationError

from sparrow.errors import ModelError

_LAYOUTS = (
    re.compile(r"model-(\d{5})-of-(\d{5})\.safetensors"),
    re.compile(r"model\.safetensors"),
    re.compile(r"pytorch_model-(\d{5})-of-(\d{5})\.bin"),
    re.compile(r"pytorch_model\.bin"),
)
_COMPANIONS = {".json", ".model", ".jinja", ".txt"}
_HUB = re.compile(r"[\w.-]+/[\w.-]+(/[\w./-]+)?")


@dataclass(frozen=True)
class Place:
    """A store whose files are known, be they here or on the hub."""

    name: str
    """As the user wrote it."""
    files: dict[str, int]
    """Weight files, relative to `folder`, to bytes."""
    folder: Path | None
    """None: not here yet."""
    missing: int = 0
    """Bytes to download."""
    repo: str = ""
    revision: str = ""
    wanted: tuple[str, ...] = ()
    """All files to download, weights and companions, relative to the repository."""


def locate(place: str | Path, *, token: str | None = None) -> Place:
    """Find a store's files without downloading any.

    Args:
        place: a folder, a weight file, a hub id, or a hub id with a folder or file behind it.
        token: for the hub; None takes the login of this machine.

    Raises:
        ModelError: there is nothing, or no weights in it, or the hub cannot be reached.
    """
    path = Path(place).expanduser()
    if path.is_file():
        return Place(str(place), {path.name: path.stat().st_size}, path.parent)
    if path.is_dir():
        sizes = {file.name: file.stat().st_size for file in path.iterdir() if file.is_file()}
        return Place(str(place), _weights_of(sizes, str(place)), path)
    if isinstance(place, Path) or not _HUB.fullmatch(place):
        raise ModelError(f"{place}: expected a folder, a weight file or a hub id, found none")
    return _locate_on_hub(place, token)


def _locate_on_hub(place: str, token: str | None) -> Place:
    owner, name, *below = place.split("/")
    repo, inside = f"{owner}/{name}", "/".join(below)
    try:
        listed = snapshot_download(repo, token=token, dry_run=True)
    except (OSError, HFValidationError) as error:
        return _cached(place, repo, inside, error)
    sizes = {file.filename: file.file_size or 0 for file in listed}
    if inside in sizes:
        inside, chosen = str(PurePosixPath(inside).parent), {inside: sizes[inside]}
        chosen = {PurePosixPath(file).name: size for file, size in chosen.items()}
    else:
        chosen = _weights_of(_directly_in(inside, sizes), place, list(sizes))
    wanted = {str(PurePosixPath(inside) / file) for file in chosen} | {
        str(PurePosixPath(inside) / file)
        for file in _directly_in(inside, sizes)
        if PurePosixPath(file).suffix in _COMPANIONS and not file.endswith(".index.json")
    }
    missing = sum(f.file_size or 0 for f in listed if f.filename in wanted and f.will_download)
    revision = next(file.commit_hash for file in listed)
    return Place(place, chosen, None, missing, repo, revision, tuple(sorted(wanted)))


def _cached(place: str, repo: str, inside: str, error: Exception) -> Place:
    """Fall back to what was downloaded before."""
    if isinstance(error, GatedRepoError):
        raise ModelError(
            f"{place}: its owners want to be asked first; accept their terms at "
            f"https://huggingface.co/{repo}, then log in with `hf auth login`"
        ) from error
    try:
        kept = Path(snapshot_download(repo, local_files_only=True))
    except (OSError, HFValidationError):
        raise ModelError(
            f"{place}: neither a folder here nor a hub id that can be reached "
            f"({type(error).__name__}); check the name and the connection"
        ) from error
    return locate(kept / inside)


def _directly_in(folder: str, sizes: Mapping[str, int]) -> dict[str, int]:
    """Pick the files of one folder of a repository, by their names within it."""
    here = PurePosixPath(folder)
    return {
        PurePosixPath(file).name: size
        for file, size in sizes.items()
        if PurePosixPath(file).parent == here
    }


def _weights_of(
    sizes: Mapping[str, int], place: str, everything: list[str] | None = None
) -> dict[str, int]:
    """Choose a folder's weight files: safetensors before pickles, shards before single files."""
    for layout in _LAYOUTS:
        hits = {file: hit for file in sorted(sizes) if (hit := layout.fullmatch(file))}
        if not hits:
            continue
        if layout.groups:
            counts = {int(hit[2]) for hit in hits.values()}
            numbers = {int(hit[1]) for hit in hits.values()}
            absent = sorted(set(range(1, max(counts) + 1)) - numbers)
            if absent or len(counts) > 1:
                raise ModelError(
                    f"{place}: expected {max(counts)} weight files, found {len(hits)}; "
                    f"without number {', '.join(map(str, absent[:5]))}: download it again"
                )
        return {file: sizes[file] for file in hits}
    single = [file for file in sizes if PurePosixPath(file).suffix in {".pt", ".pth"}]
    if len(single) == 1:
        return {single[0]: sizes[single[0]]}
    below = sorted({str(PurePosixPath(f).parent) for f in everything or () if _is_weights(f)})
    hint = f"; there are some in its {', '.join(below[:5])}: add one to the name" if below else ""
    raise ModelError(
        f"{place}: expected model*.safetensors, pytorch_model*.bin or one .pt file, found none{hint}"
    )


def _is_weights(file: str) -> bool:
    return any(layout.fullmatch(PurePosixPath(file).name) for layout in _LAYOUTS)


def fetch(place: Place, *, token: str | None = None) -> Place:
    """Download what is not here yet.

    Raises:
        ModelError: the download failed; what came is kept, the next try goes on from there.
    """
    if place.folder is not None:
        return place
    try:
        kept = snapshot_download(
            place.repo, revision=place.revision, allow_patterns=list(place.wanted), token=token
        )
    except (OSError, HFValidationError) as error:
        raise ModelError(
            f"{place.name}: the download stopped ({type(error).__name__}: {error}); try again"
        ) from error
    first = next(file for file in place.wanted if PurePosixPath(file).name in place.files)
    folder = Path(kept) / PurePosixPath(first).parent
    return Place(place.name, place.files, folder, 0, place.repo, place.revision)


def disk_free() -> int:
    """Give the free bytes where downloads go."""
    folder = Path(constants.HF_HUB_CACHE)
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free

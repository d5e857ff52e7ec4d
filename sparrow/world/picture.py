"""Pictures of things: an atlas (zip or folder with index.json) -> nouns, colours, RGBA pixels.

Pictures are decoded when first asked for and kept. Knows no scene and does not build atlases.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Literal

import numpy as np
from PIL import Image, UnidentifiedImageError

from sparrow.errors import SparrowError
from sparrow.paths import ASSETS

SHIPPED = ASSETS / "world" / "atlas.zip"
MAX_SIDE = 2048
MAX_PICTURES = 20_000
MAX_BYTES = 64 * 2**20
COLOURS = (
    *("red", "orange", "yellow", "green", "blue", "purple"),
    *("pink", "brown", "black", "white", "gray"),
)

Which = Literal["train", "held_out", "all"]


@dataclass(frozen=True, slots=True)
class Picture:
    """What is known of one picture without decoding it."""

    key: str
    """Its path in the atlas, e.g. "things/fox/3d-1f98a.webp"."""
    noun: str
    group: str
    """The word for its kind that people say: "animal", "fruit", "vehicle"."""
    colour: str
    """Main colour, one of COLOURS."""
    style: str
    """ "3d", "noto" or "photo"."""
    held_out: bool
    """Never drawn in training."""


class Atlas:
    """Pictures by noun, and backgrounds, read from memory or from a folder.

    Can be pickled; safe to hand to worker processes.
    """

    def __init__(
        self,
        pictures: Sequence[Picture],
        backgrounds: Sequence[str],
        sources: dict[str, bytes | Path],
    ) -> None:
        self.pictures = tuple(pictures)
        self.backgrounds = tuple(backgrounds)
        self._sources = sources
        self._decoded: dict[str, np.ndarray] = {}
        self._by_key = {picture.key: picture for picture in self.pictures}
        self._by_noun: dict[str, list[Picture]] = {}
        for picture in self.pictures:
            self._by_noun.setdefault(picture.noun, []).append(picture)

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_decoded": {}}

    @property
    def nouns(self) -> tuple[str, ...]:
        """Every noun, in the order of the atlas."""
        return tuple(self._by_noun)

    @property
    def groups(self) -> tuple[str, ...]:
        """Every group, in the order of the atlas."""
        return tuple(dict.fromkeys(picture.group for picture in self.pictures))

    def picture(self, key: str) -> Picture:
        """Give the picture of a key.

        Raises:
            SparrowError: the atlas has no such picture.
        """
        try:
            return self._by_key[key]
        except KeyError:
            raise SparrowError(
                f'picture "{key}": not in this atlas of {len(self.pictures)}'
            ) from None

    def of_noun(self, noun: str, which: Which = "train") -> tuple[Picture, ...]:
        """List a noun's pictures; empty where the noun or such a picture does not exist."""
        return _those(self._by_noun.get(noun, ()), which)

    def select(self, which: Which = "train") -> tuple[Picture, ...]:
        """List all pictures that training may draw, those held out from it, or both."""
        return _those(self.pictures, which)

    def pixels(self, key: str) -> np.ndarray:
        """Decode a picture, (H, W, 4) uint8 RGBA with straight alpha; read-only.

        Raises:
            SparrowError: there is no such picture, or it is broken or larger than MAX_SIDE.
        """
        if key not in self._decoded:
            self._decoded[key] = self._decode(key, "RGBA")
        return self._decoded[key]

    def background(self, key: str) -> np.ndarray:
        """Decode a background, (H, W, 3) uint8 RGB; read-only.

        Raises:
            SparrowError: as for pixels.
        """
        if key not in self._decoded:
            self._decoded[key] = self._decode(key, "RGB")
        return self._decoded[key]

    def joined(self, other: Atlas) -> Atlas:
        """Add another atlas's backgrounds, and its pictures of the nouns that this one knows."""
        added = [p for p in other.pictures if p.noun in self._by_noun and p.key not in self._by_key]
        return Atlas(
            [*self.pictures, *added],
            tuple(dict.fromkeys([*self.backgrounds, *other.backgrounds])),
            {**other._sources, **self._sources},
        )

    def _decode(self, key: str, mode: str) -> np.ndarray:
        source = self._sources.get(key)
        if source is None:
            raise SparrowError(f'picture "{key}": not in this atlas of {len(self.pictures)}')
        try:
            data = source if isinstance(source, bytes) else source.read_bytes()
        except OSError as error:
            raise SparrowError(f'picture "{key}": cannot be read ({error})') from error
        pixels = decode_image(data, mode, key)
        pixels.setflags(write=False)
        return pixels


@cache
def load_atlas(path: Path | None = None) -> Atlas:
    """Open an atlas: a zip, a folder, or by default the one that ships. Opened once a process.

    Raises:
        SparrowError: the atlas is missing, broken, or beyond the limits on its size.
    """
    path = SHIPPED if path is None else path
    if path.is_dir():
        index_bytes = _read(path / "index.json")
        names: dict[str, bytes | Path] = {}
    elif path.is_file():
        if path.stat().st_size > MAX_BYTES:
            raise SparrowError(f"atlas {path.name}: expected at most {MAX_BYTES} bytes")
        index_bytes, names = _unzip(path)
    else:
        raise SparrowError(f'atlas: expected a zip or a folder at "{path}", found nothing there')
    pictures, backgrounds = parse_index(index_bytes)
    keys = [*(picture.key for picture in pictures), *backgrounds]
    if path.is_dir():
        names = {key: path / key for key in keys}
    missing = [key for key in keys if key not in names]
    if missing:
        raise SparrowError(
            f'atlas {path.name}: index.json names "{missing[0]}", which is not there'
        )
    return Atlas(pictures, backgrounds, names)


def decode_image(data: bytes, mode: str, name: str) -> np.ndarray:
    """Decode an image file's bytes to (H, W, C) uint8 of a PIL mode ("RGB", "RGBA").

    Raises:
        SparrowError: it is no image, is broken, or has a side above MAX_SIDE.
    """
    try:
        with Image.open(io.BytesIO(data)) as image:
            if max(image.size) > MAX_SIDE:
                raise SparrowError(
                    f'picture "{name}": expected sides up to {MAX_SIDE}, got {image.size}'
                )
            return np.array(image.convert(mode))
    except (UnidentifiedImageError, OSError, ValueError, Image.DecompressionBombError) as error:
        raise SparrowError(f'picture "{name}": not a readable image ({error})') from error


def write_index(pictures: Sequence[Picture], backgrounds: Sequence[str]) -> bytes:
    """Write index.json, one picture a line."""
    lines = ",\n".join("  " + json.dumps(asdict(picture)) for picture in pictures)
    return (
        f'{{"backgrounds": {json.dumps(list(backgrounds))},\n"pictures": [\n{lines}\n]}}\n'.encode()
    )


def parse_index(data: bytes) -> tuple[list[Picture], list[str]]:
    """Read index.json into pictures and the keys of backgrounds.

    Raises:
        SparrowError: it is not such an index; a key points outside the atlas; too many pictures.
    """
    try:
        index = json.loads(data)
        pictures = [Picture(**row) for row in index["pictures"]]
        backgrounds = [str(key) for key in index["backgrounds"]]
    except (ValueError, TypeError, KeyError) as error:
        raise SparrowError(f"atlas: index.json is not an atlas index ({error})") from error
    if len(pictures) + len(backgrounds) > MAX_PICTURES:
        raise SparrowError(f"atlas: expected at most {MAX_PICTURES} pictures, got more")
    for picture in pictures:
        if picture.colour not in COLOURS:
            raise SparrowError(f'atlas: "{picture.key}" has the unknown colour "{picture.colour}"')
    for key in [*(picture.key for picture in pictures), *backgrounds]:
        if PurePosixPath(key).is_absolute() or ".." in PurePosixPath(key).parts:
            raise SparrowError(f'atlas: "{key}" points outside the atlas')
    return pictures, backgrounds


def _those(pictures: Sequence[Picture], which: Which) -> tuple[Picture, ...]:
    if which == "all":
        return tuple(pictures)
    return tuple(picture for picture in pictures if picture.held_out == (which == "held_out"))


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SparrowError(f'atlas: expected a readable "{path}" ({error})') from error


def _unzip(path: Path) -> tuple[bytes, dict[str, bytes | Path]]:
    """Read a zip's index and its still encoded files, refusing one that would unpack too large."""
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(info.file_size for info in archive.infolist()) > MAX_BYTES:
                raise SparrowError(f"atlas {path.name}: unpacks to more than {MAX_BYTES} bytes")
            index = archive.read("index.json")
            return index, {name: archive.read(name) for name in archive.namelist()}
    except (zipfile.BadZipFile, KeyError, OSError) as error:
        raise SparrowError(f"atlas {path.name}: not an atlas zip ({error})") from error

"""Packages of pictures and a user's own folder -> an atlas: cropped pictures and their index.json.

build_atlas makes the zip that ships (only pictures whose licence allows it); build_assets makes a
folder for training with everything else. Fetches nothing: says what is missing and how to get it.
"""

from __future__ import annotations

import io
import json
import logging
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from sparrow.errors import SparrowError
from sparrow.world import packs
from sparrow.world.picture import MAX_SIDE, SHIPPED, Picture, decode_image, write_index

logger = logging.getLogger(__name__)

NOUNS = SHIPPED.parent / "nouns.json"
SHIPPED_SIDE = 112
PHOTO_SIDE = 192
BACKGROUND_SIDE = 512
HELD_OUT = 8
"""One picture in so many is kept from training, where its noun has others."""
_ZIP_DATE = (2000, 1, 1, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Noun:
    """A row of the table of nouns."""

    noun: str
    group: str
    code_points: tuple[str, ...]
    """Names of its 3D pictures, and what its drawn ones are found by."""
    photos: tuple[str, ...]
    """Paths of its photographs below the folder of stamps."""


@dataclass(frozen=True, slots=True)
class _Found:
    """A picture on its way into an atlas."""

    noun: str
    group: str
    style: str
    name: str
    rgba: np.ndarray


def read_nouns(path: Path = NOUNS) -> tuple[Noun, ...]:
    """Read the table of nouns.

    Raises:
        SparrowError: the file is missing or is not such a table.
    """
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
        return tuple(
            Noun(row["noun"], row["group"], tuple(row["code_points"]), tuple(row["photos"]))
            for row in rows
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SparrowError(f"table of nouns {path}: cannot be read ({error})") from error


def build_atlas(folder: Path, out: Path = SHIPPED) -> int:
    """Write the atlas that ships from the packages in a folder.

    Returns:
        How many pictures it holds.

    Raises:
        SparrowError: a package that it needs is not in the folder; the message says how to get it.
    """
    nouns = read_nouns()
    found = [*_fluent(nouns, folder), *_noto(nouns, folder)]
    order = {noun.noun: index for index, noun in enumerate(nouns)}
    found.sort(key=lambda picture: (order[picture.noun], picture.style, picture.name))
    files = [_webp(picture.rgba, SHIPPED_SIDE) for picture in found]
    pictures = _index(found, "webp")
    partial = out.with_suffix(".partial")
    out.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(partial, "w", zipfile.ZIP_STORED) as archive:
        index = zipfile.ZipInfo("index.json", _ZIP_DATE)
        archive.writestr(index, write_index(pictures, ()), zipfile.ZIP_DEFLATED)
        for picture, data in zip(pictures, files, strict=True):
            archive.writestr(zipfile.ZipInfo(picture.key, _ZIP_DATE), data)
    partial.replace(out)
    return len(pictures)


def build_assets(folder: Path, out: Path, own: Path | None = None) -> int:
    """Write a folder of pictures for training: photographs from packages and a user's own.

    Packages that are missing are named in the log and left out.

    Args:
        folder: where the packages lie.
        out: the folder to write: things/, backgrounds/, index.json.
        own: a folder with things/<noun>/*.png (with alpha) and backgrounds/*.jpg.

    Returns:
        How many pictures and backgrounds it holds.

    Raises:
        SparrowError: nothing was found, or an own picture cannot be used.
    """
    for line in packs.report_missing(folder):
        logger.warning("%s", line)
    nouns = read_nouns()
    found = [*_stamps(nouns, folder), *(_own_things(nouns, own) if own is not None else ())]
    pictures = _index(found, "png")
    for picture, source in zip(pictures, found, strict=True):
        _write(out / picture.key, _png(source.rgba, PHOTO_SIDE))
    backgrounds = []
    for name, rgb in _backgrounds(folder, own):
        backgrounds.append(f"backgrounds/{name}.jpg")
        _write(out / backgrounds[-1], _jpeg(rgb, BACKGROUND_SIDE))
    if not pictures and not backgrounds:
        raise SparrowError(f"asset folder: found no package and no picture in {folder}")
    _write(out / "index.json", write_index(pictures, backgrounds))
    return len(pictures) + len(backgrounds)


def main_colour(rgba: np.ndarray) -> str:
    """Name the colour that covers most of a picture, (H, W, 4) uint8 RGBA; one of COLOURS."""
    pixels = rgba.reshape(-1, 4)
    rgb = pixels[pixels[:, 3] >= 128, :3].astype(np.float32) / 255
    if not len(rgb):
        return "gray"
    words, counts = np.unique(_colour_words(rgb), return_counts=True)
    # Outlines, shine and shadow are seldom what a person calls the colour of a thing.
    weights = np.where(np.isin(words, ("black", "white", "gray")), 0.6, 1.0)
    return str(words[np.argmax(counts * weights)])


def _colour_words(rgb: np.ndarray) -> np.ndarray:
    """Name the colour of each pixel, (n, 3) float32 in [0, 1]; gives (n,) words."""
    high, low = rgb.max(1), rgb.min(1)
    chroma = high - low
    saturation = chroma / np.maximum(high, 1e-6)
    safe = np.maximum(chroma, 1e-6)
    red, green, blue = rgb.T
    hue = np.where(
        high == red,
        (green - blue) / safe % 6,
        np.where(high == green, (blue - red) / safe + 2, (red - green) / safe + 4),
    )
    hue = hue * 60  # (pixels,) degrees
    return np.select(
        [
            (high < 0.22) | ((high < 0.36) & (saturation < 0.42)),
            (saturation < 0.16) & (high > 0.82),
            saturation < 0.16,
            ((hue < 24) | (hue >= 335)) & (saturation < 0.48) & (high > 0.78),
            (hue >= 300) & (hue < 335),
            ((hue < 48) | (hue >= 345)) & (high < 0.68) & (saturation < 0.78),
            (hue >= 12) & (hue < 48) & (saturation < 0.5) & (high < 0.85),
            (hue < 14) | (hue >= 335),
            hue < 42,
            hue < 62,
            hue < 165,
            hue < 255,
        ],
        [
            *("black", "white", "gray", "pink", "pink", "brown", "brown"),
            *("red", "orange", "yellow", "green", "blue"),
        ],
        "purple",
    )


def _fluent(nouns: Sequence[Noun], folder: Path) -> Iterator[_Found]:
    wanted = {f"package/assets/{code}.webp" for noun in nouns for code in noun.code_points}
    files = packs.read_files(_needed(packs.FLUENT, folder), wanted.__contains__)
    for noun in nouns:
        for code in noun.code_points:
            data = files.get(f"package/assets/{code}.webp")
            if data is not None:
                yield _found(noun, "3d", code, data)


def _noto(nouns: Sequence[Noun], folder: Path) -> Iterator[_Found]:
    files = packs.read_files(_needed(packs.NOTO, folder), lambda name: name.endswith(".ttf"))
    if not files:
        raise SparrowError(f"package {packs.NOTO.name}: holds no font")
    codes = [code for noun in nouns for code in noun.code_points]
    bitmaps = packs.noto_bitmaps(next(iter(files.values())), codes)
    for noun in nouns:
        for code in noun.code_points:
            if code in bitmaps:
                yield _found(noun, "noto", code, bitmaps[code])


def _stamps(nouns: Sequence[Noun], folder: Path) -> Iterator[_Found]:
    base = "usr/share/tuxpaint/stamps/"
    wanted = {base + path for noun in nouns for path in noun.photos}
    for package in packs.find(packs.STAMPS, folder):
        files = packs.read_files(package, wanted.__contains__)
        for noun in nouns:
            for path in noun.photos:
                if base + path in files:
                    yield _found(noun, "photo", Path(path).stem, files[base + path])


def _own_things(nouns: Sequence[Noun], own: Path) -> Iterator[_Found]:
    groups = {noun.noun: noun.group for noun in nouns}
    for path in sorted((own / "things").glob("*/*")):
        if path.suffix.lower() in (".png", ".webp"):
            word = path.parent.name.replace("_", " ").lower()
            data = path.read_bytes()
            if _open_large(data, "RGBA", path.name)[..., 3].min() == 255:
                raise SparrowError(
                    f"{path}: expected a cut-out with alpha, no pixel is transparent"
                )
            noun = Noun(word, groups.get(word, "thing"), (), ())
            yield _found(noun, "photo", f"own-{path.stem}", data)


def _backgrounds(folder: Path, own: Path | None) -> Iterator[tuple[str, np.ndarray]]:
    """Yield a name and RGB pixels; of a picture that comes in several sizes, the largest."""
    best: dict[str, bytes] = {}
    for package in packs.find(packs.WALLPAPERS, folder):
        images = packs.read_files(
            package, lambda name: "screenshot" not in name and name.endswith((".jpg", ".png"))
        )
        for name, data in images.items():
            parts = Path(name).parts
            title = parts[parts.index("contents") - 1] if "contents" in parts else Path(name).stem
            if len(data) > max(60_000, len(best.get(title, b""))):
                best[title] = data
    for path in sorted((own / "backgrounds").glob("*.jp*g")) if own is not None else ():
        best[f"own-{path.stem}"] = path.read_bytes()
    for title, data in sorted(best.items()):
        rgb = _open_large(data, "RGB", title)
        if rgb.std() > 12:
            yield title, rgb


def _needed(pack: packs.Pack, folder: Path) -> Path:
    paths = packs.find(pack, folder)
    if not paths:
        raise SparrowError(
            f"the atlas needs {pack.name} ({pack.brings}) in {folder}: get it with `{pack.how}`"
        )
    return paths[-1]


def _found(noun: Noun, style: str, name: str, data: bytes) -> _Found:
    """Decode a picture and crop it to its opaque part."""
    rgba = _open_large(data, "RGBA", name)
    opaque = rgba[..., 3] >= 24
    rows, columns = np.flatnonzero(opaque.any(1)), np.flatnonzero(opaque.any(0))
    if len(rows) < 4 or len(columns) < 4:
        raise SparrowError(f'picture "{name}" of {noun.noun}: nothing opaque in it')
    cropped = rgba[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return _Found(noun.noun, noun.group, style, name, cropped)


def _open_large(data: bytes, mode: str, name: str) -> np.ndarray:
    """Decode an image that may be larger than an atlas takes, scaled down to fit."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            if max(image.size) > MAX_SIDE:
                image.draft("RGB", (MAX_SIDE, MAX_SIDE))
                image.thumbnail((MAX_SIDE, MAX_SIDE))
                return np.array(image.convert(mode))
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise SparrowError(f'picture "{name}": not a readable image ({error})') from error
    return decode_image(data, mode, name)


def _index(found: Sequence[_Found], suffix: str) -> list[Picture]:
    """Describe pictures, holding out about one in HELD_OUT of those whose noun has others."""
    rng = np.random.Generator(np.random.PCG64(7))
    by_noun: dict[str, list[int]] = {}
    for index, picture in enumerate(found):
        by_noun.setdefault(picture.noun, []).append(index)
    held_out = set()
    for indices in by_noun.values():
        kept = int(rng.integers(len(indices)))
        held_out |= {
            index
            for place, index in enumerate(indices)
            if place != kept and rng.random() < len(indices) / (len(indices) - 1) / HELD_OUT
        }
    return [
        Picture(
            key=f"things/{p.noun.replace(' ', '_')}/{p.style}-{p.name}.{suffix}",
            noun=p.noun,
            group=p.group,
            colour=main_colour(p.rgba),
            style=p.style,
            held_out=index in held_out,
        )
        for index, p in enumerate(found)
    ]


def _fit(pixels: np.ndarray, side: int) -> Image.Image:
    image = Image.fromarray(pixels)
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    return image


def _webp(rgba: np.ndarray, side: int) -> bytes:
    buffer = io.BytesIO()
    _fit(rgba, side).save(buffer, "WEBP", quality=82, alpha_quality=90, method=6)
    return buffer.getvalue()


def _png(rgba: np.ndarray, side: int) -> bytes:
    buffer = io.BytesIO()
    _fit(rgba, side).save(buffer, "PNG")
    return buffer.getvalue()


def _jpeg(rgb: np.ndarray, side: int) -> bytes:
    buffer = io.BytesIO()
    _fit(rgb, side).save(buffer, "JPEG", quality=92)
    return buffer.getvalue()


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)

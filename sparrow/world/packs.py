"""Packages of pictures as they are downloaded (npm .tgz, Debian .deb) -> their files' bytes.

Knows where each package keeps what; does not decide which pictures are used and fetches nothing.
"""

from __future__ import annotations

import io
import lzma
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from fontTools.ttLib import TTFont, TTLibError

from sparrow.errors import SparrowError


@dataclass(frozen=True, slots=True)
class Pack:
    """A package that the atlas is built from."""

    name: str
    patterns: tuple[str, ...]
    """File names that it goes by, as globs."""
    how: str
    """How to get it with an ordinary client."""
    brings: str
    licence: str
    ships: bool
    """May its pictures be in the shipped atlas?"""


FLUENT = Pack(
    "@lobehub/fluent-emoji-3d",
    ("lobehub-fluent-emoji-3d-*.tgz",),
    "npm pack @lobehub/fluent-emoji-3d@1.1.0",
    "3D pictures of things",
    "MIT",
    True,
)
NOTO = Pack(
    "fonts-noto-color-emoji",
    ("fonts-noto-color-emoji_*.deb",),
    "apt-get download fonts-noto-color-emoji",
    "drawn pictures of the same things",
    "OFL-1.1",
    True,
)
STAMPS = Pack(
    "tuxpaint-stamps-default",
    ("tuxpaint-stamps-default_*.deb",),
    "apt-get download tuxpaint-stamps-default",
    "photographs of things",
    "GPL-2",
    False,
)
WALLPAPERS = Pack(
    "mate-backgrounds, plasma-workspace-wallpapers, ukui-wallpapers, lomiri-wallpapers-20.04",
    (
        "mate-backgrounds_*.deb",
        "plasma-workspace-wallpapers_*.deb",
        "ukui-wallpapers_*.deb",
        "lomiri-wallpapers-20.04_*.deb",
    ),
    "apt-get download mate-backgrounds plasma-workspace-wallpapers ukui-wallpapers"
    " lomiri-wallpapers-20.04",
    "photographs for backgrounds",
    "CC-BY-SA, GPL-2+, LGPL",
    False,
)
PACKS = (FLUENT, NOTO, STAMPS, WALLPAPERS)


def find(pack: Pack, folder: Path) -> list[Path]:
    """List the files in a folder that are this package."""
    return sorted(path for pattern in pack.patterns for path in folder.glob(pattern))


def report_missing(folder: Path) -> list[str]:
    """Say a line for each package that the folder lacks: what it brings and how to get it."""
    return [
        f"{pack.name} ({pack.brings}, {pack.licence}) is not in {folder}: get it with `{pack.how}`"
        for pack in PACKS
        if not find(pack, folder)
    ]


def read_files(path: Path, wanted: Callable[[str], bool]) -> dict[str, bytes]:
    """Read the plain files of a .tgz or .deb whose name inside the package is wanted.

    Raises:
        SparrowError: the package is broken or compressed in a way this Python cannot read.
    """
    try:
        stream = path.open("rb") if path.suffix == ".tgz" else _deb_data(path)
        with stream, tarfile.open(fileobj=stream) as archive:
            files = {}
            for member in archive:
                name = member.name.removeprefix("./")
                if member.isfile() and wanted(name):
                    content = archive.extractfile(member)
                    files[name] = b"" if content is None else content.read()
            return files
    except (tarfile.TarError, lzma.LZMAError, OSError, EOFError) as error:
        raise SparrowError(f"package {path.name}: cannot be read ({error})") from error


def noto_bitmaps(font: bytes, code_points: list[str]) -> dict[str, bytes]:
    """Take the PNG bitmaps of code points ("1f98a", "1f408-200d-2b1b") out of a CBDT font.

    Raises:
        SparrowError: it is not a font with colour bitmaps.
    """
    try:
        ttf = TTFont(io.BytesIO(font))
        strike = ttf["CBDT"].strikeData[0]
        cmap = ttf.getBestCmap()
        ligatures = _ligatures(ttf)
    except (TTLibError, KeyError, IndexError) as error:
        raise SparrowError(
            f"emoji font: expected colour bitmaps (CBDT), found none ({error})"
        ) from error
    found = {}
    for code in code_points:
        points = [int(part, 16) for part in code.split("-") if part != "fe0f"]
        names = tuple(cmap.get(point, "") for point in points)
        glyph = names[0] if len(names) == 1 else ligatures.get(names, "")
        if glyph in strike:
            found[code] = bytes(strike[glyph].imageData)
    return found


def _ligatures(ttf: TTFont) -> dict[tuple[str, ...], str]:
    """Map sequences of glyph names to the glyph that the font draws for them."""
    found = {}
    for lookup in ttf["GSUB"].table.LookupList.Lookup:
        for table in lookup.SubTable:
            inner = getattr(table, "ExtSubTable", table)
            for first, candidates in getattr(inner, "ligatures", {}).items():
                for ligature in candidates:
                    found[(first, *ligature.Component)] = ligature.LigGlyph
    return found


def _deb_data(path: Path) -> io.BytesIO:
    """Find data.tar.* in a Debian package, which is an ar archive."""
    data = path.read_bytes()
    if not data.startswith(b"!<arch>\n"):
        raise SparrowError(f"package {path.name}: expected a Debian package, this is none")
    offset = 8
    while offset + 60 <= len(data):
        name = data[offset : offset + 16].decode("latin-1").strip().rstrip("/")
        size = int(data[offset + 48 : offset + 58])
        if name.startswith("data.tar"):
            return io.BytesIO(data[offset + 60 : offset + 60 + size])
        offset += 60 + size + size % 2
    raise SparrowError(f"package {path.name}: holds no data.tar")

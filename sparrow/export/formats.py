"""The list of what can be downloaded, for the page, the API and the command line alike, and the one way to make it."""

from __future__ import annotations

import threading
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from sparrow.export.coco import write_coco
from sparrow.export.cut_out import write_prores, write_rgba, write_webm
from sparrow.export.files import ExportError, add, archive
from sparrow.export.gif import MAX_FPS, MAX_SECONDS, MAX_SIDE, write_gif
from sparrow.export.mot import write_mot
from sparrow.export.png_masks import write_png_masks
from sparrow.export.shown import Shown
from sparrow.export.youtube_vis import write_masks_json
from sparrow.export.youtube_vos import write_youtube_vos
from sparrow.looks import Look
from sparrow.render import render
from sparrow.types import MaskTrack, Referent
from sparrow.video import Video
from sparrow.work import ProgressSink, Work


@dataclass(frozen=True, slots=True)
class Format:
    """One thing to download."""

    key: str
    """Names it in commands and requests."""
    title: str
    file: str
    """Name of the file that is written."""
    purpose: str
    """What it is for, in a few words."""
    write: Callable[[Path, Shown, Work], object]
    in_all: bool = True
    """Whether "all" contains it."""


def export(
    kind: str,
    folder: str | Path,
    video: Video,
    tracks: Sequence[MaskTrack],
    referents: Sequence[Referent],
    look: Look | None = None,
    span: tuple[int, int] | None = None,
    *,
    extras: Sequence[Path] = (),
    progress: ProgressSink | None = None,
    cancel: threading.Event | None = None,
) -> Path:
    """Write one format; its file appears in the folder only when it is whole.

    Args:
        kind: Key of a format.
        folder: Must exist; an older file of the same format there is replaced.
        video: What `open_video` gave.
        tracks: Of what is to be seen, in the order in which they are painted; may be empty.
        referents: At least those of the tracks, with names and colours as they are to be seen.
        look: For the formats that draw; None: `Look()`.
        span: The frames start..stop-1; None: all.
        extras: Files that "all" contains besides: a transcript, a session.
        progress: Told after every frame.
        cancel: Checked at every frame.

    Returns:
        The file.

    Raises:
        ExportError: there is no such format, or what is shown does not fit into it.
        VideoError: the normalised file is gone or damaged.
        Cancelled: `cancel` was set; nothing is left behind.
        ValueError: a track does not fit the video or has no referent.
    """
    shown = Shown.of(video, tracks, referents, look, span)
    form = format_of(kind)
    path = Path(folder) / form.file
    work = Work(progress, cancel)
    if form.key == "all":
        write_all(path, shown, work, extras)
    else:
        form.write(path, shown, work)
    return path


def format_of(kind: str) -> Format:
    """Find a format by its key.

    Raises:
        ExportError: there is none.
    """
    for form in FORMATS:
        if form.key == kind:
            return form
    known = ", ".join(form.key for form in FORMATS)
    raise ExportError(f"format: expected one of {known}, got {kind!r}")


def write_all(path: Path, shown: Shown, work: Work, extras: Sequence[Path] = ()) -> None:
    """Write a ZIP of all formats that are not too large for it, archives as folders, with a README.txt.

    Raises:
        VideoError: the normalised file is gone or damaged.
        Cancelled: between two frames.
    """
    lines = [f"Made by Sparrow from frames {shown.frames.start} to {shown.frames.stop - 1}.", ""]
    with TemporaryDirectory(dir=path.parent, prefix=".all-", suffix=".part") as name:
        made = Path(name)
        with archive(path) as opened:
            for form in FORMATS:
                if not form.in_all:
                    continue
                try:
                    form.write(made / form.file, shown, work)
                except ExportError as error:
                    lines.append(f"{form.title} is not here: {error}")
                    continue
                lines.append(f"{_put(opened, made / form.file)}: {form.title}, {form.purpose}")
                (made / form.file).unlink()
            for extra in extras:
                lines.append(_put(opened, extra))
            lines += ["", *(f"{r.id}  {r.colour}  {shown.name_of(r)}" for r in shown.referents), ""]
            add(opened, "README.txt", "\n".join(lines))


def _put(opened: zipfile.ZipFile, path: Path) -> str:
    """Put a file into an archive, a ZIP as a folder; gives its name in there."""
    if path.suffix != ".zip":
        text = path.suffix in (".json", ".md", ".txt")
        opened.write(path, path.name, zipfile.ZIP_DEFLATED if text else zipfile.ZIP_STORED)
        return path.name
    with zipfile.ZipFile(path) as inner:
        for entry in inner.infolist():
            content = inner.read(entry)
            entry.filename = f"{path.stem}/{entry.filename}"
            opened.writestr(entry, content)
    return f"{path.stem}/"


def _write_mp4(path: Path, shown: Shown, work: Work) -> None:
    render(
        shown.video,
        shown.tracks,
        shown.referents,
        path,
        look=shown.look,
        span=shown.span,
        progress=lambda told: work.step(told.step, told.done, told.total),
    )


def _write_youtube_vis(path: Path, shown: Shown, work: Work) -> None:
    named = [replace(referent, phrase=shown.name_of(referent)) for referent in shown.referents]
    write_masks_json(path, shown.video, shown.tracks, named, span=shown.span, work=work)


FORMATS = (
    Format(
        "mp4", "MP4 video", "annotated.mp4", "the look on the video, with its sound", _write_mp4
    ),
    Format(
        "gif",
        "Animated GIF",
        "annotated.gif",
        f"for messages: at most {MAX_SECONDS:g} s, {MAX_SIDE} pixels, {MAX_FPS:g} frames per second",
        write_gif,
    ),
    Format(
        "png",
        "PNG masks",
        "png-masks.zip",
        "one indexed PNG per frame, for image tools",
        write_png_masks,
    ),
    Format("coco", "COCO", "coco.json", "instances with RLE masks, for pycocotools", write_coco),
    Format(
        "youtube-vos",
        "YouTube-VOS",
        "youtube-vos.zip",
        "for video object segmentation",
        write_youtube_vos,
    ),
    Format(
        "youtube-vis",
        "YouTube-VIS",
        "masks.json",
        "whole tracks with RLE masks and scores",
        _write_youtube_vis,
    ),
    Format("mot", "MOTChallenge", "mot.zip", "boxes per frame, for tracking tools", write_mot),
    Format("webm", "Cut-out WebM", "cut-out.webm", "transparent VP9, for web pages", write_webm),
    Format(
        "mov",
        "Cut-out ProRes 4444",
        "cut-out.mov",
        "transparent, for video editors; large",
        write_prores,
        in_all=False,
    ),
    Format(
        "rgba",
        "Cut-out PNGs",
        "cut-out-png.zip",
        "transparent pictures, one per frame; large",
        write_rgba,
        in_all=False,
    ),
    Format(
        "all",
        "All as ZIP",
        "sparrow.zip",
        "all of these but the large ones",
        write_all,
        in_all=False,
    ),
)

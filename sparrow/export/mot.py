"""Tracks -> a ZIP in the layout of MOTChallenge: <video>/gt/gt.txt and <video>/seqinfo.ini.

By its definition frames, ids and pixels count from 1; boxes are left, top, width, height.
"""

from __future__ import annotations

from pathlib import Path

from sparrow.export.files import add, archive
from sparrow.export.shown import VIDEO, Shown
from sparrow.work import Work

STEP = "writing MOT"


def write_mot(path: Path, shown: Shown, work: Work) -> None:
    """Write one line per box: frame, id, left, top, width, height, 1 (counts), 1 (class), 1 (visible).

    Raises:
        Cancelled: between two frames.
    """
    lines = []
    for number, frame in enumerate(shown.frames):
        work.step(STEP, number, len(shown.frames))
        for track in shown.tracks:
            if track.rles[frame] is None:
                continue
            x0, y0, x1, y1 = (float(value) for value in track.boxes[frame])
            box = f"{x0 + 1:g},{y0 + 1:g},{x1 - x0:g},{y1 - y0:g}"
            lines.append(f"{number + 1},{track.referent_id},{box},1,1,1\n")
    with archive(path) as opened:
        add(opened, f"{VIDEO}/gt/gt.txt", "".join(lines))
        add(opened, f"{VIDEO}/seqinfo.ini", _sequence(shown))
        add(opened, "README.txt", _readme(shown))
    work.step(STEP, len(shown.frames), len(shown.frames))


def _sequence(shown: Shown) -> str:
    height, width = shown.video.size_hw
    return (
        f"[Sequence]\nname={VIDEO}\nimDir=img1\nframeRate={max(1, round(shown.video.fps))}\n"
        f"seqLength={len(shown.frames)}\nimWidth={width}\nimHeight={height}\nimExt=.jpg\n"
    )


def _readme(shown: Shown) -> str:
    lines = [
        "MOTChallenge ground truth: frame, id, left, top, width, height, 1, 1, 1.",
        "Frames, ids and pixels count from 1, as that format has it.",
        f"Frame 1 is frame {shown.frames.start} of the video, counted from 0.",
        f"The exact frame rate is {shown.video.fps!r}; seqinfo.ini has room for whole numbers only.",
        "",
        *(f"{referent.id}  {shown.name_of(referent)}" for referent in shown.referents),
        "",
    ]
    return "\n".join(lines)

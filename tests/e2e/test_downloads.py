"""Downloads: each file is read back with the tool of its format and equals what the stage shows."""

from __future__ import annotations

import configparser
import io
import json
import re
import zipfile
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO

from sparrow.export.youtube_vis import read_masks_json
from sparrow.page.examples import load_examples
from sparrow.types import MaskTrack
from sparrow.video import load_video
from tests.e2e.conftest import Come
from tests.e2e.visitor import Visitor

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

SIZE_HW = (240, 320)
SAFE = re.compile(r"[a-z0-9-]+-[a-z0-9.-]+")


def stream_of(path: Path) -> dict[str, object]:
    """Probe a video file."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        return {
            "codec": stream.codec_context.name,
            "pixels": stream.codec_context.pix_fmt,
            "rate": stream.average_rate,
            "frames": sum(1 for _ in container.decode(video=0)),
            "sound": [s.codec_context.name for s in container.streams.audio],
        }


def picture_in(archive: zipfile.ZipFile, name: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(archive.read(name))))


def see(visitor: Visitor, frames: tuple[int, ...]) -> dict[tuple[int, int], np.ndarray]:
    """Look at what the stage draws: by frame and object its mask, (H, W) bool."""
    seen = {}
    for frame in frames:
        visitor.go(frame)
        for i in (1, 2):
            seen[frame, i] = visitor.mask(i, SIZE_HW)
    return seen


def test_every_file_is_what_the_stage_shows(come: Come, tmp_path: Path) -> None:
    example = load_examples()[0]
    visitor = come(f"?example={example.name}")
    visitor.answers("Segment the police car.", 1)
    visitor.answers("Segment the shrimp.", 2)
    seen = see(visitor, (0, 25, 39))
    made = {
        key: visitor.download(key, tmp_path)
        for key in ("mp4", "gif", "png", "coco", "youtube-vos", "youtube-vis", "mot", "webm", "all")
    }
    assert all(SAFE.fullmatch(path.name) for path in made.values())

    tracks = {track.referent_id: track for track in read_masks_json(made["youtube-vis"])}
    for (frame, i), mask in seen.items():
        assert np.array_equal(tracks[i].mask(frame), mask)

    given, annotated = stream_of(example.path), stream_of(made["mp4"])
    assert (annotated["codec"], annotated["pixels"]) == ("h264", "yuv420p")
    assert (annotated["frames"], annotated["rate"]) == (given["frames"], given["rate"])
    assert annotated["sound"] == given["sound"] == ["aac"]
    assert stream_of(made["webm"])["frames"] == given["frames"]
    assert Image.open(made["gif"]).n_frames > 10  # type: ignore[attr-defined]

    check_pngs(made["png"], tracks)
    check_coco(made["coco"], tracks)
    check_mot(made["mot"], tracks)
    with zipfile.ZipFile(made["youtube-vos"]) as archive:
        assert set(json.loads(archive.read("meta.json"))["videos"]["video"]["objects"]) == {
            "1",
            "2",
        }
    with zipfile.ZipFile(made["all"]) as archive:
        assert {"annotated.mp4", "masks.json", "conversation.md"} <= set(archive.namelist())


def check_pngs(path: Path, tracks: dict[int, MaskTrack]) -> None:
    with zipfile.ZipFile(path) as archive:
        for frame in range(40):
            shown = picture_in(archive, f"masks/{frame:05d}.png")
            expected = np.zeros(SIZE_HW, dtype=np.uint8)
            for i in (1, 2):
                expected[tracks[i].mask(frame)] = i
            assert np.array_equal(shown, expected)


def check_coco(path: Path, tracks: dict[int, MaskTrack]) -> None:
    coco = COCO(str(path))
    for annotation in coco.loadAnns(coco.getAnnIds()):
        mask = coco.annToMask(annotation).astype(bool)
        frame = annotation["image_id"] - 1
        assert np.array_equal(mask, tracks[annotation["track_id"]].mask(frame))
    assert len(coco.getAnnIds()) == sum(track.visible().sum() for track in tracks.values())


def check_mot(path: Path, tracks: dict[int, MaskTrack]) -> None:
    with zipfile.ZipFile(path) as archive:
        sequence = configparser.ConfigParser()
        sequence.read_string(archive.read("video/seqinfo.ini").decode())
        rows = np.loadtxt(io.BytesIO(archive.read("video/gt/gt.txt")), delimiter=",", ndmin=2)
    assert int(sequence["Sequence"]["seqLength"]) == 40
    for frame, i, left, top, width, height, *_ in rows:
        box = tracks[int(i)].boxes[int(frame) - 1]
        assert np.allclose([left - 1, top - 1, left - 1 + width, top - 1 + height], box)


def test_what_is_hidden_trimmed_and_looked_at_otherwise_is_written_so(
    come: Come, tmp_path: Path
) -> None:
    example = load_examples()[0]
    visitor = come(f"?example={example.name}")
    page = visitor.page
    visitor.answers("Segment the police car.", 1)
    page.click("#stage .toolbar .wide")
    page.check("#stage input[value=blur-object]")
    page.keyboard.press("Escape")
    page.locator("#stage .screen").focus()
    visitor.go(10)
    page.keyboard.press("i")
    visitor.go(19)
    page.keyboard.press("o")
    page.wait_for_selector("#stage .timeline .link")
    mp4 = visitor.download("mp4", tmp_path)
    assert stream_of(mp4)["frames"] == 10
    drawn, given = load_video(mp4), load_video(example.path)
    (track,) = read_masks_json(visitor.download("youtube-vis", tmp_path))
    assert track.num_frames == 10
    inside, before = drawn.read([5])[0].astype(int), given.read([15])[0].astype(int)
    off = np.abs(inside - before).max(axis=2)
    rows, columns = track.mask(5).nonzero()
    middle = off[rows.min() : rows.max(), columns.min() : columns.max()]
    assert middle.mean() > 3 * off[:, 250:].mean() + 5  # blurred there, untouched elsewhere

    # The session file opens elsewhere as it was, with the video and without.
    saved = visitor.download("session", tmp_path)
    light = visitor.download("session-only", tmp_path)
    words = visitor.download("transcript", tmp_path).read_text()
    assert "Segment the police car" in words
    other = come()
    other.upload(saved)
    other.wait_for_video(example.title)
    assert other.page.locator("#chat .message.bot mark.ref-1").count() >= 1
    other.page.wait_for_selector("#stage .timeline .link")  # the trim range
    (again,) = read_masks_json(other.download("youtube-vis", tmp_path))
    assert again.rles == track.rles
    other.upload(light)
    other.page.wait_for_selector("#status .error:has-text('choose the same video again')")
    other.upload(example.path)
    other.wait_for_video(example.title)
    assert other.page.locator("#stage li.object").count() == 1

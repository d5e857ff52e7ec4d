from __future__ import annotations

import re
import threading
import zipfile
from pathlib import Path

import pytest

from sparrow.errors import Cancelled, VideoError
from sparrow.export.files import ExportError
from sparrow.export.formats import FORMATS, Format, export
from sparrow.export.shown import Shown
from sparrow.export.youtube_vis import read_masks_json
from sparrow.ingest import open_video
from sparrow.looks import MODES, Look
from sparrow.types import MaskTrack, Progress, Referent
from sparrow.video import Video, load_video
from tests import made_videos as made
from tests.export.made import REFERENTS

by_key = pytest.mark.parametrize("form", FORMATS, ids=[form.key for form in FORMATS])


def test_names_are_safe_and_each_is_there_once() -> None:
    for names in ([form.key for form in FORMATS], [form.file for form in FORMATS]):
        assert len(set(names)) == len(names)
        assert all(re.fullmatch(r"[a-z][a-z0-9.-]*[a-z0-9]", name) for name in names)
    assert all(form.title and form.purpose for form in FORMATS)
    assert FORMATS[-1].key == "all"


@by_key
def test_every_format_is_written_whole_and_tells_how_far_it_is(
    plain_video: Video, shapes: list[MaskTrack], tmp_path: Path, form: Format
) -> None:
    told: list[Progress] = []
    path = export(form.key, tmp_path, plain_video, shapes, REFERENTS, progress=told.append)
    assert path == tmp_path / form.file
    assert path.stat().st_size > 100
    assert list(tmp_path.iterdir()) == [path]
    for step in {event.step for event in told}:
        events = [event for event in told if event.step == step]
        assert events[-1].done == events[-1].total > 0
        assert len(events) > 2
    assert told


@by_key
def test_stop_leaves_the_older_file_and_nothing_else(
    plain_video: Video, shapes: list[MaskTrack], tmp_path: Path, form: Format
) -> None:
    (tmp_path / form.file).write_text("older")
    cancel = threading.Event()

    def told(progress: Progress) -> None:
        if progress.done:
            cancel.set()

    with pytest.raises(Cancelled):
        export(form.key, tmp_path, plain_video, shapes, REFERENTS, progress=told, cancel=cancel)
    assert [path.name for path in tmp_path.iterdir()] == [form.file]
    assert (tmp_path / form.file).read_text() == "older"


@by_key
def test_a_damaged_video_is_told_and_nothing_is_left(
    shapes: list[MaskTrack], tmp_path: Path, form: Format
) -> None:
    source = made.write(tmp_path / "in.mp4", made.Recipe())
    video = open_video(source, workdir=tmp_path / "work")
    content = bytearray(video.path.read_bytes())
    middle = len(content) * 2 // 3
    content[middle : middle + 400] = bytes(400)
    video.path.write_bytes(content[: middle + 400])
    (tmp_path / "out").mkdir()
    if form.key in ("png", "coco", "youtube-vos", "youtube-vis", "mot"):
        export(form.key, tmp_path / "out", video, shapes, REFERENTS)  # need the tracks only
        return
    with pytest.raises(VideoError, match="open the video again"):
        export(form.key, tmp_path / "out", video, shapes, REFERENTS)
    assert list((tmp_path / "out").iterdir()) == []


def test_all_holds_every_format_but_the_large_ones(
    plain_video: Video, shapes: list[MaskTrack], tmp_path: Path
) -> None:
    (tmp_path / "transcript.md").write_text("# Talk")
    extras = [tmp_path / "transcript.md"]
    look = Look("outline")
    path = export("all", tmp_path, plain_video, shapes, REFERENTS, look, (5, 15), extras=extras)
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        names = set(archive.namelist())
        assert {
            *("annotated.mp4", "annotated.gif", "coco.json", "masks.json", "cut-out.webm"),
            *("png-masks/masks/00009.png", "youtube-vos/Annotations/video/00009.png"),
            *("mot/video/gt/gt.txt", "mot/video/seqinfo.ini", "transcript.md", "README.txt"),
        } <= names
        assert not {name for name in names if ".mov" in name or name.endswith(".zip")}
        text = archive.read("README.txt").decode()
        assert "from frames 5 to 14" in text
        assert "1  #e69f00  the fox" in text
        archive.extractall(tmp_path / "out")
    assert load_video(tmp_path / "out/annotated.mp4").num_frames == 10
    assert read_masks_json(tmp_path / "out/masks.json")[0].rles == shapes[0].rles[5:15]


def test_all_says_what_does_not_fit(tmp_path: Path) -> None:
    recipe = made.Recipe(fps=1, frames=22)
    video = open_video(made.write(tmp_path / "in.mp4", recipe), workdir=tmp_path)
    with zipfile.ZipFile(export("all", tmp_path, video, [], [])) as archive:
        assert "annotated.gif" not in archive.namelist()
        assert "Animated GIF is not here: " in archive.read("README.txt").decode()


def test_what_cannot_be_exported_is_refused(
    plain_video: Video, shapes: list[MaskTrack], tmp_path: Path
) -> None:
    with pytest.raises(ExportError, match=r"expected one of mp4, .*, all, got 'avi'"):
        export("avi", tmp_path, plain_video, shapes, REFERENTS)
    for span in ((0, 0), (4, 2), (-1, 5), (0, 31)):
        with pytest.raises(ExportError, match="part of the frames 0 to 30"):
            export("mp4", tmp_path, plain_video, shapes, REFERENTS, span=span)
    with pytest.raises(ValueError, match="no referent"):
        export("png", tmp_path, plain_video, shapes, REFERENTS[:1])
    with pytest.raises(ValueError, match="one track for each"):
        export("png", tmp_path, plain_video, [shapes[0], shapes[0]], REFERENTS)
    assert list(tmp_path.iterdir()) == []


def test_only_the_referents_of_the_tracks_are_named(
    plain_video: Video, shapes: list[MaskTrack]
) -> None:
    asked = Shown.of(plain_video, shapes, REFERENTS[::-1])
    assert [referent.id for referent in asked.referents] == [4, 1]
    assert Shown.of(plain_video, shapes[:1], REFERENTS).referents == (REFERENTS[1],)


@by_key
def test_any_name_that_a_user_gives_can_be_exported(
    plain_video: Video, shapes: list[MaskTrack], tmp_path: Path, form: Format
) -> None:
    names = ("\ud800<b>\x00../../etc\n", '";,\r\n\x1b[31m' + "w" * 500)
    referents = [Referent(i, name, None, "#ffffff") for i, name in zip((1, 4), names, strict=True)]
    path = export(form.key, tmp_path, plain_video, shapes, referents, span=(0, 3))
    if path.suffix == ".zip":
        with zipfile.ZipFile(path) as archive:
            assert all(re.fullmatch(r"[\w./-]+", name) for name in archive.namelist())
            assert not any(".." in name for name in archive.namelist())
            texts = [name for name in archive.namelist() if name.endswith(".txt")]
            assert all("\x1b" not in archive.read(name).decode() for name in texts)


def test_the_documentation_lists_what_there_is() -> None:
    text = (Path(__file__).parents[2] / "docs" / "downloads.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([\w-]+)` \| ([\w.-]+) \|", text, re.M)
    assert rows == [(form.key, form.file) for form in FORMATS]
    modes = re.findall(r"^\| `([\w-]+)` \| [^|]+ \|$", text, re.M)
    assert tuple(modes) == MODES
    for block in re.findall(r"```python\n(.*?)```", text, re.S):
        compile(block, "downloads.md", "exec")

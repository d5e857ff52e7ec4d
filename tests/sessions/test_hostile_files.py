"""Hostile session files: each is refused with a message that names what is wrong, and leaves nothing behind."""

from __future__ import annotations

import json
import random
import stat
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sparrow.errors import SparrowError
from sparrow.limits import Limits
from sparrow.sessions import session_file
from sparrow.sessions.record import SessionError
from sparrow.sessions.session_file import read_session_file, write_session_file
from sparrow.sessions.sessions import Sessions
from sparrow.video import Video
from tests.sessions.made_records import fill

Parts = dict[str, bytes]


def parts_of(path: Path) -> Parts:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def pack(path: Path, parts: Parts) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return path


def edited(change: Callable[[dict[str, Any]], None]) -> Callable[[Parts], None]:
    """Make a change of session.json's documents a change of the parts."""

    def act(parts: Parts) -> None:
        header = json.loads(parts["session.json"])
        change(header["documents"])
        parts["session.json"] = json.dumps(header).encode()

    return act


def setting(name: str, value: object, *, of: str = "about") -> Callable[[Parts], None]:
    def change(documents: dict[str, Any]) -> None:
        documents[of][name] = value

    return edited(change)


def video(height: int, width: int, frames: int, fps: float) -> Callable[[Parts], None]:
    return setting("video", {"height": height, "width": width, "frames": frames, "fps": fps})


def times(values: list[object]) -> Callable[[Parts], None]:
    return added("video.json", json.dumps({"source_times": values, "notes": []}).encode())


def header(**fields: object) -> Callable[[Parts], None]:
    def act(parts: Parts) -> None:
        parts["session.json"] = json.dumps({**json.loads(parts["session.json"]), **fields}).encode()

    return act


def added(name: str, content: bytes = b"x") -> Callable[[Parts], None]:
    return lambda parts: parts.update({name: content})


def without(name: str) -> Callable[[Parts], None]:
    def act(parts: Parts) -> None:
        del parts[name]

    return act


def many_tracks(parts: Parts) -> None:
    parts |= {f"tracks/{i}.txt": b"" for i in range(1, 1500)}


def retracked(change: Callable[[bytes], bytes]) -> Callable[[Parts], None]:
    return lambda parts: parts.update({"tracks/1.txt": change(parts["tracks/1.txt"])})


def line(number: int, text: bytes) -> Callable[[bytes], bytes]:
    def change(content: bytes) -> bytes:
        lines = content.split(b"\n")
        lines[number] = text
        return b"\n".join(lines)

    return change


def ten_thousand(documents: dict[str, Any]) -> None:
    documents["about"]["exchanges"] = 10_000
    documents |= {f"exchanges/{i}": documents["exchanges/0"] for i in range(10_000)}


def swapped(documents: dict[str, Any]) -> None:
    tracks = documents["about"]["tracks"]
    tracks["1"] = tracks["2"]


def prompts(documents: dict[str, Any]) -> None:
    documents["prompts"] *= 4000


def an_answer(documents: dict[str, Any]) -> dict[str, Any]:
    found = next(value for name, value in documents.items() if name.startswith("answers/"))
    assert isinstance(found, dict)
    return found


def span_elsewhere(documents: dict[str, Any]) -> None:
    an_answer(documents)["referents"][0]["span"] = [1, 5]


def strange_colour(documents: dict[str, Any]) -> None:
    an_answer(documents)["referents"][0]["colour"] = "red;}</style>"


def frame_beyond(documents: dict[str, Any]) -> None:
    an_answer(documents)["frames"] = [30]


def prompt(documents: dict[str, Any], kind: str) -> dict[str, Any]:
    found = next(entry for entry in documents["prompts"] if entry["kind"] == kind)
    assert isinstance(found, dict)
    return found


def other_mask(documents: dict[str, Any]) -> None:
    prompt(documents, "mask")["coordinates"] = "0000"


def one_corner(documents: dict[str, Any]) -> None:
    prompt(documents, "box")["coordinates"] = [1, 2, 3]


def crossed_box(documents: dict[str, Any]) -> None:
    prompt(documents, "box")["coordinates"] = [9, 2, 3, 4]


def strange_kind(documents: dict[str, Any]) -> None:
    prompt(documents, "box")["kind"] = {"$ne": 1}


def alone(documents: dict[str, Any]) -> None:
    documents["turns/1"] = documents["turns/0"]


HOSTILE: dict[str, tuple[Callable[[Parts], None], str]] = {
    "another format": (header(format="zip"), "does not say"),
    "a newer version": (header(version=2), "newer Sparrow"),
    "a version in words": (header(version="1"), "a whole number"),
    "documents in a list": (header(documents=[]), "expected an object"),
    "no session.json": (without("session.json"), "session.json is missing"),
    "a list as session.json": (added("session.json", b"[]"), "expected an object"),
    "session.json not JSON": (added("session.json", b"{'a': 1}"), "expected JSON"),
    "NaN": (added("session.json", b'{"format": NaN}'), "NaN is not JSON"),
    "binary session.json": (added("session.json", b"\xff\xfe\x00"), "expected JSON"),
    "nested too deep": (added("session.json", b"[" * 200_000), "expected JSON"),
    "a bomb as session.json": (added("session.json", b" " * (2**25 + 1)), "larger than"),
    "an absolute path": (added("/etc/passwd"), "does not belong"),
    "a path upwards": (added("../../up.txt"), "does not belong"),
    "a path upwards for a track": (added("tracks/../1.txt"), "does not belong"),
    "a Windows path": (added("..\\up.txt"), "does not belong"),
    "a folder": (added("tracks/", b""), "not a plain file"),
    "a database": (added("session.db"), "does not belong"),
    "too many tracks": (many_tracks, "too many"),
    "a track too few": (without("tracks/1.txt"), "track '1' is missing"),
    "a track that is none": (added("tracks/9.txt", b"hello"), "header of a track"),
    "a bomb as track": (added("tracks/9.txt", b"\n" * 2**26), "header of a track"),
    "a track of another size": (retracked(lambda t: t.replace(b" 64 96 30 ", b" 66 96 30 ", 1)), "not about 30 frames"),
    "a track of other length": (retracked(lambda t: t.replace(b" 64 96 30 ", b" 64 96 31 ", 1)), "frame 30 is cut off"),
    "a track of a billion frames": (retracked(lambda t: t.replace(b" 30 ", b" 1000000000 ", 1)), "possible size"),
    "RLE of another size": (retracked(line(1, b"0.5 0.0 0.0 1.0 1.0 013")), "fill 6144 pixels"),
    "RLE that overflows": (retracked(line(1, b"0.5 0.0 0.0 1.0 1.0 " + b"o" * 9 + b"0")), "below 2"),
    "RLE of letters": (retracked(line(1, b"0.5 0.0 0.0 1.0 1.0 zzz!")), "compressed form"),
    "a score of NaN": (retracked(line(1, b"nan")), "from 0 to 1"),
    "a box outside": (retracked(line(1, b"0.5 0.0 0.0 97.0 1.0 013")), "from 0 to 96"),
    "the track of another": (edited(swapped), "expected the track of 1"),
    "ten thousand exchanges": (edited(ten_thousand), "documents: expected at most|from 0 to 1000"),
    "a billion turns": (setting("turns", 10**9), "from 0 to 2000"),
    "a negative count": (setting("undo", -1), "from 0 to 50"),
    "a count that is true": (setting("exchanges", True), "whole number"),
    "a missing exchange": (setting("exchanges", 9), "exchanges/4 is missing"),
    "thousands of prompts": (edited(prompts), "at most 10000"),
    "a title in a list": (setting("title", ["x"]), "expected a text"),
    "a title too long": (setting("title", "x" * 2001), "at most 2000"),
    "half a character": (setting("title", "\ud800"), "surrogates"),
    "names in a list": (setting("names", []), "expected an object"),
    "a name too long": (setting("names", {"1": "x" * 81}), "at most 80"),
    "an id that is a path": (setting("names", {"../1": "x"}), "referent ids"),
    "an id in other digits": (setting("names", {"١": "x"}), "referent ids"),
    "an id beyond numbers": (setting("hidden", [10**30]), "whole number"),
    "ids beyond the next": (setting("next_id", 1), "below next_id"),
    "a colour that is CSS": (setting("colours", {"1": "#00000;"}), "colour"),
    "an answer's colour that is CSS": (edited(strange_colour), "at most 7"),
    "a look that there is not": (setting("look", {"mode": "x-ray", "opacity": 1, "label": True}), "look"),
    "an opacity of 2": (setting("look", {"mode": "mask", "opacity": 2, "label": True}), "from 0 to 1"),
    "a span beyond the end": (setting("span", [0, 31]), "from 0 to 30"),
    "a span of one": (setting("span", [3]), "two frames"),
    "a phrase elsewhere": (edited(span_elsewhere), "expected 'the fox'"),
    "a frame beyond the end": (edited(frame_beyond), "from 0 to 29"),
    "a mask of another size": (edited(other_mask), "fill 6144 pixels"),
    "a box of three numbers": (edited(one_corner), "4 finite"),
    "a box with crossed corners": (edited(crossed_box), "x0 < x1"),
    "a prompt of no kind": (edited(strange_kind), "kind of prompt"),
    "two questions in a row": (edited(alone), "by turns"),
    "a state that there is not": (setting("state", "hacked", of="exchanges/0"), "expected a state"),
    "a key that is a path": (setting("answer", "../../x", of="exchanges/0"), "is missing"),
    "a video of no size": (video(0, 1, 1, 1), "video height"),
    "a video of a billion frames": (video(64, 96, 10**7, 10), "at most 36000 frames"),
    "a video of huge frames": (video(60000, 60000, 30, 10), "megapixels"),
    "a video at no rate": (video(64, 96, 30, 0), "video fps"),
    "facts of another video": (video(64, 96, 30, 11), "another video"),
    "tracks without a video": (setting("video", None), "not about a session without a video"),
    "a video that is none": (added("video.mp4", b"no video" * 100), "bundled.part"),
    "no times of its video": (without("video.json"), "video.json is missing"),
    "times for another video": (times([0]), "30 times"),
    "times in words": (times(["x"] * 30), "expected a number"),
}  # fmt: skip


@pytest.mark.parametrize(("change", "message"), HOSTILE.values(), ids=HOSTILE)
def test_hostile_parts_are_refused(
    change: Callable[[Parts], None], message: str, good: Path, folder: Path, tmp_path: Path
) -> None:
    parts = parts_of(good)
    change(parts)
    with pytest.raises(SparrowError, match=message) as refused:
        read_session_file(pack(tmp_path / "bad.sparrow", parts), folder)
    assert len(str(refused.value)) < 500
    assert list(folder.iterdir()) == []
    assert {p.name for p in tmp_path.iterdir()} == {"opened", "bad.sparrow"}


@pytest.fixture(scope="module")
def good(plain_video: Video, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of a full session, to be made bad."""
    sessions = Sessions(tmp_path_factory.mktemp("sessions"))
    session = sessions.open()
    fill(session, plain_video.path)
    path = write_session_file(tmp_path_factory.mktemp("files") / "good.sparrow", session)
    sessions.close()
    return path


def symlink(archive: zipfile.ZipFile) -> None:
    info = zipfile.ZipInfo("video.mp4")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    archive.writestr(info, "/etc/passwd")


def device(archive: zipfile.ZipFile) -> None:
    info = zipfile.ZipInfo("tracks/9.txt")
    info.external_attr = (stat.S_IFCHR | 0o777) << 16
    archive.writestr(info, "")


def twice(archive: zipfile.ZipFile) -> None:
    archive.writestr("tracks/1.txt", "")


def packed_otherwise(archive: zipfile.ZipFile) -> None:
    archive.writestr("tracks/9.txt", "x" * 1000, zipfile.ZIP_LZMA)


def encrypted(archive: zipfile.ZipFile) -> None:
    archive.writestr("tracks/9.txt", "x")
    archive.infolist()[-1].flag_bits |= 1


def with_a_comment(archive: zipfile.ZipFile) -> None:
    archive.comment = b"PK\x05\x06" * 10


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize(
    ("add", "message"),
    [
        (symlink, "not a plain file"),
        (device, "not a plain file"),
        (twice, "same name"),
        (packed_otherwise, "not a plain file"),
        (encrypted, "not a plain file"),
        (with_a_comment, "not a zip"),
    ],
)
def test_hostile_zips_are_refused(
    add: Callable[[zipfile.ZipFile], None],
    message: str,
    good: Path,
    folder: Path,
    tmp_path: Path,
) -> None:
    parts = parts_of(good)
    if add is symlink:
        parts.pop("video.mp4")
    path = pack(tmp_path / "bad.sparrow", parts)
    with zipfile.ZipFile(path, "a") as archive:
        add(archive)
    with pytest.raises(SessionError, match=message):
        read_session_file(path, folder)
    assert list(folder.iterdir()) == []


def claims_many(content: bytes) -> bytes:
    return content[:-12] + (65000).to_bytes(2, "little") + content[-10:]


def claims_zip64(content: bytes) -> bytes:
    return content[:-22] + b"PK\x06\x07" + bytes(16) + content[-22:]


@pytest.mark.parametrize(
    "change",
    [
        lambda content: b"",
        lambda content: b"PK",
        lambda content: content[:-1],
        lambda content: content[:-22],
        lambda content: content[len(content) // 2 :],
        lambda content: b"\0" * 1000,
        lambda content: content[-22:],
        lambda content: content + b"x",
        claims_many,
        claims_zip64,
        lambda content: content.replace(b"session.json", b"session.jsoN", 1),
    ],
)
def test_what_is_no_whole_zip_is_refused(
    change: Callable[[bytes], bytes], good: Path, folder: Path, tmp_path: Path
) -> None:
    path = tmp_path / "bad.sparrow"
    path.write_bytes(change(good.read_bytes()))
    with pytest.raises(SessionError, match=r"bad\.sparrow: expected a session file"):
        read_session_file(path, folder)


def test_places_that_hold_no_file_are_refused(folder: Path, tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none.sparrow"):
        with pytest.raises(SessionError, match="expected a session file"):
            read_session_file(path, folder)


def test_limits_hold_for_the_video_inside(good: Path, folder: Path) -> None:
    for limits in (Limits(max_frames=29), Limits(max_pixels=1000), Limits(max_bytes=1000)):
        with pytest.raises(SparrowError):
            read_session_file(good, folder, limits=limits)
        assert list(folder.iterdir()) == []


@pytest.mark.parametrize("name", ["tracks/9.txt", "session.json"])
@pytest.mark.parametrize("honest", [True, False])
def test_a_bomb_costs_little_memory(
    name: str, honest: bool, good: Path, folder: Path, tmp_path: Path
) -> None:
    """64 MiB in a few kB, whether the zip says so or claims a few bytes."""
    size = 2**26
    path = pack(tmp_path / "bomb.sparrow", {**parts_of(good), name: bytes(size)})
    if not honest:
        content = path.read_bytes()
        path.write_bytes(content.replace(size.to_bytes(4, "little"), (50).to_bytes(4, "little")))
    tracemalloc.start()
    try:
        with pytest.raises(SessionError):
            read_session_file(path, folder)
        assert tracemalloc.get_traced_memory()[1] < 2**24
    finally:
        tracemalloc.stop()


def test_more_tracks_than_fit_are_refused(
    good: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = parts_of(good)
    room = len(parts["tracks/1.txt"]) + len(parts["tracks/2.txt"])
    monkeypatch.setattr(session_file, "MAX_TRACK_BYTES", room - 1)
    with pytest.raises(SessionError, match="tracks are too large"):
        read_session_file(good, folder)
    monkeypatch.undo()
    record = read_session_file(good, folder)
    for name, limit in (("MAX_TRACK_BYTES", room - 1), ("MAX_TRACKS", 1)):
        monkeypatch.setattr(session_file, name, limit)
        with pytest.raises(SessionError, match="too much for one file"):
            write_session_file(tmp_path / "a.sparrow", record)
        monkeypatch.undo()


def test_whatever_byte_is_changed_no_error_but_ours(
    good: Path, folder: Path, tmp_path: Path
) -> None:
    """Damage anywhere: refused, or read all the same where the byte meant nothing."""
    parts = parts_of(good)
    without_video = {n: c for n, c in parts.items() if not n.startswith("video")}
    rng = random.Random(7)
    path = tmp_path / "fuzzed.sparrow"
    for inside in (True, False):
        for _ in range(150):
            if inside:  # within a part, then packed anew: no checksum finds it
                name = rng.choice(sorted(without_video))
                content = bytearray(without_video[name])
                content[rng.randrange(len(content))] = rng.randrange(256)
                pack(path, {**without_video, name: bytes(content)})
            else:
                content = bytearray(pack(path, without_video).read_bytes())
                for _ in range(rng.randrange(1, 4)):
                    content[rng.randrange(len(content))] = rng.randrange(256)
                path.write_bytes(content)
            with pytest.raises(SparrowError):  # at best the video is wanted
                read_session_file(path, folder)
    assert list(folder.iterdir()) == []

"""Downloads: every offer makes its file, of what is seen, under a name that can do no harm."""

from __future__ import annotations

import json
import zipfile

import pytest

from sparrow.export.youtube_vis import read_masks_json
from sparrow.page import exporting
from sparrow.page.exporting import OFFERS
from sparrow.sessions.record import SessionError
from sparrow.sessions.session_file import read_session_file
from sparrow.sessions.sessions import Sessions
from tests.page.conftest import Opened, run


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("", "video"),
        ("...", "video"),
        ("clip.mp4", "clip"),
        ("My Film (final).MOV", "my-film-final"),
        ("../../etc/passwd", "etc-passwd"),
        ("<img src=x>.mp4", "img-src-x"),
        ("狐", "video"),
        ("a" * 99, "a" * 40),
    ],
)
def test_names(title: str, name: str) -> None:
    assert exporting.safe_name(title) == name


def make(opened: Opened, key: str) -> str:
    offer = exporting.offer_of(key, opened.session)
    run(exporting.make(opened.session, opened.visit, offer))
    assert opened.visit.download is not None
    return opened.visit.download.path.name


def test_offers_are_all_different_and_in_groups() -> None:
    keys = [offer.key for offer in OFFERS]
    assert len(set(keys)) == len(keys) >= 13
    groups = [offer.group for offer in OFFERS]
    assert groups == sorted(groups, key=groups.index)


def test_what_cannot_be_made(opened: Opened, sessions: Sessions) -> None:
    with pytest.raises(SessionError, match="no download called"):
        exporting.offer_of("exe", opened.session)
    with pytest.raises(SessionError, match="Nothing is marked"):
        exporting.offer_of("mp4", opened.session)
    with pytest.raises(SessionError, match="video first"):
        exporting.offer_of("transcript", sessions.open())


@pytest.mark.parametrize("key", [offer.key for offer in OFFERS])
def test_each_is_made(opened: Opened, key: str) -> None:
    opened.give(1, "the fox", range(5, 20))
    opened.session.title = "../Fox & Co.mp4"
    offer = exporting.offer_of(key, opened.session)
    assert make(opened, key) == f"fox-co-{offer.file}"
    assert opened.visit.download is not None
    assert opened.visit.download.path.stat().st_size > 0


def test_what_is_seen_is_what_is_written(opened: Opened) -> None:
    opened.give(1, "the fox")
    shown = opened.give(2, "the car")
    opened.session.hidden = {1}
    opened.session.names = {2: "my car"}
    opened.session.span = (4, 10)
    make(opened, "youtube-vis")
    assert opened.visit.download is not None
    (track,) = read_masks_json(opened.visit.download.path)
    assert (track.referent_id, track.rles) == (2, shown.rles[4:10])
    written = json.loads(opened.visit.download.path.read_text())
    assert written["annotations"][0]["phrase"] == "my car"


def test_the_one_before_is_deleted(opened: Opened) -> None:
    opened.give(1, "the fox")
    make(opened, "coco")
    first = opened.visit.download
    make(opened, "mot")
    assert first is not None
    assert opened.visit.download is not None
    assert not first.path.exists()
    assert opened.visit.download.nonce > first.nonce


def test_all_holds_the_conversation_too(opened: Opened) -> None:
    opened.give(1, "the fox", range(5, 12))
    make(opened, "all")
    assert opened.visit.download is not None
    with zipfile.ZipFile(opened.visit.download.path) as archive:
        names = archive.namelist()
    assert "conversation.md" in names
    assert "coco.json" in names


def test_the_session_reads_back(opened: Opened, tmp_path) -> None:  # type: ignore[no-untyped-def]
    track = opened.give(1, "the fox")
    make(opened, "session")
    assert opened.visit.download is not None
    record = read_session_file(opened.visit.download.path, tmp_path)
    assert record.history.tracks[1].rles == track.rles

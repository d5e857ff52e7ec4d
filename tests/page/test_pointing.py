"""Pointing: clicks on the still become pixels of the frame, one a point, two a box."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sparrow.page import pointing
from sparrow.page.session import Pointing, Session, SessionError
from sparrow.video import Video


@pytest.fixture
def session(tmp_path: Path, plain_video: Video) -> Session:
    session = Session("id", tmp_path / "session", video=plain_video)
    session.folder.mkdir()
    return session


def still(session: Session) -> np.ndarray:
    assert session.pointing is not None
    return np.asarray(Image.open(session.pointing.still))


def test_without_a_video_there_is_nothing_to_point_at(tmp_path: Path) -> None:
    empty = Session("id", tmp_path)
    with pytest.raises(SessionError, match="video first"):
        pointing.show_frame(empty, 0)
    with pytest.raises(SessionError, match="frame"):
        pointing.click(empty, 1, 1)


@pytest.mark.parametrize(("asked", "shown"), [(0, 0), (29, 29), (30, 29), (-5, 0), (12, 12)])
def test_the_nearest_frame_is_shown(
    session: Session, plain_video: Video, asked: int, shown: int
) -> None:
    pointing.show_frame(session, asked)
    assert session.pointing is not None
    assert session.pointing.frame == shown
    scale = pointing.still_scale(96)
    assert scale == 11
    assert still(session).shape == (64 * scale, 96 * scale, 3)
    small = np.asarray(Image.open(session.pointing.still).resize((96, 64), Image.Resampling.BOX))
    difference = np.abs(small.astype(int) - plain_video.read([shown])[0])
    assert difference.mean() < 3


@pytest.mark.parametrize(
    ("seconds", "frame"), [(0.0, 0), (0.09, 0), (0.1, 1), (1.25, 12), (2.95, 29), (99.0, 29)]
)
def test_the_moment_of_the_player(session: Session, seconds: float, frame: int) -> None:
    pointing.show_moment(session, seconds)
    assert session.pointing is not None
    assert session.pointing.frame == frame


def test_one_click_is_a_point_in_pixels_of_the_frame(session: Session) -> None:
    pointing.show_frame(session, 3)
    with pytest.raises(SessionError, match="Click"):
        pointing.prompt_of(session.pointing, 1)
    before = still(session)
    pointing.click(session, 20 * 11 + 5, 40 * 11 + 5)
    prompt = pointing.prompt_of(session.pointing, 2)
    assert (prompt.referent_id, prompt.frame, prompt.kind) == (2, 3, "point+")
    assert prompt.coordinates.tolist() == [20, 40]
    changed = np.argwhere(np.abs(still(session).astype(int) - before).sum(-1) > 100)
    assert np.abs(changed.mean(0) - [40.5 * 11, 20.5 * 11]).max() < 5  # drawn where it was clicked


def test_two_clicks_are_a_box_from_any_corners(session: Session) -> None:
    pointing.show_frame(session, 0)
    pointing.click(session, 50 * 11, 10 * 11)
    pointing.click(session, 30 * 11, 40 * 11)
    prompt = pointing.prompt_of(session.pointing, 1)
    assert prompt.kind == "box"
    assert prompt.coordinates.tolist() == [30, 10, 51, 41]
    pointing.click(session, 5 * 11, 5 * 11)  # a third starts over
    assert pointing.prompt_of(session.pointing, 1).coordinates.tolist() == [5, 5]
    pointing.clear_clicks(session)
    assert session.pointing.clicks == ()


def test_two_clicks_at_one_place_are_a_point(tmp_path: Path) -> None:
    prompt = pointing.prompt_of(Pointing(0, tmp_path, ((10, 10), (12, 30))), 1)
    assert prompt.kind == "point+"
    assert prompt.coordinates.tolist() == [12, 30]


@pytest.mark.parametrize("place", [(-1, 0), (0, -1), (96 * 11, 0), (0, 64 * 11), (10**9, 0)])
def test_clicks_outside_are_refused(session: Session, place: tuple[int, int]) -> None:
    pointing.show_frame(session, 0)
    with pytest.raises(SessionError, match="outside the picture of 96 × 64"):
        pointing.click(session, *place)
    assert session.pointing.clicks == ()


def test_only_the_last_still_stays_on_disk(session: Session) -> None:
    for frame in range(3):
        pointing.show_frame(session, frame)
    assert len(list(session.folder.rglob("*.jpg"))) == 1

"""Pointing: clicks and boxes become prompts in pixels and a mask at once; what cannot be is refused."""

from __future__ import annotations

import numpy as np
import pytest

from sparrow.backend import Backend
from sparrow.page import pointing
from sparrow.page.sent import Sent, SentError
from sparrow.page.visit import Visit
from sparrow.sessions.record import SessionError
from sparrow.sessions.sessions import Sessions
from tests.page.conftest import Opened


def sent(kind: str = "point+", at: object = (0.25, 0.25), frame: int = 5, object: object = None):  # type: ignore[no-untyped-def]
    return Sent({"kind": kind, "at": list(at), "frame": frame, "object": object})  # type: ignore[call-overload]


def test_without_a_video_nothing_can_be_pointed_at(backend: Backend, sessions: Sessions) -> None:
    with pytest.raises(SessionError, match="video first"):
        pointing.point(backend, sessions.open(), Visit(), sent())


def test_a_click_is_a_draft_with_a_mask_and_goes_along(backend: Backend, opened: Opened) -> None:
    pointing.point(backend, opened.session, opened.visit, sent(at=(0.5, 0.25)))
    draft = opened.visit.draft
    assert draft is not None
    assert (draft.referent_id, draft.frame, draft.attached) == (1, 5, True)
    assert draft.prompts[0].coordinates.tolist() == [48.0, 16.0]  # of 96 x 64
    assert draft.preview is not None
    assert np.flatnonzero(draft.preview.visible()).tolist() in ([5], [])
    assert opened.visit.selected == 1
    assert opened.session.prompts == ()  # not before it is applied


@pytest.mark.parametrize(
    ("at", "kind", "coordinates"),
    [
        ((0.1, 0.2, 0.5, 0.6), "box", [9.6, 12.8, 48.0, 38.4]),
        ((0.5, 0.6, 0.1, 0.2), "box", [9.6, 12.8, 48.0, 38.4]),  # drawn backwards
        ((0.0, 0.0, 1.0, 1.0), "box", [0.0, 0.0, 96.0, 64.0]),
        ((0.5, 0.5, 0.505, 0.9), "point+", [48.24, 44.8]),  # a box without width is a click
    ],
)
def test_boxes(
    backend: Backend, opened: Opened, at: object, kind: str, coordinates: list[float]
) -> None:
    pointing.point(backend, opened.session, opened.visit, sent("box", at))
    assert opened.visit.draft is not None
    (prompt,) = opened.visit.draft.prompts
    assert prompt.kind == kind
    assert np.allclose(prompt.coordinates, coordinates, atol=1e-3)


def test_a_click_on_the_edge_is_inside(backend: Backend, opened: Opened) -> None:
    pointing.point(backend, opened.session, opened.visit, sent(at=(1.0, 1.0)))
    assert opened.visit.draft is not None
    assert opened.visit.draft.prompts[0].coordinates.tolist() == [95.5, 63.5]


def test_clicks_add_up_and_a_box_starts_over_on_its_frame(backend: Backend, opened: Opened) -> None:
    session, visit = opened.session, opened.visit
    pointing.point(backend, session, visit, sent())
    pointing.point(backend, session, visit, sent("point-", (0.6, 0.6), object=1))
    pointing.point(backend, session, visit, sent(frame=9, object=1))
    assert visit.draft is not None
    assert [(p.frame, p.kind) for p in visit.draft.prompts] == [
        (5, "point+"),
        (5, "point-"),
        (9, "point+"),
    ]
    pointing.point(backend, session, visit, sent("box", (0.1, 0.1, 0.5, 0.5), 5, 1))
    assert [(p.frame, p.kind) for p in visit.draft.prompts] == [(9, "point+"), (5, "box")]
    pointing.take_back(backend, session, visit)
    assert [(p.frame, p.kind) for p in visit.draft.prompts] == [(9, "point+")]
    pointing.take_back(backend, session, visit)
    assert visit.draft is None
    pointing.take_back(backend, session, visit)  # nothing left is no error


def test_correcting_does_not_go_along_with_the_question(backend: Backend, opened: Opened) -> None:
    opened.give(1, "the fox")
    pointing.point(backend, opened.session, opened.visit, sent("point-", object=1))
    draft = opened.visit.draft
    assert draft is not None
    assert (draft.referent_id, draft.attached) == (1, False)


def test_another_object_drops_the_clicks_on_the_first(backend: Backend, opened: Opened) -> None:
    opened.give(1, "the fox")
    pointing.point(backend, opened.session, opened.visit, sent())
    pointing.point(backend, opened.session, opened.visit, sent(object=1))
    assert opened.visit.draft is not None
    assert [p.referent_id for p in opened.visit.draft.prompts] == [1]


@pytest.mark.parametrize(
    ("data", "error", "words"),
    [
        ({"kind": "point-"}, SessionError, "the thing itself first"),
        ({"object": 2}, SentError, "object"),
        ({"kind": "mask"}, SentError, "kind"),
        ({"frame": 30}, SentError, "frame"),
        ({"frame": -1}, SentError, "frame"),
        ({"at": (0.5,)}, SentError, "at"),
        ({"at": (0.5, 2.0)}, SentError, "at"),
        ({"kind": "box"}, SentError, "at"),
    ],
)
def test_what_is_refused(
    backend: Backend, opened: Opened, data: dict[str, object], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        pointing.point(backend, opened.session, opened.visit, sent(**data))  # type: ignore[arg-type]
    assert opened.visit.draft is None


def test_a_deleted_object_cannot_be_corrected(backend: Backend, opened: Opened) -> None:
    opened.give(1, "the fox")
    opened.session.history = opened.session.history.without(1)
    with pytest.raises(SessionError, match="no object 1"):
        pointing.point(backend, opened.session, opened.visit, sent(object=1))


def test_what_a_question_points_at(backend: Backend, opened: Opened) -> None:
    opened.give(1, "the fox", range(4, 11))
    opened.give(2, "nowhere", range(0))
    pointing.point(backend, opened.session, opened.visit, sent())
    box, click = pointing.prompts_of(opened.session, opened.visit, (1, 2, 3, 99))
    assert (box.referent_id, box.frame, box.kind) == (1, 7, "box")  # where it is surest
    assert box.coordinates.tolist() == [10, 10, 30, 30]
    assert (click.referent_id, click.kind) == (3, "point+")

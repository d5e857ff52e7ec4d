"""What is done to objects: names, colours, what is shown, looks, the trim range; and nothing that is made up."""

from __future__ import annotations

import pytest

from sparrow.errors import SparrowError
from sparrow.looks import Look
from sparrow.page import objects
from sparrow.page.sent import Sent
from tests.page.conftest import Opened


@pytest.fixture
def three(opened: Opened) -> Opened:
    for i in (1, 2, 3):
        opened.give(i, f"thing {i}")
    return opened


def do(opened: Opened, action: str, i: object = 2, value: object = None) -> None:
    objects.change(opened.session, opened.visit, Sent({"action": action, "id": i, "value": value}))


def test_show_hide_and_solo(three: Opened) -> None:
    do(three, "hide")
    assert three.session.hidden == {2}
    do(three, "show")
    assert three.session.hidden == set()
    do(three, "solo")
    assert three.session.hidden == {1, 3}
    do(three, "solo", 1)
    assert three.session.hidden == {2, 3}
    do(three, "solo", 1)
    assert three.session.hidden == set()


def test_names_and_colours(three: Opened) -> None:
    do(three, "rename", 2, " <b>Fox</b> ")
    do(three, "recolour", 2, "#ABCDEF")
    referent = three.session.referents()[1]
    assert (referent.phrase, referent.colour) == ("<b>Fox</b>", "#abcdef")
    do(three, "rename", 2, "")
    assert three.session.referents()[1].phrase == "thing 2"


def test_select(three: Opened) -> None:
    do(three, "select", 3)
    assert three.visit.selected == 3
    do(three, "select", None)
    assert three.visit.selected is None


@pytest.mark.parametrize(
    ("action", "i", "value"),
    [
        ("hide", 4, None),
        ("hide", None, None),
        ("hide", "2", None),
        ("show", 0, None),
        ("select", 5, None),
        ("rename", 2, None),
        ("rename", 2, "x" * 81),
        ("rename", 2, "x" * 10_000),
        ("recolour", 2, "red"),
        ("recolour", 2, "#12345g"),
        ("recolour", 9, "#123456"),
        ("explode", 2, None),
        (None, 2, None),
    ],
)
def test_what_is_refused(three: Opened, action: str, i: object, value: object) -> None:
    with pytest.raises(SparrowError):
        do(three, action, i, value)
    assert (three.session.hidden, three.session.names, three.session.colours) == (set(), {}, {})


def test_delete_can_be_undone_and_its_id_is_not_given_again(three: Opened) -> None:
    three.session.attached, three.visit.selected = (2, 3), 2
    objects.delete(three.session, three.visit, 2)
    assert sorted(three.session.history.tracks) == [1, 3]
    assert (three.session.attached, three.visit.selected) == ((3,), None)
    assert three.session.history.next_id == 4
    three.session.undo()
    assert sorted(three.session.history.tracks) == [1, 2, 3]


def test_look(opened: Opened) -> None:
    sent = Sent({"mode": "blur-object", "opacity": 0.25, "label": False})
    objects.look(opened.session, opened.visit, sent)
    assert opened.session.look == Look("blur-object", 0.25, False)
    with pytest.raises(SparrowError):
        objects.look(opened.session, opened.visit, Sent({"mode": "x", "opacity": 1, "label": True}))
    assert opened.session.look.mode == "blur-object"


@pytest.mark.parametrize(
    ("start", "stop", "span"),
    [(0, 30, None), (0, 1, (0, 1)), (29, 30, (29, 30)), (3, 20, (3, 20))],
)
def test_trim(opened: Opened, start: int, stop: int, span: tuple[int, int] | None) -> None:
    objects.trim(opened.session, opened.visit, Sent({"start": start, "stop": stop}))
    assert opened.session.span == span


@pytest.mark.parametrize(("start", "stop"), [(5, 5), (9, 3), (-1, 4), (0, 31), (30, 31)])
def test_no_empty_trim(opened: Opened, start: int, stop: int) -> None:
    with pytest.raises(SparrowError):
        objects.trim(opened.session, opened.visit, Sent({"start": start, "stop": stop}))
    assert opened.session.span is None


def test_attach_and_detach(three: Opened) -> None:
    for i in (3, 3, 1, 8):
        objects.attach(three.session, three.visit, Sent({"id": i}))
    assert three.session.attached == (3, 1)
    objects.detach(three.session, three.visit, Sent({"id": 3}))
    assert three.session.attached == (1,)


def test_changes_last(three: Opened) -> None:
    do(three, "hide")
    do(three, "rename", 3, "Rex")
    saved = three.session.store.load()
    assert (saved.hidden, saved.names) == ({2}, {3: "Rex"})

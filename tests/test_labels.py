from __future__ import annotations

import numpy as np
import pytest

from sparrow.labels import label_picture, place

YELLOW = np.array([240.0, 228, 66])
NAVY = np.array([0.0, 0, 96])


def test_nothing_to_read_gives_no_label() -> None:
    for phrase in ("", "  ", "\n\t", "\x00\x1b", "\ud800"):
        assert label_picture(phrase, YELLOW, 12) is None


@pytest.mark.parametrize(
    "phrase", ["x", "é à ü", "狐狸", "лиса", "ثعلب", "🦊 fox", "a\nb\tc\x00\x1b[31m"]
)
def test_any_phrase_gives_a_picture_of_even_sides(phrase: str) -> None:
    picture = label_picture(phrase, YELLOW, 13)
    assert picture is not None
    assert picture.dtype == np.uint8
    assert picture.shape[0] % 2 == picture.shape[1] % 2 == 0


def test_long_phrases_are_cut_and_marked() -> None:
    cut, whole = (label_picture("w" * n, YELLOW, 12) for n in (500, 40))
    assert cut is not None
    assert whole is not None
    assert cut.shape[1] <= whole.shape[1] + 12


@pytest.mark.parametrize(("rgb", "ink"), [(YELLOW, 0), (NAVY, 255)])
def test_text_stands_out_from_its_ground(rgb: np.ndarray, ink: int) -> None:
    picture = label_picture("the fox", rgb, 24)
    assert picture is not None
    assert (picture[0, 0] == rgb).all()
    assert (picture == ink).all(axis=-1).sum() > 100


def test_labels_go_above_inside_or_into_the_frame() -> None:
    size = (10, 40)
    assert place([], [], (64, 96)) == []
    assert place([(5, 30, 20, 40)], [size], (64, 96)) == [(5, 20)]
    assert place([(5, 9, 20, 40)], [size], (64, 96)) == [(5, 9)]
    assert place([(80, 0, 96, 64)], [size], (64, 96)) == [(56, 0)]
    assert place([(0, 5, 8, 8)], [(20, 40)], (8, 8)) == [(0, 0)]  # larger than the frame


def test_labels_do_not_cover_each_other_while_there_is_room() -> None:
    boxes = [(5, 30, 20, 40), (10, 32, 30, 50), (8, 31, 30, 50), (60, 30, 90, 60)]
    places = place(boxes, [(10, 30)] * 4, (64, 96))
    assert places[3] == (60, 20)
    taken = np.zeros((64, 96), dtype=int)
    for left, top in places:
        taken[top : top + 10, left : left + 30] += 1
    assert taken.max() == 1
    crowded = place([(0, 0, 8, 8)] * 20, [(10, 30)] * 20, (64, 96))
    assert all(0 <= top <= 54 for _, top in crowded)

from __future__ import annotations

import numpy as np
import pytest

from sparrow.errors import PromptError
from sparrow.types import (
    PALETTE,
    GroundedAnswer,
    MaskTrack,
    Prompt,
    Referent,
    TrackBuilder,
    Turn,
    colour_of,
)


def square(x: int) -> np.ndarray:
    mask = np.zeros((20, 30), dtype=bool)
    mask[5:9, x : x + 4] = True
    return mask


def test_colours_belong_to_ids_and_come_round() -> None:
    assert colour_of(1) == PALETTE[0]
    assert colour_of(len(PALETTE) + 1) == PALETTE[0]
    assert len(set(PALETTE)) == len(PALETTE)


@pytest.mark.parametrize(
    ("number", "span", "message"),
    [(0, None, ">= 1"), (-3, None, ">= 1"), (1, (3, 2), "start <= end"), (1, (-1, 2), "start")],
)
def test_referent_refuses(number: int, span: tuple[int, int] | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Referent(number, "the fox", span, "#ffffff")


def test_track_gives_back_the_masks_it_was_built_from() -> None:
    frames = [square(2), np.zeros((20, 30), dtype=bool), square(26)]
    track = MaskTrack.from_masks(3, frames, [0.9, 0.0, 0.5])
    assert track.num_frames == 3
    assert track.visible().tolist() == [True, False, True]
    for index, mask in enumerate(frames):
        assert np.array_equal(track.mask(index), mask)
    assert track.boxes[0].tolist() == [2, 5, 6, 9]
    assert np.isnan(track.boxes[1]).all()
    assert track.boxes[2].tolist() == [26, 5, 30, 9]
    assert track.renamed(7).referent_id == 7
    assert track.renamed(7).rles == track.rles


def test_track_without_frames_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one frame"):
        MaskTrack.from_masks(1, [], [])


def test_track_arrays_must_fit_each_other() -> None:
    with pytest.raises(ValueError, match="boxes"):
        MaskTrack(1, (4, 4), (None,), np.zeros((2, 4)), np.zeros(1))
    with pytest.raises(ValueError, match="scores"):
        MaskTrack(1, (4, 4), (None,), np.zeros((1, 4)), np.zeros(2))


def test_builder_takes_frames_in_any_order_and_checks_their_size() -> None:
    builder = TrackBuilder(1, (20, 30), 3)
    builder.put(2, square(0), 0.25)
    with pytest.raises(ValueError, match=r"expected \(20, 30\)"):
        builder.put(0, np.zeros((30, 20), dtype=bool), 1.0)
    track = builder.build(complete=False)
    assert track.visible().tolist() == [False, False, True]
    assert track.scores.tolist() == [0, 0, 0.25]
    assert not track.complete


@pytest.mark.parametrize(
    ("kind", "coordinates", "message"),
    [
        ("point+", np.array([1.0, np.nan]), "2 finite"),
        ("point-", np.array([1.0, 2.0, 3.0]), "2 finite"),
        ("box", np.array([5.0, 5.0, 5.0, 9.0]), "x0 < x1"),
        ("box", np.array([1.0, 2.0]), "4 finite"),
        ("mask", np.zeros((4, 4)), "bool array"),
        ("circle", np.array([1.0, 2.0]), "prompt kind"),
    ],
)
def test_prompt_refuses(kind: str, coordinates: np.ndarray, message: str) -> None:
    with pytest.raises(PromptError, match=message):
        Prompt(1, 0, kind, coordinates)  # type: ignore[arg-type]


def test_prompt_refuses_a_frame_before_the_first() -> None:
    with pytest.raises(PromptError, match="frame"):
        Prompt(1, -1, "point+", np.array([1.0, 2.0]))


def test_answer_spans_must_be_their_phrases() -> None:
    referent = Referent(1, "the fox", (0, 7), "#ffffff")
    assert GroundedAnswer("the fox runs.", (referent,)).complete
    with pytest.raises(ValueError, match="expected 'the fox'"):
        GroundedAnswer("a fox runs.", (referent,))
    track = MaskTrack.from_masks(2, [square(0)], [1.0])
    with pytest.raises(ValueError, match="belong to the referents"):
        GroundedAnswer("the fox runs.", (referent,), (track,))


def test_only_the_assistants_turns_carry_answers() -> None:
    with pytest.raises(ValueError, match="answer belongs"):
        Turn("assistant", "the fox")
    with pytest.raises(ValueError, match="answer belongs"):
        Turn("user", "who?", answer=GroundedAnswer("the fox"))

"""Both released modes of the PixelDecoder against the official code on the same weights.

Words are given (ids and hidden states), so are proposals; what is compared is all that follows.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from sparrow.model.box_prior import BoxPriorConfig
from sparrow.model.framewise import fitting_boxes, inference_framewise, prior_masks
from sparrow.model.video_branch import inference_video, point_in_turn
from tests.golden.recorded_pixel import Heard, Official, listening, load_official

FRAMEWISE = ("text", "boxes", "prior")
VIDEO = ("video_text", "video_boxes_shim")
BORDER = 4  # pixels of a mask that may differ


@pytest.fixture(scope="module")
def official(load_golden: Any) -> Iterator[Official]:
    with torch.inference_mode():
        yield load_official(load_golden("pixel"))


def assert_close(ours: Tensor, theirs: Tensor, atol: float = 1e-4) -> None:
    torch.testing.assert_close(ours, theirs, atol=atol, rtol=0)


def cases(official: Official, mode: str) -> list[str]:
    """The recorded cases of a mode: what was said, then how it was drawn."""
    found = [case for case in official.config["cases"] if case.split(".")[1] == mode]
    assert found
    return found


def said(official: Official) -> list[str]:
    """What was said: names of recorded sequences of ids."""
    return [name.removesuffix(".ids") for name in official.io if name.endswith(".ids")]


def test_features_of_the_first_frame(official: Official) -> None:
    for maps, stride in zip(
        official.decoder.sam.pyramid(official.features[0]), ("s4", "s8", "s16"), strict=True
    ):
        theirs = official.io[f"feat.{stride}_sub"]
        step = maps.shape[-1] // theirs.shape[-1]
        assert_close(maps[..., ::step, ::step], theirs)


def test_states_are_those_before_the_token(official: Official) -> None:
    projected = official.hidden_fcs(official.io["sb.hidden"])
    assert_close(projected, official.io["sb.text_hidden_fcs_out"])
    # The text prompts are the states as they are.
    theirs = official.io["sb.text.prompt_call.0.sparse"][:, 0]
    assert_close(official.states("sb", "seg"), theirs)
    assert len(official.states("none", "seg")) == len(official.states("none", "box")) == 0


def test_selects_the_same_boxes(official: Official) -> None:
    for words in said(official):
        guidance = official.guidance(words)
        theirs = []
        while (name := f"{words}.boxes.selected.{len(theirs)}") in official.io:
            theirs.append(official.io[name])
        ours = guidance.boxes_norm or []
        assert [len(own) for own in ours] == [len(own) for own in theirs]
        for own, wanted in zip(ours, theirs, strict=True):
            assert_close(own, wanted, 0.0)


def test_masks_of_boxes_alone(official: Official) -> None:
    io, decoder = official.io, official.decoder
    boxes = io["prior_mask.boxes"]
    masks = prior_masks(decoder, official.features[0], boxes * decoder.side, official.size_hw)
    theirs = io["prior_mask.masks_sub"]
    step = masks.shape[-1] // theirs.shape[-1]
    assert_close(masks[:, None, ::step, ::step], theirs)
    assert_close(masks.mean((1, 2))[:, None], io["prior_mask.area"])
    one = prior_masks(decoder, official.features[0], boxes[:1] * decoder.side, official.size_hw)
    assert_close(one.mean((1, 2))[:, None], io["prior_mask1.area"])


def told(official: Official, case: str) -> tuple[Tensor, list[Tensor] | None]:
    """States and model-pixel boxes of a case; selected boxes are compared on the way."""
    words, wanted = case.split(".")[0], official.config["cases"][case]
    if not wanted["guidance"]:
        return official.states(words, "seg"), None
    guidance = official.guidance(words)
    if guidance.boxes_norm is None:
        return guidance.states, None
    boxes = guidance.boxes_norm
    compare(boxes, official.io, f"{case}.selected")
    if wanted["prior"]:
        config = BoxPriorConfig(
            official.config["box_prior_min_score"], official.config["box_prior_max_keep"]
        )
        boxes = fitting_boxes(
            official.decoder, official.features[0], boxes, official.size_hw, config
        )
        compare(boxes, official.io, f"{case}.selected_after_prior")
        assert [len(own) for own in boxes] == wanted["n_selected"]
    return guidance.states, [own * official.decoder.side for own in boxes]


def compare(ours: list[Tensor], io: dict[str, Tensor], name: str) -> None:
    for row, own in enumerate(ours):
        assert_close(own, io[f"{name}.{row}"], 0.0)


def assert_masks(ours: list[Tensor], official: Official, case: str) -> None:
    masks = torch.stack(ours)  # (T, R, H, W)
    if f"{case}.masks" not in official.io:
        assert masks.shape[1] == 0
        return
    theirs = official.io[f"{case}.masks"]
    assert masks.shape == theirs.shape
    assert int((masks != theirs).sum((2, 3)).max()) <= BORDER
    area = masks.float().mean((2, 3))
    assert_close(area, official.io[f"{case}.mask_area"], BORDER / masks[0, 0].numel() + 1e-6)


def assert_rows(
    ours: tuple[Tensor, Tensor, Tensor, Tensor],
    official: Official,
    case: str,
    call: int,
    row: int,
    atol: float = 1e-4,
) -> int:
    """Compare one row of a decoder call with a recorded one, and say whether there is one."""
    io, name = official.io, f"{case}.decoder_call.{call:02}"
    logits, ious, scores, sparse = ours
    if (prompt := f"{case}.prompt_call.{call}.sparse") in io:
        assert_close(sparse, io[prompt][row])
    if f"{name}.low_res_sub" not in io:
        return 0
    theirs = io[f"{name}.low_res_sub"][row]
    step = logits.shape[-1] // theirs.shape[-1]
    assert_close(logits[:, ::step, ::step], theirs, atol)
    assert_close(ious, io[f"{name}.iou"][row], atol)
    assert_close(scores, io[f"{name}.obj_score"][row], atol)
    return 1


@pytest.mark.parametrize("mode", FRAMEWISE)
def test_framewise(mode: str, official: Official) -> None:
    """Ours decodes all pairs of a frame in one call, the official code one token after the other."""
    for case in cases(official, mode):
        states, boxes = told(official, case)
        with listening(official.decoder) as heard:
            masks = list(
                inference_framewise(
                    official.decoder,
                    official.frames,
                    states,
                    boxes,
                    official.size_hw,
                    first=official.features[0],
                )
            )
        assert_masks(masks, official, case)
        compare_framewise(heard, official, case, [1] * len(states) if boxes is None else boxes)


def compare_framewise(
    heard: Heard, official: Official, case: str, groups: list[Tensor] | list[int]
) -> None:
    """Compare the calls; theirs are the prior's first, then frame by frame, with boxes by token."""
    frames, with_boxes = len(official.frames), bool(groups) and isinstance(groups[0], Tensor)
    counts = [len(own) if isinstance(own, Tensor) else own for own in groups]
    assert len(heard.calls) == (frames if counts else 0)
    per_frame = len(counts) if with_boxes else min(1, len(counts))
    offset = official.config["cases"][case]["n_decoder_calls"] - frames * per_frame
    compared = 0
    for frame in range(len(heard.calls)):
        for place, (token, row) in enumerate(
            (token, row) for token, count in enumerate(counts) for row in range(count)
        ):
            call, index = (token, row) if with_boxes else (0, token)
            call += offset + frame * per_frame
            compared += assert_rows(heard.rows(frame, place), official, case, call, index)
    assert compared == recorded_rows(official, case, offset)


def recorded_rows(official: Official, case: str, start: int = 0) -> int:
    """How many rows of decoder calls were recorded, from a call on."""
    names = [re.fullmatch(rf"{case}\.decoder_call\.(\d+)\.iou", name) for name in official.io]
    return sum(len(official.io[name[0]]) for name in names if name and int(name[1]) >= start)


def test_prior_decodes_alike(official: Official) -> None:
    """The filter's calls: a token's boxes each, two corners and a padding point, one mask."""
    case = "sb.prior"
    boxes = official.guidance("sb").boxes_norm
    assert boxes is not None
    for token, own in enumerate(boxes):
        with listening(official.decoder) as heard:
            prior_masks(official.decoder, official.features[0], own * official.decoder.side, (9, 9))
        for row in range(len(own)):
            assert assert_rows(heard.rows(0, row), official, case, token, row)


@pytest.mark.parametrize("mode", VIDEO)
def test_video(mode: str, official: Official) -> None:
    """Boxes in turn are what the release would do with the function that it lacks."""
    for case in cases(official, mode):
        states, boxes = told(official, case)
        with listening(official.decoder) as heard:
            masks = list(
                inference_video(
                    official.decoder,
                    official.frames,
                    states,
                    boxes,
                    official.size_hw,
                    first=official.features[0],
                    point=point_in_turn,
                )
            )
        assert_masks(masks, official, case)
        turns = [1 + len(own) for own in boxes] if boxes else [1] * len(states)
        compare_video(heard, official, case, turns)


def compare_video(heard: Heard, official: Official, case: str, turns: list[int]) -> None:
    """Compare the calls; ours on the first frame are all states, then each one's next box."""
    later = len(official.frames) - 1 if turns else 0
    prompts = len(heard.calls) - later
    assert prompts == max(turns, default=0)
    assert official.config["cases"][case]["n_decoder_calls"] == sum(turns) + later
    compared = 0
    for token, count in enumerate(turns):
        for turn in range(count):
            call = sum(turns[:token]) + turn
            among = sum(turn < other for other in turns[:token])
            compared += assert_rows(heard.rows(turn, among), official, case, call, 0)
        for frame in range(later):
            ours, call = heard.rows(prompts + frame, token), sum(turns) + frame
            compared += assert_rows(ours, official, case, call, token, 1e-3)
    assert compared == recorded_rows(official, case)
    # Three candidates but where a box points.
    multimask = [part[0].shape[1] == 3 for part in heard.calls]
    assert multimask == [turn == 0 for turn in range(prompts)] + [True] * later


def test_every_recorded_case_is_compared(official: Official) -> None:
    assert {case.split(".")[1] for case in official.config["cases"]} <= {*FRAMEWISE, *VIDEO}

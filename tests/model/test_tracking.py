"""Tracking through an untrained tiny SAM2: streaming, both directions, cancelling, pruned memory."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch

from sparrow.model import looking, tracking
from sparrow.model.memory import Memory
from sparrow.model.pixel_decoder import FramePrompt, PixelDecoder, box_map, click_map
from sparrow.model.sam import Prompts, SamConfig
from sparrow.model.tracking import Reached, Target, track, track_steps
from sparrow.types import MaskTrack, Progress
from sparrow.work import finish

TINY = SamConfig(
    image_size=64,
    embed_dim=8,
    num_heads=1,
    stages=(1, 1, 2, 1),
    global_blocks=(3,),
    windows=(8, 4, 4, 2),
    dim=32,
    token_dim=32,
    mem_dim=16,
    num_memories=3,
    memory_layers=1,
    feedforward=32,
    decoder_heads=4,
    iou_hidden=16,
    layer_scale=0.1,
    dropout=0.0,
    multimask=False,
    dense_prompts=True,
    memory_gate=True,
)
BOX = FramePrompt(box=np.array([8.0, 8.0, 30.0, 40.0]))


class Frames:
    """Noise frames in memory; counts how often each was streamed."""

    def __init__(self, count: int, size_hw: tuple[int, int] = (48, 80)) -> None:
        rng = np.random.default_rng(0)
        self.frames = rng.integers(0, 255, (count, *size_hw, 3), dtype=np.uint8)
        self.num_frames = count
        self.size_hw = size_hw
        self.streamed: list[int] = []

    def iter(self, start: int = 0, stop: int | None = None) -> Iterator[np.ndarray]:
        for index in range(start, self.num_frames if stop is None else stop):
            self.streamed.append(index)
            yield self.frames[index]


@pytest.fixture(scope="module", params=[False, True], ids=["whole frames", "windows"])
def decoder(request: pytest.FixtureRequest) -> PixelDecoder:
    torch.manual_seed(0)
    return PixelDecoder(replace(TINY, windowed=request.param)).eval()


def test_no_target_reads_nothing(decoder: PixelDecoder) -> None:
    frames = Frames(3)
    assert track(decoder, frames, []) == []
    assert frames.streamed == []


def test_one_frame_video(decoder: PixelDecoder) -> None:
    found = track(decoder, Frames(1), [Target(4, 0, {0: BOX})])
    assert len(found) == 1
    assert (found[0].referent_id, found[0].num_frames, found[0].complete) == (4, 1, True)
    assert found[0].size_hw == (48, 80)


def test_each_frame_is_streamed_once_from_an_anchor_in_the_middle(decoder: PixelDecoder) -> None:
    frames = Frames(7)
    seen = []
    found = track(
        decoder, frames, [Target(1, 3, {3: BOX})], progress=lambda p: seen.append((p.done, p.total))
    )
    assert sorted(frames.streamed) == list(range(7))
    assert seen == [(i + 1, 7) for i in range(7)]
    assert (found[0].scores > 0).all()


def test_backward_equals_forward_on_a_mirrored_video(decoder: PixelDecoder) -> None:
    frames = Frames(6)
    mirrored = Frames(6)
    mirrored.frames = frames.frames[::-1]
    forward = track(decoder, frames, [Target(1, 0, {0: BOX})])[0]
    backward = track(decoder, mirrored, [Target(1, 5, {5: BOX})])[0]
    assert forward.scores == pytest.approx(backward.scores[::-1], abs=1e-5)


def test_cancel_keeps_what_was_tracked(decoder: PixelDecoder) -> None:
    cancel = threading.Event()
    frames = Frames(20)

    def stop(progress: object) -> None:
        if frames.streamed[-1] == 4:
            cancel.set()

    found = track(decoder, frames, [Target(1, 0, {0: BOX})], progress=stop, cancel=cancel)[0]
    assert not found.complete
    assert (found.scores[:5] > 0).all()
    assert (found.scores[5:] == 0).all()
    assert max(frames.streamed) <= 5


def test_backward_reading_is_chunked(
    decoder: PixelDecoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames = Frames(9)
    whole = track(decoder, frames, [Target(1, 8, {8: BOX})])[0]
    monkeypatch.setattr(tracking, "_CHUNK_BYTES", 3 * 64 * 64 * 3)
    chunked = track(decoder, Frames(9), [Target(1, 8, {8: BOX})])[0]
    assert chunked.rles == whole.rles


def test_pruned_memory_changes_nothing(decoder: PixelDecoder) -> None:
    frames = Frames(25)
    pruned, kept = decoder.new_memory(), Memory(TINY.num_memories)
    kept._pointers = 10**6  # never forgets
    with torch.inference_mode():
        for memory, logits in ((pruned, []), (kept, [])):
            previous = None
            for index, frame in enumerate(frames.frames):
                decoded = decoder.step(
                    decoder.encode(frame),
                    BOX if index == 0 else None,
                    previous,
                    memory,
                    index,
                    (48, 80),
                )
                previous = decoded.gated
                logits.append(decoded.logits)
            memory.seen = torch.cat(logits)  # type: ignore[attr-defined]
    assert len(kept.recent) == 24
    assert len(pruned.recent) <= 15
    assert torch.equal(pruned.seen, kept.seen)  # type: ignore[attr-defined]


def test_two_objects_do_not_disturb_each_other(decoder: PixelDecoder) -> None:
    other = FramePrompt(clicks=((60.0, 20.0, True),))
    alone = track(decoder, Frames(4), [Target(1, 0, {0: BOX})])[0]
    both = track(decoder, Frames(4), [Target(1, 0, {0: BOX}), Target(2, 2, {2: other})])
    assert both[0].rles == alone.rles
    assert both[1].referent_id == 2


BEFORE = MaskTrack.from_masks(
    9, [np.pad(np.ones((10 + t, 12), bool), ((5, 33 - t), (9, 59))) for t in range(8)], [0.7] * 8
)
CLICKS = ((60.0, 20.0, True), (10.0, 6.0, False))


def known(track: MaskTrack, frame: int) -> FramePrompt:
    return FramePrompt(clicks=CLICKS, mask=track.mask(frame))


def unchanged(track: MaskTrack, before: MaskTrack, frames: Iterable[int]) -> None:
    """Check that a track is as it was in some frames, to the last bit."""
    for t in frames:
        assert track.rles[t] == before.rles[t]
        assert track.scores[t] == before.scores[t]
        assert np.array_equal(track.boxes[t], before.boxes[t], equal_nan=True)


@pytest.mark.parametrize(
    ("anchor", "span"),
    [(3, (2, 6)), (3, (3, 8)), (3, (0, 4)), (3, (3, 4)), (0, (0, 1)), (7, (7, 8)), (4, (0, 8))],
)
def test_only_the_span_changes(decoder: PixelDecoder, anchor: int, span: tuple[int, int]) -> None:
    frames = Frames(8)
    target = Target(2, anchor, {anchor: known(BEFORE, anchor)}, BEFORE)
    seen: list[tuple[int, int]] = []
    found = track(
        decoder,
        frames,
        [target],
        span=range(*span),
        progress=lambda p: seen.append((p.done, p.total)),
    )[0]
    inside = range(*span)
    assert sorted(frames.streamed) == list(inside)
    assert seen == [(n + 1, len(inside)) for n in range(len(inside))]
    assert (found.referent_id, found.complete) == (2, True)
    unchanged(found, BEFORE, set(range(8)) - set(inside))
    assert not any(found.scores[t] == BEFORE.scores[t] for t in inside)


def test_without_a_track_before_it_is_absent_outside_the_span(decoder: PixelDecoder) -> None:
    found = track(decoder, Frames(8), [Target(1, 3, {3: BOX})], span=range(2, 5))[0]
    assert found.complete
    assert np.flatnonzero(found.scores).tolist() == [2, 3, 4]
    assert not found.visible()[[0, 1, 5, 6, 7]].any()


def test_far_from_where_a_thing_was_proposed_it_is_believed_only_if_sure(
    decoder: PixelDecoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(looking, "_FLOOD", 1e9)
    frames, near = Frames(8), range(1, 6)
    free = track(decoder, frames, [Target(1, 3, {3: BOX})])[0]
    assert free.scores.max() < 0.85 and free.visible()[[0, 6, 7]].any()
    held = track(decoder, frames, [Target(1, 3, {3: BOX}, near=near)])[0]
    assert not held.visible()[[0, 6, 7]].any()
    for t in near:
        assert np.array_equal(held.mask(t), free.mask(t))
    monkeypatch.setattr(tracking, "_SURE_FAR", 0.0)
    sure = track(decoder, frames, [Target(1, 3, {3: BOX}, near=near)])[0]
    assert [np.array_equal(sure.mask(t), free.mask(t)) for t in range(8)] == [True] * 8


def test_a_correction_within_a_span_is_that_of_the_whole_video(decoder: PixelDecoder) -> None:
    target = Target(9, 3, {3: known(BEFORE, 3), 5: known(BEFORE, 5)}, BEFORE)
    whole = track(decoder, Frames(8), [target])[0]
    part = track(decoder, Frames(8), [target], span=range(2, 7))[0]
    unchanged(part, whole, range(2, 7))


@pytest.mark.parametrize(("stop_after", "reached"), [(0, []), (1, [3]), (5, [3, 4, 5, 6, 7])])
def test_a_stopped_correction_keeps_what_was_there(
    decoder: PixelDecoder, stop_after: int, reached: list[int]
) -> None:
    cancel = threading.Event()
    if not stop_after:
        cancel.set()

    def look(progress: Progress) -> None:
        if progress.done == stop_after:
            cancel.set()

    target = Target(9, 3, {3: known(BEFORE, 3)}, BEFORE)
    found = track(decoder, Frames(8), [target], progress=look, cancel=cancel)[0]
    assert not found.complete
    unchanged(found, BEFORE, set(range(8)) - set(reached))
    assert not any(found.scores[t] == BEFORE.scores[t] for t in reached)


@pytest.mark.parametrize(
    ("complete", "span", "whole"),
    [(True, (2, 5), True), (False, (2, 5), False), (False, (0, 8), True)],
)
def test_a_track_that_was_cut_short_stays_so_outside_the_span(
    decoder: PixelDecoder, complete: bool, span: tuple[int, int], whole: bool
) -> None:
    before = replace(BEFORE, complete=complete)
    target = Target(9, 3, {3: known(before, 3)}, before)
    assert track(decoder, Frames(8), [target], span=range(*span))[0].complete == whole


def test_a_mask_is_taken_for_the_truth_and_clicks_on_it_are_obeyed(decoder: PixelDecoder) -> None:
    mask = BEFORE.mask(4)
    plain = track(decoder, Frames(8), [Target(1, 4, {4: FramePrompt(mask=mask)})])[0]
    assert np.array_equal(plain.mask(4), mask) and plain.scores[4] == 1
    later = {0: BOX, 4: FramePrompt(clicks=CLICKS, mask=mask)}
    corrected = track(decoder, Frames(8), [Target(1, 0, later)])[0].mask(4)
    assert corrected[20, 60] and not corrected[6, 10]
    empty = FramePrompt(mask=np.zeros((48, 80), bool))
    gone = track(decoder, Frames(8), [Target(1, 0, {0: BOX, 4: empty})])[0]
    assert gone.rles[4] is None


def test_what_is_known_is_remembered_as_an_anchor(decoder: PixelDecoder) -> None:
    memory, frames = decoder.new_memory(), Frames(3)
    with torch.inference_mode():
        for index, mask in enumerate((BEFORE.mask(0), np.zeros((48, 80), bool))):
            features = decoder.encode(frames.frames[index])
            decoded = decoder.accept(features, mask, memory, index)
            assert bool((decoded.gated > 0).any()) == bool(mask.any())
            assert (float(decoded.score[0]) > 0) == bool(mask.any())
        decoder.step(decoder.encode(frames.frames[2]), None, decoded.gated, memory, 2, (48, 80))
    assert sorted(memory.anchors) == [0, 1] and sorted(memory.recent) == [2]


def test_a_decoder_that_knows_clicks_is_asked(decoder: PixelDecoder) -> None:
    torch.manual_seed(0)
    released = PixelDecoder(replace(TINY, dense_prompts=False, memory_gate=False)).eval()
    target = Target(1, 2, {2: known(BEFORE, 2)}, BEFORE)
    first, second = (track(released, Frames(4), [replace(target, before=None)])[0] for _ in "ab")
    assert first.rles == second.rles
    ours = track(decoder, Frames(4), [replace(target, before=None)])[0]
    assert ours.rles[2] != first.rles[2]


def test_what_is_reached_is_shown_while_it_grows(
    decoder: PixelDecoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracking, "SHOWN_EVERY", 0.0)
    steps: list[Progress | Reached] = []
    target = Target(9, 3, {3: known(BEFORE, 3)}, BEFORE)
    tracks = finish(track_steps(decoder, Frames(8), [target]), steps.append)
    shown = [step.tracks[0] for step in steps if isinstance(step, Reached)]
    assert len(shown) == 8
    for number, each in enumerate(shown, 1):
        reached = [*range(3, min(8, 3 + number)), *range(2, 2 - (number - 5), -1)]
        assert not each.complete
        unchanged(each, tracks[0], reached)
        unchanged(each, BEFORE, set(range(8)) - set(reached))


def test_a_token_changes_the_mask_and_gets_a_gradient() -> None:
    torch.manual_seed(1)
    decoder = PixelDecoder(TINY)
    features = decoder.encode(Frames(1).frames[0])
    token = torch.randn(1, 1, 32, requires_grad=True)
    points = (torch.tensor([[[5.0, 5.0], [30.0, 30.0]]]), torch.tensor([[2, 3]]))
    plain = decoder.sam.step(features, Prompts(points), decoder.new_memory(), 0)
    with_token = decoder.sam.step(features, Prompts(points, token), decoder.new_memory(), 0)
    assert not torch.allclose(plain.logits, with_token.logits)
    with_token.logits.sum().backward()
    assert token.grad is not None and token.grad.abs().sum() > 0


def test_box_map_covers_its_share_of_cells() -> None:
    drawn = box_map(np.array([[0.5, 0.0], [2.0, 1.5]]), 4)
    assert drawn[0].tolist() == [0.5, 1.0, 0.0, 0.0]
    assert drawn[1].tolist() == [0.25, 0.5, 0.0, 0.0]
    assert drawn.sum() == pytest.approx(1.5 * 1.5)


def test_click_map_peaks_at_the_click_and_is_empty_without_one() -> None:
    assert click_map(np.zeros((0, 2)), 8).sum() == 0
    drawn = click_map(np.array([[2.5, 5.5]]), 8)
    assert np.unravel_index(drawn.argmax(), drawn.shape) == (5, 2)
    assert drawn.max() == pytest.approx(1.0)


def test_previous_masks_point_with_their_boxes() -> None:
    logits = torch.full((2, 1, 16, 16), -1.0)
    logits[0, 0, 3:7, 5:14] = 2.0
    shown = Prompts.of_previous(logits)
    assert shown.points is not None and shown.dense is not None
    assert shown.points[0][0].tolist() == [[20.0, 12.0], [56.0, 28.0]]
    assert shown.points[1].tolist() == [[2, 3], [-1, -1]]
    assert shown.dense.shape == (2, 1, 16, 16)

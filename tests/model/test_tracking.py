"""Tracking through an untrained tiny SAM2: streaming, both directions, cancelling, pruned memory."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import numpy as np
import pytest
import torch

from sparrow.model import tracking
from sparrow.model.pixel_decoder import FramePrompt, PixelDecoder, box_map, click_map
from sparrow.model.sam import Memory, Prompts, SamConfig
from sparrow.model.tracking import Target, track

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


@pytest.fixture(scope="module")
def decoder() -> PixelDecoder:
    torch.manual_seed(0)
    return PixelDecoder(TINY).eval()


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

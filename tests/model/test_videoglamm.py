"""The released VideoLLM with tiny random weights: merge, window, cache, training forward."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sparrow.model.kv_cache import visible
from sparrow.model.splice import IGNORED, IMAGE_ID, TSF_ID, splice
from sparrow.model.videoglamm import VideoGlamm, VideoGlammConfig, projector
from tests.made_phi3 import tiny_config, tiny_videoglamm

TOKENS = 5  # per frame: 4 of the context, 1 of the video tower


@pytest.fixture(scope="module")
def llm() -> VideoGlamm:
    return tiny_videoglamm()


@pytest.fixture(scope="module")
def words() -> nn.Embedding:
    table = nn.Embedding(10, 2)
    with torch.no_grad():
        table.weight.copy_(torch.arange(10.0)[:, None].expand(-1, 2))
    return table


def ids_of(*ids: int) -> Tensor:
    return torch.tensor(ids)


VISUAL = torch.tensor([[100.0], [101.0], [102.0]]).expand(-1, 2)
TSF = torch.tensor([[50.0], [51.0], [52.0], [53.0], [54.0]]).expand(-1, 2)


@pytest.mark.parametrize(
    ("ids", "visual", "tsf", "expected", "places"),
    [
        ([], None, None, [], []),
        ([3], None, None, [3], [0]),
        ([IMAGE_ID], VISUAL, None, [100, 101, 102], [-1]),
        ([1, IMAGE_ID, 2], VISUAL, None, [1, 100, 101, 102, 2], [0, -1, 4]),
        (
            [1, IMAGE_ID, IMAGE_ID, 9, IMAGE_ID, 2],
            VISUAL,
            None,
            [1, 100, 101, 102, 2],
            [0, -1, -1, -1, -1, 4],
        ),
        ([IMAGE_ID, 1, TSF_ID, 2], VISUAL, TSF, [100, 101, 102, 1, 50, 2], [-1, 3, -1, 5]),
        ([TSF_ID] * 3 + [2], None, TSF[:2], [50, 51, 2], [-1, -1, -1, 2]),
        ([1] + [TSF_ID] * 6 + [2], None, TSF, [1, 50, 51, 52, 53, 2], [0] + [-1] * 6 + [5]),
        ([1] + [TSF_ID] * 6 + [2], None, None, [1, 0, 0, 0, 0, 2], [0] + [-1] * 6 + [5]),
        ([1, TSF_ID, 2], None, TSF[:0], [1, 2], [0, -1, 1]),
    ],
)
def test_splices(
    ids: list[int],
    visual: Tensor | None,
    tsf: Tensor | None,
    expected: list[int],
    places: list[int],
    words: nn.Embedding,
) -> None:
    spliced = splice(torch.tensor(ids, dtype=torch.long), words, visual, tsf, 4)
    assert spliced.embeds[:, 0].tolist() == expected
    assert spliced.places.tolist() == places


@pytest.mark.parametrize(
    ("ids", "visual", "told"),
    [
        ([1, 2], VISUAL, "expected some -200, got 0"),
        ([1, IMAGE_ID], None, "expected no -200, got 1"),
        ([TSF_ID, IMAGE_ID], VISUAL, "expected -201 only after the last -200"),
    ],
)
def test_refuses_to_splice(
    ids: list[int], visual: Tensor | None, told: str, words: nn.Embedding
) -> None:
    with pytest.raises(ValueError, match=told):
        splice(torch.tensor(ids), words, visual, None, 4)


def test_positions_before_a_token_and_labels_follow_the_words(words: nn.Embedding) -> None:
    spliced = splice(ids_of(7, 1, IMAGE_ID, 7, TSF_ID, 7, 5, 7), words, VISUAL, None, 4)
    assert spliced.places.tolist() == [0, 1, -1, 5, -1, 7, 8, 9]
    assert spliced.before(7).tolist() == [4, 6, 8]  # nothing predicts the very first
    assert spliced.before(8).tolist() == []
    labels = ids_of(IGNORED, 1, IMAGE_ID, 7, TSF_ID, IGNORED, 5, 7)
    expected = [IGNORED, 1, *[IGNORED] * 3, 7, IGNORED, IGNORED, 5, 7]
    assert spliced.spread(labels).tolist() == expected


@torch.no_grad()
def test_a_video_is_all_context_frames_then_all_chunks(llm: VideoGlamm) -> None:
    context, chunks = torch.randn(4, 3, 56, 56), torch.randn(4, 3, 28, 28)
    tokens = llm.encode_video(context, chunks)
    assert tokens.shape == (4 * TOKENS, 32)
    frame = llm.image_mm_projector(llm.context_features(context[2:3]))[
        0
    ]  # (16, H) of 4 x 4 patches
    corner = frame[[0, 1, 4, 5]].mean(0)
    torch.testing.assert_close(tokens[2 * 4], corner, atol=1e-6, rtol=0)
    clip = llm.mm_projector(llm.vision_tower(chunks[None, 2:]))[0]
    torch.testing.assert_close(tokens[4 * 4 + 3], clip[4:].mean(0), atol=1e-6, rtol=0)


@pytest.mark.parametrize("count", [0, 1, 3])
def test_refuses_half_chunks(llm: VideoGlamm, count: int) -> None:
    with pytest.raises(ValueError, match=f"expected a multiple of 2, got {count}"):
        llm.clip_features(torch.zeros(count, 3, 28, 28))


@torch.no_grad()
def test_an_image_keeps_all_its_tokens(llm: VideoGlamm) -> None:
    assert llm.encode_image(torch.randn(1, 3, 56, 56)).shape == (16, 32)


@pytest.mark.parametrize(("views", "kept"), [(1, 1), (4, 4), (7, 4)])
@torch.no_grad()
def test_views_become_at_most_four_of_their_tokens(llm: VideoGlamm, views: int, kept: int) -> None:
    crops = torch.randn(views, 3, 56, 56)
    every, chosen = llm.view_tokens(crops), llm.tsf_tokens(crops)
    assert every.shape == (views, 32)
    assert chosen.shape == (kept, 32)
    assert torch.cdist(chosen, every).amin(1).max() < 1e-5


@pytest.mark.parametrize(
    ("start", "count", "window", "expected"),
    [
        (0, 1, None, None),
        (5, 1, 2, None),
        (0, 4, None, None),
        (0, 3, 2, None),
        (0, 4, 2, ["1000", "1100", "1110", "0111"]),
        (3, 2, None, ["11110", "11111"]),
        (3, 2, 1, ["110", "011"]),
    ],
)
def test_who_sees_whom(
    start: int, count: int, window: int | None, expected: list[str] | None
) -> None:
    seen = visible(start, count, window, torch.device("cpu"))
    if expected is None:
        assert seen is None
        return
    assert seen is not None
    assert ["".join(str(int(key)) for key in row) for row in seen[0, 0]] == expected


def seen_by_last(llm: VideoGlamm, inputs: Tensor) -> list[int]:
    """Positions whose change changes the last state."""
    reference = llm.read(inputs)[0, -1]
    changed = []
    for place in range(inputs.shape[1]):
        other = inputs.clone()
        other[0, place] += 1.0
        if (llm.read(other)[0, -1] - reference).abs().max() > 1e-6:
            changed.append(place)
    return changed


@torch.no_grad()
def test_the_window_shows_a_position_and_as_many_before_it() -> None:
    llm = tiny_videoglamm(sliding_window=3, num_hidden_layers=1)
    assert seen_by_last(llm, torch.randn(1, 9, 32)) == [5, 6, 7, 8]


@pytest.mark.parametrize("window", [None, 1, 5, 600])
@pytest.mark.parametrize("parts", [[1] * 12, [12], [7, 1, 1, 3], [2, 10]])
@torch.no_grad()
def test_reading_in_parts_is_reading_at_once(window: int | None, parts: list[int]) -> None:
    llm = tiny_videoglamm(sliding_window=window, max_position_embeddings=9)  # it has to grow
    inputs = torch.randn(1, 12, 32)
    cache = llm.new_cache()
    states = torch.cat([llm.read(part, cache) for part in inputs.split(parts, 1)], 1)
    torch.testing.assert_close(states, llm.read(inputs), atol=1e-5, rtol=0)


@pytest.mark.parametrize("window", [None, 300])
@torch.no_grad()
def test_long_inputs_are_read_in_blocks(window: int | None) -> None:
    llm = tiny_videoglamm(sliding_window=window)
    inputs, lengths = torch.randn(1, 1300, 32), []
    reference = llm.read(inputs)
    hook = llm.lm.model.layers[0].register_forward_hook(
        lambda _, given, __: lengths.append(given[0].shape[1])
    )
    states = llm.read(inputs, llm.new_cache())
    hook.remove()
    assert lengths == [512, 512, 276]
    torch.testing.assert_close(states, reference, atol=1e-5, rtol=0)


@torch.no_grad()
def test_a_cut_cache_continues_as_if_nothing_had_followed() -> None:
    llm = tiny_videoglamm(sliding_window=4)
    inputs = torch.randn(1, 12, 32)
    cache = llm.new_cache()
    llm.read(inputs[:, :8], cache)
    llm.read(torch.randn(1, 3, 32), cache)
    cache.cut(8)
    assert cache.get_seq_length() == 8
    rest = llm.read(inputs[:, 8:], cache)
    torch.testing.assert_close(rest, llm.read(inputs)[:, 8:], atol=1e-5, rtol=0)
    cache.cut(100)
    assert cache.get_seq_length() == 12


def conversation(llm: VideoGlamm) -> tuple[list[Tensor], list[Tensor]]:
    """Two of different length, with [BOX] [SEG] in the answers; None of the first part is learnt."""
    box, seg, end = llm.config.box_id, llm.config.seg_id, llm.config.end_id
    ids = [
        ids_of(5, IMAGE_ID, IMAGE_ID, 270, box, seg, end),
        ids_of(5, IMAGE_ID, 270, TSF_ID, TSF_ID, 280, box, seg, 281, seg, end),
    ]
    labels = [one.clone() for one in ids]
    for label, asked in zip(labels, (4, 6), strict=True):
        label[:asked] = IGNORED
    return ids, labels


def test_the_training_forward_is_each_conversation_by_itself(llm: VideoGlamm) -> None:
    ids, labels = conversation(llm)
    visual, tsf = torch.randn(6, 32), torch.randn(3, 32)
    spliced = [llm.splice(ids[0], visual), llm.splice(ids[1], visual, tsf)]
    with torch.no_grad():
        reading = llm.forward_text(spliced, labels)
        losses, count = 0.0, 0
        for row, (one, label) in enumerate(zip(spliced, labels, strict=True)):
            states = llm.read(one.embeds[None])[0]
            torch.testing.assert_close(
                reading.states[row, : len(states)], states, atol=1e-5, rtol=0
            )
            targets = one.spread(label)[1:]
            logits = llm.logits(states)[:-1]
            losses += float(F.cross_entropy(logits, targets, ignore_index=IGNORED, reduction="sum"))
            count += int((targets != IGNORED).sum())
            end = len(states)
            seg = [end - 3] if row == 0 else [end - 5, end - 3]
            torch.testing.assert_close(
                reading.seg_states[row], llm.project(states[seg]), atol=1e-5, rtol=0
            )
            box = [end - 4] if row == 0 else [end - 6]
            torch.testing.assert_close(
                reading.box_states[row], llm.project(states[box]), atol=1e-5, rtol=0
            )
    assert float(reading.loss) == pytest.approx(losses / count, abs=1e-5)


def test_nothing_to_learn_costs_nothing(llm: VideoGlamm) -> None:
    spliced = llm.splice(ids_of(5, 6, 7), None)
    reading = llm.forward_text([spliced], [torch.full((3,), IGNORED)])
    assert reading.loss.item() == 0.0
    assert reading.seg_states[0].shape == (0, 8)


def test_gradients_reach_projectors_words_and_states_but_no_tower() -> None:
    llm = tiny_videoglamm()
    ids, labels = conversation(llm)
    visual = llm.encode_video(torch.randn(4, 3, 56, 56), torch.randn(4, 3, 28, 28))
    tsf = llm.tsf_tokens(torch.randn(2, 3, 56, 56))
    reading = llm.forward_text([llm.splice(ids[1], visual, tsf)], labels[1:])
    (reading.loss + reading.seg_states[0].sum() + reading.box_states[0].sum()).backward()
    reached = {
        name.split(".")[0] for name, value in llm.named_parameters() if value.grad is not None
    }
    assert reached == {"mm_projector", "image_mm_projector", "lm", "text_hidden_fcs"}


@pytest.mark.parametrize(("kind", "linears"), [("linear", 1), ("mlp1x_gelu", 1), ("mlp3x_gelu", 3)])
def test_projectors(kind: str, linears: int) -> None:
    layers = projector(kind, 3, 5)
    assert len(layers) == 2 * linears - 1
    assert layers(torch.zeros(2, 3)).shape == (2, 5)


@pytest.mark.parametrize("kind", ["", "mlp2x_relu", "identity"])
def test_refuses_other_projectors(kind: str) -> None:
    with pytest.raises(ValueError, match='projector: expected "linear" or "mlpNx_gelu"'):
        projector(kind, 3, 5)


def test_the_released_size() -> None:
    with torch.device("meta"):
        llm = VideoGlamm(VideoGlammConfig())
    shapes = {name: tuple(value.shape) for name, value in llm.state_dict().items()}
    assert shapes["lm.lm_head.weight"] == (32013, 3072)
    assert shapes["lm.model.layers.31.self_attn.qkv_proj.weight"] == (9216, 3072)
    assert shapes["mm_projector.0.weight"] == (3072, 1408)
    assert shapes["image_mm_projector.0.weight"] == (3072, 1024)
    assert shapes["text_hidden_fcs.2.weight"] == (256, 3072)
    assert shapes["image_vision_tower.embeddings.position_embedding.weight"] == (577, 1024)


def test_embeddings_and_head_are_two_tables() -> None:
    llm = VideoGlamm(replace(tiny_config(), num_hidden_layers=1))
    assert llm.lm.lm_head.weight is not llm.lm.model.embed_tokens.weight

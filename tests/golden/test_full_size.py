"""The full-size model against the names and shapes of the official one: every released weight is accounted for."""

from __future__ import annotations

import json
import os
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from sparrow.model.config import SparrowConfig
from sparrow.model.empty import build_empty
from sparrow.model.proposer import ProposerConfig
from sparrow.model.release.names import Naming, StoreName, name_store
from sparrow.model.release.needs import Counts
from sparrow.model.release.sizes import Shapes, Words, sizes_of
from sparrow.model.sam import SamConfig
from sparrow.model.selector import SelectorConfig
from sparrow.model.sparrow import SparrowModel
from sparrow.model.videoglamm import VideoGlammConfig
from tests.golden.conftest import ROOT
from tests.made_phi3 import phi3_tokenizer

Shape = tuple[int, ...]
VIDEO, IMAGE = "model.vision_tower.vision_encoder.", "model.image_vision_tower.vision_tower."


@pytest.fixture(scope="module")
def released() -> dict[StoreName, dict[str, Shape]]:
    """Names and shapes of the official full-size model, by store; main holds the towers too."""
    golden = Path(os.environ.get("SPARROW_GOLDEN", ROOT.parent / "shared" / "golden"))
    path = golden.parent / "reference" / "full-size-keys.json"
    if not path.is_file():
        pytest.skip(f"no list of the full-size model's weights at {path}")
    content = json.loads(path.read_text(encoding="utf-8"))
    parts = {re.split(r"[ (]", name)[0]: part for name, part in content.items()}
    numbers = {
        name: re.findall(r"x(\d+)", title) for title, name in zip(content, parts, strict=True)
    }
    main = flat(parts["heads"]) | flat(parts["sam2_large"]["keys"])
    main |= repeated(parts["phi3"], {"layers": numbers["phi3"][0]}, "")
    main |= repeated(parts["clip"], {"layers": numbers["clip"][0]}, IMAGE)
    blocks, decoders = numbers["internvideo2"]
    counts = {"blocks": blocks, "clip_decoder": decoders}
    main |= repeated(parts["internvideo2"], counts, VIDEO)
    encoder = "model.visual_model.image_encoder."
    detector = {
        name.replace(encoder, "vis_encoder."): shape
        for name, shape in main.items()
        if name.startswith(encoder)
    }
    assert len(detector) == parts["proposer"]["vis_encoder_tensors"]
    return {"main": main, "proposer": detector | flat(parts["proposer"]["ddetr_keys"])}


def flat(part: dict[str, list[int]]) -> dict[str, Shape]:
    return {name: tuple(shape) for name, shape in part.items()}


def repeated(part: dict[str, list[int]], counts: dict[str, str], prefix: str) -> dict[str, Shape]:
    """Write out layers of which only the first is listed."""
    found = {}
    for name, shape in part.items():
        hit = re.match(rf"(.*\b(?:{'|'.join(counts)})\.)0(\..*)", name)
        count = int(counts[hit[1].rstrip(".").split(".")[-1]]) if hit else 1
        for i in range(count):
            found[prefix + (f"{hit[1]}{i}{hit[2]}" if hit else name)] = tuple(shape)
    return found


@pytest.fixture(scope="module")
def namings(released: dict[StoreName, dict[str, Shape]]) -> dict[StoreName, Naming]:
    return {store: name_store(store, names) for store, names in released.items()}


@pytest.fixture(scope="module")
def shapes(released: Any, namings: Any) -> dict[str, Shape]:
    """Shapes of the official weights that are used, by our names."""
    return {
        ours: released[store][theirs]
        for store, naming in namings.items()
        for theirs, ours in naming.used.items()
    }


@pytest.fixture(scope="module")
def own() -> dict[str, Shape]:
    """Names and shapes of our full-size model."""
    config = SparrowConfig(SamConfig(), ProposerConfig(), SelectorConfig(), VideoGlammConfig())
    model = build_empty(lambda: SparrowModel(config, phi3_tokenizer()))
    return {name: tuple(value.shape) for name, value in model.state_dict().items()}


def test_our_weights_are_the_used_ones_exactly(
    own: dict[str, Shape], shapes: dict[str, Shape]
) -> None:
    assert sorted(set(own) - set(shapes)) == []
    assert sorted(set(shapes) - set(own)) == []
    assert {name: shape for name, shape in own.items() if shapes[name] != shape} == {}


def test_every_released_name_is_used_or_left_out_for_a_reason(
    namings: dict[StoreName, Naming], released: dict[StoreName, dict[str, Shape]]
) -> None:
    for store, naming in namings.items():
        assert naming.unknown == ()
        assert len(naming.used) + len(naming.unused) == len(released[store])
    assert {name.removeprefix(VIDEO).split(".")[0] for name in namings["main"].unused} == {
        "blocks",
        "clip_decoder",
        "clip_img_pos_embed",
        "clip_pos_embed",
        "clip_projector",
        "final_clip_decoder",
    }
    assert {
        name.removeprefix("ddetr_transformer.decoder.").split(".")[0]
        for name in namings["proposer"].unused
    } == {"bbox_embed", "class_embed_coco", "class_embed_enc", "class_embed_sa1b"}


def test_the_released_sizes_are_our_defaults(shapes: dict[str, Shape]) -> None:
    default = VideoGlammConfig()
    words = Words(
        default.vocab_size, default.seg_id, default.box_id, default.end_id, default.other_end_ids
    )
    found = sizes_of(Shapes(shapes), {"main": {"sliding_window": 2047}}, words)
    assert found.llm == default
    assert found.proposer == ProposerConfig()
    assert found.selector == SelectorConfig()
    as_released = {"token_dim": 256, "predictor_memory": True, "resize": "longest"}
    assert found.sam == replace(SamConfig(), decoder_feedforward=2048, **as_released)


def test_what_is_told_before_a_download_is_the_full_size(own: dict[str, Shape]) -> None:
    sizes = {name: torch.Size(shape).numel() for name, shape in own.items()}
    assert Counts.of(sizes) == Counts()

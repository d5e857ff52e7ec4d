"""The whole released inference, and one training step, against the official code on the same weights."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from sparrow.model.box_prior import BoxPriorConfig
from sparrow.model.config import SparrowConfig
from sparrow.model.preparing import proposer_frame, sam_pixels
from sparrow.model.release.inference import Inference, infer
from sparrow.model.release.names import name_store
from sparrow.model.selector import SelectorConfig
from sparrow.model.sparrow import SparrowModel
from sparrow.model.videoglamm import VideoGlamm
from sparrow.train.grounding import GroundedSample, GroundingLoss, GroundingWeights, grounding_loss
from tests.golden.recorded_pixel import listening, sam_config
from tests.golden.renamed import renamed
from tests.golden.test_language import CLIP, IMAGENET, config_of, frames
from tests.golden.test_proposer import build as build_proposer
from tests.made_phi3 import phi3_tokenizer

CASES = {
    "framewise": {},
    "framewise_noprior": {"prior": None},
    "framewise_noguid": {"guidance": False},
    "video_noguid": {"guidance": False, "mode": "video"},
}
BORDER = 4  # pixels of a mask that may differ


@pytest.fixture(scope="module")
def golden(load_golden: Any) -> Any:
    return load_golden("e2e")


@pytest.fixture(scope="module")
def proposer_golden(load_golden: Any) -> Any:
    return load_golden("proposer")


def config_of_all(golden: Any, proposer_golden: Any) -> SparrowConfig:
    config, kwargs = golden.config, golden.config["kwargs"]
    ids = SimpleNamespace(config=config, io={"video.sequences": golden.io["framewise.sequences"]})
    proposer = build_proposer(proposer_golden.config).config
    return SparrowConfig(
        sam=sam_config(config["sam2_overrides"], config["llm"]["out_dim"]),
        proposer=proposer,
        selector=SelectorConfig(
            state_dim=config["llm"]["out_dim"],
            prop_dim=proposer.dim,
            hidden=kwargs["selector_hidden"],
            roi_hidden=kwargs["roi_hidden"],
            threshold=kwargs["proposal_score_threshold"],
            max_selected=kwargs["max_selected_boxes_per_token"],
        ),
        llm=config_of(ids),
    )


@pytest.fixture(scope="module")
def model(golden: Any, proposer_golden: Any) -> SparrowModel:
    built = SparrowModel(config_of_all(golden, proposer_golden), phi3_tokenizer())
    weights = renamed(golden.weights, "")
    weights |= renamed(proposer_golden.weights, "", store="proposer")
    built.load_state_dict(weights)
    return built.eval()


@pytest.fixture(scope="module")
def sam_frames(golden: Any, model: SparrowModel) -> list[Tensor]:
    small, side = golden.io["small_sam"], model.pixel_decoder.side
    times = side // small.shape[-1]
    large = small.repeat_interleave(times, 2).repeat_interleave(times, 3)
    return [sam_pixels(frame.permute(1, 2, 0).numpy(), side) for frame in large]


@pytest.fixture(scope="module")
def visual(golden: Any, model: SparrowModel) -> Tensor:
    small = golden.io["small_enc"]
    assert isinstance(model.video_llm, VideoGlamm)
    with torch.no_grad():
        return model.video_llm.encode_video(frames(small, 12, CLIP), frames(small, 8, IMAGENET))


def run(
    case: str, golden: Any, model: SparrowModel, visual: Tensor, sam_frames: list[Tensor]
) -> tuple[Inference, list[Tensor]]:
    generated = golden.config["cases"][case]["gen"]
    ids = golden.io[f"{case}.sequences"][0, : -len(generated)]
    kwargs = golden.config["kwargs"]
    prior = BoxPriorConfig(kwargs["box_prior_min_score"], kwargs["box_prior_max_keep"])
    options = {"prior": prior, **CASES[case]}
    with listening(model.pixel_decoder) as heard:
        result = infer(model, ids, visual, sam_frames, tuple(golden.config["orig_hw"]), **options)
    return result, heard.calls


@pytest.fixture(scope="module", params=CASES)
def ran(
    request: Any, golden: Any, model: SparrowModel, visual: Tensor, sam_frames: list[Tensor]
) -> tuple[str, Inference, Any]:
    return request.param, *run(request.param, golden, model, visual, sam_frames)


def assert_close(ours: Tensor, theirs: Tensor, atol: float = 1e-4) -> None:
    torch.testing.assert_close(ours, theirs, atol=atol, rtol=0)


def test_says_the_same(ran: Any, golden: Any, model: SparrowModel) -> None:
    case, result, _ = ran
    said = golden.config["cases"][case]["gen"]
    ends = {model.config.llm.end_id}
    assert list(result.generated.ids) == [index for index in said if index not in ends]


def test_proposes_and_chooses_the_same(ran: Any, golden: Any) -> None:
    case, result, _ = ran
    io = golden.io
    if f"{case}.proposals.boxes" not in io:
        assert result.proposals is None and result.boxes_norm is None
        return
    assert_close(result.proposals.boxes_norm[0], io[f"{case}.proposals.boxes"])
    assert_close(result.proposals.scores[0], io[f"{case}.proposals.scores"])
    for row, (chosen, kept) in enumerate(
        zip(result.chosen.boxes_norm, result.boxes_norm, strict=True)
    ):
        assert_close(chosen, io[f"{case}.selected_before.{row}"])
        assert_close(kept, io[f"{case}.selected_after.{row}"])


def test_draws_the_same(ran: Any, golden: Any) -> None:
    case, result, _ = ran
    theirs = golden.io[f"{case}.masks"]
    assert result.masks.shape == theirs.shape
    assert (result.masks ^ theirs).flatten(2).sum(-1).max() <= BORDER


def test_the_proposer_sees_the_same_picture(
    golden: Any, sam_frames: list[Tensor], model: SparrowModel
) -> None:
    picture = proposer_frame(sam_frames[0], model.config.proposer.image_size)
    theirs = golden.io["proposer_input_sub"].numpy()
    step = len(picture) // len(theirs)
    assert (picture[::step, ::step] == theirs).all()


@pytest.mark.parametrize("case", ["framewise_noprior", "framewise_noguid", "video_noguid"])
def test_the_mask_decoder_says_the_same(
    case: str, golden: Any, model: SparrowModel, visual: Tensor, sam_frames: list[Tensor]
) -> None:
    """Row by row: how many prompts are decoded at once is ours to choose."""
    _, calls = run(case, golden, model, visual, sam_frames)
    ours = torch.cat([call[0][..., ::4, ::4] for call in calls])
    theirs = torch.cat(
        [
            golden.io[name]
            for name in sorted(golden.io)
            if name.startswith(f"{case}.decoder_call.") and name.endswith(".low_res_sub")
        ]
    )
    # Tracked logits went through several frames of memory.
    assert_close(ours[: len(theirs)], theirs, 1e-3 if case.startswith("video") else 1e-4)


@pytest.fixture(scope="module")
def step(
    golden: Any, model: SparrowModel, visual: Tensor, sam_frames: list[Tensor]
) -> Iterator[GroundingLoss]:
    """One forward and backward pass in training mode, as recorded: the second clip is mirrored."""
    io = golden.io
    model.train()
    model.zero_grad()
    small = io["small_enc"]
    assert isinstance(model.video_llm, VideoGlamm)
    seen = model.video_llm.encode_video(frames(small, 12, CLIP), frames(small, 8, IMAGENET))
    clips = torch.stack(sam_frames[: io["train.gt.0"].shape[1]])
    samples = [
        GroundedSample(
            model.video_llm.splice(ids[there], seen),
            labels[there],
            clips.flip(-1) if number else clips,
            io[f"train.gt.{number}"],
        )
        for number, (ids, labels, there) in enumerate(
            zip(
                io["train.input_ids"],
                io["train.labels"],
                io["train.attention_masks"],
                strict=True,
            )
        )
    ]
    loss = grounding_loss(model, samples)
    loss.total(weights_of(golden)).backward()
    yield loss
    model.zero_grad()
    model.eval()


def weights_of(golden: Any) -> GroundingWeights:
    given = golden.config["kwargs"]
    parts = ("ce", "bce", "dice", "proposal", "proposal_box")
    return GroundingWeights(*(given[part] for part in parts))


def test_a_training_step_has_the_same_losses(step: GroundingLoss, golden: Any) -> None:
    io, weights = golden.io, weights_of(golden)
    assert_close(step.words[None], io["train.ce_loss"])
    # The release reports both mask losses weighted.
    assert_close(weights.bce * step.bce[None], io["train.mask_bce_loss"])
    assert_close(weights.dice * step.dice[None], io["train.mask_dice_loss"])
    assert_close(step.choice[None], io["train.proposal_loss"])
    assert_close(step.box[None], io["train.proposal_box_loss"])
    assert_close(step.total(weights)[None], io["train.loss"], 2e-4)


def test_a_training_step_has_the_same_gradients(
    step: GroundingLoss, golden: Any, model: SparrowModel
) -> None:
    theirs = golden.config["grad_norms"]
    naming = name_store("main", golden.weights)
    ours = {
        released: float(grad.norm())
        for released, name in naming.used.items()
        if (grad := dict(model.named_parameters()).get(name, torch.zeros(0)).grad) is not None
    }
    # What the release keeps frozen gets a gradient from us only where an optimiser asks for it.
    assert set(theirs) <= set(ours)
    for name, norm in theirs.items():
        assert ours[name] == pytest.approx(norm, rel=2e-3, abs=1e-6), name
    assert ours.get("model.proposal_selector.fuse_proj.weight", 0.0) == 0.0

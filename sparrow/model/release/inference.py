"""The release's own way from ids and prepared frames to masks, step for step: its `inference`.

Boxes are looked for in the first frame alone and every frame gets its masks by themselves or through
SAM2's memory. It serves comparison with the release and its benchmarks; who talks about a video uses
pipeline.py, which looks further.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain
from typing import Literal

import torch
from torch import Tensor

from sparrow.model.box_prior import BoxPriorConfig
from sparrow.model.framewise import fitting_boxes, inference_framewise
from sparrow.model.guidance import Guidance, guide
from sparrow.model.prefix_chat import Generated, speak
from sparrow.model.proposer import Proposals
from sparrow.model.sam import FrameFeatures
from sparrow.model.sparrow import SparrowModel
from sparrow.model.video_branch import inference_video
from sparrow.model.videoglamm import VideoGlamm
from sparrow.work import finish


@dataclass(frozen=True, eq=False)
class Inference:
    """What came out, and how."""

    generated: Generated
    proposals: Proposals | None
    """Of the first frame; None without guidance or without a [SEG]."""
    chosen: Guidance | None
    """What the Selector chose."""
    boxes_norm: list[Tensor] | None
    """Per [SEG] the boxes (n, 4) that the box prior left of it; None: the states alone."""
    masks: Tensor
    """(T, R, H, W) bool, on the CPU."""


@torch.inference_mode()
def infer(
    model: SparrowModel,
    ids: Tensor,
    visual: Tensor,
    frames: Iterable[Tensor],
    size_hw: tuple[int, int],
    *,
    tsf: Tensor | None = None,
    mode: Literal["framewise", "video"] = "framewise",
    guidance: bool = True,
    prior: BoxPriorConfig | None = None,
    max_tokens: int = 512,
) -> Inference:
    """Answer a prompt and draw a mask for each [SEG] of the answer in every frame.

    Args:
        model: with the released VideoLLM.
        ids: (S,) the prompt with placeholders.
        visual: (N, H) what the VideoLLM made of the video (`encode_video`) or image.
        frames: normalised for SAM2, (3, S, S) each; one is held at a time.
        size_hw: of the displayed frames.
        tsf: (k, H) tracked features for the prompt's places.
        mode: each frame by itself, or SAM2's memory.
        guidance: use proposals.
        prior: the box-prior filter; None: all chosen boxes count.
        max_tokens: longest answer.

    Raises:
        TypeError: the model has another VideoLLM.
        ValueError: there is no frame.
    """
    llm = model.video_llm
    if not isinstance(llm, VideoGlamm):
        raise TypeError(f"expected the released VideoLLM, got {type(llm).__name__}")
    generated = _generate(llm, llm.splice(ids, visual, tsf).embeds, max_tokens)
    stream = iter(frames)
    pixels = next(stream, None)
    if pixels is None:
        raise ValueError("frames: expected at least one, got none")
    decoder, states = model.pixel_decoder, generated.seg_states.float()
    first = decoder.encode_pixels(pixels)
    proposals = chosen = boxes = None
    if guidance and len(states):
        proposals = model.proposer.propose_as_released(pixels)
        chosen = _choose(model, generated, proposals, first)
        states, boxes = chosen.states, chosen.boxes_norm
        if boxes is not None and prior is not None:
            boxes = fitting_boxes(decoder, first, boxes, size_hw, prior)
    scaled = None if boxes is None else [own * decoder.side for own in boxes]
    draw = inference_framewise if mode == "framewise" else inference_video
    every = draw(decoder, chain([pixels], stream), states, scaled, size_hw, first=first)
    masks = torch.stack([mask.cpu() for mask in every])
    return Inference(generated, proposals, chosen, boxes, masks)


def _generate(llm: VideoGlamm, embeds: Tensor, max_tokens: int) -> Generated:
    return finish(speak(llm, embeds, llm.new_cache(), max_tokens=max_tokens))


def _choose(
    model: SparrowModel, generated: Generated, proposals: Proposals, first: FrameFeatures
) -> Guidance:
    return guide(
        model.selector,
        generated.seg_states.float(),
        generated.box_states.float(),
        proposals.boxes_norm[0],
        proposals.feats[0],
        proposals.scores[0],
        pyramid=model.pixel_decoder.sam.pyramid(first),
    )

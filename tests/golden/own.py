"""What the released kind of model computes, tiny, with weights that follow from their names.

    python -m tests.golden.own

records it anew into own.safetensors, which guards against regressions where the official code's own
recordings are not at hand. Record it only when a change of results is meant.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from zlib import crc32

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from sparrow.model.box_prior import BoxPriorConfig, prior_scores
from sparrow.model.framewise import decode_frame, prior_masks
from sparrow.model.preparing import clip_pixels, internvideo_pixels, sam_pixels
from sparrow.model.release.inference import infer
from sparrow.model.sparrow import SparrowModel
from sparrow.model.splice import IMAGE_ID, TSF_ID
from sparrow.train.grounding import GroundedSample, GroundingWeights, grounding_loss
from tests.made_phi3 import phi3_tokenizer, teach
from tests.made_sam import CONFIG as SAM
from tests.model.release.made_release import tiny_sparrow

FILE = Path(__file__).parent / "own.safetensors"
SIZE = (45, 60)


@torch.no_grad()
def fill(model: nn.Module) -> None:
    """Give every stored tensor numbers that depend on its name and shape alone."""
    for name, tensor in model.state_dict().items():
        rng = np.random.default_rng(crc32(name.encode()))
        fan = tensor[0].numel() if tensor.ndim > 1 else 1
        values = rng.standard_normal(tensor.shape) * (0.7 / fan**0.5)
        if tensor.ndim < 2:
            values = 0.1 * values + ("norm" in name and name.endswith("weight"))
        tensor.copy_(torch.from_numpy(np.asarray(values, np.float32)))


def build() -> SparrowModel:
    config = tiny_sparrow().config
    encoder = replace(config.proposer.encoder, stages=(1, 2, 2, 1), global_blocks=(4,))
    proposer = replace(config.proposer, encoder=encoder, image_size=128)
    model = SparrowModel(replace(config, sam=SAM, proposer=proposer), phi3_tokenizer())
    fill(model)
    return model.eval()


def compute() -> dict[str, Tensor]:
    """Run every part once."""
    model = build()
    llm, decoder = model.video_llm, model.pixel_decoder
    frames = np.random.default_rng(7).integers(0, 255, (16, *SIZE, 3), dtype=np.uint8)
    context = clip_pixels(frames, llm.config.clip_image_size)
    chunks = internvideo_pixels(frames, llm.config.video.image_size)
    visual, tsf = llm.encode_video(context, chunks), llm.tsf_tokens(context[:7])
    seg, box, end = llm.config.seg_id, llm.config.box_id, llm.config.end_id
    answer = [40, 41, box, seg, 42, box, seg, end]
    ids = torch.tensor([1, 30, *[IMAGE_ID] * 16, 31, 32, *[TSF_ID] * 16, 33, *answer])
    inputs = llm.splice(ids, visual, tsf)
    labels = torch.full_like(ids, -100)
    labels[-len(answer) :] = ids[-len(answer) :]
    pixels = torch.stack([sam_pixels(frame, decoder.side) for frame in frames[:3]])
    reading = llm.forward_text([inputs], [labels])
    proposals = model.proposer.propose_as_released(pixels[0])
    found = {
        "visual": visual[::17],
        "tsf": tsf,
        "states": reading.states[0, -12:],
        "seg_states": reading.seg_states[0],
        "proposal_boxes": proposals.boxes_norm[0],
        "proposal_scores": proposals.scores[0],
    }
    features = decoder.encode_pixels(pixels[0])
    boxes = [own.clamp(0, 1) * decoder.side for own in proposals.boxes_norm[0, :5].split([2, 3])]
    found["framewise"] = decode_frame(decoder, features, reading.seg_states[0], boxes)
    masks = prior_masks(decoder, features, boxes[1], SIZE)
    found["prior"] = prior_scores(masks, boxes[1] / decoder.side)
    truth = torch.zeros(2, 3, *SIZE)
    truth[1, 1:, 20:40, 30:55] = 1
    x0, y0, x1, y1 = (proposals.boxes_norm[0, 0].clamp(0, 1) * torch.tensor(SIZE[::-1] * 2)).int()
    truth[0, :, y0:y1, x0:x1] = 1
    loss = grounding_loss(model, [GroundedSample(inputs, labels, pixels, truth)])
    total = loss.total(GroundingWeights())
    total.backward()
    found |= {f"loss_{name}": part[None] for name, part in vars(loss).items()}
    for name in ("lm.model.layers.0.self_attn.qkv_proj", "image_mm_projector.0"):
        found[f"gradient_{name}"] = llm.get_parameter(f"{name}.weight").grad.norm()[None]
    prompt = ids[: -len(answer)]
    teach(llm, [int(prompt[-1]), box, seg, 42, end])
    for mode in ("framewise", "video"):
        drawn = infer(model, prompt, visual, pixels, SIZE, tsf=tsf, mode=mode, max_tokens=6,
                      prior=BoxPriorConfig(max_keep=1))  # fmt: skip
        found[f"said_{mode}"] = torch.tensor(drawn.generated.ids)
        found[f"masks_{mode}"] = drawn.masks
    return {name: value.detach().contiguous().clone() for name, value in found.items()}


if __name__ == "__main__":
    save_file(compute(), FILE)

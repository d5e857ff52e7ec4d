"""SAM2 built from one config: the `sam2` package's classes at any size, and one decoding step.

The step is what both training and tracking call: memory-conditioned features, prompts, mask decoder,
memory encoder. It knows tensors of the model's square input (side S), no video and no language.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import torch
import torch.nn.functional as F
from sam2.modeling.sam.mask_decoder import MaskDecoder
from sam2.modeling.sam.prompt_encoder import PromptEncoder
from sam2.modeling.sam.transformer import TwoWayTransformer
from sam2.modeling.sam2_base import NO_OBJ_SCORE, SAM2Base
from sam2.modeling.sam2_utils import MLP
from torch import Tensor

from sparrow.confidence import Curve
from sparrow.model.image_encoder import hiera_encoder
from sparrow.model.memory import Memory
from sparrow.model.memory_encoder import memory_attention, memory_encoder

_GATE_START = 0.05

Points = tuple[Tensor, Tensor]
"""Coordinates (B, n, 2) in model pixels and labels (B, n), see `Prompts`."""


@dataclass(frozen=True)
class SamConfig:
    """Sizes of the image encoder, the memory and the mask decoder. The defaults are SAM2-large's."""

    image_size: int = 1024
    """Side S of the square input, a multiple of 32."""
    embed_dim: int = 144
    """Width of the first Hiera stage; it doubles per stage."""
    num_heads: int = 2
    stages: tuple[int, ...] = (2, 6, 36, 4)
    global_blocks: tuple[int, ...] = (23, 33, 43)
    window_background: tuple[int, int] = (7, 7)
    windows: tuple[int, ...] = (8, 4, 16, 8)
    dim: int = 256
    """Width D of the decoder and of the memory attention."""
    token_dim: int = 256
    """Width of the [SEG] states that it is given; projected to `dim` where that differs."""
    mem_dim: int = 64
    """Channels of a stored memory; divides `dim`."""
    num_memories: int = 7
    """The anchor and this many less one of the latest frames are attended to."""
    memory_layers: int = 4
    feedforward: int = 2048
    """Hidden width of memory attention's layers."""
    decoder_feedforward: int | None = None
    """Hidden width of the mask decoder's layers; None: the same."""
    decoder_heads: int = 8
    iou_hidden: int = 256
    layer_scale: float = 1e-6
    dropout: float = 0.1
    multimask: bool = True
    """Three candidates where no prompt or a single click leaves the mask ambiguous (SAM2's rule)."""
    dense_prompts: bool = False
    """Give a box, a click or the previous mask also as a map (S/4, S/4) through the mask-prompt path."""
    predictor_memory: bool = False
    """Remember as SAM2's video predictor does, and the release with it: the anchor's mask as yes and
    no instead of its logits, and what is stored of any frame rounded to bfloat16."""
    resize: Literal["area", "longest"] = "area"
    """How frames become the square: averaged over areas, or as the release does (longer side first,
    then squashed; see `sparrow.model.preparing.sam_pixels`)."""
    windowed: bool = False
    """While tracking look at each object through a window around it, so that small ones are seen large."""
    memory_gate: bool = False
    """Add what memory attention says to the frame's own features, by a learnt share per channel that
    starts small, instead of replacing them: a model trained for minutes then keeps what it learnt on
    images. SAM2 replaces."""
    confidence: Curve = field(default_factory=Curve)
    """What makes a mask's score tell its J, in a frame with a prompt or a proposal that fits; see confidence.py."""
    confidence_unaided: Curve = field(default_factory=Curve)
    """The same where memory alone says where the thing is."""


class Sam(SAM2Base):
    """SAM2 with heads sized by its config, [SEG] tokens as prompts, and a single decoding step."""

    def __init__(self, config: SamConfig) -> None:
        self.config = config
        # transformers' meta-device construction must not reach the rotary tables: plain CPU tensors.
        with torch.device("cpu"):
            super().__init__(
                image_encoder=hiera_encoder(config),
                memory_attention=memory_attention(config),
                memory_encoder=memory_encoder(config),
                num_maskmem=config.num_memories,
                image_size=config.image_size,
                sigmoid_scale_for_mem_enc=20.0,
                sigmoid_bias_for_mem_enc=-10.0,
                binarize_mask_from_pts_for_mem_enc=config.predictor_memory,
                use_mask_input_as_output_without_sam=True,
                directly_add_no_mem_embed=True,
                use_high_res_features_in_sam=True,
                multimask_output_in_sam=config.multimask,
                iou_prediction_use_sigmoid=True,
                use_obj_ptrs_in_encoder=True,
                add_tpos_enc_to_obj_ptrs=False,
                only_obj_ptrs_in_the_past_for_eval=True,
                pred_obj_scores=True,
                pred_obj_scores_mlp=True,
                fixed_no_obj_ptr=True,
                multimask_output_for_tracking=config.multimask,
                use_multimask_token_for_obj_ptr=config.multimask,
                multimask_min_pt_num=0,
                multimask_max_pt_num=1,
                use_mlp_for_obj_ptr_proj=True,
            )
        if config.memory_gate:
            self.memory_gate = torch.nn.Parameter(torch.full((config.dim,), _GATE_START))

    def _build_sam_heads(self) -> None:
        """Build the prompt encoder and the mask decoder (the package fixes widths that we configure)."""
        config, dim = self.config, self.hidden_dim
        self.sam_prompt_embed_dim = dim
        self.sam_image_embedding_size = side = config.image_size // self.backbone_stride
        self.sam_prompt_encoder = PromptEncoder(
            embed_dim=dim,
            image_embedding_size=(side, side),
            input_image_size=(config.image_size, config.image_size),
            mask_in_chans=16,
        )
        self.sam_mask_decoder = MaskDecoder(
            num_multimask_outputs=3,
            transformer=TwoWayTransformer(
                depth=2,
                embedding_dim=dim,
                mlp_dim=config.decoder_feedforward or config.feedforward,
                num_heads=config.decoder_heads,
            ),
            transformer_dim=dim,
            iou_head_hidden_dim=config.iou_hidden,
            use_high_res_features=True,
            iou_prediction_use_sigmoid=True,
            pred_obj_scores=True,
            pred_obj_scores_mlp=True,
            use_multimask_token_for_obj_ptr=config.multimask,
            dynamic_multimask_via_stability=config.multimask,
        )
        self.obj_ptr_proj = MLP(dim, dim, dim, 3)
        self.obj_ptr_tpos_proj = torch.nn.Identity()

    def encode(self, images: Tensor) -> FrameFeatures:
        """Encode normalised images (B, 3, S, S) once; the result serves every object and prompt."""
        _, feats, positions, sizes = self._prepare_backbone_features(self.forward_image(images))
        return FrameFeatures(tuple(feats), tuple(positions), tuple(sizes))

    def step(
        self,
        features: FrameFeatures,
        prompts: Prompts,
        memory: Memory,
        frame: int,
        *,
        reverse: bool = False,
        presence: Tensor | None = None,
    ) -> Decoded:
        """Decode one frame for B objects and remember it.

        Args:
            features: of this frame, repeated to B objects.
            prompts: of this frame; empty ones leave the mask to memory.
            memory: of these B objects; an empty one makes this frame the anchor. Changed in place.
            frame: index of the frame, the time base of the memory.
            reverse: tracking runs against the frame order.
            presence: (B,) bool ground truth that replaces the predicted object score in training, so
                that masks of objects not yet believed in still get their gradient.
        """
        anchor = not memory.anchors
        pixels = self._prepare_memory_conditioned_features(
            frame_idx=frame,
            is_init_cond_frame=anchor,
            current_vision_feats=list(features.levels[-1:]),
            current_vision_pos_embeds=list(features.positions[-1:]),
            feat_sizes=list(features.sizes[-1:]),
            output_dict=memory.as_output_dict(),
            num_frames=1 << 30,
            track_in_reverse=reverse,
        )
        if self.config.memory_gate and not anchor:
            pixels = self.pyramid(features)[-1] + self.memory_gate.view(1, -1, 1, 1) * pixels
        decoded = self._decode(pixels, features, prompts, anchor, presence)
        self.remember(features, decoded, memory, frame)
        return decoded

    def decode_alone(self, features: FrameFeatures, prompts: Prompts) -> Decoded:
        """Decode a frame of B objects by its prompts alone, without reading or writing memory."""
        return self._decode(self.pyramid(features)[-1], features, prompts, True, None)

    def remember(
        self,
        features: FrameFeatures,
        decoded: Decoded,
        memory: Memory,
        frame: int,
        *,
        anchor: bool = False,
    ) -> None:
        """Put what was decoded into the memory; into an empty one, or if asked to, as an anchor."""
        anchor = anchor or not memory.anchors
        stored, positions = self._encode_new_memory(
            current_vision_feats=list(features.levels),
            feat_sizes=list(features.sizes),
            pred_masks_high_res=F.interpolate(
                decoded.gated, scale_factor=4.0, mode="bilinear", align_corners=False
            ),
            object_score_logits=decoded.presence,
            is_mask_from_pts=anchor,
        )
        if self.config.predictor_memory:
            stored = stored.to(torch.bfloat16).to(stored.dtype)
        memory.put(frame, stored, positions, decoded.pointer, anchor=anchor)

    def pyramid(self, features: FrameFeatures) -> list[Tensor]:
        """Give the maps (B, C, h, w) of a frame without memory, finest first.

        SAM2's "no memory" vector is added to the coarsest. This is what a picture is decoded from, and
        what the ROI helper reads.
        """
        *fine, coarse = features.maps()
        return [*fine, coarse + self.no_mem_embed.view(1, -1, 1, 1)]

    def _decode(
        self,
        pixels: Tensor,
        features: FrameFeatures,
        prompts: Prompts,
        anchor: bool,
        presence: Tensor | None,
    ) -> Decoded:
        batch = pixels.shape[0]
        sparse, dense = prompts.embed(self.sam_prompt_encoder, batch)
        clicks = None if prompts.points is None else {"point_labels": prompts.points[1]}
        multimask = not prompts.picture and self._use_multimask(anchor, clicks)
        masks, ious, tokens, scores = self.sam_mask_decoder(
            image_embeddings=pixels,
            image_pe=self.sam_prompt_encoder.get_dense_pe(),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=multimask,
            repeat_image=False,
            high_res_features=features.maps()[:-1],
        )
        best = ious.argmax(1)
        rows = torch.arange(batch, device=pixels.device)
        masks, ious = masks[rows, best][:, None].float(), ious[rows, best]
        token = tokens[rows, best] if tokens.shape[1] > 1 else tokens[:, 0]
        present = (scores > 0 if presence is None else presence[:, None]).float()  # (B, 1)
        gated = torch.where(present[:, :, None, None] > 0, masks, NO_OBJ_SCORE)
        pointer = present * self.obj_ptr_proj(token) + (1 - present) * self.no_obj_ptr
        return Decoded(masks, gated, ious, scores[:, 0].float(), present * 20 - 10, pointer)


@dataclass(frozen=True)
class FrameFeatures:
    """What the image encoder made of a frame, flattened as SAM2 keeps it."""

    levels: tuple[Tensor, ...]
    """Strides 4, 8, 16: (h * w, B, C) each."""
    positions: tuple[Tensor, ...]
    sizes: tuple[tuple[int, int], ...]

    def select(self, rows: Tensor) -> FrameFeatures:
        """Pick (and repeat) rows of the batch, so that each object gets its frame's features."""
        return FrameFeatures(
            tuple(level[:, rows] for level in self.levels),
            tuple(position[:, rows] for position in self.positions),
            self.sizes,
        )

    def repeat(self, count: int) -> FrameFeatures:
        """Show one frame's features to `count` objects, without copying them."""
        return FrameFeatures(
            tuple(level.expand(-1, count, -1) for level in self.levels),
            tuple(position.expand(-1, count, -1) for position in self.positions),
            self.sizes,
        )

    def maps(self) -> list[Tensor]:
        """Give the levels as maps (B, C, h, w)."""
        return [
            level.permute(1, 2, 0).unflatten(2, size)
            for level, size in zip(self.levels, self.sizes, strict=True)
        ]


@dataclass(frozen=True)
class Prompts:
    """What points at B objects in one frame."""

    points: Points | None = None
    """Model pixels and labels: 1 on the object, 0 off it, 2 and 3 a box's corners, -1 padding."""
    tokens: Tensor | None = None
    """(B, n, D) projected [SEG] states, after the points (official order: text last)."""
    dense: Tensor | None = None
    """(B, 1, S/4, S/4) in [0, 1]: coverage of the box, a bump at the click, or the previous mask."""
    logits: Tensor | None = None
    """(B, 1, S/4, S/4) of a mask to refine, instead of `dense`: SAM2's own mask prompt."""
    picture: bool = False
    """Taken as SAM takes the prompts of a picture, the release's framewise way: the points are a box's
    two corners or none, no padding point follows them, and there is one mask instead of three
    candidates."""

    @classmethod
    def of_previous(cls, logits: Tensor) -> Prompts:
        """Point at objects by their masks in the neighbouring frame, as boxes and as maps.

        Args:
            logits: (B, 1, S/4, S/4) of that frame; an object without a mask there is not pointed at.
        """
        inside = logits[:, 0] > 0
        corners, seen = [], inside.flatten(1).any(1)
        for axis, size in ((1, logits.shape[-1]), (2, logits.shape[-2])):
            line = inside.any(axis).float()  # (B, size)
            corners.append(torch.stack([line.argmax(1), size - line.flip(1).argmax(1)], 1))
        points = 4.0 * torch.stack(corners, 2)  # (B, corner, xy)
        labels = torch.tensor([[2, 3]], dtype=torch.int32, device=logits.device)
        labels = torch.where(seen[:, None], labels, -torch.ones_like(labels))
        return cls((points, labels), None, logits.sigmoid())

    def embed(self, encoder: PromptEncoder, batch: int) -> tuple[Tensor, Tensor]:
        """Give sparse (B, n, D) and dense (B, D, S/16, S/16) prompt embeddings."""
        device = encoder.no_mask_embed.weight.device
        points, corners = self.points, None
        if self.picture:
            corners = None if points is None else points[0].flatten(1)
            points = None
        elif points is None:  # a padding point, as the package does
            points = (
                torch.zeros(batch, 1, 2, device=device),
                -torch.ones(batch, 1, dtype=torch.int32, device=device),
            )
        masks = self.logits if self.dense is None else self.dense * 2 - 1
        sparse, dense = encoder(points=points, boxes=corners, masks=masks)
        sparse = sparse.expand(batch, -1, -1)  # a picture's without points has one row
        if self.tokens is not None:
            sparse = torch.cat([sparse, self.tokens], dim=1)
        return sparse, dense


@dataclass(frozen=True)
class Decoded:
    """Masks of B objects in one frame."""

    logits: Tensor
    """(B, 1, S/4, S/4), > 0 is the object."""
    gated: Tensor
    """The same, -1024 where the object is held to be absent."""
    iou: Tensor
    """(B,) predicted overlap with the truth, in [0, 1]."""
    score: Tensor
    """(B,) logit: is the object in the frame?"""
    presence: Tensor
    """(B, 1) +-10: what memory was told about that."""
    pointer: Tensor
    """(B, D)"""


def box_points(boxes: Tensor) -> Points:
    """Turn boxes (B, 4), xyxy in model pixels, into their corners as points of labels 2 and 3."""
    labels = torch.tensor([2, 3], dtype=torch.int32, device=boxes.device)
    return boxes.reshape(-1, 2, 2), labels.expand(len(boxes), 2)


def released_sam() -> SamConfig:
    """Give the released SAM2-large's sizes and ways."""
    return SamConfig(predictor_memory=True, resize="longest")

"""The mini VideoLLM: tracked things and a conversation to word states, small enough to train on one core.

A video enters as object tokens, one per linked track, that see each other in both directions and
carry no order; words follow. It proposes no boxes and draws no masks: it tells, for each
[BOX] and [SEG], the state of the position that predicts it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import Phi3Config, Phi3Model

from sparrow.model.linking import FrameProposals, LinkConfig, LinkedTracks, distinct, link
from sparrow.model.object_encoder import (
    ATTRIBUTES,
    NUMBERS_PER_FRAME,
    ObjectEncoder,
    ObjectEncoderConfig,
    ObjectTokens,
)
from sparrow.model.tokenizer import (
    ASSISTANT,
    BOX,
    END,
    PAD,
    SEG,
    TSF,
    UNKNOWN,
    USER,
    WordTokenizer,
)

_INIT_STD = 0.08  # about width ** -0.5; transformers' default of 0.02 hardly trains at this width
_BRIDGE_GAIN = 0.25
_THIRD_WIDTH = 0.15  # share of the frame over which one third fades into the next
_RANK_WIDTH = 0.03  # share of the frame by which one thing must be further out than the next
_SIZE_UNIT = 0.3  # brings logarithms of sizes to the scale of places
PLACE_WORDS = {
    "across": ("left", "middle", "right"),
    "down": ("top", "middle", "bottom"),
    "outermost": ("leftmost", "rightmost", "highest", "lowest", "largest", "smallest"),
}
TEXT_POSITION = 2  # the null token stands at 0, every object at 1


@dataclass(frozen=True)
class MiniConfig:
    """Sizes of the mini VideoLLM."""

    encoder: ObjectEncoderConfig
    kind: Literal["mini"] = "mini"
    link: LinkConfig = field(default_factory=LinkConfig)
    width: int = 160
    layers: int = 4
    heads: int = 4
    feed_forward: int = 448
    state_width: int = 256
    """Numbers in a projected [BOX] or [SEG] state."""
    pointer_layer: int = 2
    """The auxiliary pointer reads the states after this many layers."""
    min_objectness: float = 0.35
    """Tracks that look less like one whole thing are left out."""
    max_length: int = 512
    """Positions of prefix and conversation; older turns are forgotten beyond it."""


@dataclass(frozen=True, eq=False)
class Seen:
    """What the model keeps of a video: K tracked things."""

    tracks: LinkedTracks
    tokens: Tensor
    """(K, D) object tokens."""
    numbers: Tensor
    """(K, 9 T) trajectories."""


@dataclass(frozen=True, eq=False)
class Reading:
    """States of every position of a batch of conversations."""

    states: Tensor
    """(B, S, W) after the last layer and norm."""
    middle: Tensor
    """(B, S, W) after `pointer_layer` layers."""


class MiniVideoLLM(nn.Module):
    """Object tokens and words through a small Phi-3."""

    def __init__(self, config: MiniConfig, tokenizer: WordTokenizer) -> None:
        super().__init__()
        self.config = config
        self.tokenizer = tokenizer
        self.object_encoder = ObjectEncoder(config.encoder)
        self.lm = Phi3Model(_phi3_config(config, tokenizer))
        with torch.no_grad():
            for name, weight in self.lm.named_parameters():
                if name.endswith(("o_proj.weight", "down_proj.weight")):
                    weight.mul_((2 * config.layers) ** -0.5)
        self.bridge = ObjectBridge(config, tokenizer)
        self.pointer = AuxiliaryPointer(config.width)
        self.text_hidden_fcs = nn.Sequential(
            nn.Linear(config.width, config.width),
            nn.ReLU(),
            nn.Linear(config.width, config.state_width),
        )

    @property
    def key_width(self) -> int:
        """Numbers in an object's key for the selector."""
        return 2 * self.config.width

    def perceive(
        self, frames: np.ndarray, proposals: Sequence[tuple[np.ndarray, np.ndarray]]
    ) -> Seen:
        """Link the proposals of T frames and encode the tracks.

        Args:
            frames: (T, H, W, 3) uint8 display frames.
            proposals: per frame normalised boxes (P, 4) and scores (P,).
        """
        pixels = self.object_encoder.prepare(frames)
        found = []
        for index, (proposed, given) in enumerate(proposals):
            kept = distinct(proposed, given, self.config.link)
            boxes, scores = proposed[kept], given[kept]
            crops = self.object_encoder.crop(pixels, boxes, np.full(len(boxes), index))
            features = self.object_encoder.crop_features(crops)
            found.append(FrameProposals(boxes, scores, features.cpu().numpy()))
        tracks = link(found, self.config.link)
        objects = self.object_encoder.encode(pixels, tracks.boxes)
        sure = objects.objectness.sigmoid() >= self.config.min_objectness  # (K,)
        whole = sure.cpu().numpy()
        return Seen(
            LinkedTracks(tracks.boxes[whole], tracks.scores[whole]),
            objects.tokens[sure],
            objects.trajectories[sure],
        )

    def see_tracks(self, frames: np.ndarray, boxes: np.ndarray) -> Seen:
        """Encode given tracks (N, T, 4), normalised with NaN where unseen."""
        return _given(boxes, self.object_encoder.encode(self.object_encoder.prepare(frames), boxes))

    def see_pointed(self, frames: np.ndarray, boxes: np.ndarray) -> Seen:
        """Encode what the user points at, tracks (N, T, 4), by the views that represent it (TSF)."""
        pixels = self.object_encoder.prepare(frames)
        return _given(boxes, self.object_encoder.encode_pointed(pixels, boxes))

    def object_inputs(
        self,
        tokens: Tensor,
        numbers: Tensor,
        there: Tensor | None = None,
        worded: Tensor | None = None,
    ) -> Tensor:
        """Turn the K objects of a clip into inputs of the language model.

        Args:
            tokens: (..., K, D) object tokens.
            numbers: (..., K, 9 T) trajectories.
            there: (..., K) bool, false for padding; None: all are objects.
            worded: (..., K) bool, objects whose looks are told in words only, for training; None: none.

        Returns:
            (..., K, W).
        """
        heads = self.object_encoder.heads
        shares = {name: heads[name](tokens).softmax(-1) for name in ATTRIBUTES}
        shares |= place_shares(numbers, there)
        objectness = self.object_encoder.objectness_head(tokens).sigmoid()
        shown = tokens if worded is None else tokens.masked_fill(worded[..., None], 0.0)
        described = torch.cat([shown, numbers, objectness], -1)
        return self.bridge(described, shares, self.lm.embed_tokens.weight)

    def pointed_inputs(self, tokens: Tensor, numbers: Tensor) -> Tensor:
        """Turn what the user points at into inputs (N, W) for the <tsf> places of a question."""
        alone = self.object_inputs(tokens[:, None], numbers[:, None])[:, 0]
        return alone + self.bridge.pointed_type

    def embed(self, ids: Tensor, pointed: Tensor) -> Tensor:
        """Embed word ids (..., L); the <tsf> places take `pointed` (N, W) in their order."""
        words = self.lm.embed_tokens(ids)
        places = ids == self.tokenizer.id_of(TSF)
        return words.masked_scatter(places[..., None], pointed.to(words.dtype))

    def read(self, objects: Tensor, num_objects: Tensor, words: Tensor) -> Reading:
        """Run whole conversations, for training.

        Args:
            objects: (B, K, W) inputs, padded behind.
            num_objects: (B,) how many of them there are.
            words: (B, L, W) embedded text, padded behind.
        """
        count, longest = objects.shape[:2]
        null = self.bridge.null.expand(count, 1, -1)
        inputs = torch.cat([null, objects, words], 1)  # (B, S, W)
        total = inputs.shape[1]
        place = torch.arange(total, device=inputs.device)
        there = (place <= num_objects[:, None]) | (place > longest)  # (B, S)
        causal = place[None] <= place[:, None]
        prefix = (place <= longest)[None] & (place <= longest)[:, None]
        mask = there[:, None, :] & (causal | prefix)[None]  # (B, S, S)
        positions = torch.cat(
            [place[: longest + 1].clamp(max=1), place[: total - longest - 1] + TEXT_POSITION]
        )
        output = self.lm(
            inputs_embeds=inputs,
            attention_mask=mask[:, None],
            position_ids=positions[None].expand(count, -1),
            use_cache=False,
            output_hidden_states=True,
        )
        return Reading(output.last_hidden_state, output.hidden_states[self.config.pointer_layer])

    def word_logits(self, states: Tensor) -> Tensor:
        """Score the next word, (..., V), from states (..., W)."""
        return F.linear(states, self.lm.embed_tokens.weight)

    def keys(self, states: Tensor, inputs: Tensor) -> Tensor:
        """Build the objects' keys (..., 2 W) for the selector from their states and inputs (..., W)."""
        return torch.cat([states, self.bridge.key_norm(inputs)], -1)

    def question_ids(self, text: str, num_pointed: int = 0) -> list[int]:
        """Give the ids of a user's turn, up to where the answer begins."""
        ids = self.tokenizer.id_of
        pointed = [ids(TSF)] * num_pointed
        return [ids(USER), *pointed, *self.tokenizer.encode(text), ids(ASSISTANT)]

    def unspeakable(self) -> list[int]:
        """List the ids that an answer never contains."""
        return [self.tokenizer.id_of(t) for t in (PAD, UNKNOWN, USER, ASSISTANT, TSF)]

    def end_id(self) -> int:
        return self.tokenizer.id_of(END)

    def state_ids(self) -> tuple[int, int]:
        """Give the ids of [BOX] and [SEG]."""
        return self.tokenizer.id_of(BOX), self.tokenizer.id_of(SEG)


class ObjectBridge(nn.Module):
    """Object tokens to inputs of the language model, in the space of its words.

    What the encoder's heads believe, and where the thing is in the frame and among the others, is
    added as mixtures of the embeddings of the words themselves, so that "red" seen and "red" asked
    for begin as the same vector.
    """

    def __init__(self, config: MiniConfig, tokenizer: WordTokenizer) -> None:
        super().__init__()
        encoder = config.encoder
        described = encoder.width + encoder.num_frames * NUMBERS_PER_FRAME + 1
        self.mlp = nn.Sequential(nn.Linear(described, 256), nn.GELU(), nn.Linear(256, config.width))
        self.null = nn.Parameter(torch.randn(config.width) * _INIT_STD)
        self.object_type = nn.Parameter(torch.randn(config.width) * _INIT_STD)
        self.pointed_type = nn.Parameter(torch.randn(config.width) * _INIT_STD)
        self.key_norm = nn.LayerNorm(config.width)
        classes = {name: encoder.classes(name) for name in ATTRIBUTES} | PLACE_WORDS
        for name, words in classes.items():
            self.register_buffer(f"{name}_words", _spellings(words, tokenizer), persistent=False)

    def forward(self, described: Tensor, shares: dict[str, Tensor], embeddings: Tensor) -> Tensor:
        """Map described objects (..., E) and class shares (..., C) per attribute to inputs (..., W)."""
        inputs = _BRIDGE_GAIN * self.mlp(described) + self.object_type
        for name, share in shares.items():
            words = self.get_buffer(f"{name}_words")  # (C, words), -1 behind the last
            known = (words >= 0).to(embeddings.dtype)
            vectors = embeddings[words.clamp(min=0)] * known[..., None]  # (C, words, W)
            classes = vectors.sum(1) / known.sum(1, keepdim=True).clamp(min=1)  # (C, W)
            inputs = inputs + share @ classes
        return inputs


class AuxiliaryPointer(nn.Module):
    """Says which objects a turn is about, from the states where its answer begins."""

    def __init__(self, width: int, inner: int = 64) -> None:
        super().__init__()
        self.query = nn.Linear(width, inner)
        self.key = nn.Linear(width, inner)
        self.bias = nn.Parameter(torch.zeros(1))

    def forward(self, turns: Tensor, objects: Tensor) -> Tensor:
        """Score objects (N, K, W) for turns (N, W): logits (N, K)."""
        query, keys = self.query(turns), self.key(objects)
        return torch.einsum("nd,nkd->nk", query, keys) * query.shape[-1] ** -0.5 + self.bias


def place_shares(numbers: Tensor, there: Tensor | None = None) -> dict[str, Tensor]:
    """Say in words where the K objects of a clip are, from trajectories (..., K, 9 T).

    Returns:
        "across" and "down": (..., K, 3) shares of the thirds of the frame; "outermost": (..., K, 6) how
        surely an object is the leftmost, rightmost, highest, lowest, largest and smallest, 0 for one alone.
    """
    frames = numbers.unflatten(-1, (-1, NUMBERS_PER_FRAME))  # (..., K, T, 9)
    seen = frames[..., -1:].sum(-2).clamp(min=1)
    x, y, width, height = (frames[..., :4].sum(-2) / seen).unbind(-1)  # (..., K), centre from -0.5
    thirds = torch.tensor([-1 / 3, 0.0, 1 / 3], device=numbers.device)
    shares = {
        name: (-(((value[..., None] - thirds) / _THIRD_WIDTH) ** 2)).softmax(-1)
        for name, value in (("across", x), ("down", y))
    }
    size = (width * height).clamp(min=1e-6).log() / 2
    ranked = torch.stack([-x, x, -y, y, size * _SIZE_UNIT, -size * _SIZE_UNIT], -1)  # (..., K, 6)
    count = ranked.shape[-2]
    other = ~torch.eye(count, dtype=torch.bool, device=numbers.device)
    if there is not None:
        other = other & there[..., None, :]  # (..., K, K)
    rivals = ranked[..., None, :, :].masked_fill(~other[..., None], -torch.inf)  # (..., K, K, 6)
    nobody = torch.full_like(ranked, -torch.inf)[..., None, :]  # (..., K, 1, 6)
    rivals = torch.cat([rivals, nobody], -2).amax(-2)
    shares["outermost"] = ((ranked - rivals) / _RANK_WIDTH).sigmoid() * rivals.isfinite()
    return shares


def _given(boxes: np.ndarray, objects: ObjectTokens) -> Seen:
    """Take given tracks (N, T, 4) for seen ones, sure of each."""
    tracks = LinkedTracks(boxes, np.ones(len(boxes), dtype=np.float32))
    return Seen(tracks, objects.tokens, objects.trajectories)


def _phi3_config(config: MiniConfig, tokenizer: WordTokenizer) -> Phi3Config:
    pad = tokenizer.id_of(PAD)
    return Phi3Config(
        vocab_size=len(tokenizer),
        hidden_size=config.width,
        intermediate_size=config.feed_forward,
        num_hidden_layers=config.layers,
        num_attention_heads=config.heads,
        num_key_value_heads=config.heads,
        max_position_embeddings=config.max_length,
        original_max_position_embeddings=config.max_length,
        initializer_range=_INIT_STD,
        tie_word_embeddings=True,
        bos_token_id=pad,
        eos_token_id=tokenizer.id_of(END),
        pad_token_id=pad,
    )


def _spellings(names: Sequence[str], tokenizer: WordTokenizer) -> Tensor:
    """Word ids of class names, (C, words) int64 padded with -1; unknown words are left out."""
    unknown = tokenizer.id_of(UNKNOWN)
    rows = [[i for i in tokenizer.encode(name) if i != unknown] for name in names]
    longest = max((len(row) for row in rows), default=1)
    return torch.tensor([row + [-1] * (max(1, longest) - len(row)) for row in rows])

"""The released VideoLLM: a video's two towers, projectors, and a Phi-3 that speaks of it, as in VideoGLaMM.

It turns preprocessed frames into visual tokens, ids with placeholders into states, and states into logits
and projected [BOX] and [SEG] states. It knows neither strings nor boxes nor masks.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence
from transformers import CLIPVisionConfig, CLIPVisionModel, Phi3Config, Phi3ForCausalLM

from sparrow.model.internvideo import InternVideo2, InternVideoConfig
from sparrow.model.kv_cache import WindowCache, visible
from sparrow.model.splice import IGNORED, Spliced, splice
from sparrow.model.tsf import representatives

_BLOCK = 512  # positions of a long text that are read at once


@dataclass(frozen=True)
class VideoGlammConfig:
    """Sizes of a VideoGlamm. The defaults are the released ones."""

    kind: Literal["videoglamm"] = "videoglamm"
    video: InternVideoConfig = field(default_factory=InternVideoConfig)
    vocab_size: int = 32013
    hidden_size: int = 3072
    """Width H of the language model."""
    intermediate_size: int = 8192
    num_hidden_layers: int = 32
    num_attention_heads: int = 32
    num_key_value_heads: int = 32
    max_position_embeddings: int = 4096
    """Positions of video and conversation; older turns are forgotten beyond it."""
    rms_norm_eps: float = 1e-5
    rope_theta: float = 10000.0
    sliding_window: int | None = 2047
    """How many positions before its own a position sees; None: all."""
    clip_hidden_size: int = 1024
    clip_intermediate_size: int = 4096
    clip_layers: int = 24
    clip_heads: int = 16
    clip_image_size: int = 336
    clip_patch_size: int = 14
    clip_select_layer: int = -2
    """Which of the CLIP tower's hidden states is read; -1 is the last one."""
    mm_projector: str = "mlp2x_gelu"
    """Of video tokens: "linear" or "mlpNx_gelu", N linear layers."""
    image_mm_projector: str = "mlp2x_gelu"
    """Of context frames, images and crops."""
    state_width: int = 256
    """Numbers C in a projected [BOX] or [SEG] state."""
    frames: int = 16
    """Frames T of a video that both towers look at."""
    chunk: int = 4
    """Frames that the video tower sees together."""
    seg_id: int = 32011
    box_id: int = 32012
    end_id: int = 32007
    """Closes an answer."""
    other_end_ids: tuple[int, ...] = (32000, 32001)
    """End an answer, too."""
    tsf_count: int = 4
    """Views that stand for a thing that is pointed at."""
    tsf_iterations: int = 8


@dataclass(frozen=True, eq=False)
class TextReading:
    """What a batch of B whole conversations gives for training."""

    loss: Tensor
    """Scalar: mean cross entropy of the labelled words."""
    states: Tensor
    """(B, L, H) after the last norm, padded behind."""
    box_states: tuple[Tensor, ...]
    """Per conversation (R, C) projected states of the positions before its [BOX] tokens."""
    seg_states: tuple[Tensor, ...]
    """The same for [SEG]."""


class VideoGlamm(nn.Module):
    """Both towers, their projectors, the language model and the head of [BOX] and [SEG] states."""

    def __init__(self, config: VideoGlammConfig) -> None:
        super().__init__()
        self.config = config
        hidden = config.hidden_size
        self.vision_tower = InternVideo2(config.video)
        self.image_vision_tower = CLIPVisionModel(_clip_config(config))
        self.mm_projector = projector(config.mm_projector, config.video.width, hidden)
        self.image_mm_projector = projector(
            config.image_mm_projector, config.clip_hidden_size, hidden
        )
        self.lm = Phi3ForCausalLM(_phi3_config(config))
        self.lm.set_attn_implementation("sdpa")  # which takes the masks of kv_cache.py
        self.text_hidden_fcs = nn.Sequential(
            nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, config.state_width)
        )

    def encode_video(self, context: Tensor, chunks: Tensor) -> Tensor:
        """Turn a video into visual tokens: of all context frames, then of all chunks, frame by frame.

        Gradients reach the projectors, not the towers.

        Args:
            context: (T, 3, 336, 336) normalised for CLIP.
            chunks: (T, 3, 224, 224) normalised for InternVideo2.

        Returns:
            (N, H); N = T * (144 + 64) for the released sizes.

        Raises:
            ValueError: T is no multiple of `chunk`.
        """
        frames = self.image_mm_projector(self.context_features(context))  # (T, 576, H)
        clips = self.mm_projector(self.clip_features(chunks))  # (T, 256, H)
        return torch.cat([_halve(frames).flatten(0, 1), _halve(clips).flatten(0, 1)])

    def encode_image(self, context: Tensor) -> Tensor:
        """Turn an image (1, 3, 336, 336), normalised for CLIP, into visual tokens (576, H)."""
        tokens: Tensor = self.image_mm_projector(self.context_features(context))[0]
        return tokens

    def tsf_tokens(self, crops: Tensor) -> Tensor:
        """Turn n views (n, 3, 336, 336) of a thing, in the order of time, into at most `tsf_count` (k, H)."""
        config = self.config
        return representatives(self.view_tokens(crops), config.tsf_count, config.tsf_iterations)

    def view_tokens(self, crops: Tensor) -> Tensor:
        """Turn each of n views (n, 3, 336, 336) into one token, (n, H)."""
        tokens: Tensor = self.image_mm_projector(self.context_features(crops)).mean(1)
        return tokens

    @torch.no_grad()
    def context_features(self, images: Tensor) -> Tensor:
        """Give CLIP's patch features (T, 576, D') of images (T, 3, 336, 336), some images at a time."""
        tower = self.image_vision_tower
        used = len(tower.encoder.layers) + 1 + self.config.clip_select_layer
        features = []
        for some in images.split(self.config.chunk):
            tokens = tower.pre_layrnorm(tower.embeddings(some))
            for layer in tower.encoder.layers[:used]:
                tokens = layer(tokens, None)
            features.append(tokens[:, 1:])
        return torch.cat(features)

    @torch.no_grad()
    def clip_features(self, frames: Tensor) -> Tensor:
        """Give InternVideo2's patch features (T, 256, D) of frames (T, 3, 224, 224), chunk by chunk.

        Raises:
            ValueError: T is no multiple of `chunk`.
        """
        chunk = self.config.chunk
        if not len(frames) or len(frames) % chunk:
            raise ValueError(f"frames: expected a multiple of {chunk}, got {len(frames)}")
        features = [self.vision_tower(some[None])[0] for some in frames.split(chunk)]
        return torch.cat(features).unflatten(0, (len(frames), -1))

    def splice(self, ids: Tensor, visual: Tensor | None, tsf: Tensor | None = None) -> Spliced:
        """Embed ids (S,) with placeholders; see `sparrow.model.splice`."""
        return splice(ids, self.lm.model.embed_tokens, visual, tsf, self.config.tsf_count)

    def new_cache(self) -> WindowCache:
        """Make an empty cache with room for the longest conversation."""
        config = self.config
        return WindowCache(
            config.num_hidden_layers, config.sliding_window, config.max_position_embeddings
        )

    def read(self, embeds: Tensor, cache: WindowCache | None = None) -> Tensor:
        """Run inputs (B, L, H), behind what `cache` holds, through the language model.

        Padding may only stand behind the words. With a cache long inputs are read in blocks, each of
        which sees its window only.

        Returns:
            (B, L, H) states after the last norm.
        """
        if cache is None:
            return self._run(embeds, None)
        return torch.cat([self._run(block, cache) for block in embeds.split(_BLOCK, 1)], 1)

    def logits(self, states: Tensor) -> Tensor:
        """Score the next word, (..., V), from states (..., H)."""
        scores: Tensor = self.lm.lm_head(states)
        return scores

    def project(self, states: Tensor) -> Tensor:
        """Project states (..., H) of the positions before [BOX] or [SEG] to (..., C)."""
        projected: Tensor = self.text_hidden_fcs(states)
        return projected

    def forward_text(self, batch: Sequence[Spliced], labels: Sequence[Tensor]) -> TextReading:
        """Read B whole conversations, for training.

        Args:
            batch: their inputs.
            labels: per conversation (S,), the ids to be learnt and -100 elsewhere.
        """
        states = self.read(pad_sequence([one.embeds for one in batch], batch_first=True))
        wanted = [one.spread(label) for one, label in zip(batch, labels, strict=True)]
        targets = pad_sequence(wanted, batch_first=True, padding_value=IGNORED)[:, 1:]
        learnt = targets != IGNORED  # (B, L - 1)
        loss = F.cross_entropy(
            self.logits(states[:, :-1][learnt]).float(), targets[learnt], reduction="sum"
        )
        before = {
            token: tuple(
                self.project(own[one.before(token)]) for own, one in zip(states, batch, strict=True)
            )
            for token in (self.config.box_id, self.config.seg_id)
        }
        return TextReading(loss / learnt.sum().clamp(min=1), states, *before.values())

    def _run(self, embeds: Tensor, cache: WindowCache | None) -> Tensor:
        start = 0 if cache is None else cache.get_seq_length()
        count = embeds.shape[1]
        output = self.lm.model(
            inputs_embeds=embeds,
            attention_mask=visible(start, count, self.config.sliding_window, embeds.device),
            position_ids=torch.arange(start, start + count, device=embeds.device)[None],
            past_key_values=cache,
            use_cache=cache is not None,
        )
        states: Tensor = output.last_hidden_state
        return states


def projector(kind: str, inputs: int, outputs: int) -> nn.Sequential:
    """Build a projector, "linear" or "mlpNx_gelu".

    Raises:
        ValueError: another kind.
    """
    match = re.fullmatch(r"mlp(\d+)x_gelu", kind)
    if kind != "linear" and match is None:
        raise ValueError(f'projector: expected "linear" or "mlpNx_gelu", got "{kind}"')
    layers: list[nn.Module] = [nn.Linear(inputs, outputs)]
    for _ in range(1, int(match[1]) if match else 1):
        layers += [nn.GELU(), nn.Linear(outputs, outputs)]
    return nn.Sequential(*layers)


def _halve(tokens: Tensor) -> Tensor:
    """Average 2 x 2 patches of square frames: (T, P, H) to (T, P / 4, H)."""
    side = round(tokens.shape[1] ** 0.5)
    cells = tokens.transpose(1, 2).unflatten(2, (side, side))
    return F.avg_pool2d(cells, 2).flatten(2).transpose(1, 2)


def _clip_config(config: VideoGlammConfig) -> CLIPVisionConfig:
    return CLIPVisionConfig(
        hidden_size=config.clip_hidden_size,
        intermediate_size=config.clip_intermediate_size,
        num_hidden_layers=config.clip_layers,
        num_attention_heads=config.clip_heads,
        image_size=config.clip_image_size,
        patch_size=config.clip_patch_size,
    )


def _phi3_config(config: VideoGlammConfig) -> Phi3Config:
    """Build transformers' configuration; the window is left out, as its rule differs from the released one."""
    return Phi3Config(
        vocab_size=config.vocab_size,
        hidden_size=config.hidden_size,
        intermediate_size=config.intermediate_size,
        num_hidden_layers=config.num_hidden_layers,
        num_attention_heads=config.num_attention_heads,
        num_key_value_heads=config.num_key_value_heads,
        max_position_embeddings=config.max_position_embeddings,
        original_max_position_embeddings=config.max_position_embeddings,
        rms_norm_eps=config.rms_norm_eps,
        rope_parameters={"rope_type": "default", "rope_theta": config.rope_theta},
        sliding_window=None,
        tie_word_embeddings=False,
        bos_token_id=None,
        eos_token_id=None,
        pad_token_id=None,
    )

"""The SparrowModel: VideoLLM, Proposer, Selector and PixelDecoder put together.

Frames go in, things and masks come out; what is said about them and when, pipeline.py decides.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from transformers import PreTrainedTokenizerBase

from sparrow.model import checkpoint
from sparrow.model.chat_format import ChatFormat
from sparrow.model.config import SparrowConfig
from sparrow.model.dialogue import Dialogue
from sparrow.model.empty import build_empty
from sparrow.model.glamm_dialogue import Finder, GlammDialogue
from sparrow.model.mini import MiniConfig, MiniVideoLLM, Seen
from sparrow.model.mini_dialogue import MiniDialogue
from sparrow.model.pixel_decoder import PixelDecoder
from sparrow.model.proposer import Proposer
from sparrow.model.release.words import read_tokenizer
from sparrow.model.selector import Selector
from sparrow.model.tokenizer import WordTokenizer
from sparrow.model.tracking import Propose
from sparrow.model.videoglamm import VideoGlamm

Tokenizer = WordTokenizer | PreTrainedTokenizerBase


class SparrowModel(nn.Module):
    """The whole model."""

    def __init__(self, config: SparrowConfig, tokenizer: Tokenizer) -> None:
        """Build it with fresh weights.

        Raises:
            TypeError: the mini VideoLLM takes a WordTokenizer, the released one transformers' own.
        """
        super().__init__()
        self.config = config
        self.tokenizer = tokenizer
        self.pixel_decoder = PixelDecoder(config.sam)
        self.proposer = Proposer(config.proposer)
        self.selector = Selector(config.selector)
        self.video_llm: MiniVideoLLM | VideoGlamm
        if isinstance(config.llm, MiniConfig) and isinstance(tokenizer, WordTokenizer):
            self.video_llm = MiniVideoLLM(config.llm, tokenizer)
        elif not isinstance(config.llm, MiniConfig) and not isinstance(tokenizer, WordTokenizer):
            self.video_llm = VideoGlamm(config.llm)
        else:
            raise TypeError(f"{config.llm.kind}: not with a {type(tokenizer).__name__}")

    @classmethod
    def from_pretrained(cls, name: str | Path) -> SparrowModel:
        """Load a model folder or a hub id.

        Raises:
            ModelError: it cannot be found, or its files do not fit.
        """
        folder = checkpoint.find(name)
        config = checkpoint.read_config(folder, SparrowConfig)
        if isinstance(config.llm, MiniConfig):
            model = cls(config, WordTokenizer.load(folder))
        else:  # too large to be drawn first and kept in full precision
            tokenizer = read_tokenizer(folder)
            model = build_empty(lambda: cls(config, tokenizer))
        checkpoint.load_weights(folder, model)
        return model.eval()

    def save_pretrained(self, folder: Path, *, dtype: torch.dtype | None = None) -> None:
        """Write config.json, model.safetensors and the tokenizer's files.

        Args:
            folder: made if it does not exist.
            dtype: of stored floating-point weights; None keeps them, and loading gives the same bits.
        """
        checkpoint.write(folder, self.config, self, dtype=dtype)
        if isinstance(self.tokenizer, WordTokenizer):
            self.tokenizer.save(folder)
        else:
            self.tokenizer.save_pretrained(folder)

    @property
    def mini(self) -> MiniVideoLLM:
        """The VideoLLM, where it is the mini one.

        Raises:
            TypeError: it is another.
        """
        if not isinstance(self.video_llm, MiniVideoLLM):
            raise TypeError(f"expected the mini VideoLLM, got {type(self.video_llm).__name__}")
        return self.video_llm

    @property
    def num_frames(self) -> int:
        """Frames T of a video that the VideoLLM looks at."""
        llm = self.config.llm
        return llm.encoder.num_frames if isinstance(llm, MiniConfig) else llm.frames

    def open(self, frames: np.ndarray) -> Dialogue:
        """Look at T sampled frames (T, H, W, 3) uint8 and begin a dialogue about them."""
        if isinstance(self.video_llm, MiniVideoLLM):
            return MiniDialogue(self.video_llm, self.selector, frames, self.see(frames))
        assert not isinstance(self.tokenizer, WordTokenizer)
        finder = Finder(self.proposer, self.selector, self.pixel_decoder, self.config.anchors)
        chat_format = ChatFormat(self.tokenizer, self.num_frames)
        return GlammDialogue(self.video_llm, chat_format, finder, frames)

    @torch.inference_mode()
    def see(self, frames: np.ndarray) -> Seen:
        """Find, link and encode the things in T frames (T, H, W, 3) uint8, for the mini VideoLLM."""
        return self.mini.perceive(frames, self.propose(frames))

    @torch.inference_mode()
    def propose(self, frames: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
        """Propose boxes in each of T frames: normalised xyxy (P, 4) and scores (P,), best first."""
        found = self.proposer.propose(self.proposer.prepare(frames))
        boxes = found.boxes_norm.clamp(0, 1).cpu().numpy()
        return list(zip(boxes, found.scores.cpu().numpy(), strict=True))

    @property
    def snapping(self) -> Propose | None:
        """What lets proposals correct masks while tracking; None where the PixelDecoder needs no help."""
        grounding = self.config.grounding
        return self.propose if self.config.snap and grounding.box and grounding.linked else None

    def card(self) -> dict[str, Any]:
        """Say what the model is and can talk about."""
        llm, card = self.config.llm, self.config.card
        words = llm.encoder if isinstance(llm, MiniConfig) else None
        return {
            "name": card.name,
            "trained_on": card.trained_on,
            "limits": card.limits,
            "nouns": list(words.nouns) if words else [],
            "groups": list(words.groups) if words else [],
            "colours": list(words.colours) if words else [],
            # A tracker this small follows real things far better after it has learnt them (adapt.py).
            "learns": words is not None,
        }

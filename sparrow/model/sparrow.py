"""The SparrowModel: VideoLLM, Proposer, Selector and PixelDecoder put together.

Frames go in, linked things and masks come out; what is said about them and when, pipeline.py decides.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from sparrow.model import checkpoint
from sparrow.model.config import SparrowConfig
from sparrow.model.dialogue import Dialogue
from sparrow.model.mini import MiniVideoLLM, Seen
from sparrow.model.mini_dialogue import MiniDialogue
from sparrow.model.pixel_decoder import PixelDecoder
from sparrow.model.proposer import Proposer
from sparrow.model.selector import Selector
from sparrow.model.tokenizer import WordTokenizer


class SparrowModel(nn.Module):
    """The whole model."""

    def __init__(self, config: SparrowConfig, tokenizer: WordTokenizer) -> None:
        super().__init__()
        self.config = config
        self.pixel_decoder = PixelDecoder(config.sam)
        self.proposer = Proposer(config.proposer)
        self.selector = Selector(config.selector)
        self.video_llm = MiniVideoLLM(config.llm, tokenizer)

    @classmethod
    def from_pretrained(cls, name: str | Path) -> SparrowModel:
        """Load a model folder or a hub id.

        Raises:
            ModelError: it cannot be found, or its files do not fit.
        """
        folder = checkpoint.find(name)
        config = checkpoint.read_config(folder, SparrowConfig)
        model = cls(config, WordTokenizer.load(folder))
        checkpoint.load_weights(folder, model)
        return model.eval()

    def save_pretrained(self, folder: Path, *, dtype: torch.dtype | None = None) -> None:
        """Write config.json, model.safetensors and tokenizer.json.

        Args:
            folder: made if it does not exist.
            dtype: of stored floating-point weights; None keeps them, and loading gives the same bits.
        """
        checkpoint.write(folder, self.config, self, dtype=dtype)
        self.video_llm.tokenizer.save(folder)

    @property
    def num_frames(self) -> int:
        """Frames T of a video that the VideoLLM looks at."""
        return self.video_llm.config.encoder.num_frames

    def open(self, frames: np.ndarray) -> Dialogue:
        """Look at T sampled frames (T, H, W, 3) uint8 and begin a dialogue about them."""
        return MiniDialogue(self.video_llm, self.selector, frames, self.see(frames))

    @torch.inference_mode()
    def see(self, frames: np.ndarray) -> Seen:
        """Find, link and encode the things in T frames (T, H, W, 3) uint8."""
        return self.video_llm.perceive(frames, self.propose(frames))

    @torch.inference_mode()
    def propose(self, frames: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
        """Propose boxes in each of T frames: normalised xyxy (P, 4) and scores (P,), best first."""
        found = self.proposer.propose(self.proposer.prepare(frames))
        boxes = found.boxes_norm.clamp(0, 1).cpu().numpy()
        return list(zip(boxes, found.scores.cpu().numpy(), strict=True))

    def card(self) -> dict[str, Any]:
        """Say what the model is and can talk about."""
        encoder, card = self.config.llm.encoder, self.config.card
        return {
            "name": card.name,
            "trained_on": card.trained_on,
            "limits": card.limits,
            "nouns": list(encoder.nouns),
            "groups": list(encoder.groups),
            "colours": list(encoder.colours),
        }

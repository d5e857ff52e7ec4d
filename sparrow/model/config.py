"""The configuration of a whole model: one dataclass per part, stored as config.json."""

from __future__ import annotations

from dataclasses import dataclass, field

from sparrow.model.mini import MiniConfig
from sparrow.model.proposer import ProposerConfig
from sparrow.model.sam import SamConfig
from sparrow.model.selector import SelectorConfig
from sparrow.model.videoglamm import VideoGlammConfig


@dataclass(frozen=True)
class CardConfig:
    """What a model says about itself."""

    name: str = "sparrow-mini"
    trained_on: str = ""
    """One sentence for the page."""
    limits: str = ""
    """One sentence for the page."""


@dataclass(frozen=True)
class GroundingConfig:
    """What of an answer's meaning reaches the tracker. The defaults are the product; the rest is for ablations."""

    box: bool = True
    """Boxes: those that a [BOX] means, in the anchor frame and wherever else they are known."""
    seg: bool = True
    """The [SEG] state, in the anchor frame."""
    linked: bool = True
    """Boxes beyond the anchor frame: those of the other sampled frames, between them, and proposals that fit."""
    first_anchor: bool = False
    """Start in the first sampled frame, as the release does, instead of the best one."""
    memory: bool = True
    """Carry a thing from frame to frame; without, every frame is decoded alone, from the [SEG] state and its box."""

    def __post_init__(self) -> None:
        if not (self.box or self.seg):
            raise ValueError("grounding: expected box or seg, got neither")
        if not (self.memory or self.seg):
            raise ValueError(
                "grounding: without memory every frame needs the [SEG] state, got none"
            )


@dataclass(frozen=True)
class SparrowConfig:
    """All parts of a model."""

    sam: SamConfig
    proposer: ProposerConfig
    selector: SelectorConfig
    llm: MiniConfig | VideoGlammConfig
    card: CardConfig = field(default_factory=CardConfig)
    anchors: int = 4
    """videoglamm: sampled frames in which a referent is looked for; 1 is the release's way, the first."""
    snap: bool = True
    """While tracking let a proposal that fits correct the mask: what a small PixelDecoder needs."""
    grounding: GroundingConfig = field(default_factory=GroundingConfig)

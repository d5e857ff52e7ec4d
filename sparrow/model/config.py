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

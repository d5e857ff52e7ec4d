"""The sizes of sparrow-mini, and the words and classes that its world gives it."""

from __future__ import annotations

from sparrow.model.config import CardConfig, SparrowConfig
from sparrow.model.mini import MiniConfig
from sparrow.model.proposer import mini_proposer
from sparrow.model.sam import SamConfig
from sparrow.model.selector import mini_selector
from sparrow.model.tokenizer import WordTokenizer
from sparrow.train.objects import encoder_config
from sparrow.world.dialogue import vocabulary
from sparrow.world.picture import load_atlas

_STATE = 256  # width of a projected [BOX] or [SEG] state
_DIM = 96  # width of the PixelDecoder


def mini_config() -> SparrowConfig:
    """Give sparrow-mini's configuration."""
    llm = MiniConfig(encoder=encoder_config(load_atlas()), state_width=_STATE)
    return SparrowConfig(
        sam=SamConfig(
            image_size=160,
            embed_dim=32,
            num_heads=1,
            stages=(1, 2, 4, 1),
            global_blocks=(5,),
            windows=(8, 4, 8, 4),
            dim=_DIM,
            token_dim=_STATE,
            mem_dim=_DIM // 2,
            num_memories=4,
            memory_layers=2,
            feedforward=256,
            decoder_heads=4,
            iou_hidden=64,
            layer_scale=0.1,
            dropout=0.0,
            multimask=False,
            dense_prompts=True,
            memory_gate=True,
            windowed=True,
        ),
        proposer=mini_proposer(),
        selector=mini_selector(_STATE, 2 * llm.width),
        llm=llm,
        card=CardConfig(
            name="sparrow-mini",
            trained_on="a synthetic world: drawn pictures of 300 named things and eight geometric "
            "shapes that move over made-up backgrounds",
            limits="It knows the world's things, colours and motions; on real video it can only "
            "follow what you point at, and less well. For real scenes load a full checkpoint.",
        ),
    )


def mini_tokenizer() -> WordTokenizer:
    """Build the tokenizer of every word that the world's dialogues can use."""
    return WordTokenizer.from_words(vocabulary(load_atlas()))

"""Tiny stand-ins for the released language side: a tokenizer built like Phi-3's, and a random VideoGlamm."""

from __future__ import annotations

import string
from itertools import pairwise

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, processors
from transformers import PreTrainedTokenizerFast

from sparrow.model.internvideo import InternVideoConfig
from sparrow.model.videoglamm import VideoGlamm, VideoGlammConfig

UNDERLINE = "\u2581"  # what stands for a space in the vocabulary
TEMPLATE = ("<|endoftext|>", "<|assistant|>", "<|system|>", "<|end|>", "<|user|>")


def phi3_tokenizer(*, begins: bool = True) -> PreTrainedTokenizerFast:
    """Build a letter-wise tokenizer with bytes to fall back on, [SEG] and [BOX] added as the release does.

    Args:
        begins: whether it puts <s> before every text.
    """
    letters = [UNDERLINE, *string.ascii_letters, *string.digits, *".,:;?!'<>/[]|()-", "▁d", "og"]
    entries = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), *letters]
    vocabulary = {entry: index for index, entry in enumerate(entries)}
    merges = [(UNDERLINE, "d"), ("o", "g")]
    model = models.BPE(vocabulary, merges, unk_token="<unk>", byte_fallback=True, fuse_unk=True)
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Prepend(UNDERLINE), normalizers.Replace(" ", UNDERLINE)]
    )
    tokenizer.decoder = decoders.Sequence(
        [
            decoders.Replace(UNDERLINE, " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    if begins:
        tokenizer.post_processor = processors.TemplateProcessing(
            single="<s> $A", special_tokens=[("<s>", 1)]
        )
    tokenizer.add_special_tokens(["<unk>", "<s>", "</s>"])
    tokenizer.add_special_tokens(
        [AddedToken(token, rstrip=True, normalized=False, special=True) for token in TEMPLATE]
    )
    made = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="<|endoftext|>", unk_token="<unk>"
    )
    made.add_tokens("[SEG]")
    made.add_tokens("[BOX]")
    return made


def tiny_config(**changes: object) -> VideoGlammConfig:
    """Sizes of a VideoGlamm that runs in milliseconds: 4 frames become 4 * (4 + 1) visual tokens."""
    vocabulary = phi3_tokenizer().get_vocab()
    sizes: dict[str, object] = {
        "video": InternVideoConfig(
            width=16, depth=3, heads=2, feed_forward=24, image_size=28, frames=2
        ),
        "vocab_size": len(vocabulary),
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 4,
        "max_position_embeddings": 512,
        "sliding_window": None,
        "clip_hidden_size": 16,
        "clip_intermediate_size": 24,
        "clip_layers": 3,
        "clip_heads": 2,
        "clip_image_size": 56,
        "state_width": 8,
        "frames": 4,
        "chunk": 2,
        "seg_id": vocabulary["[SEG]"],
        "box_id": vocabulary["[BOX]"],
        "end_id": vocabulary["<|end|>"],
        "other_end_ids": (vocabulary["<|endoftext|>"],),
    }
    return VideoGlammConfig(**(sizes | changes))


def tiny_videoglamm(seed: int = 0, **changes: object) -> VideoGlamm:
    torch.manual_seed(seed)
    return VideoGlamm(tiny_config(**changes)).eval()


@torch.no_grad()
def teach(llm: VideoGlamm, ids: list[int]) -> None:
    """Make each of some different ids be followed by the next, whatever came before it.

    Attention and feed-forward are silenced, so that a state is its word's normalised embedding.
    """
    for layer in llm.lm.model.layers:
        layer.self_attn.o_proj.weight.zero_()
        layer.mlp.down_proj.weight.zero_()
    embeddings, head = llm.lm.model.embed_tokens.weight, llm.lm.lm_head.weight
    embeddings.zero_()
    head.zero_()
    for place, (word, following) in enumerate(pairwise(ids)):
        embeddings[word, place] = 1.0
        head[following, place] = 1.0

"""The tokenizer of a release: read the same whatever its config.json suggests, and what is looked up in it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tokenizers import AddedToken
from transformers import LlamaTokenizer

from sparrow.errors import ModelError
from sparrow.model.release.words import read_tokenizer, words_of

SPACE = "\u2581"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A tokenizer of Llama's class, as Phi-3's is, with the released tokens behind its words."""
    words = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), SPACE, *"adgno"]
    words += [f"{SPACE}a", "og", "dog", f"{SPACE}dog"]
    merges = [(SPACE, "a"), ("o", "g"), ("d", "og"), (SPACE, "dog")]
    tokenizer = LlamaTokenizer({word: index for index, word in enumerate(words)}, merges)
    for token in ("<|endoftext|>", "<|end|>"):
        tokenizer.add_tokens(AddedToken(token, rstrip=True, normalized=False, special=True))
    tokenizer.eos_token = "<|endoftext|>"
    tokenizer.add_tokens("[SEG]")
    tokenizer.add_tokens("[BOX]")
    tokenizer.save_pretrained(tmp_path)
    return tmp_path


@pytest.mark.parametrize("model_type", [None, "VideoGPT+", "phi3", "llama"])
def test_only_the_beginning_of_a_text_gets_a_space(model_type: str | None, folder: Path) -> None:
    """transformers' own choice of class would tell "phi3" from the others, and lose that space."""
    if model_type:
        (folder / "config.json").write_text(json.dumps({"model_type": model_type}))
    tokenizer = read_tokenizer(folder)
    pieces = tokenizer.convert_ids_to_tokens(tokenizer("dog a[BOX] [SEG]dog<|end|>\ndog").input_ids)
    assert pieces == [
        *(f"{SPACE}dog", f"{SPACE}a", "[BOX]", SPACE, "[SEG]", "dog", "<|end|>", "dog"),
    ]


def test_words_are_looked_up(folder: Path) -> None:
    tokenizer = read_tokenizer(folder)
    vocabulary = tokenizer.get_vocab()
    ends = [vocabulary["<|endoftext|>"], vocabulary["<|end|>"], 2, 99_999]
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": ends}))
    words = words_of(tokenizer, folder)
    assert words.count == len(vocabulary) == max(vocabulary.values()) + 1
    assert (words.seg, words.box) == (words.count - 2, words.count - 1)
    assert words.end == vocabulary["<|end|>"]
    assert words.other_ends == (2, vocabulary["<|endoftext|>"])


@pytest.mark.parametrize("ends", [None, 2])
def test_one_end_or_none_is_stored(ends: int | None, folder: Path) -> None:
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": ends}))
    tokenizer = read_tokenizer(folder)
    own = tokenizer.eos_token_id
    assert words_of(tokenizer, folder).other_ends == tuple(sorted({own, ends} - {None}))


def test_missing_tokens_are_named(tmp_path: Path) -> None:
    LlamaTokenizer().save_pretrained(tmp_path)
    with pytest.raises(ModelError, match=r"found no \[SEG\] and no \[BOX\] and no <\|end\|>"):
        words_of(read_tokenizer(tmp_path), tmp_path)


@pytest.mark.parametrize("content", [None, "{", '{"version": "1.0"}'])
def test_a_folder_without_a_tokenizer_is_told(content: str | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "tokenizer.json").write_text(content)
    with pytest.raises(ModelError, match="its tokenizer cannot be read"):
        read_tokenizer(tmp_path)

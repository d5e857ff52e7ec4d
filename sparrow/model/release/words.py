"""The tokenizer of a released model, and what the model must know of it. It decides no wording."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from transformers import LlamaTokenizer, PreTrainedTokenizerBase, PreTrainedTokenizerFast

from sparrow.errors import ModelError
from sparrow.model.chat_format import BOX, END, SEG
from sparrow.model.release.sizes import Words
from sparrow.model.weight_files import read_json


def read_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """Read the tokenizer of a model folder, released or converted. Code in the folder is not run.

    Raises:
        ModelError: there is none, or it needs packages that are not installed.
    """
    if (folder / "tokenizer.model").is_file() and not (folder / "tokenizer.json").is_file():
        names = {"sentencepiece": "sentencepiece", "protobuf": "google.protobuf"}
        absent = [package for package, module in names.items() if not _installed(module)]
        if absent:
            raise ModelError(
                f"{folder}: its tokenizer is a SentencePiece file; to read it, install "
                f"{' and '.join(absent)} (`sparrow convert` then makes a folder that does without)"
            )
    # The class says how a text begins; which one a folder's config.json suggests differs by version.
    kind = str(read_json(folder, "tokenizer_config.json").get("tokenizer_class", ""))
    reader = LlamaTokenizer if kind.startswith("LlamaTokenizer") else PreTrainedTokenizerFast
    try:
        tokenizer: PreTrainedTokenizerBase = reader.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, KeyError, ImportError, TypeError) as error:
        told = (str(error).splitlines() or [type(error).__name__])[0]
        raise ModelError(f"{folder}: its tokenizer cannot be read ({told})") from error
    return tokenizer


def words_of(tokenizer: PreTrainedTokenizerBase, folder: Path) -> Words:
    """Look up what ends an answer, and the tokens that ground it.

    Args:
        tokenizer: of the release.
        folder: whose generation_config.json may name further ends. What it says of sampling is not used.

    Raises:
        ModelError: one of the tokens is missing.
    """
    vocabulary = tokenizer.get_vocab()
    if missing := [token for token in (SEG, BOX, END) if token not in vocabulary]:
        raise ModelError(
            f"{folder}: expected its tokenizer to have {SEG}, {BOX} and {END}, "
            f"found no {' and no '.join(missing)}"
        )
    ends = _as_ids(read_json(folder, "generation_config.json").get("eos_token_id"))
    ends += _as_ids(tokenizer.eos_token_id)
    count, end = len(tokenizer), vocabulary[END]
    others = tuple(sorted({one for one in ends if one != end and 0 <= one < count}))
    return Words(count, vocabulary[SEG], vocabulary[BOX], end, others)


def _as_ids(ids: object) -> list[int]:
    if isinstance(ids, list):
        return [int(one) for one in ids]
    return [ids] if isinstance(ids, int) else []


def _installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # the package around it is absent
        return False

"""The released chat format: questions to ids with placeholders, and ids of an answer to text with phrases.

The template is Phi-3's; the tokenizer is whatever the model folder holds. It knows no tensors.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from transformers import LlamaTokenizer, PreTrainedTokenizerBase

from sparrow.errors import ModelError, PromptError
from sparrow.model.splice import IMAGE_ID, TSF_ID
from sparrow.model.tokenizer import MarkedPhrase, ParsedAnswer

SYSTEM = "<|system|>\nYou are a helpful AI assistant.<|end|>"
USER, ASSISTANT, END = "\n<|user|>\n", "\n<|assistant|>\n", "<|end|>"
IMAGE, TSF, BOX, SEG = "<image>", "<tsf>", "[BOX]", "[SEG]"

_PLACEHOLDERS = {IMAGE: IMAGE_ID, TSF: TSF_ID}
_SPACE = "\u2581"  # stands for a space in SentencePiece's vocabularies
_PHRASE, _PHRASE_END = "<p>", "</p>"
_NO_SPACE_BEFORE = frozenset(".,;:!?)'’")
_SENTENCE_END = frozenset(".!?")
_BREAK = re.compile(r"[.,;:!?](?=\s|\Z)|\n")  # ends the words that a mark without <p> belongs to
_WORDLESS = "here"  # said where a mark has no words at all


class ChatFormat:
    """Strings and ids of a conversation about one video or image."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, images: int = 16) -> None:
        """Take a tokenizer that has [BOX], [SEG] and <|end|> as single tokens.

        Args:
            tokenizer: of the model folder.
            images: placeholders of the video, and of tracked features: 16 as released; 1 for an image.

        Raises:
            ModelError: a token is missing.
        """
        vocabulary = tokenizer.get_vocab()
        if missing := [token for token in (BOX, SEG, END) if token not in vocabulary]:
            raise ModelError(
                f"tokenizer: expected the tokens {BOX}, {SEG}, {END}; {missing} missing"
            )
        self.box_id, self.seg_id, self.end_id = (vocabulary[t] for t in (BOX, SEG, END))
        self._tokenizer = tokenizer
        self._images = images
        # Llama's tokenizer of the release's days put a space before every piece; today's does not
        # before a mark or another space.
        self._piece_start = _SPACE if isinstance(tokenizer, LlamaTokenizer) else ""
        added = tokenizer.added_tokens_decoder.items()
        special = {str(token): index for index, token in added if token.special}
        special |= {token: vocabulary[token] for token in tokenizer.all_special_tokens}
        self._special = frozenset(special.values()) - {self.box_id, self.seg_id}
        self._marks = sorted({*special, BOX, SEG, *_PLACEHOLDERS}, key=len, reverse=True)

    def opening(self) -> list[int]:
        """Give the ids before every first question: system, user tag and the video's placeholders."""
        return self.encode(SYSTEM + USER + IMAGE * self._images)

    def first_turn(self, question: str, *, pointed: bool = False) -> list[int]:
        """Give the ids of the first question, behind `opening`, up to where the answer begins.

        Args:
            question: what the user typed; the marks of the format in it are taken as plain text.
            pointed: placeholders for tracked features close it.

        Raises:
            PromptError: the question is empty, or spells a reserved mark in a way that cannot be undone.
        """
        return self._turn("\n", question, pointed, continued=False)

    def later_turn(self, question: str, *, pointed: bool = False) -> list[int]:
        """Give the ids of a further question, from the end mark of the answer before it; see `first_turn`."""
        return self._turn(END + USER, question, pointed, continued=True)

    def answer(self, text: str, spans: Sequence[tuple[int, int]]) -> list[int]:
        """Give the ids of an answer, `<p> ... </p> [BOX] [SEG]` around the phrases at `spans`, without its end.

        Args:
            text: clean words; the marks of the format in it are taken as plain text.
            spans: starts and ends of phrases, ascending and apart.
        """
        marked, position = "", 0
        for start, end in spans:
            marked += self._plain(text[position:start])
            marked += f"{_PHRASE} {self._plain(text[start:end])} {_PHRASE_END} {BOX} {SEG}"
            position = end
        return self._behind(marked + self._plain(text[position:]), True)

    def conversation(
        self, turns: Sequence[tuple[str, str | None]], *, pointed: bool = False
    ) -> str:
        """Write a whole conversation as the released data does; `encode` turns it into ids.

        Args:
            turns: questions and answers, taken as they are; None for an answer that is to be generated.
            pointed: placeholders for tracked features close the first question.
        """
        text = SYSTEM
        for number, (question, answer) in enumerate(turns):
            first = number == 0
            text += USER + (IMAGE * self._images + "\n" if first else "") + question
            text += self._features(pointed and first) + END + ASSISTANT
            text += "" if answer is None else answer + END
        return text

    def encode(self, text: str, *, continued: bool = False) -> list[int]:
        """Turn text with placeholders into ids.

        What stands between placeholders is tokenised by itself; a beginning mark that the tokenizer adds
        stays only at the very first of these pieces.

        Args:
            text: to be turned.
            continued: it stands behind other text, and is no beginning at all.
        """
        ids: list[int] = []
        begun = continued
        for piece in re.split("(" + "|".join(_PLACEHOLDERS) + ")", text):
            if piece in _PLACEHOLDERS:
                ids.append(_PLACEHOLDERS[piece])
                continued = False
            elif piece:
                start = "" if continued else self._piece_start
                words = list(self._tokenizer(start + piece)["input_ids"])
                known = begun and words[:1] == [self._tokenizer.bos_token_id]
                ids += words[1:] if known else words
                begun, continued = True, False
        return ids

    def reader(self) -> AnswerReader:
        """Begin to read an answer."""
        return AnswerReader(self._tokenizer, self.box_id, self.seg_id, self._special)

    def parse(self, ids: Sequence[int]) -> ParsedAnswer:
        """Turn the ids of a whole answer into clean text and phrases."""
        reader = self.reader()
        for index in ids:
            reader.feed(index)
        reader.finish()
        return reader.parsed()

    def _turn(self, opening: str, question: str, pointed: bool, *, continued: bool) -> list[int]:
        if not question.strip():
            raise PromptError("question: expected some words, got none; type what you want to know")
        closing = self._features(pointed) + END + ASSISTANT
        ids = self._behind(opening + self._plain(question.strip()) + closing, continued)
        if self._count_reserved(ids) != self._count_reserved(
            self._behind(opening + closing, continued)
        ):
            raise PromptError(
                f"question: expected plain words, got a mark of the format ({BOX}, {SEG}, {END} ...); "
                "leave it out"
            )
        return ids

    def _behind(self, text: str, continued: bool) -> list[int]:
        """Encode text that stands behind other text, or behind placeholders: without a beginning mark."""
        ids = self.encode(text, continued=continued)
        return ids[1:] if ids[:1] == [self._tokenizer.bos_token_id] else ids

    def _features(self, pointed: bool) -> str:
        return "\n" + TSF * self._images if pointed else ""

    def _plain(self, text: str) -> str:
        """Break every mark that text spells by a space, so that it is tokenised as the letters it has."""
        for mark in self._marks:
            text = text.replace(mark, mark[0] + " " + mark[1:])
        return text

    def _count_reserved(self, ids: Sequence[int]) -> int:
        reserved = self._special | {self.box_id, self.seg_id, *_PLACEHOLDERS.values()}
        return sum(index in reserved for index in ids)


class AnswerReader:
    """Ids of an answer to clean text, one at a time: what `feed` returns is appended to what was shown.

    A phrase is what stands between <p> and </p> before a [BOX] or [SEG]. Where nothing does, it is the
    words just before the mark, back to the punctuation or phrase before them ("It is [BOX] [SEG]." gives "It
    is"); where there are no words either ("Sure, [SEG]."), "here" is said for them. Marks in a row belong to
    the same words. Held back until it is clear what they become: half a character, half a <p>, spaces.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        box_id: int,
        seg_id: int,
        special: frozenset[int],
    ) -> None:
        self._tokenizer = tokenizer
        self._states = (box_id, seg_id)
        self._special = special
        self._ids: list[int] = []  # of words
        self._decoded = ""
        self._held = ""  # decoded, but may be the beginning of <p> or </p>
        self._space = ""  # between what is written and what comes
        self._text = ""
        self._shown = 0
        self._open: int | None = None  # where a phrase began that is not yet closed
        self._span: tuple[int, int] | None = None  # of the phrase that a mark would belong to
        self._marked = False  # a mark was left out after the last written character
        self._phrases: list[MarkedPhrase] = []
        self._counts = [0, 0]

    def feed(self, index: int) -> str:
        """Give the text that one more id lets show; special ids add none."""
        if index in self._states:
            self._take(self._decode(whole=True), whole=True)
            self._ground(self._states.index(index))
        elif index not in self._special:
            self._ids.append(index)
            self._take(self._decode(whole=False), whole=False)
        return self._delta()

    def finish(self) -> str:
        """Give the text that was held back at the end."""
        self._take(self._decode(whole=True), whole=True)
        return self._delta()

    def parsed(self) -> ParsedAnswer:
        """Give what was read until now."""
        return ParsedAnswer(self._text, tuple(self._phrases))

    def _delta(self) -> str:
        shown, self._shown = self._shown, len(self._text)
        return self._text[shown:]

    def _decode(self, *, whole: bool) -> str:
        """Decode what is new; unless `whole`, nothing while the last character is incomplete."""
        text = self._tokenizer.decode(self._ids, clean_up_tokenization_spaces=False)
        assert isinstance(text, str)
        if not whole and text.endswith("\ufffd"):
            return ""
        new, self._decoded = text[len(self._decoded) :], text
        return new

    def _take(self, new: str, *, whole: bool) -> None:
        self._held += new
        while self._held:
            if self._held.startswith((_PHRASE, _PHRASE_END)):
                mark = _PHRASE if self._held.startswith(_PHRASE) else _PHRASE_END
                self._bracket(mark)
                self._held = self._held[len(mark) :]
            elif not whole and any(m.startswith(self._held) for m in (_PHRASE, _PHRASE_END)):
                break
            else:
                self._write(self._held[0])
                self._held = self._held[1:]

    def _write(self, character: str) -> None:
        if character.isspace():
            self._space += character
            return
        if self._text and self._space and not (self._marked and character in _NO_SPACE_BEFORE):
            self._text += "\n" if "\n" in self._space else " "
        self._text += character
        self._space, self._marked, self._span = "", False, None

    def _bracket(self, mark: str) -> None:
        self._marked = True
        if mark == _PHRASE:
            self._open = len(self._text)
        elif self._open is not None:
            self._span = _trimmed(self._text, self._open)
            self._open = None

    def _ground(self, kind: int) -> None:
        """Let a [BOX] (0) or [SEG] (1) belong to the phrase before it."""
        self._space = self._space or " "  # tokenizers may count it to the mark
        self._marked = True
        if self._open is not None:
            self._bracket(_PHRASE_END)
        if self._span is None:
            self._span = self._words_before()
        last = self._phrases[-1] if self._phrases else None
        fits = last is not None and last.span == self._span and last.seg is None
        if last is None or not fits or (kind == 0 and last.box is not None):
            last = MarkedPhrase(self._text[slice(*self._span)], self._span, None, None)
            self._phrases.append(last)
        number = self._counts[kind]
        self._phrases[-1] = replace(last, box=number) if kind == 0 else replace(last, seg=number)
        self._counts[kind] += 1

    def _words_before(self) -> tuple[int, int]:
        """Find the words that a mark without <p> belongs to, or say some."""
        floor = self._phrases[-1].span[1] if self._phrases else 0
        floor = max([floor, *(found.end() for found in _BREAK.finditer(self._text, floor))])
        if span := _trimmed(self._text, floor):
            return span
        first = not self._text or self._text[-1] in _SENTENCE_END
        for letter in _WORDLESS.capitalize() if first else _WORDLESS:
            self._write(letter)
        return len(self._text) - len(_WORDLESS), len(self._text)


def _trimmed(text: str, start: int) -> tuple[int, int] | None:
    """Span of the words from `start` on, without the space before them; None when there are none."""
    begin = start + len(text[start:]) - len(text[start:].lstrip())
    return (begin, len(text)) if begin < len(text) else None

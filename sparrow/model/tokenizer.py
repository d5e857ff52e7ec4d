"""The WordTokenizer: words of the conversation to ids, and generated ids back to clean text with phrases.

Special tokens have ids but no spelling: the splitter never yields "<p>" or "[SEG]" as one piece, so
what a user types can never become one. It knows neither videos nor the model.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers

from sparrow.errors import ModelError

PAD, UNKNOWN, USER, ASSISTANT, END = "<pad>", "<unk>", "<user>", "<assistant>", "<end>"
PHRASE, PHRASE_END, BOX, SEG, TSF = "<p>", "</p>", "[BOX]", "[SEG]", "<tsf>"
SPECIALS = (PAD, UNKNOWN, USER, ASSISTANT, END, PHRASE, PHRASE_END, BOX, SEG, TSF)
FILE_NAME = "tokenizer.json"

_PIECE = r"\d+(?:[.:]\d+)?|\p{L}+(?:['-]\p{L}+)*|[.,?!]"
_NO_SPACE_BEFORE = frozenset(".,?!")
_SENTENCE_END = frozenset(".?!")


@dataclass(frozen=True, slots=True)
class MarkedPhrase:
    """A phrase of an answer that is grounded."""

    text: str
    span: tuple[int, int]
    """Start and end in the clean text."""
    box: int | None
    """Position among the [BOX] tokens of the answer, None when the model gave none."""
    seg: int | None
    """Position among the [SEG] tokens."""


@dataclass(frozen=True, slots=True)
class ParsedAnswer:
    """Clean text and its grounded phrases."""

    text: str
    phrases: tuple[MarkedPhrase, ...]


class WordTokenizer:
    """Word-level tokenizer with special tokens that text cannot spell."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._ids = tokenizer.get_vocab()
        self._words = {index: word for word, index in self._ids.items()}
        missing = [token for token in SPECIALS if token not in self._ids]
        if missing:
            raise ModelError(
                f"tokenizer: special tokens {missing} are missing; expected {SPECIALS}"
            )

    @classmethod
    def from_words(cls, words: Iterable[str]) -> WordTokenizer:
        """Build from every word that may be spoken; a name of several words counts as its words."""
        tokenizer = Tokenizer(models.WordLevel({UNKNOWN: 0}, unk_token=UNKNOWN))
        tokenizer.normalizer = normalizers.Sequence(
            [
                normalizers.NFKC(),
                normalizers.Replace("\u2019", "'"),
                normalizers.Lowercase(),
            ]
        )
        tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(_PIECE), "removed", invert=True)
        pieces = {p for word in words for p in _pieces(tokenizer, word)}
        entries = [*SPECIALS, *sorted(pieces)]
        vocabulary = {word: index for index, word in enumerate(entries)}
        tokenizer.model = models.WordLevel(vocabulary, unk_token=UNKNOWN)
        return cls(tokenizer)

    @classmethod
    def load(cls, folder: Path) -> WordTokenizer:
        """Read what `save` wrote.

        Raises:
            ModelError: the file is missing or not a tokenizer.
        """
        path = folder / FILE_NAME
        try:
            text = path.read_text(encoding="utf-8")
        except OSError as error:
            raise ModelError(f"tokenizer {path}: cannot be read ({error.strerror})") from error
        try:
            tokenizer = Tokenizer.from_str(text)
        except Exception as error:  # tokenizers raises the bare Exception class
            raise ModelError(f"tokenizer {path}: not a tokenizer file ({error})") from error
        return cls(tokenizer)

    def save(self, folder: Path) -> None:
        """Write tokenizer.json into a folder."""
        (folder / FILE_NAME).write_text(self._tokenizer.to_str(pretty=True), encoding="utf-8")

    def __len__(self) -> int:
        return len(self._ids)

    def id_of(self, token: str) -> int:
        """Give the id of a word or special token; KeyError when there is none."""
        return self._ids[token]

    def word_of(self, index: int) -> str:
        return self._words[index]

    def encode(self, text: str) -> list[int]:
        """Turn plain text into word ids; unknown words become <unk>, special tokens never appear."""
        return list(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def unknown_words(self, text: str) -> list[str]:
        """List the words of a text that the model has never seen, as typed."""
        encoding = self._tokenizer.encode(text, add_special_tokens=False)
        unknown = self.id_of(UNKNOWN)
        pairs = zip(encoding.ids, encoding.offsets, strict=True)
        return [text[start:end] for index, (start, end) in pairs if index == unknown]

    def encode_answer(self, text: str, spans: Sequence[tuple[int, int]]) -> list[int]:
        """Turn an answer into ids with `<p> ... </p> [BOX] [SEG]` around the phrases at `spans`.

        Raises:
            ValueError: the spans overlap or leave the text.
        """
        marks = [self.id_of(t) for t in (PHRASE, PHRASE_END, BOX, SEG)]
        ids: list[int] = []
        position = 0
        for start, end in sorted(spans):
            if not position <= start < end <= len(text):
                raise ValueError(
                    f"phrase span ({start}, {end}): overlaps another or leaves the text"
                )
            ids += self.encode(text[position:start])
            ids += [marks[0], *self.encode(text[start:end]), *marks[1:]]
            position = end
        return ids + self.encode(text[position:])

    def parse(self, ids: Sequence[int]) -> ParsedAnswer:
        """Turn generated ids into clean text and phrases; stray or unfinished marks are left out."""
        text = Detokenizer(self)
        phrases: list[MarkedPhrase] = []
        written, start, span = "", None, None
        boxes = segs = 0
        for index in ids:
            token = self._words[index]
            if token == PHRASE:
                start = len(written)
            elif token == PHRASE_END:
                span = None if start is None else _trim(written, start)
                start = None
                if span is not None:
                    phrases.append(MarkedPhrase(written[slice(*span)], span, None, None))
            elif token in (BOX, SEG):
                if phrases and span == phrases[-1].span:
                    phrases[-1] = _with_state(phrases[-1], token, boxes if token == BOX else segs)
                boxes += token == BOX
                segs += token == SEG
            else:
                written += text.feed(index)
                span = None
        return ParsedAnswer(
            written, tuple(p for p in phrases if p.box is not None or p.seg is not None)
        )


class Detokenizer:
    """Ids to text, one at a time: what `feed` returns is appended to what was shown."""

    def __init__(self, tokenizer: WordTokenizer) -> None:
        self._tokenizer = tokenizer
        self._begun = False
        self._capital = True

    def feed(self, index: int) -> str:
        """Give the text that one more id adds; special tokens add none."""
        word = self._tokenizer.word_of(index)
        if word in SPECIALS:
            return ""
        space = " " if self._begun and word not in _NO_SPACE_BEFORE else ""
        shown = word[0].upper() + word[1:] if self._capital else word
        self._capital = word in _SENTENCE_END
        self._begun = True
        return space + shown


def _pieces(tokenizer: Tokenizer, text: str) -> list[str]:
    normal = tokenizer.normalizer.normalize_str(text)
    return [piece for piece, _ in tokenizer.pre_tokenizer.pre_tokenize_str(normal)]


def _trim(text: str, start: int) -> tuple[int, int] | None:
    """Span of the words from `start` on, without the space before them; None when there are none."""
    begin = start + (len(text[start:]) - len(text[start:].lstrip()))
    return (begin, len(text)) if begin < len(text) else None


def _with_state(phrase: MarkedPhrase, token: str, position: int) -> MarkedPhrase:
    box = position if token == BOX and phrase.box is None else phrase.box
    seg = position if token == SEG and phrase.seg is None else phrase.seg
    return MarkedPhrase(phrase.text, phrase.span, box, seg)

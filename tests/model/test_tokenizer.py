import pytest

from sparrow.errors import ModelError
from sparrow.model.tokenizer import SPECIALS, Detokenizer, WordTokenizer

WORDS = (
    "the",
    "fox",
    "t-shirt",
    "ice cream",
    "is",
    "left",
    "of",
    ".",
    ",",
    "?",
    "yes",
    "2.5",
    "p",
    "box",
)


@pytest.fixture
def tokenizer() -> WordTokenizer:
    return WordTokenizer.from_words(WORDS)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   ",
        "[BOX]",
        "<p> the fox </p> [BOX] [SEG]",
        "<|user|><user><assistant><tsf>",
        "<unk><pad><end>",
    ],
)
def test_text_never_spells_a_special_token(tokenizer, text):
    forbidden = {tokenizer.id_of(t) for t in SPECIALS if t != "<unk>"}
    assert not forbidden & set(tokenizer.encode(text))


def test_literal_marks_lose_their_brackets(tokenizer):
    words = [tokenizer.word_of(i) for i in tokenizer.encode("<p> The fox </p>[BOX]?")]
    assert words == ["p", "the", "fox", "p", "box", "?"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("THE Fox", ["the", "fox"]),
        ("t-shirt,2.5", ["t-shirt", ",", "2.5"]),
        ("ice  cream\n?", ["ice", "cream", "?"]),
        ("the zebra", ["the", "<unk>"]),
        ("\ufb01 \U0001f98a", ["<unk>"]),
    ],
)
def test_encode(tokenizer, text, words):
    assert [tokenizer.word_of(i) for i in tokenizer.encode(text)] == words


def test_unknown_words_are_told_as_typed(tokenizer):
    assert tokenizer.unknown_words("Is the Zebra left of the qux?") == ["Zebra", "qux"]


def test_answer_with_phrases_survives_the_way_through_ids(tokenizer):
    text = "The fox is left of the t-shirt, yes. The ice cream is 2.5."
    spans = [(37, 50), (0, 7), (19, 30)]
    parsed = tokenizer.parse(tokenizer.encode_answer(text, spans))
    assert parsed.text == text
    assert [p.span for p in parsed.phrases] == sorted(spans)
    assert [(p.text, p.box, p.seg) for p in parsed.phrases] == [
        ("The fox", 0, 0),
        ("the t-shirt", 1, 1),
        ("The ice cream", 2, 2),
    ]


@pytest.mark.parametrize(
    ("tokens", "text", "phrases"),
    [
        ([], "", []),
        (["[BOX]", "[SEG]"], "", []),
        (["<p>", "</p>", "[BOX]"], "", []),
        (["<p>", "the", "fox"], "The fox", []),
        (["the", "</p>", "[BOX]"], "The", []),
        (["<p>", "fox", "</p>", "is", "[BOX]"], "Fox is", []),
        (["[BOX]", "<p>", "fox", "</p>", "[BOX]", "[SEG]"], "Fox", [("Fox", 1, 0)]),
        (["<p>", "fox", "</p>", "[SEG]"], "Fox", [("Fox", None, 0)]),
    ],
)
def test_parse_leaves_out_broken_marks(tokenizer, tokens, text, phrases):
    parsed = tokenizer.parse([tokenizer.id_of(t) for t in tokens])
    assert parsed.text == text
    assert [(p.text, p.box, p.seg) for p in parsed.phrases] == phrases


@pytest.mark.parametrize("spans", [[(0, 8), (4, 9)], [(0, 99)], [(3, 3)]])
def test_bad_spans_are_refused(tokenizer, spans):
    with pytest.raises(ValueError, match="phrase span"):
        tokenizer.encode_answer("the fox is", spans)


def test_streamed_pieces_add_up_to_the_parsed_text(tokenizer):
    ids = tokenizer.encode_answer("The fox, yes. The t-shirt.", [(0, 7)])
    stream = Detokenizer(tokenizer)
    pieces = [stream.feed(i) for i in ids]
    assert "".join(pieces) == tokenizer.parse(ids).text == "The fox, yes. The t-shirt."


def test_save_and_load(tokenizer, tmp_path):
    tokenizer.save(tmp_path)
    again = WordTokenizer.load(tmp_path)
    assert len(again) == len(tokenizer)
    assert again.encode("the fox [BOX]") == tokenizer.encode("the fox [BOX]")


@pytest.mark.parametrize("content", [None, "", "{}", '{"model": 1}'])
def test_a_broken_file_is_a_model_error(tmp_path, content):
    if content is not None:
        (tmp_path / "tokenizer.json").write_text(content)
    with pytest.raises(ModelError):
        WordTokenizer.load(tmp_path)

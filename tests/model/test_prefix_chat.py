"""Conversations over a spliced prefix, against reading everything anew for every word."""

from __future__ import annotations

from collections.abc import Sequence
from threading import Event

import pytest
import torch
from torch import Tensor, nn

from benchmarks import generation
from sparrow.errors import Cancelled, PromptError, StaleError
from sparrow.model.chat_format import ChatFormat
from sparrow.model.prefix_chat import PrefixChat, Sampling
from sparrow.model.splice import IMAGE_ID
from sparrow.model.videoglamm import VideoGlamm
from tests.made_phi3 import phi3_tokenizer, tiny_videoglamm

CHAT = ChatFormat(phi3_tokenizer(), images=4)
QUESTIONS = ("Where is the dog?", "And the cat?", "Which is larger?")
LONGEST = 12


def visual() -> Tensor:
    return torch.randn(20, 32, generator=torch.Generator().manual_seed(1))


def pointed() -> Tensor:
    return torch.randn(4, 32, generator=torch.Generator().manual_seed(2))


class Script(nn.Module):
    """A head that says given words one after another, whatever the states are."""

    def __init__(self, words: Sequence[int], size: int) -> None:
        super().__init__()
        self.words, self.size = iter(words), size

    def forward(self, states: Tensor) -> Tensor:
        scores = torch.zeros(*states.shape[:-1], self.size)
        scores[..., next(self.words)] = 1.0
        return scores


def scripted(text: str, **changes: object) -> VideoGlamm:
    """A model that answers with a text; "~" stands for the end mark."""
    words: list[int] = []
    for part in text.split("~"):
        words += [index for index in CHAT.encode(part) if index != 1] + [CHAT.end_id]
    llm = tiny_videoglamm(**changes)
    llm.lm.lm_head = Script(words, llm.config.vocab_size)
    return llm


def anew(llm: VideoGlamm, ids: list[int], tsf: Tensor | None) -> list[int]:
    """Answer greedily, reading the whole prompt again for each word."""
    said: list[int] = []
    while len(said) < LONGEST:
        spliced = llm.splice(torch.tensor(ids + said), visual(), tsf)
        index = int(llm.logits(llm.read(spliced.embeds[None])[0, -1]).argmax())
        if index in (llm.config.end_id, *llm.config.other_end_ids):
            break
        said.append(index)
    return said


@pytest.mark.parametrize("window", [None, 20, 45])
@pytest.mark.parametrize(
    "points", [(False, False, False), (True, False, False), (False, True, False)]
)
@torch.no_grad()
def test_turns_are_as_if_everything_was_read_anew(
    window: int | None, points: tuple[bool, ...]
) -> None:
    llm = tiny_videoglamm(sliding_window=window)
    chat = PrefixChat(llm, CHAT, visual())
    ids = CHAT.opening()
    for question, points_at in zip(QUESTIONS, points, strict=True):
        turn = CHAT.later_turn if chat.num_turns else CHAT.first_turn
        ids += turn(question, pointed=points_at)
        said = list(chat.ask(question, pointed() if points_at else None, max_tokens=LONGEST))
        assert said == anew(llm, ids, pointed() if any(points) else None)
        assert chat.last is not None
        assert list(chat.last.ids) == said
        ids += said
    assert chat.num_turns == 3


@torch.no_grad()
def test_states_are_those_before_the_tokens() -> None:
    answer = "A dog [BOX] [SEG] and a cat [SEG]."
    llm = scripted(answer)
    chat = PrefixChat(llm, CHAT, visual())
    said = list(chat.ask("Where is [SEG] or [BOX]?"))  # typed ones are not the model's
    assert chat.last is not None
    assert chat.last.complete
    ids = CHAT.opening() + CHAT.first_turn("Where is [SEG] or [BOX]?") + said
    spliced = llm.splice(torch.tensor(ids), visual())
    states = llm.read(spliced.embeds[None])[0]
    for token, ours in ((CHAT.box_id, chat.last.box_states), (CHAT.seg_id, chat.last.seg_states)):
        places = spliced.before(token)
        assert len(places) == (1 if token == CHAT.box_id else 2)
        torch.testing.assert_close(ours, llm.project(states[places]), atol=1e-5, rtol=0)


def test_an_answer_without_marks_has_no_states() -> None:
    chat = PrefixChat(scripted("No."), CHAT, visual())
    list(chat.ask("Is there a dog?"))
    assert chat.last is not None
    assert chat.last.box_states.shape == chat.last.seg_states.shape == (0, 8)


def test_an_empty_answer() -> None:
    chat = PrefixChat(scripted(""), CHAT, visual())
    assert list(chat.ask("Is there a dog?")) == []
    assert chat.last is not None
    assert (chat.last.ids, chat.last.complete) == ((), True)


def test_the_longest_answer_is_not_complete_and_the_talk_goes_on() -> None:
    chat = PrefixChat(scripted("abcdef~g"), CHAT, visual())
    assert len(list(chat.ask("What?", max_tokens=3))) == 3
    assert chat.last is not None
    assert not chat.last.complete
    assert list(chat.ask("And?", max_tokens=1)) and chat.num_turns == 2


def test_other_marks_end_an_answer_too() -> None:
    chat = PrefixChat(scripted("a<|endoftext|>b"), CHAT, visual())
    assert len(list(chat.ask("What?"))) == 2  # a space and the letter
    assert chat.last is not None
    assert chat.last.complete


def lengths_read(llm: VideoGlamm) -> list[int]:
    """Note how many positions the first layer reads at a time, from now on."""
    lengths: list[int] = []
    layer = llm.lm.model.layers[0]
    layer.register_forward_hook(lambda _, given, __: lengths.append(given[0].shape[1]))
    return lengths


def test_every_turn_reads_its_own_words_only() -> None:
    llm = scripted("ab~cd")
    lengths = lengths_read(llm)
    chat = PrefixChat(llm, CHAT, visual())
    opening = [index for index in CHAT.opening() if index != IMAGE_ID]
    assert lengths == [len(opening) + 20]
    for number, ids in enumerate((CHAT.first_turn("One?"), CHAT.later_turn("Two?"))):
        lengths.clear()
        said = list(chat.ask(("One?", "Two?")[number]))
        assert lengths == [len(ids)] + [1] * len(said)


def test_only_the_last_position_is_scored() -> None:
    llm, shapes = tiny_videoglamm(), []
    llm.lm.lm_head.register_forward_hook(lambda _, given, __: shapes.append(given[0].shape))
    list(PrefixChat(llm, CHAT, visual()).ask("What?", max_tokens=3))
    assert set(shapes) == {(32,)}


@pytest.mark.parametrize("after", [0, 1, 4])
@torch.no_grad()
def test_a_stopped_turn_leaves_no_trace(after: int) -> None:
    untouched, stopped = (PrefixChat(tiny_videoglamm(), CHAT, visual()) for _ in range(2))
    for chat in (untouched, stopped):
        list(chat.ask(QUESTIONS[0], max_tokens=LONGEST))
    before, cancel, said = stopped.last, Event(), 0
    if not after:
        cancel.set()
    with pytest.raises(Cancelled):
        for said, _ in enumerate(
            stopped.ask("Something else?", pointed(), cancel=cancel, max_tokens=LONGEST), 1
        ):
            if said == after:
                cancel.set()
    assert (said, stopped.last, stopped.num_turns) == (after, before, 1)
    again = [list(chat.ask(QUESTIONS[1], max_tokens=LONGEST)) for chat in (untouched, stopped)]
    assert again[0] == again[1]
    torch.testing.assert_close(
        *[chat.last.seg_states for chat in (untouched, stopped) if chat.last]
    )


def test_a_turn_whose_listener_left_leaves_no_trace() -> None:
    chat = PrefixChat(scripted("abc~def"), CHAT, visual())
    words = chat.ask("What?")
    next(words)
    words.close()  # type: ignore[attr-defined]
    assert (chat.last, chat.num_turns) == (None, 0)


SMALL = 140  # positions: the prefix takes 56, a question some 20


@torch.no_grad()
def test_the_oldest_turns_are_forgotten() -> None:
    llm = tiny_videoglamm(max_position_embeddings=SMALL)
    chat = PrefixChat(llm, CHAT, visual())
    said = [list(chat.ask(question, max_tokens=LONGEST)) for question in QUESTIONS]
    ids = CHAT.opening() + CHAT.first_turn(QUESTIONS[1]) + said[1] + CHAT.later_turn(QUESTIONS[2])
    assert said[2] == anew(llm, ids, None)


@torch.no_grad()
def test_a_stopped_turn_does_not_forget() -> None:
    chats = [
        PrefixChat(tiny_videoglamm(max_position_embeddings=SMALL), CHAT, visual()) for _ in "ab"
    ]
    for chat in chats:
        for question in QUESTIONS[:2]:
            list(chat.ask(question, max_tokens=LONGEST))
    cancel = Event()
    cancel.set()
    with pytest.raises(Cancelled):
        list(chats[0].ask("A question that needs room for it", cancel=cancel, max_tokens=LONGEST))
    assert chats[0].num_turns == 2
    said = [list(chat.ask("So?", max_tokens=LONGEST)) for chat in chats]
    assert said[0] == said[1]


@pytest.mark.parametrize(
    ("question", "told"),
    [("", "expected some words"), ("word " * 40, r"expected at most 72 tokens, got 20")],
)
def test_refuses_questions(question: str, told: str) -> None:
    llm = tiny_videoglamm(max_position_embeddings=SMALL)
    chat = PrefixChat(llm, CHAT, visual())
    with pytest.raises(PromptError, match=told):
        list(chat.ask(question, max_tokens=LONGEST))
    assert chat.num_turns == 0


POINTED_AT = 1  # the question that comes with tracked features


def told(chat: PrefixChat) -> list[list[int]]:
    return [
        list(chat.ask(question, pointed() if n == POINTED_AT else None, max_tokens=LONGEST))
        for n, question in enumerate(QUESTIONS)
    ]


def remember(chat: PrefixChat, answers: list[list[int]]) -> None:
    for number, answer in enumerate(answers):
        shown = pointed() if number == POINTED_AT else None
        chat.remember(QUESTIONS[number], answer, shown, max_tokens=LONGEST)


@pytest.mark.parametrize("positions", [512, SMALL + 20])
@pytest.mark.parametrize("known", [0, 1, 2])
@torch.no_grad()
def test_a_recalled_conversation_goes_on_as_the_unbroken_one(known: int, positions: int) -> None:
    llm = tiny_videoglamm(max_position_embeddings=positions)
    unbroken = told(PrefixChat(llm, CHAT, visual()))
    chat = PrefixChat(llm, CHAT, visual())
    remember(chat, unbroken[:known])
    for number in range(known, 3):
        shown = pointed() if number == POINTED_AT else None
        assert list(chat.ask(QUESTIONS[number], shown, max_tokens=LONGEST)) == unbroken[number]


@torch.no_grad()
def test_a_remembered_answer_has_the_states_of_the_one_that_was_said() -> None:
    llm = scripted("A dog [BOX] [SEG] and a cat [SEG].")
    first, second = (PrefixChat(llm, CHAT, visual()) for _ in "ab")
    said = list(first.ask("Where?"))
    second.remember("Where?", said)
    assert first.last is not None and second.last is not None
    assert second.last.ids == first.last.ids
    for name in ("box_states", "seg_states"):
        torch.testing.assert_close(
            getattr(second.last, name), getattr(first.last, name), atol=1e-5, rtol=0
        )


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
@torch.no_grad()
def test_rewound_it_answers_as_if_the_rest_was_never_said(turns: int) -> None:
    llm = tiny_videoglamm(max_position_embeddings=SMALL + 20)
    chat, fresh = (PrefixChat(llm, CHAT, visual()) for _ in "ab")
    answers = told(chat)
    chat.rewind(turns)
    assert (chat.num_turns, chat.last) == (turns, None)
    remember(fresh, answers[:turns])
    asked = [list(each.ask("So?", max_tokens=LONGEST)) for each in (chat, fresh)]
    assert asked[0] == asked[1]


def test_rewinding_reads_nothing_again_that_is_there() -> None:
    llm = tiny_videoglamm()
    chat = PrefixChat(llm, CHAT, visual())
    told(chat)
    lengths = lengths_read(llm)
    chat.rewind(2)
    said = list(chat.ask("So?", max_tokens=3))
    assert lengths == [len(CHAT.later_turn("So?"))] + [1] * len(said)


def test_a_half_read_answer_is_stale_once_something_else_is_asked() -> None:
    llm = tiny_videoglamm()
    chat, calm = (PrefixChat(llm, CHAT, visual()) for _ in "ab")
    left = chat.ask(QUESTIONS[0], max_tokens=LONGEST)
    next(left)
    newer = chat.ask(QUESTIONS[1], max_tokens=LONGEST)
    first = next(newer)
    with pytest.raises(StaleError, match="ask again"):
        next(left)
    assert [first, *newer] == list(calm.ask(QUESTIONS[1], max_tokens=LONGEST))
    half = chat.ask(QUESTIONS[2], max_tokens=LONGEST)
    next(half)
    chat.rewind(1)
    with pytest.raises(StaleError):
        next(half)
    assert chat.num_turns == 1


def test_an_endless_answer_is_remembered_up_to_the_longest() -> None:
    chat = PrefixChat(tiny_videoglamm(), CHAT, visual())
    chat.remember("What?", [5] * 10_000, max_tokens=LONGEST)
    assert chat.last is not None and chat.last.ids == (5,) * LONGEST
    chat.remember("And?", [], max_tokens=LONGEST)
    assert chat.last.ids == () and chat.num_turns == 2


def sampled(seed: int, *, top_k: int = 50, temperature: float = 1.0) -> list[int]:
    chat = PrefixChat(tiny_videoglamm(), CHAT, visual())
    generator = torch.Generator().manual_seed(seed)
    sampling = Sampling(temperature, top_k, generator)
    return list(chat.ask(QUESTIONS[0], sampling=sampling, max_tokens=LONGEST))


def test_sampling_follows_its_generator() -> None:
    assert sampled(3) == sampled(3)
    assert sampled(3) != sampled(4)
    greedy = list(
        PrefixChat(tiny_videoglamm(), CHAT, visual()).ask(QUESTIONS[0], max_tokens=LONGEST)
    )
    assert sampled(3, top_k=1) == greedy
    assert sampled(3, temperature=1e-4) == greedy
    assert sampled(3, top_k=10**6) != greedy


@pytest.mark.parametrize(("temperature", "top_k"), [(0.0, 1), (-1.0, 5), (1.0, 0)])
def test_refuses_senseless_sampling(temperature: float, top_k: int) -> None:
    with pytest.raises(ValueError, match="expected temperature > 0 and top_k >= 1"):
        Sampling(temperature, top_k)


def test_the_benchmark_runs(capsys: pytest.CaptureFixture[str]) -> None:
    sizes = ["--hidden", "32", "--layers", "2", "--heads", "2", "--frames", "4", "--tokens", "8"]
    generation.main([*sizes, "--repeats", "1", "--official-tokens", "2"])
    told = capsys.readouterr().out
    assert "same words: yes" in told
    assert "second turn" in told

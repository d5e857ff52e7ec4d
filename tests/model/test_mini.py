import copy
from threading import Event

import numpy as np
import pytest
import torch

from sparrow.errors import Cancelled, PromptError, StaleError
from sparrow.model.generation import Conversation
from sparrow.model.mini import MiniConfig, MiniVideoLLM, Seen, place_shares
from sparrow.model.object_encoder import ObjectEncoderConfig, trajectories
from sparrow.model.tokenizer import WordTokenizer

WORDS = ("fox", "ice cream", "car", "animal", "food", "red", "blue", "what", "is", "the", "?", ".")
QUESTION = "What is the fox?"


@pytest.fixture(scope="module")
def llm() -> MiniVideoLLM:
    torch.manual_seed(3)
    encoder = ObjectEncoderConfig(
        nouns=("fox", "ice cream", "zebra"),
        groups=("animal", "food"),
        colours=("red", "blue"),
        num_frames=4,
        frame_side=64,
        width=32,
    )
    config = MiniConfig(
        encoder, width=32, layers=3, heads=2, feed_forward=48, state_width=24, max_length=96
    )
    model = MiniVideoLLM(config, WordTokenizer.from_words(WORDS)).eval()
    with torch.no_grad():  # an untrained answer would end at once
        model.lm.embed_tokens.weight[model.end_id()] = 0
        model.lm.embed_tokens.weight[model.state_ids()[0]] *= 4
    return model


def see(llm: MiniVideoLLM, things: int, seed: int = 0) -> Seen:
    rng = np.random.default_rng(seed)
    frames = rng.integers(0, 255, (4, 48, 64, 3)).astype(np.uint8)
    corner = rng.uniform(0, 0.5, (things, 1, 2))
    boxes = np.concatenate([corner, corner + 0.3], -1).repeat(4, 1).astype(np.float32)
    boxes[:, 1] = np.nan
    with torch.inference_mode():
        return llm.see_tracks(frames, boxes)


def recompute(llm: MiniVideoLLM, seen: Seen, turns: list[tuple[list[int], list[int], Seen | None]]):
    """States of a whole conversation in one pass without a cache, for each answer's words."""
    ids: list[int] = []
    pointed = []
    begins = []
    for question, answer, shown in turns:
        ids += question
        begins.append(len(ids))
        ids += [*answer, llm.end_id()]
        if shown is not None:
            pointed.append(llm.pointed_inputs(shown.tokens, shown.numbers))
    inputs = llm.object_inputs(seen.tokens, seen.numbers)
    padded = torch.cat([inputs, torch.zeros(2, llm.config.width)])  # padding must not matter
    words = llm.embed(torch.tensor([ids]), torch.cat(pointed) if pointed else torch.zeros(0, 32))
    reading = llm.read(padded[None], torch.tensor([len(inputs)]), words)
    first = 1 + len(padded)
    return [
        reading.states[0, first + b - 1 : first + b + len(answer)]
        for b, (_, answer, _) in zip(begins, turns, strict=True)
    ], llm.keys(reading.states[0, 1 : 1 + len(inputs)], inputs)


@pytest.mark.parametrize("things", [0, 1, 3])
def test_cached_turns_equal_one_pass_without_a_cache(llm, things):
    seen, shown = see(llm, things), see(llm, 1, seed=5)
    talk = Conversation(llm, seen)
    first = list(talk.ask(QUESTION, max_tokens=9))
    second = list(talk.ask("The car?", shown, max_tokens=9))
    generation = talk.last
    turns = [
        (llm.question_ids(QUESTION), first, None),
        (llm.question_ids("The car?", 1), second, shown),
    ]
    with torch.inference_mode():
        states, keys = recompute(llm, seen, turns)
        for answer, own in zip((first, second), states, strict=True):
            logits = llm.word_logits(own[: len(answer)])
            logits[:, llm.unspeakable()] = -torch.inf
            assert logits.argmax(1).tolist() == answer
        projected = llm.text_hidden_fcs(states[1])
    assert len(first) == 9
    box = [i for i, index in enumerate(second) if index == llm.state_ids()[0]]
    assert generation.box_states.shape == (len(box), 24)
    assert torch.allclose(generation.box_states, projected[box], atol=1e-4)
    assert torch.allclose(talk.object_keys, keys, atol=1e-4)
    assert generation.relevance.shape == (things,)
    assert not generation.complete


def test_order_of_the_objects_does_not_matter(llm):
    seen = see(llm, 3)
    turned = Seen(seen.tracks, seen.tokens.flip(0), seen.numbers.flip(0))
    one, two = Conversation(llm, seen), Conversation(llm, turned)
    assert list(one.ask(QUESTION, max_tokens=8)) == list(two.ask(QUESTION, max_tokens=8))
    assert torch.allclose(one.object_keys, two.object_keys.flip(0), atol=1e-4)
    assert torch.allclose(one.last.relevance, two.last.relevance.flip(0), atol=1e-5)


def test_a_stopped_turn_leaves_no_trace(llm):
    seen, stop = see(llm, 2), Event()
    talk, calm = Conversation(llm, seen), Conversation(llm, seen)
    calm_first, calm_second = (list(calm.ask(QUESTION, max_tokens=6)) for _ in range(2))
    assert list(talk.ask(QUESTION, max_tokens=6)) == calm_first
    stream = talk.ask("The ice cream?", cancel=stop, max_tokens=6)
    next(stream)
    stop.set()
    with pytest.raises(Cancelled):
        next(stream)
    abandoned = talk.ask("The car?", max_tokens=6)
    next(abandoned)
    abandoned.close()
    assert talk.num_turns == 1
    assert list(talk.ask(QUESTION, max_tokens=6)) == calm_second


def test_old_turns_are_forgotten_as_if_never_asked(llm):
    seen = see(llm, 1)
    talk, late = Conversation(llm, seen), Conversation(llm, seen)
    answers = [list(talk.ask(QUESTION, max_tokens=20)) for _ in range(4)]
    assert talk.num_turns == 4
    for answer in answers[1:3]:  # two turns of 26 positions are all that fit beside a third
        late.remember(QUESTION, answer, max_tokens=20)
    assert len(answers[-1]) == 20
    assert list(late.ask(QUESTION, max_tokens=20)) == answers[-1]


QUESTIONS = ("What is the fox?", "The car?", "Is the ice cream blue?", "What is red?")


def told(talk: Conversation, llm: MiniVideoLLM) -> list[tuple[list[int], torch.Tensor]]:
    """Ask all questions, pointing in the second; gives answers and states."""
    shown, answers = see(llm, 1, seed=5), []
    for number, question in enumerate(QUESTIONS):
        ids = list(talk.ask(question, shown if number == 1 else None, max_tokens=14))
        answers.append((ids, talk.last.box_states))
    return answers


@pytest.mark.parametrize("known", [0, 1, 2, 3])
def test_a_recalled_conversation_goes_on_as_the_unbroken_one(llm, known):
    seen, shown = see(llm, 2), see(llm, 1, seed=5)
    unbroken = told(Conversation(llm, seen), llm)
    talk = Conversation(llm, seen)
    for number in range(known):
        pointed = shown if number == 1 else None
        talk.remember(QUESTIONS[number], unbroken[number][0], pointed, max_tokens=14)
        assert talk.last.ids == tuple(unbroken[number][0])
        torch.testing.assert_close(talk.last.box_states, unbroken[number][1], atol=1e-4, rtol=0)
    for number in range(known, 4):
        pointed = shown if number == 1 else None
        said = list(talk.ask(QUESTIONS[number], pointed, max_tokens=14))
        assert said == unbroken[number][0]


@pytest.mark.parametrize("turns", [0, 1, 3, 4])
def test_rewound_it_answers_as_if_the_rest_was_never_said(llm, turns):
    seen = see(llm, 2)
    talk, fresh = Conversation(llm, seen), Conversation(llm, seen)
    told(talk, llm)
    answers = told(fresh, llm)
    talk.rewind(turns)
    assert talk.num_turns == turns and talk.last is None
    again = Conversation(llm, seen)
    shown = see(llm, 1, seed=5)
    for number in range(turns):
        pointed = shown if number == 1 else None
        again.remember(QUESTIONS[number], answers[number][0], pointed, max_tokens=14)
    asked = [list(each.ask("The fox?", max_tokens=14)) for each in (talk, again)]
    assert asked[0] == asked[1]


def test_nothing_is_read_again_that_is_there(llm):
    talk, lengths = Conversation(llm, see(llm, 2)), []
    told(talk, llm)
    hook = llm.lm.layers[0].register_forward_hook(
        lambda _, args, kwargs, __: lengths.append(
            (args[0] if args else kwargs["hidden_states"]).shape[1]
        ),
        with_kwargs=True,
    )
    talk.rewind(1)
    list(talk.ask("The car?", max_tokens=2))
    hook.remove()
    assert lengths == [len(llm.question_ids("The car?")), 1, 1, 1]


def test_a_half_read_answer_is_stale_once_something_else_is_asked(llm):
    seen = see(llm, 2)
    talk, calm = Conversation(llm, seen), Conversation(llm, seen)
    left = talk.ask("The car?", max_tokens=6)
    next(left)
    newer = talk.ask(QUESTION, max_tokens=6)
    first = next(newer)
    with pytest.raises(StaleError, match="ask again"):
        next(left)
    assert [first, *newer] == list(calm.ask(QUESTION, max_tokens=6))
    half = talk.ask("The car?", max_tokens=6)
    next(half)
    talk.rewind(1)
    with pytest.raises(StaleError):
        next(half)
    assert list(talk.ask("The fox?", max_tokens=6)) == list(calm.ask("The fox?", max_tokens=6))


@pytest.mark.parametrize("question", ["", "  \n", "[[]]", "what " * 200])
def test_questions_that_cannot_be_read(llm, question):
    talk = Conversation(llm, see(llm, 1))
    with pytest.raises(PromptError):
        list(talk.ask(question))
    assert len(list(talk.ask(QUESTION, max_tokens=3))) == 3


def test_names_of_unknown_words_carry_nothing(llm):
    words = llm.bridge.get_buffer("noun_words")
    unknown = llm.config.encoder.nouns.index("zebra")
    assert (words[unknown] == -1).all()
    assert (words[llm.config.encoder.nouns.index("ice cream")] >= 0).sum() == 2


def test_perceive_links_moving_boxes(llm):
    frames = np.zeros((4, 48, 64, 3), np.uint8)
    proposals = []
    for t in range(4):
        x = 10 + 6 * t
        frames[t, 10:26, x : x + 16] = (200, 40, 40)
        box = np.array([[x / 64, 10 / 48, (x + 16) / 64, 26 / 48]], np.float32)
        proposals.append((box, np.array([0.9], np.float32)))
    with torch.inference_mode():
        llm.object_encoder.objectness_head.bias.fill_(5.0)
        seen = llm.perceive(frames, proposals)
        nothing = llm.perceive(
            frames, [(np.zeros((0, 4), np.float32), np.zeros(0, np.float32))] * 4
        )
    assert seen.tracks.boxes.shape == (1, 4, 4)
    assert np.allclose(seen.tracks.boxes[0, :, 0] * 64, [10, 16, 22, 28])
    assert nothing.tokens.shape == (0, 32)


@torch.inference_mode()
def test_an_object_told_in_words_only_hides_the_rest_of_its_look(llm):
    seen, told = see(llm, 2), torch.tensor([True, False])
    first = llm.object_inputs(seen.tokens, seen.numbers, worded=told)
    second = llm.object_inputs(seen.tokens, seen.numbers)
    assert not torch.allclose(first[0], second[0])
    assert torch.equal(first[1], second[1])
    blind = copy.deepcopy(llm)  # with equal beliefs, what is left of the look must not count
    encoder = blind.object_encoder
    for head in (*encoder.heads.values(), encoder.objectness_head):
        head.weight.zero_()
    one = blind.object_inputs(seen.tokens, seen.numbers, worded=told)
    two = blind.object_inputs(seen.tokens + 1, seen.numbers, worded=told)
    assert torch.equal(one[0], two[0])
    assert not torch.allclose(one[1], two[1])


def track_numbers(*boxes: tuple[float, float, float, float]) -> torch.Tensor:
    tracks = np.array(boxes, np.float32)[:, None].repeat(4, 1)
    tracks[:, 2] = np.nan
    return torch.from_numpy(trajectories(tracks))


def test_places_in_words():
    numbers = track_numbers((0.0, 0.0, 0.3, 0.3), (0.7, 0.7, 0.9, 1.0), (0.45, 0.4, 0.55, 0.6))
    shares = place_shares(numbers)
    assert shares["across"].argmax(1).tolist() == [0, 2, 1]
    assert shares["down"].argmax(1).tolist() == [0, 2, 1]
    assert (shares["outermost"] > 0.9).int().tolist() == [
        [1, 0, 1, 0, 0, 0],
        [0, 1, 0, 1, 0, 0],
        [0, 0, 0, 0, 0, 1],
    ]


def test_padding_and_being_alone_give_no_rank():
    numbers = track_numbers((0.0, 0.0, 0.3, 0.3), (0.7, 0.7, 0.9, 1.0), (0.1, 0.1, 0.2, 0.2))
    padded = place_shares(numbers[None], torch.tensor([[True, True, False]]))
    assert torch.allclose(padded["outermost"][0, :2], place_shares(numbers[:2])["outermost"])
    assert (place_shares(numbers[:1])["outermost"] == 0).all()
    assert place_shares(numbers[:0])["outermost"].shape == (0, 6)

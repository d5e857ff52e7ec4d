"""A Conversation about one video: questions in, word ids out, one at a time, always on the KV cache.

The video's prefix is encoded once and every turn adds only its own words; a turn that is stopped
leaves no trace. It knows neither boxes nor masks: [BOX] and [SEG] leave as states.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile
from threading import Event

import torch
from torch import Tensor
from transformers import DynamicCache

from sparrow.errors import Cancelled, PromptError, StaleError
from sparrow.model.mini import TEXT_POSITION, MiniVideoLLM, Seen

LONGEST = 96
"""Words of an answer."""


@dataclass(frozen=True, eq=False)
class Generation:
    """One answer as the model gave it."""

    ids: tuple[int, ...]
    """Word and special ids, without the end mark."""
    box_states: Tensor
    """(R, C) projected states of the positions that predicted the [BOX] tokens."""
    seg_states: Tensor
    """(R', C) the same for [SEG]."""
    relevance: Tensor
    """(K,) in [0, 1]: how much the turn is about each object."""
    complete: bool
    """False when the longest allowed answer was reached before its end."""


class Conversation:
    """Turns about one seen video."""

    def __init__(self, llm: MiniVideoLLM, seen: Seen) -> None:
        self.seen = seen
        self.last: Generation | None = None
        """The latest finished answer."""
        self._llm = llm
        self._cache = DynamicCache(config=llm.lm.config)
        self._turns: list[Tensor] = []  # embedded words of every finished turn, (L, W)
        self._cached: list[Tensor] = []  # those that the cache holds behind the prefix
        self._newest = object()  # stands for the answer that may use the cache
        self._keys, self._middle = self._read_prefix()
        self.prefix = self._cache.get_seq_length()
        """Positions before the first turn."""

    @property
    def object_keys(self) -> Tensor:
        """Keys (K, 2 W) of the seen objects for the selector."""
        return self._keys

    @property
    def num_turns(self) -> int:
        """Finished turns; where they are too many to be read together, the latest count."""
        return len(self._turns)

    def ask(
        self,
        question: str,
        pointed: Seen | None = None,
        *,
        cancel: Event | None = None,
        max_tokens: int = LONGEST,
    ) -> Iterator[int]:
        """Answer a question greedily, yielding ids as they come; `last` then holds the answer.

        Args:
            question: what the user typed.
            pointed: what the user points at in this turn.
            cancel: checked between words.
            max_tokens: longest answer.

        Raises:
            PromptError: the question is empty or longer than the model can read.
            Cancelled: `cancel` was set; the conversation is as before the question.
            StaleError: the conversation went on elsewhere while this answer was half-read.
        """
        words = self._begin(question, pointed, max_tokens)
        mine = self._newest
        llm, end = self._llm, self._llm.end_id()
        last, middle = self._run(words)
        state, relevance = last[-1], self._relevance(middle[-1])
        ids: list[int] = []
        states: dict[int, list[Tensor]] = {index: [] for index in llm.state_ids()}
        fed, complete = [words], False
        while len(ids) < max_tokens:
            if cancel is not None and cancel.is_set():
                raise Cancelled("the answer was stopped")
            index = self._next(state)
            if index == end:
                complete = True
                break
            ids.append(index)
            if index in states:
                states[index].append(state)
            yield index
            if self._newest is not mine:
                raise StaleError
            word = self._embed([index])
            fed.append(word)
            state = self._run(word)[0][-1]
        fed.append(self._embed([end]))
        self._run(fed[-1])
        self._finish(torch.cat(fed))
        box, seg = (self._project(states[index], words) for index in llm.state_ids())
        self.last = Generation(tuple(ids), box, seg, relevance, complete)

    def remember(
        self,
        question: str,
        answer: Sequence[int],
        pointed: Seen | None = None,
        *,
        max_tokens: int = LONGEST,
    ) -> None:
        """Take over a turn with this answer as if it had been said here; `last` then holds the answer.

        Args:
            question: what the user typed.
            answer: ids without the end mark.
            pointed: what the user pointed at in that turn.
            max_tokens: longest answer that there could have been; what is beyond is left out.

        Raises:
            PromptError: the question is empty or longer than the model can read.
        """
        ids = tuple(answer[:max_tokens])
        words = self._begin(question, pointed, max_tokens)
        said = self._embed([*ids, self._llm.end_id()])
        last, middle = self._run(torch.cat([words, said]))
        before = last[len(words) - 1 :]  # row i is the state that predicted answer[i]
        rows: dict[int, list[Tensor]] = {index: [] for index in self._llm.state_ids()}
        for place, index in enumerate(ids):
            if index in rows:
                rows[index].append(before[place])
        self._finish(torch.cat([words, said]))
        box, seg = (self._project(rows[index], words) for index in self._llm.state_ids())
        relevance = self._relevance(middle[len(words) - 1])
        self.last = Generation(ids, box, seg, relevance, True)

    def rewind(self, turns: int) -> None:
        """Forget all but the first `turns` turns."""
        del self._turns[turns:]
        self._newest = object()
        self.last = None

    def _begin(self, question: str, pointed: Seen | None, max_tokens: int) -> Tensor:
        """Embed a question (L, W), and make the cache hold the latest turns that can be read with it."""
        words = self._embed_question(question, pointed, max_tokens)
        kept = list(self._turns)
        while sum(map(len, kept)) > self._room(max_tokens) - len(words):
            kept.pop(0)
        self._newest = object()
        self._hold(kept)
        return words

    def _finish(self, turn: Tensor) -> None:
        self._turns.append(turn)
        self._cached.append(turn)

    def _hold(self, turns: list[Tensor]) -> None:
        """Make the cache hold the prefix and these turns, and nothing that a stopped turn left."""
        pairs = zip(self._cached, turns, strict=False)
        same = sum(1 for _ in takewhile(lambda pair: pair[0] is pair[1], pairs))
        self._cached = turns[:same]
        kept = self.prefix + sum(map(len, self._cached))
        if extra := self._cache.get_seq_length() - kept:
            self._cache.crop(-extra)
        if turns[same:]:
            self._run(torch.cat(turns[same:]))
        self._cached = list(turns)

    @torch.inference_mode()
    def _read_prefix(self) -> tuple[Tensor, Tensor]:
        """Fill the cache with the null token and the objects; gives their keys and middle states."""
        llm, seen = self._llm, self.seen
        inputs = llm.object_inputs(seen.tokens, seen.numbers)  # (K, W)
        prefix = torch.cat([llm.bridge.null[None], inputs])[None]
        size = prefix.shape[1]
        positions = torch.arange(size, device=prefix.device).clamp(max=1)[None]
        everyone = torch.ones(1, 1, size, size, dtype=torch.bool, device=prefix.device)
        output = llm.lm(
            inputs_embeds=prefix,
            attention_mask=everyone,
            position_ids=positions,
            past_key_values=self._cache,
            use_cache=True,
            output_hidden_states=True,
        )
        middle = output.hidden_states[llm.config.pointer_layer][0, 1:]
        return llm.keys(output.last_hidden_state[0, 1:], inputs), middle

    def _room(self, max_tokens: int) -> int:
        """Say how many positions a question and the turns before it may take."""
        return self._llm.config.max_length - self.prefix - max_tokens - 1

    @torch.inference_mode()
    def _embed_question(self, question: str, pointed: Seen | None, max_tokens: int) -> Tensor:
        """Embed a turn's words (L, W)."""
        llm = self._llm
        if not llm.tokenizer.encode(question):
            raise PromptError("question: expected some words, got none; type what you want to know")
        device = self.seen.tokens.device
        inputs = torch.zeros(0, llm.config.width, device=device)
        if pointed is not None:
            inputs = llm.pointed_inputs(pointed.tokens, pointed.numbers)
        ids = torch.tensor(llm.question_ids(question, len(inputs)), device=device)
        if len(ids) > self._room(max_tokens):
            raise PromptError(
                f"question: expected at most {self._room(max_tokens)} words, got {len(ids)}; "
                "ask something shorter"
            )
        return llm.embed(ids, inputs)

    @torch.inference_mode()
    def _embed(self, ids: Sequence[int]) -> Tensor:
        """Embed words of an answer, (L, W)."""
        return self._llm.lm.embed_tokens.weight[list(ids)]

    @torch.inference_mode()
    def _relevance(self, middle: Tensor) -> Tensor:
        """Say from the middle state (W,) where an answer begins how much it is about each object, (K,)."""
        return self._llm.pointer(middle[None], self._middle[None])[0].sigmoid()

    @torch.inference_mode()
    def _next(self, state: Tensor) -> int:
        logits = self._llm.word_logits(state)
        logits[self._llm.unspeakable()] = -torch.inf
        return int(logits.argmax())

    @torch.inference_mode()
    def _project(self, states: Sequence[Tensor], like: Tensor) -> Tensor:
        if not states:
            return like.new_zeros(0, self._llm.config.state_width)
        return self._llm.text_hidden_fcs(torch.stack(list(states)))

    @torch.inference_mode()
    def _run(self, words: Tensor) -> tuple[Tensor, Tensor]:
        """Run embedded words (L, W) on the cache; gives their last and middle states, (L, W) each."""
        llm = self._llm
        past, count = self._cache.get_seq_length(), len(words)
        first = past - 1 - len(self.seen.tokens) + TEXT_POSITION
        place = torch.arange(past + count, device=words.device)
        output = llm.lm(
            inputs_embeds=words[None],
            attention_mask=(place[None] <= place[past:, None])[None, None],  # (1, 1, L, past + L)
            position_ids=(first + torch.arange(count, device=words.device))[None],
            past_key_values=self._cache,
            use_cache=True,
            output_hidden_states=True,
        )
        return output.last_hidden_state[0], output.hidden_states[llm.config.pointer_layer][0]

"""A Conversation about one video: questions in, word ids out, one at a time, always on the KV cache.

The video's prefix is encoded once and every turn adds only its own words; a turn that is stopped
leaves no trace. It knows neither boxes nor masks: [BOX] and [SEG] leave as states.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from threading import Event

import torch
from torch import Tensor
from transformers import DynamicCache

from sparrow.errors import Cancelled, PromptError
from sparrow.model.mini import TEXT_POSITION, MiniVideoLLM, Seen


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
        self._turns: list[Tensor] = []  # embedded words of each finished turn, (L, W)
        self._keys, self._middle = self._read_prefix()

    @property
    def object_keys(self) -> Tensor:
        """Keys (K, 2 W) of the seen objects for the selector."""
        return self._keys

    @property
    def num_turns(self) -> int:
        """Turns that the model still remembers."""
        return len(self._turns)

    def ask(
        self,
        question: str,
        pointed: Seen | None = None,
        *,
        cancel: Event | None = None,
        max_tokens: int = 96,
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
        """
        words = self._embed_question(question, pointed, max_tokens)
        before = self._cache.get_seq_length()
        done = False
        try:
            yield from self._answer(words, cancel, max_tokens)
            done = True
        finally:
            extra = self._cache.get_seq_length() - before
            if not done and extra:
                self._cache.crop(-extra)

    def _answer(self, words: Tensor, cancel: Event | None, max_tokens: int) -> Iterator[int]:
        llm, end = self._llm, self._llm.end_id()
        state, relevance = self._start(words)
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
                states[index].append(self._project(state))
            yield index
            word, state = self._feed(index)
            fed.append(word)
        fed.append(self._feed(end)[0])
        self._turns.append(torch.cat(fed))
        empty = words.new_zeros(0, llm.config.state_width)
        box, seg = (torch.stack(states[i]) if states[i] else empty for i in llm.state_ids())
        self.last = Generation(tuple(ids), box, seg, relevance, complete)

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

    @torch.inference_mode()
    def _embed_question(self, question: str, pointed: Seen | None, max_tokens: int) -> Tensor:
        """Embed a turn's words (L, W), forgetting old turns until it fits."""
        llm = self._llm
        if not llm.tokenizer.encode(question):
            raise PromptError("question: expected some words, got none; type what you want to know")
        device = self.seen.tokens.device
        inputs = torch.zeros(0, llm.config.width, device=device)
        if pointed is not None:
            inputs = llm.pointed_inputs(pointed.tokens, pointed.numbers)
        ids = torch.tensor(llm.question_ids(question, len(inputs)), device=device)
        prefix = 1 + len(self.seen.tokens)
        room = llm.config.max_length - prefix - max_tokens - 1
        if len(ids) > room:
            raise PromptError(
                f"question: expected at most {room} words, got {len(ids)}; ask something shorter"
            )
        self._forget(room - len(ids))
        return llm.embed(ids, inputs)

    def _forget(self, room: int) -> None:
        """Drop the oldest turns until the rest takes at most `room` positions."""
        kept = list(self._turns)
        while sum(map(len, kept)) > room:
            kept.pop(0)
        if len(kept) == len(self._turns):
            return
        self._cache.crop(-sum(map(len, self._turns)))
        self._turns = kept
        if kept:
            self._run(torch.cat(kept))

    @torch.inference_mode()
    def _start(self, words: Tensor) -> tuple[Tensor, Tensor]:
        """Feed a question (L, W); gives the state that predicts the first word, and the relevance."""
        state, middle = self._run(words)
        logits = self._llm.pointer(middle[None], self._middle[None])
        return state, logits[0].sigmoid()

    @torch.inference_mode()
    def _next(self, state: Tensor) -> int:
        logits = self._llm.word_logits(state)
        logits[self._llm.unspeakable()] = -torch.inf
        return int(logits.argmax())

    @torch.inference_mode()
    def _project(self, state: Tensor) -> Tensor:
        projected: Tensor = self._llm.text_hidden_fcs(state)
        return projected

    @torch.inference_mode()
    def _feed(self, index: int) -> tuple[Tensor, Tensor]:
        """Feed one id; gives its embedding (1, W) and the state that predicts the next."""
        word = self._llm.lm.embed_tokens.weight[index][None]
        return word, self._run(word)[0]

    @torch.inference_mode()
    def _run(self, words: Tensor) -> tuple[Tensor, Tensor]:
        """Run embedded words (L, W) on the cache; gives the last position's last and middle state."""
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
        middle = output.hidden_states[llm.config.pointer_layer]
        return output.last_hidden_state[0, -1], middle[0, -1]

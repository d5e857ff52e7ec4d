"""A conversation over a video that is read once: every turn adds only its own words to the keys and values.

Ids leave one at a time; [BOX] and [SEG] leave as projected states of the positions before them. Only ids that
the model itself gave count: what the user typed is never taken for one. A turn that is stopped leaves no trace.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile
from threading import Event

import torch
from torch import Tensor

from sparrow.errors import Cancelled, PromptError, StaleError
from sparrow.model.chat_format import ChatFormat
from sparrow.model.kv_cache import WindowCache
from sparrow.model.videoglamm import VideoGlamm

_ANSWER_ROOM = (
    128  # positions kept free for an answer; a longer one goes past the last, as released
)


@dataclass(frozen=True)
class Sampling:
    """How words are drawn where they are not simply the best (the released model's own setting)."""

    temperature: float = 1.0
    top_k: int = 50
    """Only so many best words are drawn from."""
    generator: torch.Generator | None = None

    def __post_init__(self) -> None:
        if self.temperature <= 0 or self.top_k < 1:
            raise ValueError(
                f"sampling: expected temperature > 0 and top_k >= 1, got {self.temperature} and {self.top_k}"
            )


@dataclass(frozen=True, eq=False)
class Generated:
    """One answer as the model gave it."""

    ids: tuple[int, ...]
    """Without the end mark."""
    box_states: Tensor
    """(R, C) projected states of the positions before the [BOX] tokens."""
    seg_states: Tensor
    """(R', C) the same for [SEG]."""
    complete: bool
    """False when the longest allowed answer was reached before its end."""


@dataclass(frozen=True, eq=False)
class _Turn:
    """What is needed to say a turn again: question, pointed features (k, H) and the answer's ids."""

    question: str
    pointed: Tensor | None
    answer: tuple[int, ...]


class PrefixChat:
    """Turns about one video or image."""

    def __init__(self, llm: VideoGlamm, chat: ChatFormat, visual: Tensor) -> None:
        """Read the visual tokens (N, H) of the video, behind the system's words."""
        self.last: Generated | None = None
        """The latest finished answer."""
        self._llm = llm
        self._chat = chat
        self._cache = llm.new_cache()
        self._turns: list[_Turn] = []  # every finished one
        self._cached: list[_Turn] = []  # what the cache holds behind the prefix, ...
        self._ends: list[int] = []  # ... and how long it was behind each of them
        self._newest = object()  # stands for the answer that may use the cache
        with torch.inference_mode():
            llm.read(self._embed(chat.opening(), visual, None)[None], self._cache)
        self.prefix = self._cache.get_seq_length()
        """Positions before the first turn: the system's words and the video."""

    @property
    def num_turns(self) -> int:
        """Finished turns; where they are too many to be read together, the latest count."""
        return len(self._turns)

    def ask(
        self,
        question: str,
        pointed: Tensor | None = None,
        *,
        sampling: Sampling | None = None,
        cancel: Event | None = None,
        max_tokens: int = 512,
    ) -> Iterator[int]:
        """Answer a question, yielding ids as they come; `last` then holds the answer.

        Args:
            question: what the user typed.
            pointed: (k, H) tracked features (`VideoGlamm.tsf_tokens`) of what the user points at.
            sampling: None: always the best word.
            cancel: checked between words.
            max_tokens: longest answer.

        Raises:
            PromptError: the question is empty or longer than the model can read.
            Cancelled: `cancel` was set; the conversation is as before the question.
            StaleError: the conversation went on elsewhere while this answer was half-read.
        """
        embeds = self._begin(question, pointed, max_tokens)
        mine = self._newest
        words = speak(
            self._llm,
            embeds,
            self._cache,
            sampling=sampling,
            cancel=cancel,
            max_tokens=max_tokens,
        )
        while True:
            try:
                index = next(words)
            except StopIteration as end:
                generated: Generated = end.value
                break
            yield index
            if self._newest is not mine:
                raise StaleError
        self._finish(_Turn(question, pointed, generated.ids))
        self.last = generated

    @torch.inference_mode()
    def remember(
        self,
        question: str,
        answer: Sequence[int],
        pointed: Tensor | None = None,
        *,
        max_tokens: int = 512,
    ) -> None:
        """Take over a turn with this answer as if it had been said here; `last` then holds the answer.

        Args:
            question: what the user typed.
            answer: ids without the end mark.
            pointed: (k, H) tracked features of what the user pointed at in that turn.
            max_tokens: longest answer that there could have been.

        Raises:
            PromptError: the question is empty or longer than the model can read.
        """
        llm, ids = self._llm, tuple(answer[:max_tokens])
        embeds = self._begin(question, pointed, max_tokens)
        if len(ids):
            embeds = torch.cat([embeds, self._embed(ids, None, None)])
        states = llm.read(embeds[None], self._cache)[0]
        before = states[len(embeds) - len(ids) - 1 :]  # row i is the state that predicted answer[i]
        box, seg = (
            _project(llm, [before[i] for i, index in enumerate(ids) if index == mark], embeds)
            for mark in (llm.config.box_id, llm.config.seg_id)
        )
        self._finish(_Turn(question, pointed, ids))
        self.last = Generated(ids, box, seg, complete=True)

    def rewind(self, turns: int) -> None:
        """Forget all but the first `turns` turns."""
        del self._turns[turns:]
        self._newest = object()
        self.last = None

    def _begin(self, question: str, pointed: Tensor | None, max_tokens: int) -> Tensor:
        """Embed a question (L, H), and make the cache hold the latest turns that can be read with it."""
        kept = self._fitting(question, pointed, max_tokens)
        self._newest = object()
        self._hold(kept)
        return self._question(question, pointed, first=not kept)

    def _finish(self, turn: _Turn) -> None:
        self._turns.append(turn)
        self._cached.append(turn)
        self._ends.append(self._cache.get_seq_length())

    def _fitting(self, question: str, pointed: Tensor | None, max_tokens: int) -> list[_Turn]:
        """Give the latest turns that can be read together with a question and an answer."""
        free = self._llm.config.max_position_embeddings - self.prefix
        room = free - min(max_tokens, _ANSWER_ROOM)
        length = len(self._question(question, pointed, first=False))
        if length > room:
            raise PromptError(
                f"question: expected at most {max(0, room)} tokens, got {length}; ask something shorter"
            )
        kept = list(self._turns)
        while kept and self._length(kept) > room - length:
            kept.pop(0)
        return kept

    @torch.inference_mode()
    def _hold(self, turns: list[_Turn]) -> None:
        """Make the cache hold the prefix and these turns, and nothing that a stopped turn left."""
        pairs = zip(self._cached, turns, strict=False)
        same = sum(1 for _ in takewhile(lambda pair: pair[0] is pair[1], pairs))
        del self._cached[same:], self._ends[same:]
        self._cache.cut(self._ends[-1] if same else self.prefix)
        for number, turn in enumerate(turns[same:], same):
            question = self._question(turn.question, turn.pointed, first=number == 0)
            answer = self._embed(turn.answer, None, None)
            self._llm.read(torch.cat([question, answer])[None], self._cache)
            self._cached.append(turn)
            self._ends.append(self._cache.get_seq_length())

    def _length(self, turns: Sequence[_Turn]) -> int:
        """Say how many positions whole turns take, the first of them as the one that follows the video."""
        return sum(
            len(self._question(turn.question, turn.pointed, first=number == 0)) + len(turn.answer)
            for number, turn in enumerate(turns)
        )

    def _question(self, question: str, pointed: Tensor | None, *, first: bool) -> Tensor:
        say = self._chat.first_turn if first else self._chat.later_turn
        return self._embed(say(question, pointed=pointed is not None), None, pointed)

    @torch.inference_mode()
    def _embed(self, ids: Sequence[int], visual: Tensor | None, tsf: Tensor | None) -> Tensor:
        place = torch.tensor(ids, dtype=torch.long, device=self._llm.lm.device)
        return self._llm.splice(place, visual, tsf).embeds


def speak(
    llm: VideoGlamm,
    embeds: Tensor,
    cache: WindowCache,
    *,
    sampling: Sampling | None = None,
    cancel: Event | None = None,
    max_tokens: int = 512,
) -> Generator[int, None, Generated]:
    """Answer to inputs (L, H) behind what the cache holds; it then holds them and the answer, too.

    Raises:
        Cancelled: `cancel` was set; it is checked between words.
    """
    config = llm.config
    ends = {config.end_id, *config.other_end_ids}
    states: dict[int, list[Tensor]] = {config.box_id: [], config.seg_id: []}
    ids: list[int] = []
    complete = False
    state = _state_behind(llm, embeds, cache)
    while len(ids) < max_tokens:
        if cancel is not None and cancel.is_set():
            raise Cancelled("the answer was stopped")
        index = _next(llm, state, sampling)
        if index in ends:
            complete = True
            break
        ids.append(index)
        if index in states:
            states[index].append(state)
        yield index
        state = _state_behind(llm, _word(llm, index), cache)
    box, seg = (_project(llm, states[index], embeds) for index in (config.box_id, config.seg_id))
    return Generated(tuple(ids), box, seg, complete)


@torch.inference_mode()
def _state_behind(llm: VideoGlamm, embeds: Tensor, cache: WindowCache) -> Tensor:
    """Read inputs (L, H); gives the state (H,) that predicts what follows."""
    return llm.read(embeds[None], cache)[0, -1]


@torch.inference_mode()
def _word(llm: VideoGlamm, index: int) -> Tensor:
    return llm.lm.model.embed_tokens.weight[index][None]


@torch.inference_mode()
def _next(llm: VideoGlamm, state: Tensor, sampling: Sampling | None) -> int:
    scores = llm.logits(state)
    if sampling is None:
        return int(scores.argmax())
    best = scores.float().topk(min(sampling.top_k, len(scores)))
    shares = (best.values / sampling.temperature).softmax(-1)
    generator = sampling.generator
    drawn = torch.multinomial(
        shares if generator is None else shares.to(generator.device), 1, generator=generator
    )
    return int(best.indices[drawn.to(scores.device)])


@torch.inference_mode()
def _project(llm: VideoGlamm, states: Sequence[Tensor], like: Tensor) -> Tensor:
    if not states:
        return like.new_zeros(0, llm.config.state_width)
    return llm.project(torch.stack(list(states)))

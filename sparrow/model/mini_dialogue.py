"""A dialogue of sparrow-mini: things are found and linked before the first question is read.

Each [BOX] state then picks one of them, so that a phrase means a track and not a box.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from threading import Event

import numpy as np
import torch
from torch import Tensor

from sparrow.model.dialogue import Reply, Thing, phrase_spans
from sparrow.model.generation import LONGEST, Conversation
from sparrow.model.mini import MiniVideoLLM, Seen
from sparrow.model.selector import Selector
from sparrow.model.tokenizer import Detokenizer, MarkedPhrase
from sparrow.types import GroundedAnswer


class MiniDialogue:
    """Turns about things that were seen in sampled frames."""

    def __init__(
        self, llm: MiniVideoLLM, selector: Selector, frames: np.ndarray, seen: Seen
    ) -> None:
        self._llm = llm
        self._selector = selector
        self._frames = frames
        self._conversation = Conversation(llm, seen)

    @property
    def tracks(self) -> np.ndarray:
        """Boxes of the seen things, (N, T, 4) normalised xyxy, NaN where unseen."""
        return self._conversation.seen.tracks.boxes

    @property
    def video_tokens(self) -> int:
        """Positions of the null token and the seen things."""
        return self._conversation.prefix

    def say(
        self, question: str, pointed: np.ndarray | None, cancel: Event | None
    ) -> Generator[str, None, Reply]:
        """Answer a question word by word; see `Dialogue`."""
        tokenizer = self._llm.tokenizer
        detokenizer = Detokenizer(tokenizer)
        for index in self._conversation.ask(question, self._meant(pointed), cancel=cancel):
            if delta := detokenizer.feed(index):
                yield delta
        generation = self._conversation.last
        assert generation is not None
        parsed = tokenizer.parse(generation.ids)
        return Reply(parsed.text, parsed.phrases, generation.complete, generation.ids)

    def rewind(self, turns: int) -> None:
        """Forget what was said after the first `turns` turns; see `Dialogue`."""
        self._conversation.rewind(turns)

    def remember(
        self, question: str, pointed: np.ndarray | None, answer: GroundedAnswer
    ) -> tuple[MarkedPhrase, ...]:
        """Take over a turn that was said at another time; see `Dialogue`."""
        ids = self._ids(answer)[:LONGEST]
        self._conversation.remember(question, ids, self._meant(pointed))
        return self._llm.tokenizer.parse(ids).phrases

    def find(self, phrase: MarkedPhrase) -> Thing | None:
        """Find the track that a phrase's [BOX] means; the frame of its largest box is the anchor."""
        generation = self._conversation.last
        if phrase.box is None or generation is None:
            return None
        key = self.choose(generation.box_states[phrase.box])
        if key is None:
            return None
        boxes = self.tracks[key]
        sides = np.nan_to_num(boxes[:, 2:] - boxes[:, :2])
        token = None if phrase.seg is None else generation.seg_states[phrase.seg]
        return Thing(key, boxes, int(sides.prod(1).argmax()), token)

    def settle(self, key: int, boxes_norm: np.ndarray) -> None:
        """Keep to the linked boxes: they are where the language model saw the thing."""

    def _ids(self, answer: GroundedAnswer) -> Sequence[int]:
        """Give the ids of an answer: its own if they spell its text, else those of text and phrases."""
        tokenizer, said = self._llm.tokenizer, answer.said
        known = all(0 <= index < len(tokenizer) for index in said)
        if known and tokenizer.parse(said).text == answer.text:
            return said
        return tokenizer.encode_answer(answer.text, phrase_spans(answer))

    @torch.inference_mode()
    def _meant(self, pointed: np.ndarray | None) -> Seen | None:
        return None if pointed is None else self._llm.see_pointed(self._frames, pointed)

    @torch.inference_mode()
    def choose(self, box_state: Tensor) -> int | None:
        """Choose the seen thing that a [BOX] state (C,) of the latest answer means; None if nothing was seen.

        How much the turn is about each thing (the auxiliary pointer) counts beside the selector.
        """
        conversation = self._conversation
        scores = conversation.seen.tracks.scores
        if not len(scores):
            return None
        judged = self._selector(
            box_state[None], conversation.object_keys, torch.from_numpy(scores).to(box_state.device)
        )
        logits = judged.logits[0]
        if conversation.last is not None:
            logits = logits + conversation.last.relevance.clamp(min=1e-6).log()
        return int(logits.argmax())

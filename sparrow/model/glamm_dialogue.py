"""A dialogue of the released model: the video is read as tokens, things are found once they are named.

The release looks for boxes in the first frame only. Here several of the sampled frames are asked, and
the one where the state is surest of a box that SAM2 fills becomes the anchor; with a single anchor it
is the release's way.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from threading import Event

import numpy as np
import torch
from torch import Tensor

from sparrow import boxes as boxes_of
from sparrow.model.box_prior import prior_scores
from sparrow.model.chat_format import ChatFormat
from sparrow.model.dialogue import Reply, Thing, phrase_spans
from sparrow.model.framewise import prior_masks
from sparrow.model.pixel_decoder import PixelDecoder
from sparrow.model.prefix_chat import PrefixChat
from sparrow.model.preparing import clip_pixels, crops_by_box, internvideo_pixels, sam_pixels
from sparrow.model.proposer import Proposals, Proposer
from sparrow.model.sam import FrameFeatures
from sparrow.model.selector import Judgement, Selector
from sparrow.model.tokenizer import MarkedPhrase
from sparrow.model.tsf import representatives
from sparrow.model.videoglamm import VideoGlamm
from sparrow.types import GroundedAnswer

_LONGEST = 256  # words of an answer; what is kept for it cannot hold earlier turns
_SAME_BOX = 0.5  # overlap in a frame from which two boxes are one thing


@dataclass(frozen=True, eq=False)
class Finder:
    """The parts that find what a state means in a frame."""

    proposer: Proposer
    selector: Selector
    decoder: PixelDecoder
    anchors: int
    """Sampled frames that are asked."""


@dataclass(frozen=True, eq=False)
class _Looked:
    """What is kept of a frame that was asked."""

    features: FrameFeatures
    proposals: Proposals


@dataclass(frozen=True, eq=False)
class _Found:
    place: int
    box_norm: np.ndarray
    """(4,)."""
    score: float
    refined: Tensor
    """(E,) the asking state with what it attended to."""


class GlammDialogue:
    """Turns about T sampled frames (T, H, W, 3) uint8."""

    def __init__(
        self, llm: VideoGlamm, chat_format: ChatFormat, finder: Finder, frames: np.ndarray
    ) -> None:
        self._llm, self._format, self._finder, self._frames = llm, chat_format, finder, frames
        config = llm.config
        with torch.inference_mode():
            visual = llm.encode_video(
                self._given(clip_pixels(frames, config.clip_image_size)),
                self._given(internvideo_pixels(frames, config.video.image_size)),
            )
        self._chat = PrefixChat(llm, chat_format, visual)
        self._anchors = _spread(frames, finder.anchors)
        self._looked: dict[int, _Looked] = {}
        self._rows: list[np.ndarray] = []

    @property
    def tracks(self) -> np.ndarray:
        """Boxes of the things spoken of, (N, T, 4) normalised xyxy, NaN where they are not known."""
        return np.array(self._rows).reshape(-1, len(self._frames), 4)

    @property
    def video_tokens(self) -> int:
        """Positions of the system's words and the video."""
        return self._chat.prefix

    def settle(self, key: int, boxes_norm: np.ndarray) -> None:
        """Take over where a thing is in the frames in which it was not asked for, (T, 4)."""
        row = self._rows[key]
        self._rows[key] = np.where(np.isnan(row), boxes_norm, row)

    def say(
        self, question: str, pointed: np.ndarray | None, cancel: Event | None
    ) -> Generator[str, None, Reply]:
        """Answer a question word by word; see `Dialogue`."""
        features = None if pointed is None else self._features(pointed)
        reader = self._format.reader()
        for index in self._chat.ask(question, features, cancel=cancel, max_tokens=_LONGEST):
            if delta := reader.feed(index):
                yield delta
        if delta := reader.finish():
            yield delta
        parsed, generated = reader.parsed(), self._chat.last
        assert generated is not None
        return Reply(parsed.text, parsed.phrases, generated.complete, generated.ids)

    def rewind(self, turns: int) -> None:
        """Forget what was said after the first `turns` turns; see `Dialogue`."""
        self._chat.rewind(turns)

    def remember(
        self, question: str, pointed: np.ndarray | None, answer: GroundedAnswer
    ) -> tuple[MarkedPhrase, ...]:
        """Take over a turn that was said at another time; see `Dialogue`."""
        features = None if pointed is None else self._features(pointed)
        ids = self._ids(answer)[:_LONGEST]
        self._chat.remember(question, ids, features, max_tokens=_LONGEST)
        return self._format.parse(ids).phrases

    @torch.inference_mode()
    def find(self, phrase: MarkedPhrase) -> Thing | None:
        """Find what a phrase means: its [BOX] asks for a box, without one its [SEG] does."""
        generated = self._chat.last
        if generated is None:
            return None
        seg = None if phrase.seg is None else generated.seg_states[phrase.seg].float()
        asking = seg if phrase.box is None else generated.box_states[phrase.box].float()
        if asking is None:
            return None
        every = [found for place in self._anchors if (found := self._ask(place, asking))]
        if not every:  # no proposal in any frame: the [SEG] state alone has to do
            return None if seg is None else Thing(*self._keep(None), 0, seg)
        best = max(every, key=lambda found: found.score)
        token = best.refined if phrase.box is None else seg
        return Thing(*self._keep(best), best.place, token)

    def _ids(self, answer: GroundedAnswer) -> Sequence[int]:
        """Give the ids of an answer: its own if they spell its text, else those of text and phrases."""
        said, size = answer.said, self._llm.config.vocab_size
        if (
            all(0 <= index < size for index in said)
            and self._format.parse(said).text == answer.text
        ):
            return said
        return self._format.answer(answer.text, phrase_spans(answer))

    def _keep(self, found: _Found | None) -> tuple[int, np.ndarray]:
        """Give the key of what was found, that of a known thing in the same place, and its boxes."""
        row = np.full((len(self._frames), 4), np.nan)
        if found is not None:
            row[found.place] = found.box_norm
            for key, known in enumerate(self._rows):
                own = known[found.place][None]
                if boxes_of.iou_matrix(found.box_norm[None], own)[0, 0] >= _SAME_BOX:
                    return key, row
        self._rows.append(row.copy())
        return len(self._rows) - 1, row

    def _ask(self, place: int, state: Tensor) -> _Found | None:
        """Ask a frame for the box that a state (E,) means; None where nothing is proposed."""
        finder, looked = self._finder, self._look(place)
        boxes = looked.proposals.boxes_norm[0]
        if not len(boxes):
            return None
        judged: Judgement = finder.selector(
            state[None],
            looked.proposals.feats[0],
            looked.proposals.scores[0],
            boxes_norm=boxes,
            pyramid=finder.decoder.sam.pyramid(looked.features),
        )
        chosen = finder.selector.select(judged)[0]
        size = (self._frames.shape[1], self._frames.shape[2])
        masks = prior_masks(
            finder.decoder, looked.features, boxes[chosen] * finder.decoder.side, size
        )
        scores = judged.logits[0, chosen].sigmoid() * prior_scores(masks, boxes[chosen])
        best = int(scores.argmax())
        box = boxes[chosen[best]].clamp(0, 1).cpu().numpy()
        return _Found(place, box, float(scores[best]), judged.refined[0])

    def _look(self, place: int) -> _Looked:
        """Encode a frame and propose boxes in it, once."""
        if place not in self._looked:
            decoder, proposer = self._finder.decoder, self._finder.proposer
            pixels = sam_pixels(self._frames[place], decoder.side)
            self._looked[place] = _Looked(
                decoder.encode_pixels(pixels), proposer.propose_as_released(pixels)
            )
        return self._looked[place]

    @torch.inference_mode()
    def _features(self, pointed: np.ndarray) -> Tensor | None:
        """Encode what is pointed at, (N, T, 4): the views that stand for each thing share the places."""
        size = (self._frames.shape[1], self._frames.shape[2])
        share = max(1, self._llm.config.tsf_count // len(pointed))
        features = []
        for row in pointed:
            crops = crops_by_box(
                self._frames, boxes_of.to_pixels(row, size), self._llm.config.clip_image_size
            )
            if len(crops):
                views = self._llm.view_tokens(self._given(crops))
                features.append(
                    representatives(views, share, iterations=self._llm.config.tsf_iterations)
                )
        return torch.cat(features) if features else None

    def _given(self, pixels: Tensor) -> Tensor:
        return pixels.to(self._llm.lm.device, self._llm.lm.dtype)


def _spread(frames: np.ndarray, count: int) -> list[int]:
    """Choose up to `count` places among frames, the first one always; repeated frames count once."""
    own = [0] + [t for t in range(1, len(frames)) if not np.array_equal(frames[t], frames[t - 1])]
    picks = np.linspace(0, len(own), min(count, len(own)), endpoint=False).astype(int)
    return [own[pick] for pick in picks]

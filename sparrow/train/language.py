"""The task that trains the mini VideoLLM and the selector: dialogues about seen clips to words and pointers.

Cross entropy on the answers' words, on the object that each [BOX] means, and on which objects a
turn is about. The object encoder is frozen; clips were seen once, by sparrow.train.seen_clips.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from sparrow.model.mini import Reading
from sparrow.model.sparrow import SparrowModel
from sparrow.train.seen_clips import (
    ClipOrder,
    EncodedDialogue,
    SeenClip,
    load_clips,
    save_clips,
    see_clips,
)
from sparrow.train.stage import Stage, parse
from sparrow.world.picture import load_atlas
from sparrow.world.splits import VALIDATION

logger = logging.getLogger(__name__)

_BOX_WEIGHT = 0.5
_POINTER_WEIGHT = 0.5
_CANDIDATES = 4  # times as many dialogues are drawn as a step takes


@dataclass(frozen=True)
class LanguageSettings:
    """What the language task draws."""

    cache: str = "runs/seen"
    """Folder of the seen clips; drawn there first when it is not there."""
    clips: int = 4000
    first_seed: int = 1_000_000
    validation_clips: int = 160
    dialogues_per_step: int = 12
    views: int = 2
    dialogues: int = 8
    """Dialogues kept of each clip."""
    turns: int = 6
    full_share: float = 0.4
    worded: float = 0.5
    """Share of objects whose looks are told in words only: names are then copied, not memorised."""
    proposals: bool = False
    """See clips through the model's own proposer instead of with simulated mistakes."""
    also: str | None = None
    """Folder of clips that were seen for an earlier stage; half of the dialogues are about them."""
    target_features: bool = True
    """Show what is pointed at (TSF). Without, for an ablation, its place in the question stays and holds nothing."""
    crops: int | None = None
    """Views that stand for a thing, pointed at or found; None: the model's own number. The cache is seen with it."""


@dataclass(frozen=True, eq=False)
class LanguageBatch:
    """B dialogues, each about one seen clip."""

    tokens: np.ndarray
    """(B, K, D) float32, padded behind."""
    numbers: np.ndarray
    """(B, K, 9 T) float32."""
    scores: np.ndarray
    """(B, K) float32 track scores in [0, 1]."""
    counts: np.ndarray
    """(B,) int64 tracks of each clip."""
    worded: np.ndarray
    """(B, K) bool, objects whose looks the model is told in words only."""
    pointed_tokens: np.ndarray
    """(P, D) float32, what the <tsf> places hold in their order."""
    pointed_numbers: np.ndarray
    """(P, 9 T) float32."""
    ids: np.ndarray
    """(B, L) int64, padded behind."""
    answered: np.ndarray
    """(B, L) bool, the words that the model has to find."""
    boxes: np.ndarray
    """(M, 3) int64: dialogue, position of the [BOX], index of its object."""
    turns: np.ndarray
    """(Q, 3) int64: dialogue, position of the mark before the answer, position after it."""
    relevance: np.ndarray
    """(Q, K) float32, 1 for the objects that a turn is about."""
    families: tuple[str, ...]
    """(Q,)."""


class Language:
    """Trains all of `video_llm` but its object encoder, and the selector."""

    parts: tuple[str, ...] = (
        "video_llm.lm.",
        "video_llm.bridge.",
        "video_llm.pointer.",
        "video_llm.text_hidden_fcs.",
        "selector.",
    )

    def __init__(self, model: SparrowModel, stage: Stage) -> None:
        self.model = model
        self.settings = parse(LanguageSettings, stage.settings, f"stage {stage.name} settings")
        self._llm = model.mini
        self._selector = model.selector
        if self.settings.crops is not None:
            encoder = self._llm.object_encoder
            encoder.config = replace(encoder.config, crops_per_track=self.settings.crops)
        self._clips = self._seen("train", self.settings.first_seed, self.settings.clips)
        earlier = self.settings.also
        self._earlier = [] if earlier is None else _told(Path(earlier) / "train")
        held = self._seen("validation", VALIDATION[0], self.settings.validation_clips)
        self._validation = {
            "easy": self._fixed([clip for clip in held if clip.easy]),
            "full": self._fixed([clip for clip in held if not clip.easy]),
        }

    def batch(self, index: int) -> LanguageBatch:
        """Draw a step's dialogues, of similar length to save padding, objects shuffled."""
        rng = np.random.default_rng([index, 4])
        count = self.settings.dialogues_per_step
        pairs = []
        for _ in range(_CANDIDATES * count):
            clips = self._earlier if self._earlier and rng.random() < 0.5 else self._clips
            clip = clips[rng.integers(len(clips))]
            pairs.append((clip, clip.dialogues[rng.integers(len(clip.dialogues))]))
        pairs.sort(key=lambda pair: len(pair[1].ids))
        start = count * int(rng.integers(_CANDIDATES))
        pairs = pairs[start : start + count]
        return self._collate(pairs, rng, self.settings.worded)

    def loss(self, batch: LanguageBatch, step: int) -> tuple[Tensor, dict[str, float]]:
        """Give the sum of the three losses."""
        with sdpa_kernel(SDPBackend.MATH):  # its backward is faster than a fused one on a CPU
            reading, inputs = self._read(batch)
        rows, places = np.nonzero(batch.answered)
        states = reading.states[rows, batch.tokens.shape[1] + places]
        truth = torch.from_numpy(batch.ids[rows, places]).to(states.device)
        words = F.cross_entropy(self._llm.word_logits(states), truth)
        relevance = self._relevance(batch, reading)
        there = torch.from_numpy(_there(batch)[batch.turns[:, 0]]).to(states.device)
        target = torch.from_numpy(batch.relevance).to(states.device)
        pointer = F.binary_cross_entropy_with_logits(relevance[there], target[there])
        total = words + _POINTER_WEIGHT * pointer
        logs = {"words": float(words.detach()), "pointer": float(pointer.detach())}
        if len(batch.boxes):
            logits, truth = self._select(batch, reading, inputs)
            box = F.cross_entropy(logits, truth)
            total = total + _BOX_WEIGHT * box
            logs["box"] = float(box.detach())
            logs["box_right"] = float((logits.argmax(1) == truth).float().mean())
        return total, logs

    def validate(self) -> dict[str, float]:
        """Measure whole right answers (overall and per family), right boxes and right relevance.

        Words are judged with the true words before them.
        """
        metrics: dict[str, float] = {}
        for rung, batches in self._validation.items():
            right: dict[str, list[float]] = defaultdict(list)
            for batch in batches:
                self._judge(batch, right)
            metrics |= {f"{rung}/{name}": float(np.mean(values)) for name, values in right.items()}
        box = metrics.get("easy/box", 0.0)  # no [BOX] has its thing among the tracks
        metrics["score"] = metrics["easy/exact"] + box + 0.3 * metrics["full/exact"]
        return metrics

    def _judge(self, batch: LanguageBatch, right: dict[str, list[float]]) -> None:
        reading, inputs = self._read(batch)
        longest = batch.tokens.shape[1]
        guesses = self._llm.word_logits(reading.states[:, longest:-1]).argmax(-1).cpu().numpy()
        same = guesses == batch.ids
        relevance = (self._relevance(batch, reading) > 0).cpu().numpy()
        for turn, (row, begins, ends) in enumerate(batch.turns):
            exact = float(same[row, begins + 1 : ends].all())
            right["exact"].append(exact)
            right[f"exact_{batch.families[turn]}"].append(exact)
            count = batch.counts[row]
            pointer = relevance[turn, :count] == (batch.relevance[turn, :count] > 0.5)
            right["pointer"].append(float(pointer.all()))
        if len(batch.boxes):
            logits, truth = self._select(batch, reading, inputs)
            right["box"] += (logits.argmax(1) == truth).float().tolist()

    def _read(self, batch: LanguageBatch) -> tuple[Reading, Tensor]:
        """Run a batch; gives the states and the objects' inputs (B, K, W)."""
        llm = self._llm
        device = llm.bridge.null.device
        tokens = torch.from_numpy(batch.tokens).to(device)
        numbers = torch.from_numpy(batch.numbers).to(device)
        there, worded = (torch.from_numpy(a).to(device) for a in (_there(batch), batch.worded))
        inputs = llm.object_inputs(tokens, numbers, there, worded)
        pointed = llm.pointed_inputs(
            torch.from_numpy(batch.pointed_tokens).to(device),
            torch.from_numpy(batch.pointed_numbers).to(device),
        )
        words = llm.embed(torch.from_numpy(batch.ids).to(device), pointed)
        return llm.read(inputs, torch.from_numpy(batch.counts).to(device), words), inputs

    def _relevance(self, batch: LanguageBatch, reading: Reading) -> Tensor:
        """Score every object for every turn, logits (Q, K)."""
        longest = batch.tokens.shape[1]
        rows, begins = batch.turns[:, 0], batch.turns[:, 1]
        turns = reading.middle[rows, 1 + longest + begins]
        return self._llm.pointer(turns, reading.middle[rows, 1 : 1 + longest])

    def _select(
        self, batch: LanguageBatch, reading: Reading, inputs: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Score every object for every [BOX], logits (M, K), and give the right ones (M,)."""
        longest = batch.tokens.shape[1]
        rows, places = batch.boxes[:, 0], batch.boxes[:, 1]
        states = self._llm.text_hidden_fcs(reading.states[rows, longest + places])  # (M, C)
        keys = self._llm.keys(reading.states[:, 1 : 1 + longest], inputs)[rows]  # (M, K, 2 W)
        scores = torch.from_numpy(batch.scores).to(states.device)[rows]
        there = torch.from_numpy(_there(batch)).to(states.device)[rows]
        logits = self._selector(states, keys, scores, valid=there).logits  # (M, K)
        return logits, torch.from_numpy(batch.boxes[:, 2]).to(states.device)

    def _collate(
        self,
        pairs: Sequence[tuple[SeenClip, EncodedDialogue]],
        rng: np.random.Generator,
        worded: float = 0.0,
    ) -> LanguageBatch:
        """Lay dialogues out side by side, each with a shuffled view of its clip."""
        views = [clip.views[rng.integers(len(clip.views))] for clip, _ in pairs]
        orders = [rng.permutation(len(view.owners)) for view in views]
        count, longest = len(pairs), max(1, *(len(order) for order in orders))
        length = max(len(told.ids) for _, told in pairs)
        width, features = pairs[0][0].true.tokens.shape[1], pairs[0][0].true.numbers.shape[1]
        tokens = np.zeros((count, longest, width), np.float32)
        numbers = np.zeros((count, longest, features), np.float32)
        scores = np.full((count, longest), 0.5, np.float32)
        ids = np.full((count, length), self._llm.lm.config.pad_token_id, np.int64)
        answered = np.zeros((count, length), bool)
        boxes, turns, relevance, families = [], [], [], []
        for row, ((_, told), view, order) in enumerate(zip(pairs, views, orders, strict=True)):
            tokens[row, : len(order)] = view.tokens[order]
            numbers[row, : len(order)] = view.numbers[order]
            scores[row, : len(order)] = view.scores[order]
            ids[row, : len(told.ids)] = told.ids
            owners = view.owners[order]
            place = {int(owner): i for i, owner in enumerate(owners) if owner}
            boxes += [(row, at, place[thing]) for at, thing in told.boxes if thing in place]
            for turn in told.turns:
                answered[row, turn.begins + 1 : turn.ends] = True
                turns.append((row, turn.begins, turn.ends))
                families.append(turn.family)
                about = np.zeros(longest, np.float32)
                about[[place[t] for t in turn.targets if t in place]] = 1.0
                relevance.append(about)
        pointed = [_pointed(clip, thing) for clip, told in pairs for thing in told.pointed]
        shown = float(self.settings.target_features)
        return LanguageBatch(
            tokens,
            numbers,
            scores,
            np.array([len(order) for order in orders]),
            rng.random((count, longest)) < worded,
            shown * np.array([p[0] for p in pointed], np.float32).reshape(-1, width),
            shown * np.array([p[1] for p in pointed], np.float32).reshape(-1, features),
            ids,
            answered,
            np.array(boxes, np.int64).reshape(-1, 3),
            np.array(turns, np.int64),
            np.array(relevance),
            tuple(families),
        )

    def _fixed(self, clips: Sequence[SeenClip]) -> list[LanguageBatch]:
        """Lay out one dialogue of each clip, always the same."""
        rng = np.random.default_rng(11)
        pairs = [(clip, clip.dialogues[0]) for clip in clips]
        return [self._collate(pairs[i : i + 16], rng) for i in range(0, len(pairs), 16)]

    def _seen(self, name: str, first_seed: int, clips: int) -> list[SeenClip]:
        """Load the seen clips of a split, seeing them first when they are not kept yet."""
        settings = self.settings
        folder = Path(settings.cache) / name
        if not (folder / "clips.jsonl").exists():
            order = ClipOrder(
                first_seed,
                clips,
                views=settings.views,
                dialogues=settings.dialogues,
                turns=settings.turns,
                full_share=settings.full_share,
            )
            if name == "validation":
                order = replace(order, views=1, dialogues=1, full_share=0.5)
            propose = self.model.propose if settings.proposals else None
            training = self.model.training
            self.model.eval()
            save_clips(see_clips(self._llm, order, load_atlas(), propose), folder)
            self.model.train(training)
        return _told(folder)


def _told(folder: Path) -> list[SeenClip]:
    """Load the seen clips of a folder that something is said about."""
    kept = [clip for clip in load_clips(folder) if clip.dialogues]
    logger.info("%d clips in %s", len(kept), folder)
    return kept


def _there(batch: LanguageBatch) -> np.ndarray:
    """Say which places hold an object, (B, K) bool."""
    there: np.ndarray = np.arange(batch.tokens.shape[1]) < batch.counts[:, None]
    return there


def _pointed(clip: SeenClip, thing: int) -> tuple[np.ndarray, np.ndarray]:
    row = int(np.flatnonzero(clip.true.owners == thing)[0])
    return clip.true.tokens[row], clip.true.numbers[row]

"""The last stage: [SEG] states become prompts of the PixelDecoder, beside boxes and without them.

The language model is frozen; its states about drawn dialogues are projected by text_hidden_fcs and
decoded on the frame where the referent is largest. Tracking and selection are trained along, so
that neither is forgotten.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from sparrow.model.looking import WINDOW
from sparrow.model.pixel_decoder import box_map
from sparrow.model.sam import FrameFeatures, Prompts
from sparrow.model.sparrow import SparrowModel
from sparrow.model.window import Window
from sparrow.train.pointing import shrunk
from sparrow.train.seen_clips import ClipOrder, EncodedDialogue, SeenClip, see_clip
from sparrow.train.stage import Stage, parse
from sparrow.train.tracker import frame_loss
from sparrow.train.window_batches import WindowBatch
from sparrow.train.windows import Windows
from sparrow.world import splits
from sparrow.world.picture import load_atlas
from sparrow.world.scene import Scene

_FIRST_SEED = 4_000_000


@dataclass(frozen=True)
class PromptingSettings:
    """What the stage draws."""

    clips: int = 6
    """Dialogues per step, each about one clip."""
    referents: int = 12
    """Most referents decoded per step."""
    full_share: float = 0.3
    jitter: float = 0.05
    """Standard deviation of a prompted box's edges over its size."""
    windows: Mapping[str, Any] = field(default_factory=dict)
    """Settings of the windows stage, whose batches go along."""


@dataclass(frozen=True, eq=False)
class ReferentBatch:
    """N referents of drawn dialogues, each on the frame where it is largest."""

    frames: np.ndarray
    """(N, S, S, 3) uint8 windows around them."""
    masks: np.ndarray
    """(N, S/2, S/2) bool."""
    corners: np.ndarray
    """(N, 2, 2) float32 a noisy box, in pixels of the window."""
    box_states: np.ndarray
    """(N, W) float32 states of the language model that predict [BOX]."""
    seg_states: np.ndarray
    """(N, W) the same for [SEG]."""
    keys: np.ndarray
    """(N, K, 2 W) float32 keys of the clip's things, padded behind."""
    scores: np.ndarray
    """(N, K) float32."""
    there: np.ndarray
    """(N, K) bool."""
    things: np.ndarray
    """(N,) int64 which key is the referent."""


class Prompting:
    """Trains the PixelDecoder, text_hidden_fcs and the selector together."""

    parts = ("pixel_decoder.", "video_llm.text_hidden_fcs.", "selector.")

    def __init__(self, model: SparrowModel, stage: Stage) -> None:
        self.model = model
        self._settings = parse(PromptingSettings, stage.settings, f"stage {stage.name}, settings")
        self._windows = Windows(model, replace(stage, settings=self._settings.windows))
        self._atlas = load_atlas()
        self._order = ClipOrder(
            _FIRST_SEED, 1, views=1, dialogues=1, turns=3, full_share=self._settings.full_share
        )

    def batch(self, index: int) -> tuple[WindowBatch, ReferentBatch]:
        return self._windows.batch(index), self._referents(
            (_FIRST_SEED + index * 16) % splits.TRAIN[1], index
        )

    def loss(
        self, batch: tuple[WindowBatch, ReferentBatch], step: int
    ) -> tuple[Tensor, dict[str, float]]:
        tracking, logs = self._windows.loss(batch[0], step)
        selection, right = self._selection_loss(batch[1])
        decoding, ious = self._decoding_loss(batch[1])
        logs |= {"box_right": right, **ious}
        return tracking + 0.5 * selection + 0.5 * decoding, logs

    def validate(self) -> dict[str, float]:
        """The windows' validation, and masks from each kind of prompt."""
        metrics = self._windows.validate()
        sums: dict[str, list[float]] = {}
        for number in range(4):
            referents = self._referents(splits.VALIDATION[0] + 50_000 + number * 16, number)
            _, ious = self._decoding_loss(referents)
            _, right = self._selection_loss(referents)
            for key, value in {**ious, "box_right": right}.items():
                sums.setdefault(key, []).append(value)
        metrics |= {key: float(np.mean(values)) for key, values in sums.items()}
        metrics["score"] += 0.5 * metrics["both"]
        return metrics

    def _selection_loss(self, batch: ReferentBatch) -> tuple[Tensor, float]:
        device = self.model.pixel_decoder.sam.no_mem_embed.device
        states = self.model.mini.text_hidden_fcs(torch.from_numpy(batch.box_states).to(device))
        logits = self.model.selector(
            states,
            torch.from_numpy(batch.keys).to(device),
            torch.from_numpy(batch.scores).to(device),
            valid=torch.from_numpy(batch.there).to(device),
        ).logits
        truth = torch.from_numpy(batch.things).to(device)
        return F.cross_entropy(logits, truth), float((logits.argmax(1) == truth).float().mean())

    def _decoding_loss(self, batch: ReferentBatch) -> tuple[Tensor, dict[str, float]]:
        """Decode a third of the referents from the box, a third from box and token, a third from the token."""
        decoder = self.model.pixel_decoder
        device = decoder.sam.no_mem_embed.device
        features = decoder.sam.encode(decoder.prepare(list(batch.frames)))
        states = self.model.mini.text_hidden_fcs(torch.from_numpy(batch.seg_states).to(device))
        tokens = decoder.token_proj(states)
        grid = decoder.side // 4
        maps = np.stack([box_map(corners / 4, grid) for corners in batch.corners])[:, None]
        points = torch.from_numpy(batch.corners).to(device)
        labels = torch.tensor([[2, 3]], dtype=torch.int32, device=device).expand(len(points), -1)
        total, ious = torch.zeros((), device=device), {}
        for kind, name in enumerate(("box", "both", "token")):
            rows = torch.arange(kind, len(points), 3, device=device)
            if not len(rows):
                continue
            boxed = name != "token"
            prompts = Prompts(
                (points[rows], labels[rows]) if boxed else None,
                tokens[rows][:, None] if name != "box" else None,
                torch.from_numpy(maps).to(device)[rows] if boxed else None,
            )
            loss, ious[name] = self._decode(features, rows, prompts, batch)
            total = total + loss / 3
        return total, ious

    def _decode(
        self, features: FrameFeatures, rows: Tensor, prompts: Prompts, batch: ReferentBatch
    ) -> tuple[Tensor, float]:
        decoder = self.model.pixel_decoder
        truth = torch.from_numpy(batch.masks).to(rows.device)[rows]
        present = torch.ones(len(rows), dtype=torch.bool, device=rows.device)
        decoded = decoder.sam.step(
            features.select(rows), prompts, decoder.new_memory(), 0, presence=present
        )
        return frame_loss(decoded, truth)

    @torch.no_grad()
    def _referents(self, first_seed: int, index: int) -> ReferentBatch:
        """Draw dialogues from `first_seed` on until there is a referent, read them, draw the frames."""
        rng = np.random.default_rng((5, index))
        rows: list[dict[str, np.ndarray]] = []
        was_training = self.model.training
        self.model.eval()
        for seed in range(first_seed, first_seed + 16):
            clip = see_clip(self.model.mini, seed, self._order, self._atlas)
            if clip.dialogues:
                rows += self._read(clip, clip.dialogues[0], rng)
            if rows and seed - first_seed + 1 >= self._settings.clips:
                break
        self.model.train(was_training)
        rows = rows[: self._settings.referents]
        longest = max(len(row["scores"]) for row in rows)
        stacked = {
            key: np.stack(
                [_padded(row[key], longest) if key in _PER_THING else row[key] for row in rows]
            )
            for key in rows[0]
        }
        return ReferentBatch(**stacked)

    def _read(
        self, clip: SeenClip, told: EncodedDialogue, rng: np.random.Generator
    ) -> list[dict[str, np.ndarray]]:
        """Read a dialogue with its true words; gives a row for each referent that was seen."""
        llm, view = self.model.mini, clip.views[0]
        count = len(view.owners)
        if not count:
            return []
        inputs = llm.object_inputs(_float(view.tokens), _float(view.numbers))
        pointed = [np.flatnonzero(clip.true.owners == thing)[0] for thing in told.pointed]
        words = llm.embed(
            torch.tensor([told.ids]),
            llm.pointed_inputs(
                _float(clip.true.tokens[pointed]), _float(clip.true.numbers[pointed])
            ),
        )
        states = llm.read(inputs[None], torch.tensor([count]), words).states[0]
        keys = llm.keys(states[1 : 1 + count], inputs).numpy()
        scene = Scene.sample(
            clip.seed, difficulty="easy" if clip.easy else "full", atlas=self._atlas
        )
        rows = []
        for place, thing in told.boxes:
            key = np.flatnonzero(view.owners == thing)
            if not key.size:
                continue
            seen = self._largest(scene, thing, llm.config.encoder.num_frames, rng)
            if seen is not None:
                rows.append(
                    {
                        **seen,
                        "box_states": states[count + place].numpy(),
                        "seg_states": states[count + place + 1].numpy(),
                        "keys": keys,
                        "scores": view.scores.astype(np.float32),
                        "there": np.ones(count, dtype=bool),
                        "things": np.asarray(key[0], dtype=np.int64),
                    }
                )
        return rows

    def _largest(
        self, scene: Scene, thing: int, count: int, rng: np.random.Generator
    ) -> dict[str, np.ndarray] | None:
        """Draw the sampled frame where a thing is largest; None where it is hardly seen at all."""
        boxes = scene.survey().boxes[:, thing - 1]  # (T, 4)
        share = scene.num_frames / count
        times = ((np.arange(count) + 0.5) * share).astype(int)
        areas = np.nan_to_num((boxes[times, 2:] - boxes[times, :2]).prod(1))
        side = self.model.pixel_decoder.side
        drawn = scene.render(int(times[areas.argmax()]))
        mask = drawn.masks[thing - 1]
        if mask.sum() < 24:
            return None
        corners = drawn.boxes[thing - 1].reshape(2, 2)
        noise = rng.normal(0, self._settings.jitter, (2, 2)) * (corners[1] - corners[0])
        corners = np.clip(corners + noise, 0, drawn.rgb.shape[1::-1])
        corners = np.stack([corners.min(0), np.maximum(corners.max(0), corners.min(0) + 2)])
        window = Window.around(corners.reshape(4), WINDOW, drawn.rgb.shape[:2])
        scale = side / (window.edges[2:] - window.edges[:2])
        return {
            "frames": self.model.pixel_decoder.squash(window.cut(drawn.rgb)),
            "masks": shrunk(window.cut(mask), side // 2) >= 0.5,
            "corners": ((corners - window.edges[:2]) * scale).astype(np.float32),
        }


_PER_THING = ("keys", "scores", "there")


def _padded(values: np.ndarray, longest: int) -> np.ndarray:
    return np.pad(values, [(0, longest - len(values)), *[(0, 0)] * (values.ndim - 1)])


def _float(values: np.ndarray) -> Tensor:
    return torch.from_numpy(values.astype(np.float32))

"""A model folder or hub id -> a loaded model: conversations about videos, and tracks of what is pointed at.

The conversation itself is `sparrow.talk.Chat`.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from sparrow.adapt import Effort, adapt_and_track_steps
from sparrow.errors import PromptError
from sparrow.model.release.load import PROPOSER, is_release, load_release
from sparrow.model.release.quantise import Bits
from sparrow.model.sparrow import SparrowModel
from sparrow.model.tracking import Reached, track, track_steps
from sparrow.paths import ASSETS
from sparrow.prompts import frames_of
from sparrow.talk import Chat as Chat
from sparrow.targets import HeldFrames, targets_of
from sparrow.types import (
    History,
    MaskTrack,
    Progress,
    Prompt,
    Referent,
    TrackBuilder,
    TracksSoFar,
    colour_of,
)
from sparrow.video import Video
from sparrow.work import finish, progress_only


class Sparrow:
    """A loaded model: answers questions about videos and tracks what is pointed at."""

    def __init__(self, model: SparrowModel) -> None:
        self.model = model.eval()

    @classmethod
    def from_pretrained(
        cls,
        path: str | Path | None = None,
        *,
        proposer: str | Path = PROPOSER,
        video_tower: str | Path | None = None,
        image_tower: str | Path | None = None,
        dtype: torch.dtype | None = None,
        quantise: Bits | None = None,
        device: str | torch.device | None = None,
    ) -> Sparrow:
        """Load a model folder, or a model as its authors released it.

        Args:
            path: folder or hub id; None takes SPARROW_MODEL, or the sparrow-mini that ships.
            proposer: of a release, a store of its own. This and what follows, but for the device, counts
                only for a release; see `load_release`.
            video_tower: None takes the published one, unless the release holds it.
            image_tower: likewise.
            dtype: of the VideoLLM; None: as stored.
            quantise: "8bit" or "4bit", of the language model; needs bitsandbytes.
            device: "cpu", "cuda", "mps"; None takes the best there is.

        Raises:
            ModelError: it cannot be found, or its files do not fit.
        """
        chosen = path or os.environ.get("SPARROW_MODEL") or ASSETS / "sparrow-mini"
        where = device or _best_device()
        if not is_release(chosen):
            return cls(SparrowModel.from_pretrained(chosen).to(where))
        return cls(
            load_release(
                chosen,
                proposer=proposer,
                video_tower=video_tower,
                image_tower=image_tower,
                dtype=dtype,
                quantise=quantise,
                device=where,
            )
        )

    @property
    def card(self) -> dict[str, Any]:
        """What the model is and can talk about: name, trained_on, nouns, limits."""
        return self.model.card()

    def chat(self, video: Video, history: History | None = None) -> Chat:
        """Begin a conversation about a video, or go on with a history."""
        return Chat(self.model, video, history)

    def track(
        self,
        video: Video,
        prompts: Sequence[Prompt],
        *,
        before: Mapping[int, MaskTrack] | None = None,
        span: tuple[int, int] | None = None,
        adapt_seconds: float = 0.0,
        progress: Callable[[Progress], None] | None = None,
        cancel: threading.Event | None = None,
    ) -> list[MaskTrack]:
        """Track what points, boxes or masks point at; see `track_steps`.

        Args:
            video: what to track in.
            prompts: what the user points at, corrections on later frames among them.
            before: by referent id, tracks to correct.
            span: first frame and the one after the last to change, None for all.
            adapt_seconds: how long to learn first.
            progress: told after each step of adapting ("adapt") and each frame ("track").
            cancel: when set, what there is by then is returned, marked as not complete.

        Returns:
            One track per referent id, in ascending order.
        """
        steps = self.track_steps(
            video, prompts, before=before, span=span, adapt_seconds=adapt_seconds, cancel=cancel
        )
        return list(finish(steps, progress_only(progress)).tracks)

    def track_steps(
        self,
        video: Video,
        prompts: Sequence[Prompt],
        *,
        before: Mapping[int, MaskTrack] | None = None,
        span: tuple[int, int] | None = None,
        adapt_seconds: float = 0.0,
        cancel: threading.Event | None = None,
    ) -> Generator[Progress | TracksSoFar, None, TracksSoFar]:
        """Track what points, boxes or masks point at, or correct tracks; yields how far it is.

        Args:
            video: what to track in.
            prompts: of one or several referents, on any frames.
            before: by referent id, tracks to correct: clicks on a frame take away from the mask there or add
                to it, and what is not tracked anew stays.
            span: first frame and the one after the last to change, None for all. Outside it `before` stays;
                without it the thing is absent there.
            adapt_seconds: above 0, a copy of the tracker first learns what is pointed at for so long, all
                things together: slower, and far better on real video with sparrow-mini.
            cancel: when set, frames not reached stay as in `before`, and the tracks are not complete.

        Returns:
            One track per referent id with a prompt, in ascending order.

        Raises:
            PromptError: no prompt, or one that lies outside the video or its span, or points at nothing.
            ModelError: the model cannot adapt.
        """
        targets = targets_of(video, prompts, before, span)
        decoder, frames = self.model.pixel_decoder, frames_of(video, span)
        if adapt_seconds:
            effort = Effort(seconds=adapt_seconds)
            steps = adapt_and_track_steps(
                decoder, video, targets, effort, span=frames, cancel=cancel
            )
        else:
            steps = track_steps(
                decoder, video, targets, propose=self.model.snapping, span=frames, cancel=cancel
            )
        while True:
            try:
                step = next(steps)
            except StopIteration as end:
                return _pointed_out(end.value)
            yield _pointed_out(step.tracks) if isinstance(step, Reached) else step

    def preview(
        self, video: Video, prompts: Sequence[Prompt], before: MaskTrack | None = None
    ) -> MaskTrack:
        """Draw the mask of one referent on one frame, that of all prompts; elsewhere the track is absent.

        Where `track` would start on this frame, or correct its mask, it gives the same mask.

        Args:
            video: what to look at.
            prompts: of one referent, all on one frame.
            before: the track that clicks correct on that frame.

        Raises:
            PromptError: no prompt, one outside the video, or several referents or frames.
        """
        tracks = None if before is None or not prompts else {prompts[0].referent_id: before}
        targets = targets_of(video, prompts, tracks)
        if len(targets) > 1 or len(targets[0].prompts) > 1:
            raise PromptError("preview: expected the prompts of one object on one frame, got more")
        frame = targets[0].anchor
        held = HeldFrames(video.read([frame]))
        alone = replace(targets[0], anchor=0, prompts={0: targets[0].prompts[frame]}, before=None)
        found = track(self.model.pixel_decoder, held, [alone])[0]
        builder = TrackBuilder(found.referent_id, video.size_hw, video.num_frames)
        builder.put(frame, found.mask(0), float(found.scores[0]))
        return builder.build()


def _pointed_out(tracks: Sequence[MaskTrack]) -> TracksSoFar:
    """Name tracks after their ids: nobody has said what they are."""
    ids = [found.referent_id for found in tracks]
    return TracksSoFar(
        tuple(Referent(i, f"object {i}", None, colour_of(i)) for i in ids), tuple(tracks)
    )


def _best_device() -> str:
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"

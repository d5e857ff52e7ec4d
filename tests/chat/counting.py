"""Counts what a model really does: words that its language model reads, frames that its tracker encodes."""

from __future__ import annotations

from collections.abc import Callable

from sparrow.model.mini import MiniVideoLLM
from sparrow.model.sparrow import SparrowModel


class Forwards:
    """Runs of two parts of a model since the beginning."""

    def __init__(self, model: SparrowModel) -> None:
        self.words = 0
        self.frames = 0
        self.at_frame: Callable[[], None] = lambda: None
        """Called when a frame was encoded."""
        assert isinstance(model.video_llm, MiniVideoLLM)
        self._hooks = [
            model.video_llm.lm.register_forward_hook(self._word),
            model.pixel_decoder.sam.image_encoder.register_forward_hook(self._frame),
        ]

    def close(self) -> None:
        for hook in self._hooks:
            hook.remove()

    def _word(self, *_: object) -> None:
        self.words += 1

    def _frame(self, *_: object) -> None:
        self.frames += 1
        self.at_frame()

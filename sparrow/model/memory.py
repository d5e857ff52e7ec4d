"""What a tracker remembers of objects: the entries that SAM2's memory attention reads, and no others.

Knows neither how an entry is made nor what is in it.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor


class Memory:
    """What memory attention reads about B objects: the anchors and the latest frames, nothing else.

    Older entries are dropped as they fall out of reach, so that memory is flat however long the
    video; the results equal those of a memory that keeps everything.
    """

    def __init__(self, num_memories: int, num_pointers: int = 16) -> None:
        self.anchors: dict[int, dict[str, object]] = {}
        self.recent: dict[int, dict[str, object]] = {}
        self._memories = num_memories - 1
        self._pointers = num_pointers - 1

    def as_output_dict(self) -> dict[str, dict[int, dict[str, object]]]:
        """Give SAM2Base's own dictionary of past outputs."""
        return {"cond_frame_outputs": self.anchors, "non_cond_frame_outputs": self.recent}

    def put(
        self,
        frame: int,
        stored: Tensor,
        positions: Sequence[Tensor],
        pointer: Tensor,
        *,
        anchor: bool,
    ) -> None:
        """Remember a frame, as an anchor for good or as one of the recent."""
        entry: dict[str, object] = {
            "maskmem_features": stored,
            "maskmem_pos_enc": positions,
            "obj_ptr": pointer,
        }
        if anchor:
            self.anchors[frame] = entry
            return
        self.recent[frame] = entry
        for past in sorted(self.recent, key=lambda index: abs(index - frame))[self._pointers :]:
            del self.recent[past]

    def fork(self) -> Memory:
        """Start another direction from the same anchor."""
        other = Memory(self._memories + 1, self._pointers + 1)
        other.anchors = dict(self.anchors)
        return other

"""Tracks of a session -> the files from which the stage draws them: a new file for each new track.

The files before it stay for a while: while a track grows, a slow browser may still ask for one of them.
"""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import dataclass, field
from pathlib import Path

from sparrow.page.stage import write_masks
from sparrow.sessions.session import Session
from sparrow.types import MaskTrack

_KEPT = 8
"""Files of an object that are kept beside the one that holds; a growing track has two new ones a second."""


@dataclass(eq=False)
class MaskFiles:
    """The files of one session."""

    _now: dict[int, tuple[MaskTrack, Path, int]] = field(default_factory=dict)
    """By referent id: the track, its file, and a number that tells it from the other tracks of this id."""
    _before: dict[int, deque[Path]] = field(default_factory=lambda: defaultdict(deque))
    _version: int = 0

    def of(self, session: Session, track: MaskTrack) -> tuple[Path, int]:
        """Give the file of a track and its version, writing it if the track is new."""
        i = track.referent_id
        known = self._now.get(i)
        if known is not None and known[0] is track:
            return known[1], known[2]
        path = session.new_path("masks.json")
        write_masks(track, path)
        if known is not None:
            self._before[i].append(known[1])
        if len(self._before[i]) > _KEPT:
            session.discard(self._before[i].popleft())
        self._version += 1
        self._now[i] = track, path, self._version
        return path, self._version

    def keep_only(self, session: Session, ids: set[int]) -> None:
        """Delete the files of objects that are there no more."""
        for i in set(self._now) - ids:
            for path in (self._now.pop(i)[1], *self._before.pop(i, ())):
                session.discard(path)

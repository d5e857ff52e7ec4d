"""Files of masks: a new one for a new track, the latest few kept for browsers that are slow, none left behind."""

from __future__ import annotations

import numpy as np

from sparrow.page import mask_files
from sparrow.page.mask_files import MaskFiles
from sparrow.sessions.sessions import Sessions
from sparrow.types import MaskTrack, TrackBuilder


def track(count: int) -> MaskTrack:
    """Give a track that has grown over so many frames."""
    builder = TrackBuilder(1, (4, 6), 20)
    for frame in range(count):
        builder.put(frame, np.ones((4, 6), bool), 1.0)
    return builder.build(complete=False)


def test_a_file_stays_for_a_while_after_newer_ones(sessions: Sessions) -> None:
    session, files = sessions.open(), MaskFiles()
    given = [files.of(session, track(count)) for count in range(1, 13)]
    assert [version for _, version in given] == list(range(1, 13))
    kept = 1 + mask_files._KEPT
    assert [path.exists() for path, _ in given] == [False] * (12 - kept) + [True] * kept
    files.keep_only(session, {1})
    assert given[-1][0].exists()
    files.keep_only(session, set())
    assert not any(path.exists() for path, _ in given)


def test_the_same_track_keeps_its_file(sessions: Sessions) -> None:
    session, files = sessions.open(), MaskFiles()
    same = track(3)
    assert files.of(session, same) == files.of(session, same)

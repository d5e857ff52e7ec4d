from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from moviepy import ColorClip, CompositeVideoClip

from sparrow.export.clip import to_clip
from sparrow.export.files import ExportError
from sparrow.ingest import open_video
from sparrow.looks import Look
from sparrow.overlay import draw
from sparrow.types import MaskTrack
from sparrow.video import Video
from tests.export.made import REFERENTS


@pytest.mark.parametrize("span", [None, (7, 12)])
def test_any_time_gives_the_frame_that_is_seen_then(
    plain_video: Video, shapes: list[MaskTrack], span: tuple[int, int] | None
) -> None:
    start, stop = span or (0, 30)
    with to_clip(plain_video, shapes, REFERENTS, span=span) as clip:
        assert clip.fps == 10
        assert clip.duration == pytest.approx((stop - start) / 10)
        assert clip.size == (96, 64)
        assert clip.audio.duration == pytest.approx(clip.duration, abs=0.05)
        places = [*range(stop - start), 3, 0, 1, stop - start - 1]
        for place in places:
            frame = plain_video.read([start + place])[0]
            expected = draw(frame, shapes, REFERENTS, start + place)
            assert np.array_equal(clip.get_frame(place / 10), expected)
            assert np.array_equal(clip.get_frame(place / 10 + 0.09), expected)


def test_a_cut_out_goes_on_top_of_another_clip(
    plain_video: Video, shapes: list[MaskTrack], tmp_path: Path
) -> None:
    look = Look("cut-out", label=False)
    with to_clip(plain_video, shapes, REFERENTS, look, (0, 10)) as clip:
        blue = ColorClip((96, 64), color=(0, 0, 255), duration=clip.duration)
        both = CompositeVideoClip([blue, clip])
        for index in (0, 4, 9):
            covered = shapes[0].mask(index) | shapes[1].mask(index)
            seen = both.get_frame(index / 10)
            assert (seen[~covered] == (0, 0, 255)).all()
            assert np.array_equal(seen[covered], plain_video.read([index])[0][covered])
        out = tmp_path / "both.mp4"
        both.write_videofile(
            str(out), fps=10, logger=None, temp_audiofile_path=str(tmp_path), preset="ultrafast"
        )
    written = open_video(out, workdir=tmp_path)
    assert (written.num_frames, written.has_audio) == (10, True)


def test_what_does_not_fit_is_refused(plain_video: Video, shapes: list[MaskTrack]) -> None:
    with pytest.raises(ExportError, match="part of the frames"):
        to_clip(plain_video, shapes, REFERENTS, span=(3, 99))

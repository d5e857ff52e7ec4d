"""Fixtures for every test: small videos made on the spot, each written once per process that runs tests.

Two such processes share two cores (see pyproject.toml), so each computes with one thread.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import pytest
import torch
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from sparrow.ingest import open_video
from sparrow.video import Video
from tests import made_videos as made
from tests.made_videos import Recipe, write

UNEVEN = [0.0, 0.1, 0.2, 0.25, 0.3, 0.9, 1.0, 1.1, 1.6, 1.7, 1.8, 1.9, 2.0, 2.1, 2.2]
"""Seconds of the frames of vfr.mp4."""

RECIPES = {
    "plain.mp4": Recipe(audio="aac", container_options={"movflags": "+faststart"}),
    "silent.mp4": Recipe(),
    "late-index.mp4": Recipe(audio="aac"),
    "odd.mkv": Recipe(size_hw=(63, 95), pix_fmt="yuv444p"),
    "odd-width.mkv": Recipe(size_hw=(64, 95), pix_fmt="yuv444p", audio="aac"),
    "rotated.mp4": Recipe(rotation=90, audio="aac"),
    "rotated-180.mp4": Recipe(rotation=180),
    "rotated-270.mov": Recipe(rotation=-90),
    "vfr.mp4": Recipe(times=UNEVEN, frames=len(UNEVEN), audio="aac"),
    "webcam.webm": Recipe(
        codec="libvpx",
        audio="libopus",
        audio_rate=48000,
        container_options={"live": "1"},
        options={"deadline": "realtime", "cpu-used": "8", "b": "1M"},
    ),
    "av1.mp4": Recipe(
        codec="libsvtav1", frames=12, options={"preset": "12", "svtav1-params": "lp=1"}
    ),
    "mp4v.mp4": Recipe(codec="mpeg4", options={"b": "2M"}, audio="aac"),
    "mp3.avi": Recipe(codec="mpeg4", options={"b": "2M"}, audio="mp3"),
    "ten-bit.mp4": Recipe(codec="libx264", pix_fmt="yuv420p10le"),
    "full-range.mp4": Recipe(pix_fmt="yuvj420p"),
    "picture.gif": Recipe(codec="gif", pix_fmt="rgb8", frames=10),
    "one.mp4": Recipe(frames=1),
    "one.gif": Recipe(codec="gif", pix_fmt="rgb8", frames=1),
    "prores.mov": Recipe(codec="prores_ks", pix_fmt="yuv422p10le", frames=6),
    "anamorphic.mp4": Recipe(aspect=Fraction(4, 3)),
    "tiny.mkv": Recipe(
        size_hw=(8, 8),
        frames=3,
        picture=lambda index, size: made.picture(index)[: size[0], : size[1]],
    ),
    "transport.ts": Recipe(audio="aac"),
    "ntsc.mp4": Recipe(fps=Fraction(30000, 1001), frames=40),
}


def pytest_configure() -> None:
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    torch.set_num_threads(1)


class TogetherByFile(LoadScopeScheduling):
    """Gives each process whole files, and one of them all that drives a browser."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.split("::", 1)[0]
        return "tests/e2e" if file.startswith("tests/e2e/") else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadScopeScheduling:
    return TogetherByFile(config, log)


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Give the path of a named clip, writing it when first asked for; treat it as read-only."""
    folder = tmp_path_factory.mktemp("clips")
    flawed: dict[str, Callable[[Path], Path]] = {
        "sound.m4a": made.only_sound,
        "sound.mp4": made.only_sound,
        "no-frames.mp4": made.no_frames,
        "huge.y4m": made.huge_yuv,
        "huge.gif": made.huge_gif,
        "cut.mp4": lambda path: made.cut(get("plain.mp4"), path, 0.7),
        "cut-short.mp4": lambda path: made.cut(get("plain.mp4"), path, 0.35),
        "cut-no-index.mp4": lambda path: made.cut(get("late-index.mp4"), path, 0.7),
        "scratched.mp4": lambda path: made.scratched(get("silent.mp4"), path),
        "huge-claim.mp4": lambda path: made.claim_size(get("silent.mp4"), path, 65000, 65000),
    }

    def get(name: str) -> Path:
        path = folder / name
        if not path.exists():
            if name in RECIPES:
                write(path, RECIPES[name])
            else:
                flawed[name](path)
        return path

    return get


@pytest.fixture(scope="session")
def plain_video(clip: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Video:
    """The moving square, 30 frames of 64 x 96 at 10 fps with a tone, opened."""
    return open_video(clip("plain.mp4"), workdir=tmp_path_factory.mktemp("opened"))

"""A world's scene as a video that was opened like any other."""

from __future__ import annotations

from pathlib import Path

from sparrow.ingest import open_video
from sparrow.video import Video
from sparrow.world.clip import CLIP, write_clip
from sparrow.world.scene import Scene


def video_of(scene: Scene, folder: Path) -> Video:
    """Write the scene's clip into a folder and open it."""
    write_clip(scene, folder, dialogues=0)
    return open_video(folder / CLIP, workdir=folder / "opened")

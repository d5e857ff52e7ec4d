"""What a video may cost, and the errors that name the limit which a file exceeds. Opens no file."""

from __future__ import annotations

from dataclasses import dataclass

from sparrow.errors import VideoError


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on an uploaded video; a file beyond one of them is refused, never cut in silence."""

    max_bytes: int = 2**30
    """Size of the file."""
    max_seconds: float = 600.0
    """From the first frame to the end of the last."""
    max_pixels: int = 4096 * 2304
    """Width times height of a decoded frame."""
    max_frames: int = 36_000
    """Frames before and after the frame rate was made constant."""
    max_fps: float = 120.0
    """Frames per second that are kept; of a faster video every second or third frame stays."""
    max_side: int | None = None
    """Longer side of the normalised frame, larger ones are scaled down to it. None: never scale."""
    max_work_seconds: float = 1800.0
    """Wall clock that opening one video may take."""
    min_decoded: float = 0.5
    """Share of the frames that must be readable; below it a damaged file is refused."""

    def __post_init__(self) -> None:
        for name in ("max_bytes", "max_seconds", "max_pixels", "max_frames", "max_fps"):
            if getattr(self, name) <= 0:
                raise ValueError(
                    f"limits {name}: expected a positive number, got {getattr(self, name)}"
                )
        if self.max_side is not None and self.max_side < 16:
            raise ValueError(f"limits max_side: expected at least 16, got {self.max_side}")
        if self.max_work_seconds <= 0 or not 0 <= self.min_decoded <= 1:
            raise ValueError("limits: expected max_work_seconds > 0 and min_decoded in [0, 1]")

    def check_bytes(self, name: str, size: int) -> None:
        if size > self.max_bytes:
            raise VideoError(
                f"{name}: expected at most {_megabytes(self.max_bytes)} (limit max_bytes), "
                f"got {_megabytes(size)}; cut or compress it"
            )

    def check_pixels(self, name: str, width: int, height: int) -> None:
        if width * height > self.max_pixels:
            raise VideoError(
                f"{name}: expected at most {self.max_pixels / 1e6:.3g} megapixels a frame "
                f"(limit max_pixels), got {width}x{height}; scale it down"
            )

    def check_seconds(self, name: str, seconds: float) -> None:
        if seconds > self.max_seconds:
            raise VideoError(
                f"{name}: expected at most {self.max_seconds:g} s (limit max_seconds), "
                f"got {seconds:.1f} s; cut it to the part that matters"
            )

    def check_frames(self, name: str, frames: int) -> None:
        if frames > self.max_frames:
            raise VideoError(
                f"{name}: expected at most {self.max_frames} frames (limit max_frames), "
                f"got {frames} or more; cut it to the part that matters"
            )


def _megabytes(size: int) -> str:
    return f"{size / 2**20:.4g} MiB"

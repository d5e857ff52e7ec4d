"""A released SPARROW -> one folder that loads in one go: config.json, safetensors, tokenizer, model card.

Weights pass through one after the other; the model itself is never in memory.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from sparrow.errors import ModelError

if TYPE_CHECKING:
    from sparrow.model.release.load import Release

DTYPES = ("float16", "bfloat16", "float32")


def convert(
    main: str | Path,
    *,
    proposer: str | Path,
    video_tower: str | Path | None = None,
    image_tower: str | Path | None = None,
    dtype: str | None = None,
    out: Path,
) -> Path:
    """Write a released model as one folder of ours; half of one never bears its name.

    Args:
        main: folder or hub id of the release's main store.
        proposer: folder or hub id of its detector.
        video_tower: InternVideo2's file; None takes the main store's, or else the published one.
        image_tower: CLIP's folder, likewise.
        dtype: one of DTYPES, for the VideoLLM; None: as stored. The other parts stay in float32.
        out: must not exist, or be empty.

    Returns:
        The folder.

    Raises:
        ModelError: the release does not fit together, or there is no room for it.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ModelError(f"{out}: expected a new or empty folder, it holds something")
    from sparrow.model import checkpoint
    from sparrow.model.release.load import (
        named_dtype,
        open_release,
    )  # seconds: after what can fail at once

    release = open_release(
        main, proposer=proposer, video_tower=video_tower, image_tower=image_tower
    )
    kind = None if dtype is None else named_dtype(dtype)
    part = out.with_name(out.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    _check_room(part, release.stored_bytes(kind))
    try:
        checkpoint.write_weights(part, release.weights(kind))
        checkpoint.write_config(part, release.config)
        release.tokenizer.save_pretrained(part)
        (part / "README.md").write_text(_card(release, dtype), encoding="utf-8")
        if out.exists():
            out.rmdir()
        part.replace(out)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return out


def _check_room(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed:
        folder.rmdir()
        raise ModelError(
            f"{folder.parent}: needs {needed / 1e9:.1f} GB, {free / 1e9:.1f} GB are free there"
        )


def _card(release: Release, dtype: str | None) -> str:
    sources = "\n".join(f"- {name}: {place}" for name, place in release.sources().items())
    kind = dtype or str(release.dtype).removeprefix("torch.")
    return f"""---
library_name: sparrow
pipeline_tag: video-text-to-text
---

# SPARROW, converted

The released SPARROW model (Phi-3 with InternVideo2 and CLIP towers, a Deformable DETR over SAM 2 features, and
SAM 2), written by `sparrow convert` as one folder. No weight was trained or changed: they were renamed, the
VideoLLM's are stored as {kind}, all others as float32, and what no answer needs was left out.

```python
from sparrow import Sparrow

sparrow = Sparrow.from_pretrained("path/to/this/folder")
```

It looks at {release.llm.frames} frames of a video.

## Where the weights come from

{sources}

Each source has terms of its own, which hold for this folder too: see the sources' pages.
"""

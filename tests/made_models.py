"""Models for tests: sparrow-mini's sizes, weights never trained."""

from __future__ import annotations

from pathlib import Path


def save_random_model(folder: Path) -> Path:
    """Save a model of random weights, the same each time, and give its folder."""
    import torch  # seconds: only for tests that run the model

    from sparrow.model.sparrow import SparrowModel
    from sparrow.train.sizes import mini_config, mini_tokenizer

    torch.manual_seed(0)
    SparrowModel(mini_config(), mini_tokenizer()).save_pretrained(folder)
    return folder

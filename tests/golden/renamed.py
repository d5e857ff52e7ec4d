"""Official weights under our names."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from sparrow.model.release.names import StoreName, name_store


def renamed(
    weights: Mapping[str, Tensor], part: str, *, store: StoreName = "main"
) -> dict[str, Tensor]:
    """Give the weights of a part of a SparrowModel, named as that part names them.

    Args:
        weights: of one store, by official names.
        part: where it stands in a SparrowModel, with the dot at its end; "" for all.
        store: which one.
    """
    naming = name_store(store, weights)
    assert not naming.unknown
    return {
        ours.removeprefix(part): weights[theirs]
        for theirs, ours in naming.used.items()
        if ours.startswith(part)
    }

"""Target-specific features: of the many views of a tracked thing, the few that stand for it.

K-means over the views' feature vectors, then the view nearest to each centre. Knows no images.
"""

from __future__ import annotations

import torch
from torch import Tensor

REPRESENTATIVES = 4
_ITERATIONS = 8
_SETTLED = 1e-4


def representatives(
    views: Tensor, count: int = REPRESENTATIVES, iterations: int = _ITERATIONS
) -> Tensor:
    """Choose the views that represent a thing.

    Args:
        views: (N, D), in the order of time.
        count: how many to choose, at least 1.
        iterations: of K-means at most; at least one is made.

    Returns:
        (min(N, count), D) rows of `views`, in the order of their centres, which start evenly spread in
        time; two centres may choose the same view. All views in their order where N <= count.
    """
    count = max(1, count)
    if len(views) <= count:
        return views
    points = views.float()
    start = torch.linspace(0, len(points) - 1, count, device=points.device).round().long()
    centres = points[start]  # (K, D)
    for _ in range(max(1, iterations)):
        nearest = torch.cdist(points, centres).argmin(1)
        moved = centres.clone()
        for own in nearest.unique():
            moved[own] = points[nearest == own].mean(0)
        settled = torch.allclose(moved, centres, atol=_SETTLED)
        centres = moved
        if settled:
            break
    return views[torch.cdist(centres, points).argmin(1)]

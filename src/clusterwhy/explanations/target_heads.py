"""The scalar that is explained, as a small network head on the embedding."""

from typing import Literal

import numpy as np
import torch
from torch import nn

from clusterwhy.propagation.head_layers import (
    MeanOfSmallest,
    RootedLinear,
    SoftExtremum,
    SquaredDistances,
    Sum,
)
from clusterwhy.types import FloatArray, IntArray

RootName = Literal["zero", "midpoint"]


class ClusterMembership(nn.Module):
    """How much nearer an embedding is to the prototypes of one cluster than to all others.

    f_c(z) = min over k not in c of |z - p_k|^2 - min over i in c of |z - p_i|^2, written as a linear
    layer and pooling: |z - p_k|^2 - |z - p_i|^2 = 2 (p_i - p_k) z + |p_k|^2 - |p_i|^2 (Kauffmann et
    al., "From clustering to cluster explanations via neural networks", 2019, eq. 5). Positive where
    the nearest prototype belongs to the cluster.

    Args:
        own: (prototype, feature) of the cluster.
        others: (prototype, feature) of everything else, or of the cluster it is contrasted with.
        root: where contributions of features count from: `zero`, or the `midpoint` of two prototypes,
            which lies on their boundary, so that the bias absorbs nothing.
        sharpness: of smooth minima and maxima; None for hard ones.
    """

    def __init__(
        self, own: FloatArray, others: FloatArray, root: RootName = "zero", sharpness: float | None = None
    ) -> None:
        super().__init__()
        mine, theirs = torch.as_tensor(np.asarray(own)), torch.as_tensor(np.asarray(others))
        self.n_own, self.n_others = len(mine), len(theirs)
        weight = (2.0 * (mine[:, None] - theirs[None])).flatten(0, 1).float()
        bias = ((theirs**2).sum(1)[None] - (mine**2).sum(1)[:, None]).flatten().float()
        middle = ((mine[:, None] + theirs[None]) / 2.0).flatten(0, 1).float()
        self.linear = RootedLinear(weight, bias, torch.zeros_like(middle) if root == "zero" else middle)
        self.smallest = None if sharpness is None else SoftExtremum(2, sharpness, -1)
        self.greatest = None if sharpness is None else SoftExtremum(1, sharpness, 1)

    def forward(self, embedding: torch.Tensor) -> torch.Tensor:
        """(window, feature) -> (window,)."""
        logits = self.linear(embedding).unflatten(1, (self.n_own, self.n_others))
        if self.smallest is not None and self.greatest is not None:
            soft: torch.Tensor = self.greatest(self.smallest(logits))
            return soft
        return logits.amin(dim=2).amax(dim=1)


class Distance(nn.Module):
    """Mean squared distance to the k nearest of some points: how anomalous an embedding is relative to them.

    Args:
        points: (point, feature) embeddings of normal windows, or prototypes of them.
        k: neighbours that count.
    """

    def __init__(self, points: FloatArray, k: int = 1) -> None:
        super().__init__()
        self.distances = SquaredDistances(torch.as_tensor(np.asarray(points)).float())
        self.nearest = MeanOfSmallest(min(k, len(points)))

    def forward(self, embedding: torch.Tensor) -> torch.Tensor:
        """(window, feature) -> (window,)."""
        score: torch.Tensor = self.nearest(self.distances(embedding))
        return score


class EmbeddingSum(nn.Module):
    """The sum of the embedding: shows what the encoder responds to, not what makes a cluster."""

    def __init__(self) -> None:
        super().__init__()
        # a module, so that relevance is shared by contribution and not copied to every feature
        self.sum = Sum(dim=1)

    def forward(self, embedding: torch.Tensor) -> torch.Tensor:
        """(window, feature) -> (window,)."""
        total: torch.Tensor = self.sum(embedding)
        return total


def prototypes(embeddings: FloatArray, count: int, seed: int) -> FloatArray:
    """Up to `count` k-means centres of one cluster's embeddings (window, feature)."""
    from sklearn.cluster import KMeans

    count = min(count, len(np.unique(embeddings, axis=0)))
    fitted = KMeans(count, n_init=4, random_state=seed).fit(np.asarray(embeddings, dtype=np.float64))
    return np.asarray(fitted.cluster_centers_)


def agreement(embeddings: FloatArray, labels: IntArray, centres: dict[int, FloatArray]) -> float:
    """Share of clustered windows whose nearest prototype belongs to their own cluster."""
    from sklearn.metrics import pairwise_distances_argmin

    owner = np.concatenate([np.full(len(points), cluster) for cluster, points in centres.items()])
    kept = labels >= 0
    nearest = pairwise_distances_argmin(
        np.asarray(embeddings[kept], dtype=np.float64), np.concatenate(list(centres.values()))
    )
    return float((owner[nearest] == labels[kept]).mean())

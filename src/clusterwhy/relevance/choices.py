"""Choices of the explain stage: what is explained, in which canonical form, on which windows."""

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field

from clusterwhy.clustering import NOISE, central_order
from clusterwhy.config import Settings
from clusterwhy.types import FloatArray, IntArray

if TYPE_CHECKING:
    from torch import nn

    from clusterwhy.encoders.masked import MaskedEncoder


class TargetSettings(Settings, ABC):
    """A choice of `conf/target`."""

    @abstractmethod
    def networks(
        self, encoder: "MaskedEncoder", embeddings: FloatArray, labels: IntArray, seed: int
    ) -> "tuple[dict[int, nn.Module], dict[str, float]]":
        """For each cluster that can be explained a network (window, channel, time) -> (window,), and facts."""


class MembershipTarget(TargetSettings):
    """Evidence for a cluster against all others, from k-means prototypes of each cluster."""

    n_prototypes: int = Field(ge=1)

    def networks(
        self, encoder: "MaskedEncoder", embeddings: FloatArray, labels: IntArray, seed: int
    ) -> "tuple[dict[int, nn.Module], dict[str, float]]":
        from torch import nn

        from clusterwhy.relevance.targets import ClusterMembership, agreement, prototypes

        clusters = sorted(set(labels[labels != NOISE].tolist()))
        centres = {c: prototypes(embeddings[labels == c], self.n_prototypes, seed) for c in clusters}
        if not clusters:
            return {}, {}
        facts = {"prototype_agreement": agreement(embeddings, labels, centres)}
        rest = dict(centres)
        if len(clusters) == 1 and (labels == NOISE).any():
            rest[NOISE] = prototypes(embeddings[labels == NOISE], self.n_prototypes, seed)
        if len(rest) < 2:
            return {}, facts
        heads = {
            c: ClusterMembership(centres[c], np.concatenate([points for k, points in rest.items() if k != c]))
            for c in clusters
        }
        return {c: nn.Sequential(encoder, head).eval() for c, head in heads.items()}, facts


class EmbeddingSumTarget(TargetSettings):
    """The sum of the embedding, the same for every cluster."""

    def networks(
        self, encoder: "MaskedEncoder", embeddings: FloatArray, labels: IntArray, seed: int
    ) -> "tuple[dict[int, nn.Module], dict[str, float]]":
        from torch import nn

        from clusterwhy.relevance.targets import EmbeddingSum

        network = nn.Sequential(encoder, EmbeddingSum()).eval()
        return {c: network for c in sorted(set(labels[labels != NOISE].tolist()))}, {}


class ReconstructionTarget(TargetSettings):
    """The sum of all predicted values: what the notebook explains, never a cluster."""

    def networks(
        self, encoder: "MaskedEncoder", embeddings: FloatArray, labels: IntArray, seed: int
    ) -> "tuple[dict[int, nn.Module], dict[str, float]]":
        from torch import nn

        from clusterwhy.relevance.targets import EmbeddingSum

        network = nn.Sequential(encoder.backbone, encoder.predictor, nn.Flatten(), EmbeddingSum()).eval()
        return {c: network for c in sorted(set(labels[labels != NOISE].tolist()))}, {}


class CanonizerSettings(Settings):
    """A choice of `conf/canonizer`: `auto` is ours, the others are the notebook's."""

    name: Literal["auto", "zennit_sequential", "none"]


class MemberSelection(Settings):
    """Which members of a cluster are explained.

    `central`: nearest to all other members, the medoid first; `strongest`: highest membership
    strength, then central; `random`: a seeded draw.
    """

    rule: Literal["central", "strongest", "random"]
    count: int = Field(ge=2)

    def choose(
        self, cluster: int, embeddings: FloatArray, labels: IntArray, strengths: FloatArray, seed: int
    ) -> IntArray:
        """Positions of the chosen windows, at most `count`."""
        members = np.flatnonzero(labels == cluster)
        if self.rule == "random":
            order: IntArray = np.random.default_rng([seed, cluster]).permutation(len(members))
        else:
            order = central_order(embeddings[members])
            if self.rule == "strongest":
                order = order[np.argsort(-strengths[members][order], kind="stable")]
        return members[order[: self.count]]

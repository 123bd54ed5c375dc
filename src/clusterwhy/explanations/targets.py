"""The scalar that is explained for each cluster: choices of `conf/target`."""

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field

from clusterwhy.clustering.base import NOISE
from clusterwhy.config import Settings
from clusterwhy.errors import ConfigError
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
        """Networks (window, channel, time) -> (window,) of clusters that can be explained, and figures about them."""


class MembershipTarget(TargetSettings):
    """Membership of a cluster, from k-means prototypes of each cluster.

    `against`: `all` other clusters, or the `nearest` one alone (a contrast of two clusters). `root` and
    `sharpness` as in `ClusterMembership`.
    """

    n_prototypes: int = Field(ge=1)
    against: Literal["all", "nearest"]
    root: Literal["zero", "midpoint"]
    sharpness: float | None = Field(gt=0.0)

    def networks(
        self, encoder: "MaskedEncoder", embeddings: FloatArray, labels: IntArray, seed: int
    ) -> "tuple[dict[int, nn.Module], dict[str, float]]":
        from torch import nn

        from clusterwhy.explanations.target_heads import ClusterMembership, agreement

        centres, rest = _prototypes(embeddings, labels, self.n_prototypes, seed)
        if not centres:
            return {}, {}
        facts = {"prototype_agreement": agreement(embeddings, labels, centres)}
        if len(rest) < 2:
            return {}, facts
        networks: dict[int, nn.Module] = {}
        for cluster, own in centres.items():
            others = {k: points for k, points in rest.items() if k != cluster}
            if self.against == "nearest":
                gaps = {k: np.square(own[:, None] - points[None]).sum(axis=2).min() for k, points in others.items()}
                others = {k: others[k] for k in [min(gaps, key=lambda k: gaps[k])]}
            head = ClusterMembership(own, np.concatenate(list(others.values())), self.root, self.sharpness)
            networks[cluster] = nn.Sequential(encoder, head).eval()
        return networks, facts


# rankings are compared by the same target, whatever is explained: is the window still in its cluster?
FAITHFULNESS_TARGET = MembershipTarget(n_prototypes=4, against="all", root="zero", sharpness=None)


class DistanceTarget(TargetSettings):
    """How far a cluster's windows lie from the k nearest prototypes of everything else."""

    n_prototypes: int = Field(ge=1)
    k: int = Field(ge=1)

    def networks(
        self, encoder: "MaskedEncoder", embeddings: FloatArray, labels: IntArray, seed: int
    ) -> "tuple[dict[int, nn.Module], dict[str, float]]":
        from torch import nn

        from clusterwhy.explanations.target_heads import Distance

        centres, rest = _prototypes(embeddings, labels, self.n_prototypes, seed)
        if len(rest) < 2:
            return {}, {}
        others = {c: np.concatenate([points for k, points in rest.items() if k != c]) for c in centres}
        return {c: nn.Sequential(encoder, Distance(points, self.k)).eval() for c, points in others.items()}, {}


def _prototypes(
    embeddings: FloatArray, labels: IntArray, count: int, seed: int
) -> tuple[dict[int, FloatArray], dict[int, FloatArray]]:
    """Prototypes of each cluster, and those to compare with: the same, and of noise if there is one cluster only."""
    from clusterwhy.explanations.target_heads import prototypes

    centres = {
        c: prototypes(embeddings[labels == c], count, seed) for c in sorted(set(labels[labels != NOISE].tolist()))
    }
    rest = dict(centres)
    if len(centres) == 1 and (labels == NOISE).any():
        rest[NOISE] = prototypes(embeddings[labels == NOISE], count, seed)
    return centres, rest


class EmbeddingSumTarget(TargetSettings):
    """The sum of the embedding, the same for every cluster."""

    def networks(
        self, encoder: "MaskedEncoder", embeddings: FloatArray, labels: IntArray, seed: int
    ) -> "tuple[dict[int, nn.Module], dict[str, float]]":
        from torch import nn

        from clusterwhy.explanations.target_heads import EmbeddingSum

        network = nn.Sequential(encoder, EmbeddingSum()).eval()
        return {c: network for c in sorted(set(labels[labels != NOISE].tolist()))}, {}


class EmbeddingUnitTarget(TargetSettings):
    """One feature of the embedding, the same for every cluster."""

    unit: int = Field(ge=0)

    def networks(
        self, encoder: "MaskedEncoder", embeddings: FloatArray, labels: IntArray, seed: int
    ) -> "tuple[dict[int, nn.Module], dict[str, float]]":
        from torch import nn

        from clusterwhy.propagation.targets import Unit

        if self.unit >= embeddings.shape[1]:
            fault = f"unit: {self.unit}, but embeddings have {embeddings.shape[1]} features, counted from 0"
            raise ConfigError("target", [fault])
        network = nn.Sequential(encoder, Unit(self.unit)).eval()
        return {c: network for c in sorted(set(labels[labels != NOISE].tolist()))}, {}


class ReconstructionTarget(TargetSettings):
    """The sum of all predicted values, as in the DeepVATS LRP notebook; it does not depend on clusters."""

    def networks(
        self, encoder: "MaskedEncoder", embeddings: FloatArray, labels: IntArray, seed: int
    ) -> "tuple[dict[int, nn.Module], dict[str, float]]":
        from torch import nn

        from clusterwhy.encoders.masked import MaskedEncoder
        from clusterwhy.explanations.target_heads import EmbeddingSum

        if not isinstance(encoder, MaskedEncoder):
            fault = (
                f"reconstruction needs an encoder of clusterwhy's, got {type(encoder).__name__}: choose another target"
            )
            raise ConfigError("target", [fault])
        network = nn.Sequential(encoder.backbone, encoder.predictor, nn.Flatten(), EmbeddingSum()).eval()
        return {c: network for c in sorted(set(labels[labels != NOISE].tolist()))}, {}

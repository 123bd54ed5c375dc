"""What concepts say about groups of windows: rankings, differences between groups, and windows that show a concept."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pandas as pd
import torch
from torch import nn

from clusterwhy.concepts.conditions import sum_over_time
from clusterwhy.concepts.propagation import ConceptExplainer, Target, concept_explainer
from clusterwhy.errors import ShapeError
from clusterwhy.metrics.bootstrap import bootstrap_means, percentile_limits
from clusterwhy.propagation.composites import CompositeSettings
from clusterwhy.propagation.inputs import as_windows, own_modes
from clusterwhy.propagation.layer_graph import Layer, TracedLayer, layer_named
from clusterwhy.types import BoolArray, FloatArray, IntArray

By = Literal["relevance", "activation"]


@dataclass(frozen=True)
class ConceptScores:
    """How much each concept of one layer matters in each window, and where.

    Attributes:
        layer: which one.
        relevance: (window, concept) summed over time, with sign, in units of the target.
        activation: (window, concept) greatest over time.
        relevance_position: (window, concept) where the relevance is greatest.
        activation_position: (window, concept) where the activation is greatest.
        starts: (concept, position) first input sample that a position sees.
        stops: (concept, position) the sample after the last one.
    """

    layer: Layer
    relevance: FloatArray
    activation: FloatArray
    relevance_position: IntArray
    activation_position: IntArray
    starts: IntArray
    stops: IntArray

    @property
    def shares(self) -> FloatArray:
        """(window, concept) relevance over the sum of |relevance| of all concepts of the window."""
        size = np.abs(self.relevance).sum(axis=1, keepdims=True)
        return np.asarray(self.relevance / np.where(size > 0, size, 1.0))

    def by(self, what: By) -> tuple[FloatArray, IntArray]:
        """(window, concept) what concepts are ranked by, and its positions."""
        if what == "relevance":
            return self.shares, self.relevance_position
        return self.activation, self.activation_position


@dataclass(frozen=True)
class ReferenceWindow:
    """A window that shows what a concept stands for.

    Attributes:
        window: its position among the windows of the scores.
        value: share of relevance, or activation.
        position: where in the layer's time it is greatest.
        start: first input sample that this position sees.
        stop: the sample after the last one.
    """

    window: int
    value: float
    position: int
    start: int
    stop: int


@own_modes()
def concept_scores(
    network: nn.Module,
    windows: FloatArray | torch.Tensor,
    target: Target,
    layers: Sequence[str],
    composite: str | CompositeSettings = "epsilon_plus",
) -> dict[str, ConceptScores]:
    """Scores of all concepts of some layers, from one relevance pass; arguments and errors as `concept_relevance`."""
    explainer, unit = concept_explainer(network, windows, target, composite)
    return score_concepts(explainer, windows, layers, unit)


@own_modes()
def score_concepts(
    explainer: ConceptExplainer,
    windows: FloatArray | torch.Tensor,
    layers: Sequence[str],
    unit: int | IntArray | None = None,
) -> dict[str, ConceptScores]:
    """The same with an explainer that is there: for many groups of windows."""
    chosen = [layer_named(explainer.layers, name) for name in layers]
    explainer.engine.kept |= {traced.step + 1 for traced in chosen}
    parts: dict[str, list[ConceptScores]] = {traced.layer.name: [] for traced in chosen}
    for _, tape, seed in explainer.batches(as_windows(windows, explainer.dtype), unit):
        arriving = explainer.relevance_at(tape, seed, chosen)
        for traced in chosen:
            relevance, value = arriving[traced.layer.name], tape.values[traced.step + 1]
            at, greatest = (_flat(x, traced).max(dim=2) for x in (relevance, value))
            made = ConceptScores(
                layer=traced.layer,
                relevance=sum_over_time(relevance, traced.axis).numpy(force=True),
                activation=greatest.values.numpy(force=True),
                relevance_position=at.indices.numpy(force=True),
                activation_position=greatest.indices.numpy(force=True),
                starts=traced.starts,
                stops=traced.stops,
            )
            parts[traced.layer.name].append(made)
    return {name: join(found) for name, found in parts.items()}


def join(scores: Sequence[ConceptScores]) -> ConceptScores:
    """Scores of the same layer for different windows, such as of each cluster for its own membership, as one."""
    return replace(
        scores[0],
        relevance=np.concatenate([one.relevance for one in scores]),
        activation=np.concatenate([one.activation for one in scores]),
        relevance_position=np.concatenate([one.relevance_position for one in scores]),
        activation_position=np.concatenate([one.activation_position for one in scores]),
    )


def _flat(values: torch.Tensor, traced: TracedLayer) -> torch.Tensor:
    return values.movedim(traced.axis, 1).reshape(len(values), values.shape[traced.axis], -1)


def concept_table(
    scores: Sequence[ConceptScores], groups: Sequence[object] | IntArray, seed: int, confidence: float = 0.95
) -> pd.DataFrame:
    """How concepts rank in each group of windows.

    Args:
        scores: of one or several layers.
        groups: (window,) class or cluster of each window.
        seed: of the bootstrap.
        confidence: of the intervals.

    Returns:
        One row per group, layer and concept: `relevance` is the mean share (`ConceptScores.shares`) and
        `activation` the mean of the greatest activation, both with limits of the bootstrap over windows, and their
        ranks within group and layer, 1 for the greatest.
    """
    names = np.asarray(groups)
    tables = []
    for group in pd.unique(names):
        chosen = names == group
        for one in scores:
            _check(one, chosen)
            columns: dict[str, object] = {"group": group, "layer": one.layer.name}
            columns |= {"concept": np.arange(one.layer.n_concepts), "n_windows": int(chosen.sum())}
            for what in ("relevance", "activation"):
                values = (one.shares if what == "relevance" else one.activation)[chosen]
                low, high = percentile_limits(bootstrap_means(values, seed), confidence)
                mean = values.mean(axis=0)
                columns |= {what: mean, f"{what}_low": low, f"{what}_high": high}
                columns[f"{what}_rank"] = (-mean).argsort(kind="stable").argsort() + 1
            tables.append(pd.DataFrame(columns))
    return pd.concat(tables, ignore_index=True)


def concept_difference(
    scores: Sequence[ConceptScores], first: BoolArray, second: BoolArray, seed: int, confidence: float = 0.95
) -> pd.DataFrame:
    """Which concepts matter more in one group of windows than in another, such as good and bad.

    Args:
        scores: of one or several layers.
        first: (window,) True in the first group.
        second: (window,) True in the second group.

    Returns:
        One row per layer and concept, greatest |difference| first: mean shares of relevance in both groups, their
        difference (first - second) with limits of the bootstrap over windows of each group, and `apart` where the
        limits exclude 0. Limits hold for one concept at a time: of many, 1 - confidence are apart by chance.
    """
    tables = []
    for one in scores:
        means: list[FloatArray] = []
        draws: list[FloatArray] = []
        for chosen in (first, second):
            _check(one, np.asarray(chosen))
            means.append(one.shares[chosen].mean(axis=0))
            draws.append(bootstrap_means(one.shares[chosen], seed + len(draws)))
        low, high = percentile_limits(draws[0] - draws[1], confidence)
        columns = {
            "layer": one.layer.name,
            "concept": np.arange(one.layer.n_concepts),
            "first": means[0],
            "second": means[1],
            "difference": means[0] - means[1],
            "low": low,
            "high": high,
            "apart": (low > 0) | (high < 0),
        }
        tables.append(pd.DataFrame(columns))
    table = pd.concat(tables, ignore_index=True)
    return table.sort_values("difference", key=lambda d: -d.abs(), kind="stable", ignore_index=True)


def reference_windows(
    scores: ConceptScores, concept: int, n: int = 8, by: By = "relevance", among: BoolArray | None = None
) -> tuple[ReferenceWindow, ...]:
    """The windows that show a concept best.

    By relevance (RelMax of Achtibat et al. 2023) they show what the target uses it for; by activation (ActMax)
    what excites it, used or not.

    Args:
        scores: of the concept's layer.
        concept: which one.
        n: windows at most.
        by: `relevance` (its share in the window) or `activation`.
        among: (window,) True where a window may be chosen, such as those of one class.
    """
    values, positions = scores.by(by)
    candidates = np.arange(len(values)) if among is None else np.flatnonzero(among)
    order = candidates[np.argsort(-values[candidates, concept], kind="stable")][:n]
    return tuple(
        ReferenceWindow(
            int(window),
            float(values[window, concept]),
            (at := int(positions[window, concept])),
            int(scores.starts[concept, at]),
            int(scores.stops[concept, at]),
        )
        for window in order
    )


def _check(scores: ConceptScores, chosen: BoolArray) -> None:
    if chosen.shape != (len(scores.relevance),) or not chosen.any():
        raise ShapeError(
            f"expected groups (window,) of one or more of the {len(scores.relevance)} windows, got {chosen.shape} "
            f"with {int(chosen.sum())} windows"
        )

"""Conditions on concepts: which channels of which layers relevance has to pass through, per window."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from clusterwhy.errors import ConceptError, ShapeError
from clusterwhy.propagation.layer_graph import TracedLayer, feeds, layer_named
from clusterwhy.propagation.steps import Canonical
from clusterwhy.propagation.targets import as_scalars
from clusterwhy.types import IntArray

# layer -> the concepts that are kept there
Condition = Mapping[str, int | Sequence[int]]


@dataclass(frozen=True)
class LayerCondition:
    """A condition on one layer.

    Attributes:
        traced: the layer.
        kept: (window, concept) True for concepts that are kept.
        chosen: (window,) True for windows with a condition on this layer.
    """

    traced: TracedLayer
    kept: torch.Tensor
    chosen: torch.Tensor


def conditions_by_step(
    conditions: Condition | Sequence[Condition], layers: dict[str, TracedLayer], count: int
) -> dict[int, LayerCondition]:
    """The conditions of `count` windows by the step they are put on.

    Raises:
        ConceptError: no such layer or concept.
        ShapeError: neither one condition for all windows nor one per window.
    """
    each = [conditions] * count if isinstance(conditions, Mapping) else list(conditions)
    if len(each) != count:
        raise ShapeError(f"expected one condition for all windows or {count}, one per window, got {len(each)}")
    made = {}
    for name in dict.fromkeys(name for condition in each for name in condition):
        traced = layer_named(layers, name)
        everything = torch.ones(traced.layer.n_concepts, dtype=torch.bool)
        masks = [concept_mask(traced, condition[name]) if name in condition else everything for condition in each]
        chosen = torch.tensor([name in condition for condition in each])
        made[traced.step] = LayerCondition(traced, torch.stack(masks), chosen)
    return made


def check_chains(
    conditions: Condition | Sequence[Condition], layers: dict[str, TracedLayer], canonical: Canonical
) -> None:
    """Refuse windows whose layers no single path leads through.

    Raises:
        ConceptError: two conditioned layers of a window lie beside each other.
    """
    each = [conditions] if isinstance(conditions, Mapping) else conditions
    for names in {tuple(condition) for condition in each}:
        chain = sorted((layer_named(layers, name) for name in names), key=lambda traced: traced.step)
        for lower, upper in itertools.pairwise(chain):
            if not feeds(canonical, lower.step, upper.step):
                raise ConceptError(
                    f"no path leads through both {lower.layer.name!r} and {upper.layer.name!r}: ask for one at a time "
                    "and add them, or give exclude_parallel=False"
                )


def concept_mask(traced: TracedLayer, concepts: int | Sequence[int]) -> torch.Tensor:
    """(concept,) True for the chosen concepts of a layer."""
    chosen, count = np.atleast_1d(np.asarray(concepts, dtype=int)), traced.layer.n_concepts
    if (chosen < 0).any() or (chosen >= count).any():
        raise ConceptError(f"{traced.layer.name!r} has concepts 0 to {count - 1}, got {chosen.tolist()}")
    mask = torch.zeros(count, dtype=torch.bool)
    mask[torch.from_numpy(chosen)] = True
    return mask


def keep_concepts(relevance: torch.Tensor, kept: torch.Tensor, axis: int) -> torch.Tensor:
    """Relevance (window, ...) with concepts along an axis, 0 where (window, concept) is not kept."""
    shape = [len(kept), *[1] * (relevance.ndim - 1)]
    shape[axis] = kept.shape[1]
    return relevance * kept.to(relevance).reshape(shape)


def sum_over_time(values: torch.Tensor, axis: int) -> torch.Tensor:
    """(window, concept) sums over all axes but those of windows and concepts."""
    return values.movedim(axis, 1).reshape(len(values), values.shape[axis], -1).sum(2)


def initial_relevance(output: torch.Tensor, units: IntArray | None, n_windows: int) -> torch.Tensor:
    """Relevance to start from: the output (window,), or one unit per window of (window, unit)."""
    if units is None:
        return as_scalars(output, n_windows)
    if output.ndim != 2 or units.dtype.kind not in "iu" or units.min() < 0 or units.max() >= output.shape[1]:
        raise ShapeError(f"expected units 0 to n - 1 of an output (window, n), got {units} of {tuple(output.shape)}")
    chosen = torch.from_numpy(units.astype(np.int64)).to(output.device)[:, None]
    return torch.zeros_like(output).scatter_(1, chosen, output.gather(1, chosen))

"""Conditions on concepts: which channels of which layers relevance has to pass through, per window."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from clusterwhy.errors import ConceptError, ShapeError
from clusterwhy.propagation.layer_graph import Place, feeds, find
from clusterwhy.propagation.steps import Canonical
from clusterwhy.types import FloatArray, IntArray

# layer -> the concepts that are kept there
Condition = Mapping[str, int | Sequence[int]]


@dataclass(frozen=True)
class Conditioned:
    """A layer, which of its concepts (window, concept) are kept, and the (window,) that have the condition."""

    place: Place
    kept: torch.Tensor
    chosen: torch.Tensor


def conditions_at(
    conditions: Condition | Sequence[Condition], places: dict[str, Place], count: int
) -> dict[int, Conditioned]:
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
        place = find(places, name)
        everything = torch.ones(place.layer.n_concepts, dtype=torch.bool)
        kept = torch.stack([concept_mask(place, one[name]) if name in one else everything for one in each])
        made[place.step] = Conditioned(place, kept, torch.tensor([name in one for one in each]))
    return made


def check_chains(conditions: Condition | Sequence[Condition], places: dict[str, Place], canonical: Canonical) -> None:
    """Refuse windows whose layers no single path leads through.

    Raises:
        ConceptError: two conditioned layers of a window lie beside each other.
    """
    each = [conditions] if isinstance(conditions, Mapping) else conditions
    for names in {tuple(condition) for condition in each}:
        chain = sorted((find(places, name) for name in names), key=lambda place: place.step)
        for lower, upper in itertools.pairwise(chain):
            if not feeds(canonical, lower.step, upper.step):
                raise ConceptError(
                    f"no path leads through both {lower.layer.name!r} and {upper.layer.name!r}: ask for one at a time "
                    "and add them, or give exclude_parallel=False"
                )


def concept_mask(place: Place, concepts: int | Sequence[int]) -> torch.Tensor:
    """(concept,) True for the chosen concepts of a layer."""
    chosen, count = np.atleast_1d(np.asarray(concepts, dtype=int)), place.layer.n_concepts
    if (chosen < 0).any() or (chosen >= count).any():
        raise ConceptError(f"{place.layer.name!r} has concepts 0 to {count - 1}, got {chosen.tolist()}")
    mask = torch.zeros(count, dtype=torch.bool)
    mask[torch.from_numpy(chosen)] = True
    return mask


def masked(relevance: torch.Tensor, kept: torch.Tensor, axis: int) -> torch.Tensor:
    """Relevance (window, ...) with concepts along an axis, 0 where (window, concept) is not kept."""
    shape = [len(kept), *[1] * (relevance.ndim - 1)]
    shape[axis] = kept.shape[1]
    return relevance * kept.to(relevance).reshape(shape)


def over_time(values: torch.Tensor, axis: int) -> torch.Tensor:
    """(window, concept) sums over all axes but those of windows and concepts."""
    return values.movedim(axis, 1).reshape(len(values), values.shape[axis], -1).sum(2)


def checked(windows: FloatArray | torch.Tensor) -> torch.Tensor:
    """Windows (window, channel, time) as a tensor."""
    found = torch.as_tensor(windows)
    if found.ndim != 3 or not len(found):
        raise ShapeError(f"expected windows (window >= 1, channel, time), got {tuple(found.shape)}")
    return found


def seed_of(output: torch.Tensor, units: IntArray | None) -> torch.Tensor:
    """Relevance to start from: the output (window,), or one unit per window of (window, unit)."""
    if units is None:
        if output.ndim != 1:
            raise ShapeError(f"expected a target (window,), got {tuple(output.shape)}: choose one scalar per window")
        return output
    if output.ndim != 2 or units.dtype.kind not in "iu" or units.min() < 0 or units.max() >= output.shape[1]:
        raise ShapeError(f"expected units 0 to n - 1 of an output (window, n), got {units} of {tuple(output.shape)}")
    chosen = torch.from_numpy(units.astype(np.int64)).to(output.device)[:, None]
    return torch.zeros_like(output).scatter_(1, chosen, output.gather(1, chosen))

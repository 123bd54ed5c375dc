"""Concept relevance: the part of an explanation that passes through chosen channels of chosen layers.

Achtibat et al. 2023, "From attribution maps to human-understandable explanations through Concept Relevance
Propagation": relevance that arrives at the output of a layer is recorded, then kept for the chosen channels
(concepts) and set to 0 for the others. Input channels stay apart, and the concepts of a layer add up to all that
passes through it, since relevance is linear in what arrives.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import nn

from clusterwhy.concepts.conditions import (
    Condition,
    check_chains,
    concept_mask,
    conditions_by_step,
    initial_relevance,
    keep_concepts,
    sum_over_time,
)
from clusterwhy.errors import CompositeError, ConceptError, ShapeError
from clusterwhy.propagation.canonical import canonize
from clusterwhy.propagation.composites import CompositeSettings, settings_of
from clusterwhy.propagation.engine import BATCH_SIZE, Engine, Tape
from clusterwhy.propagation.entrances import entrance_notes, rules_of_entrances
from clusterwhy.propagation.inputs import as_windows, device_of, dtype_of, own_modes, require_shape
from clusterwhy.propagation.layer_graph import TracedLayer, layer_named, traced_layers
from clusterwhy.propagation.targets import with_target
from clusterwhy.types import FloatArray, IntArray

Head = Callable[[torch.Tensor], torch.Tensor]
Target = int | IntArray | Head | None


@dataclass(frozen=True)
class ConceptRelevance:
    """Relevance of windows for a target, as far as it passes through chosen concepts.

    Attributes:
        values: (window, channel, time) with sign, in units of the target.
        target: (window,) the scalar that was explained.
        arrived: per conditioned layer, (window, concept) relevance that arrived there before others than the
            chosen concepts were set to 0; summed over time.
        provenance: every choice that was made, in words.
    """

    values: FloatArray
    target: FloatArray
    arrived: dict[str, FloatArray]
    provenance: dict[str, Any] = field(default_factory=dict)


@own_modes()
def concept_relevance(
    network: nn.Module,
    windows: FloatArray | torch.Tensor,
    target: Target,
    conditions: Condition | Sequence[Condition],
    composite: str | CompositeSettings = "epsilon_plus",
    exclude_parallel: bool = True,
) -> ConceptRelevance:
    """Relevance of windows that passes through chosen concepts.

    Args:
        network: (window, channel, time) -> anything, in evaluation mode. It is not changed.
        windows: (window, channel, time) float32 or float64, scaled as in training.
        target: what is explained: an int (that unit of the output), (window,) ints (a unit for each window, such as
            its own class), a function or module from the output to (window,), or None.
        conditions: layer names (`layer_names`) with the concepts that are kept, `{"conv2": [3, 7]}`, for all windows
            alike or one mapping per window. Several layers are met one after the other.
        composite: a name from `COMPOSITES`, or settings.
        exclude_parallel: count only what passes through every conditioned layer. If False, relevance on paths
            beside a layer, such as the shortcut of a residual, goes on unmasked, as in Achtibat et al.'s equations.

    Raises:
        ConceptError: no such layer or concept, or `exclude_parallel` and two conditioned layers on no common path.
        CompositeError: an operation has no rule, or relevance is not finite.
        ShapeError: shapes do not fit, or the target is not one scalar per window.
    """
    explainer, unit = concept_explainer(network, windows, target, composite)
    return explainer.relevance(windows, conditions, unit, exclude_parallel)


def concept_explainer(
    network: nn.Module,
    windows: FloatArray | torch.Tensor,
    target: Target,
    composite: str | CompositeSettings = "epsilon_plus",
) -> tuple["ConceptExplainer", int | IntArray | None]:
    """An explainer with the box of these windows, and the unit of the output that a target is (None for heads)."""
    data = as_windows(windows, dtype_of(network))
    box = data.amin(dim=(0, 2)), data.amax(dim=(0, 2))
    if callable(target):
        return ConceptExplainer(network, data[:2], target, composite, box), None
    return ConceptExplainer(network, data[:2], None, composite, box), target


class ConceptExplainer:
    """A network, a head and a composite, prepared once for conditions on any layer.

    Attributes:
        layers: each layer by its name, but those that have another axis in the place of windows.
        provenance: every choice that was made, in words.

    Args:
        network: as in `concept_relevance`.
        example: windows (window, channel, time).
        head: from the output to (window,); None where units of the output, or the output itself, are explained.
        composite: a name from `COMPOSITES`, or settings.
        box: (channel,) lowest and highest values, for composites with a box.
    """

    @own_modes()
    def __init__(
        self,
        network: nn.Module,
        example: torch.Tensor,
        head: Head | None,
        composite: str | CompositeSettings,
        box: tuple[torch.Tensor, torch.Tensor],
    ) -> None:
        settings = settings_of(composite)
        self.device, self.dtype = device_of(network), dtype_of(network)
        example = as_windows(example, self.dtype).to(self.device)
        canonical = canonize(with_target(network, head), example[:2])
        self.engine, self.shape = Engine(canonical), example.shape[1:]
        # concepts are kept and summed per window
        every = traced_layers(canonical, example).items()
        self.layers = {name: traced for name, traced in every if traced.step not in canonical.other_rows}
        low, high = (end.to(example)[None, :, None] for end in box)
        self.rules = settings.rules(low, high)
        rules_of_entrances(canonical, self.rules, example.shape[1:])  # refuses before any work
        self.provenance: dict[str, Any] = {
            "target": "output" if head is None else type(head).__name__,
            "composite": settings.model_dump(),
            "notes": [*canonical.notes, *entrance_notes(canonical, self.rules)],
        }

    @own_modes()
    def relevance(
        self,
        windows: FloatArray | torch.Tensor,
        conditions: Condition | Sequence[Condition],
        unit: int | IntArray | None = None,
        exclude_parallel: bool = True,
    ) -> ConceptRelevance:
        """Relevance through chosen concepts for a unit of the output, one for all windows or one for each.

        Arguments, results and errors as in `concept_relevance`.
        """
        data = as_windows(windows, self.dtype)
        conditioned = conditions_by_step(conditions, self.layers, len(data))
        if exclude_parallel:
            check_chains(conditions, self.layers, self.engine.canonical)
        arrived: dict[str, list[torch.Tensor]] = {at.traced.layer.name: [] for at in conditioned.values()}
        values, targets = [], []
        for part, tape, seed in self.batches(data, unit):

            def mask(n: int, arriving: torch.Tensor, waiting: dict[int, torch.Tensor]) -> torch.Tensor:
                if n not in conditioned:
                    return arriving
                condition = conditioned[n]
                traced = condition.traced
                arrived[traced.layer.name].append(sum_over_time(arriving, traced.axis))
                if exclude_parallel:  # nothing that waits elsewhere can still pass through here
                    elsewhere = (~condition.chosen[part]).to(arriving)  # noqa: B023
                    for i, beside in waiting.items():
                        waiting[i] = beside * elsewhere.reshape(-1, *[1] * (beside.ndim - 1))
                return keep_concepts(arriving, condition.kept[part], traced.axis)  # noqa: B023

            values.append(self.engine.relevance(tape, seed, self.rules, observer=mask)[0].numpy(force=True))
            targets.append(seed.reshape(len(seed), -1).sum(1).numpy(force=True))
        _require_relevance([name for name, parts in arrived.items() if not parts])
        about = self.provenance | {"conditioned": list(arrived), "exclude_parallel": exclude_parallel}
        sums = {name: torch.cat(parts).numpy(force=True) for name, parts in arrived.items()}
        return ConceptRelevance(_finite(np.concatenate(values)), np.concatenate(targets), sums, about)

    @own_modes()
    def per_concept(
        self,
        windows: FloatArray | torch.Tensor,
        layer: str,
        concepts: Sequence[int],
        unit: int | IntArray | None = None,
    ) -> FloatArray:
        """(concept, window, channel, time) what passes through a layer and each of its concepts alone.

        One forward pass serves all concepts, and relevance starts from the layer for each.
        """
        traced = layer_named(self.layers, layer)
        kept = torch.stack([concept_mask(traced, concept) for concept in concepts])
        parts = []
        for _, tape, seed in self.batches(as_windows(windows, self.dtype), unit):
            arriving = self.relevance_at(tape, seed, [traced])[layer]
            starts = [keep_concepts(arriving, concept[None], traced.axis) for concept in kept]
            found = [self.engine.relevance(tape, start, self.rules, at=traced.step + 1)[0] for start in starts]
            parts.append(torch.stack(found).numpy(force=True))
        return _finite(np.concatenate(parts, axis=1))

    def relevance_at(self, tape: Tape, seed: torch.Tensor, chosen: Sequence[TracedLayer]) -> dict[str, torch.Tensor]:
        """Relevance at the outputs of layers, in their own shapes."""
        names = {traced.step: traced.layer.name for traced in chosen}
        found: dict[str, torch.Tensor] = {}

        def record(n: int, arriving: torch.Tensor, waiting: dict[int, torch.Tensor]) -> torch.Tensor:
            if n in names:
                found[names[n]] = arriving.clone()  # the engine adds to it in place
            return arriving

        self.engine.relevance(tape, seed, self.rules, observer=record)
        _require_relevance([name for name in names.values() if name not in found])
        return found

    def batches(self, data: torch.Tensor, unit: int | IntArray | None) -> Iterator[tuple[slice, Tape, torch.Tensor]]:
        """Parts of the windows: which they are, their forward pass, and the relevance of the output."""
        require_shape(data, self.shape)
        units = None if unit is None else np.array(unit)
        if units is not None and units.shape not in ((), (len(data),)):
            raise ShapeError(f"expected one unit for all windows or (window,) {len(data)}, got {units.shape}")
        units = None if units is None else np.broadcast_to(units, (len(data),)).copy()
        for first in range(0, len(data), BATCH_SIZE):
            part = slice(first, first + BATCH_SIZE)
            windows = data[part].to(self.device)
            tape = self.engine.run(windows)
            yield part, tape, initial_relevance(tape.output, None if units is None else units[part], len(windows))


def _require_relevance(silent: Sequence[str]) -> None:
    """Raise where no relevance reaches a layer.

    Raises:
        ConceptError: such a layer computes a gate or attention weights, which are held fixed.
    """
    if silent:
        raise ConceptError(
            f"no relevance reaches {', '.join(map(repr, silent))}: it computes gates or attention weights, which are "
            "held fixed; choose another layer (`layer_names`), or a composite with `attention: shared`"
        )


def _finite(relevance: FloatArray) -> FloatArray:
    if not np.isfinite(relevance).all():
        raise CompositeError(
            "relevance is not finite: the windows hold such values, or the composite does not fit this network"
        )
    return relevance

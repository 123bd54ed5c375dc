"""Explain a scalar that a network computes: relevance of every channel and time step, and whether it adds up."""

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from torch import nn

from clusterwhy.errors import CompositeError
from clusterwhy.propagation.canonical import canonize
from clusterwhy.propagation.canonizer import CanonizerName
from clusterwhy.propagation.composites import CompositeSettings, settings_of
from clusterwhy.propagation.engine import Engine, RelevanceBudget
from clusterwhy.propagation.entrances import entrance_notes, rules_of_entrances
from clusterwhy.propagation.inputs import as_windows, checked_inputs, device_of, dtype_of, own_modes, require_shape
from clusterwhy.propagation.losses import gap_note, loss_note
from clusterwhy.propagation.per_window import fault_of_batches, probes
from clusterwhy.propagation.plain_network import plain_network
from clusterwhy.propagation.relevance import Relevance
from clusterwhy.propagation.steps import Canonical
from clusterwhy.propagation.targets import Target, as_scalars, target_name, with_target
from clusterwhy.types import FloatArray

if TYPE_CHECKING:
    from zennit.core import Composite

EngineName = Literal["auto", "fused", "zennit"]


@own_modes()
def lrp(
    network: nn.Module,
    windows: FloatArray | torch.Tensor,
    target: Target = None,
    composite: "str | CompositeSettings | Composite" = "epsilon_plus",
    canonizer: CanonizerName = "auto",
    engine: EngineName = "auto",
    box: tuple[FloatArray, FloatArray] | None = None,
    batch_size: int = 64,
) -> Relevance:
    """Relevance of windows for one scalar of a network (Bach et al. 2015; Montavon et al. 2019).

    Args:
        network: (window, channel, time) -> anything, in evaluation mode. It is not changed.
        windows: (window, channel, time) float32 or float64, scaled as in training.
        target: what is explained: an int (that unit of the output), a function or module from the
            output to (window,), or None where the output is (window,) already.
        composite: a name from `COMPOSITES`, settings, or a zennit composite.
        canonizer: `auto` traces the network into a form where each operation has a rule, and refuses
            where one has none; `none` and `zennit_sequential` run zennit's hooks on the network as it is.
        engine: `fused`, or zennit's hooks on the same canonical form; `auto` is fused where the rules
            are ours.
        box: (channel,) lowest and highest values, for composites with a box; from the windows if None.
        batch_size: windows at a time; memory depends on it, not on the number of windows.

    Raises:
        CompositeError: an operation has no rule, the composite does not fit, relevance is not finite.
        ShapeError: windows are not (window, channel, time), or the target is not one scalar per window.
    """
    whole, data = checked_inputs(network, windows, target)
    ends = (data.amin(dim=(0, 2)), data.amax(dim=(0, 2))) if box is None else tuple(map(torch.as_tensor, box))
    explainer = Explainer(whole, data[:2], None, composite, canonizer, engine, (ends[0], ends[1]))
    found = explainer.explain(data, batch_size)
    made = found.provenance | {"target": target_name(target)}
    return replace(found, provenance=made, windows=data.detach().cpu().numpy())


class Explainer:
    """A network, a target and a composite, prepared once for any number of windows."""

    # values, what biases and constants took, output
    _run: Callable[[torch.Tensor], tuple[torch.Tensor, ...]]
    _budget: Callable[[torch.Tensor], RelevanceBudget] | None = None

    def __init__(
        self,
        network: nn.Module,
        example: torch.Tensor,
        target: Target,
        composite: "str | CompositeSettings | Composite",
        canonizer: CanonizerName,
        engine: EngineName,
        box: tuple[torch.Tensor, torch.Tensor],
    ) -> None:
        self.device, self.shape = device_of(network), example.shape[1:]
        self.network = with_target(network, target)
        settings = settings_of(composite) if isinstance(composite, str | CompositeSettings) else composite
        low, high = (end.to(self.device, example.dtype)[None, :, None] for end in box)
        self.provenance: dict[str, Any] = {
            "target": target_name(target),
            "composite": settings.model_dump() if isinstance(settings, CompositeSettings) else type(settings).__name__,
            "canonizer": canonizer,
        }
        if canonizer == "auto":
            self._prepare_canonical(example, settings, engine, low, high)
        elif engine == "fused":
            raise CompositeError(f"the fused engine needs `canonizer: auto`, got {canonizer!r}")
        else:
            self._prepare_hooks(example.to(self.device), settings, canonizer, low, high)
            if (fault := fault_of_batches(self.network, probes(example.to(self.device)))) is not None:
                raise CompositeError(fault)

    def _prepare_canonical(self, example: torch.Tensor, settings: Any, engine: EngineName, low: Any, high: Any) -> None:
        canonical = canonize(self.network, example.to(self.device))
        self.provenance["notes"] = list(canonical.notes)
        if isinstance(settings, CompositeSettings):
            rules = settings.rules(low, high)
            rules_of_entrances(canonical, rules, example.shape[1:])  # refuses before any work
            self.provenance["notes"] += entrance_notes(canonical, rules)
            if engine != "zennit":
                fused = Engine(canonical)
                self.provenance["engine"] = "fused"
                self._run = lambda batch: fused.explain(batch, rules)
                self._budget = lambda batch: fused.budget(batch, rules)
                return
            from clusterwhy.propagation.zennit_backend import zennit_composite

            zennits = zennit_composite(canonical, rules)
        elif engine == "fused":
            raise CompositeError("the fused engine does not know rules of a zennit composite; use engine='auto'")
        else:
            zennits = settings
        self.provenance["engine"] = "zennit"
        self._run = lambda batch: self._hooked(canonical, zennits, batch)

    def _prepare_hooks(
        self, example: torch.Tensor, settings: Any, canonizer: CanonizerName, low: Any, high: Any
    ) -> None:
        self.provenance["engine"] = "zennit"
        composite = settings
        if isinstance(settings, CompositeSettings):
            from clusterwhy.propagation.zennit_backend import check_first_layer, layer_map_composite

            rules = settings.rules(low, high, canonizer)
            check_first_layer(self.network, example, rules)
            composite = layer_map_composite(rules, canonizer)
        # zennit 1.0's canonizers leave merged parameters in the module's __dict__: they get a copy
        network = copy.deepcopy(plain_network(self.network))
        self._run = lambda batch: self._hooked(network, composite, batch)

    def _hooked(self, network: nn.Module, composite: "Composite", batch: torch.Tensor) -> tuple[torch.Tensor, ...]:
        from clusterwhy.propagation.zennit_backend import zennit_relevance

        # the target is read before hooks or canonizers change anything
        with torch.no_grad():
            output = network(batch.clone())
        try:
            values = zennit_relevance(network, composite, batch, output)
        except (RuntimeError, ValueError, TypeError, AttributeError) as error:
            raise CompositeError(
                f"composite {type(composite).__name__} does not fit {type(network).__name__}: {error}"
            ) from error
        unknown = torch.full_like(output, float("nan"))
        no_constants = isinstance(network, Canonical) and not network.has_constants
        return values, unknown, torch.zeros_like(output) if no_constants else unknown, output

    @own_modes()
    def explain(self, windows: FloatArray | torch.Tensor, batch_size: int) -> Relevance:
        """Relevance of windows (window, channel, time); errors as in `lrp`."""
        data = require_shape(as_windows(windows, dtype_of(self.network)), self.shape)
        parts = []
        for first in range(0, len(data), batch_size):
            batch = data[first : first + batch_size].to(self.device)
            *shared, output = self._run(batch)
            parts.append([part.cpu().numpy() for part in (*shared, as_scalars(output, len(batch)))])
        relevance, *kept, target = (np.concatenate(part) for part in zip(*parts, strict=True))
        broken = ~np.isfinite(relevance).all(axis=(1, 2))
        if broken.any():
            raise CompositeError(
                f"relevance of {int(broken.sum())} of {len(data)} windows is not finite: "
                "the windows hold such values, or the composite does not fit this network"
            )
        of_biases, of_constants = (part / np.where(target == 0, np.nan, target) for part in kept)
        found = Relevance(relevance, target, of_biases, self.provenance, of_constants)
        note = self._loss_note(found, data)
        notes = [*self.provenance.get("notes", []), *([] if note is None else [note])]
        return replace(found, provenance=self.provenance | {"notes": notes})

    def _loss_note(self, found: Relevance, windows: torch.Tensor) -> str | None:
        budget = self._budget
        if budget is None:
            return gap_note(found.gap, "zennit's hooks do not tell how much of it biases absorbed")
        return loss_note(found.lost_share, lambda chosen: budget(windows[chosen].to(self.device)))

"""Attribution methods by name: the attributors of this folder (conf/attributor), and LRP by each composite."""

import importlib
import pkgutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
from pydantic import ValidationError

import clusterwhy.attribution as families
from clusterwhy.attribution.base import ATTRIBUTORS, AttributionTask, Attributor
from clusterwhy.attribution.descriptions import description
from clusterwhy.attribution.method_names import near, parse_name
from clusterwhy.errors import MethodError
from clusterwhy.propagation.composites import COMPOSITES, CompositeSettings
from clusterwhy.types import FloatArray, IntArray

if TYPE_CHECKING:
    import pandas as pd
    import torch
    from torch import nn

    from clusterwhy.propagation.canonizer import CanonizerName
    from clusterwhy.propagation.relevance import Relevance
    from clusterwhy.propagation.targets import Target

LRP = "lrp"  # the attributor; its methods are `lrp_<composite>`


def load_attributors() -> None:
    """Import every module of this folder, so that its attributors register their names."""
    for module in pkgutil.iter_modules(families.__path__):
        importlib.import_module(f"{families.__name__}.{module.name}")


load_attributors()


@dataclass(frozen=True)
class Method:
    """An attributor, and the rules for one that has none of its own.

    Attributes:
        name: as given, with its parameters.
        canonizer: for attributors without rules of their own.
    """

    name: str
    attributor: Attributor
    composite: CompositeSettings
    canonizer: "CanonizerName" = "auto"

    @property
    def adds_up(self) -> bool:
        """Whether relevance is meant to add up to the target; signs in place of values do not."""
        by_rules = not self.attributor.has_own_rules
        return self.attributor.complete and not (by_rules and self.composite.first_layer == "sign")

    def explain(
        self,
        network: "nn.Module",
        windows: "FloatArray | torch.Tensor",
        target: "Target" = None,
        references: "FloatArray | torch.Tensor | None" = None,
        seed: int = 0,
    ) -> "Relevance":
        """As `explain`."""
        from clusterwhy.propagation.inputs import own_modes, predicted_units
        from clusterwhy.propagation.targets import PREDICTED

        with own_modes():
            units = predicted_units(network, windows) if target is None else None
            if units is None:
                return self._of_target(network, windows, target, references, seed)
            groups = [(unit, np.flatnonzero(units == unit)) for unit in np.unique(units).tolist()]
            each = [self._of_target(network, windows, unit, references, seed, rows) for unit, rows in groups]
            order = np.argsort(np.concatenate([rows for _, rows in groups]))
            return joined(each, order, {"target": PREDICTED, "units": units.tolist()})

    def _of_target(
        self,
        network: "nn.Module",
        windows: "FloatArray | torch.Tensor",
        target: "Target",
        references: "FloatArray | torch.Tensor | None",
        seed: int,
        rows: IntArray | None = None,
    ) -> "Relevance":
        """Relevance of some rows of the windows, or of all, for one target."""
        from clusterwhy.propagation.inputs import as_references, checked_inputs

        whole, tensor = checked_inputs(network, windows, target)
        checked = tensor.detach().cpu()
        others = checked[:0] if references is None else as_references(references, checked)
        data = checked.numpy()
        box = data.min(axis=(0, 2)), data.max(axis=(0, 2))
        task = AttributionTask(whole, self.composite, self.canonizer, box, others.numpy(force=True))
        own = data if rows is None else data[rows]
        found = self.attributor.explain(task, own, seed)
        notes = [*found.provenance.get("notes", ()), *_note_of_nothing(found)]
        provenance = {"method": self.name, **found.provenance, **({"notes": notes} if notes else {})}
        return replace(found, provenance=provenance, windows=own)


def _note_of_nothing(found: "Relevance") -> list[str]:
    """A note of windows without any relevance: Grad-CAM keeps positive parts only."""
    from clusterwhy.propagation.relevance import NOTHING

    nothing = int((~found.values.any(axis=(1, 2))).sum())
    if not nothing:
        return []
    reason = found.provenance.get(NOTHING, "the method says nothing about them")
    return [f"relevance of {nothing} of {len(found.values)} windows is 0 everywhere: {reason}"]


def joined(each: "Sequence[Relevance]", order: IntArray, provenance: dict[str, Any]) -> "Relevance":
    """Relevance of several groups of windows as one.

    Args:
        each: of the groups.
        order: position of each window in the groups, one after the other.
        provenance: instead of entries of the first group's.
    """
    from clusterwhy.propagation.relevance import NOTHING

    notes = list(dict.fromkeys(note for one in each for note in one.provenance.get("notes", ())))
    reasons = list(dict.fromkeys(one.provenance[NOTHING] for one in each if NOTHING in one.provenance))
    told = ({"notes": notes} if notes else {}) | ({NOTHING: "; ".join(reasons)} if reasons else {})
    of_constants = [np.broadcast_to(one.constant_share, one.target.shape) for one in each]
    return replace(
        each[0],
        values=np.concatenate([one.values for one in each])[order],
        windows=np.concatenate([one.windows for one in each if one.windows is not None])[order],
        target=np.concatenate([one.target for one in each])[order],
        bias_share=np.concatenate([one.bias_share for one in each])[order],
        constant_share=np.concatenate(of_constants)[order],
        provenance=each[0].provenance | provenance | told,
    )


def list_methods() -> list[str]:
    """The names that `explain` knows, each of which may carry parameters: `smoothgrad(noise=0.3, samples=50)`."""
    return [*(f"{LRP}_{name}" for name in COMPOSITES), *sorted(name for name in ATTRIBUTORS if name != LRP)]


def describe_methods() -> "pd.DataFrame":
    """One row per name of `list_methods()`, which is the index.

    Columns: `what`, with its source; `parameters`, as they may stand behind the name; `references`: whether windows to
    compare with are `needed`, `possible` (`baseline=references`) or not used (`no`); `adds_up`: whether relevance
    is meant to add up to the target, or to its difference to that of the baseline. What is missing is in
    `Relevance.gap`.
    """
    import pandas as pd

    rows = []
    for name in list_methods():
        method = method_of(name)
        rules = method.composite if name.startswith(f"{LRP}_") else None
        rows.append({"name": name, **description(method.attributor, rules), "adds_up": method.adds_up})
    return pd.DataFrame(rows).set_index("name")


def method_of(name: str, /, **parameters: Any) -> Method:
    """The method of a name.

    Args:
        name: one of `list_methods()`, which may carry parameters, as in `lrp_epsilon(epsilon=0.5)`.
        parameters: more of them. Methods `lrp_*` have those of their composite (conf/composite), others those of the
            attributor (conf/attributor). All that use LRP have `canonizer`; `contrast`, `crp` and `smooth` have
            `composite`.

    Raises:
        MethodError: no such name, no such parameter (similar ones are listed), or a value out of range.
    """
    from clusterwhy.propagation.canonizer import CanonizerName

    base, in_name = parse_name(name)
    if twice := sorted(set(in_name) & set(parameters)):
        raise MethodError(f"{name}: {', '.join(twice)} given twice, in the name and beside it")
    every = {**in_name, **parameters}
    given = dict(every)
    known = list_methods()
    if base not in known:
        raise MethodError(f"no method {base!r}{near(base, known)}; there are {', '.join(known)}")
    canonizer = given.pop("canonizer", None)
    if base.startswith(f"{LRP}_"):
        attributor = _with_parameters(base, ATTRIBUTORS[LRP], {k: given.pop(k) for k in ["batch_size"] if k in given})
        composite = _with_parameters(base, COMPOSITES[base.removeprefix(f"{LRP}_")], given)
    else:
        rules = "epsilon_plus" if ATTRIBUTORS[base].has_own_rules else given.pop("composite", "epsilon_plus")
        composite = _composite_named(base, rules)
        attributor = _with_parameters(base, ATTRIBUTORS[base], given)
    if canonizer is not None and (attributor.has_own_rules or canonizer not in get_args(CanonizerName)):
        raise MethodError(f"{base}: no canonizer {canonizer!r}; LRP knows {', '.join(get_args(CanonizerName))}")
    shown = ", ".join(f"{key}={value}" for key, value in every.items())
    return Method(f"{base}({shown})" if shown else base, attributor, composite, canonizer or "auto")


def explain(
    network: "nn.Module",
    windows: "FloatArray | torch.Tensor",
    method: str = "lrp_epsilon_plus",
    target: "Target" = None,
    references: "FloatArray | torch.Tensor | None" = None,
    **parameters: Any,
) -> "Relevance":
    """Relevance of windows for one scalar of a network, by any method.

    Args:
        network: (window, channel, time) -> anything, in evaluation mode. Nothing is left on it.
        windows: (window, channel, time) float32 or float64, scaled as in training.
        method: one of `list_methods()`; may carry parameters, as in `lrp_epsilon(epsilon=0.5)`.
        target: what is explained: an int (that unit of the output), a function or module from the output to
            (window,), or None: the output where it is (window,), else the unit with the highest value for each window,
            the predicted class. Give logits, not probabilities: of a softmax the other classes take part.
        references: (reference, channel, time) windows to compare with, for methods that do so.
        parameters: of the method, and `seed` for those that draw numbers.

    Raises:
        MethodError: no such method or parameter, or the network or the references lack what the method needs.
        CompositeError: an operation has no rule, or relevance is not finite.
        ShapeError: windows, references or the target have other shapes.
    """
    seed = parameters.pop("seed", 0)
    return method_of(method, **parameters).explain(network, windows, target, references, seed)


def _with_parameters(base: str, settings: Any, changes: Mapping[str, Any]) -> Any:
    fields = type(settings).model_fields
    if unknown := [key for key in changes if key not in fields]:
        faults = ", ".join(f"{key!r}{near(key, list(fields))}" for key in unknown)
        raise MethodError(f"{base} has no parameter {faults}; it has {', '.join(fields)}")
    try:
        return type(settings).model_validate({**settings.model_dump(), **changes})
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
        raise MethodError(f"{base}: {faults}") from error


def _composite_named(base: str, name: object) -> CompositeSettings:
    if name not in COMPOSITES:
        alike = near(str(name), list(COMPOSITES))
        raise MethodError(f"{base}: no composite {name!r}{alike}; there are {', '.join(COMPOSITES)}")
    return COMPOSITES[str(name)]

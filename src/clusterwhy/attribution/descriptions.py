"""What a method is, what it takes, whether it adds up, in words."""

import inspect
from typing import Any

from clusterwhy.attribution.base import Attributor
from clusterwhy.propagation.composites import CompositeSettings

FROM_OTHERS = ("references", "own_references", "near_references")


def description(attributor: Attributor, composite: CompositeSettings | None) -> dict[str, Any]:
    """The row of a method in `describe_methods`, but whether it adds up.

    Args:
        attributor: what the method does.
        composite: of a method that is LRP by its rules, None of others.
    """
    own: Attributor | CompositeSettings = composite or attributor
    return {
        "what": _rules(composite) if composite else _first_line(type(attributor)),
        "parameters": ", ".join(f"{key}={value}" for key, value in own.model_dump(exclude_none=True).items()),
        "references": _references(attributor),
    }


def _first_line(kind: type[Attributor]) -> str:
    return (inspect.getdoc(kind) or "").split("\n\n")[0].replace("\n", " ")


def _rules(composite: CompositeSettings) -> str:
    first = f", {composite.first_layer} where the input enters" if composite.first_layer else ""
    return f"LRP: {composite.convolution} in convolutions, {composite.dense} in dense layers{first} (Bach et al. 2015)."


def _references(attributor: Attributor) -> str:
    fields = type(attributor).model_fields
    if "baseline" not in fields:
        return "needed" if "n_references" in fields else "no"
    return "needed" if getattr(attributor, "baseline") in FROM_OTHERS else "possible"  # noqa: B009

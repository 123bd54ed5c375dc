"""The entrances of a network: linear layers that the input reaches through nothing but steps without weights and
scales and shifts of each channel. They have the rule of the first layer, with a box carried through these steps."""

import operator
from dataclasses import replace
from typing import Any

import torch

from clusterwhy.errors import CompositeError
from clusterwhy.propagation.batch_norms import SCALES_AND_SHIFTS
from clusterwhy.propagation.composites import COMPOSITES, Rule, Rules
from clusterwhy.propagation.head_layers import RootedLinear, SoftExtremum
from clusterwhy.propagation.operations import CALLS, MODULES, PERIODIC_CALLS, SCALE_CALLS, Call, Slot
from clusterwhy.propagation.steps import Canonical, Step

# where activations that fall and rise again turn: GELU, SiLU, Mish, Hardswish, and those that bend at 0
TURNS = (-0.7517915, -1.2784645, -1.1924521, -1.5, 0.0)
DIVISIONS = {operator.truediv, torch.div, "div"}
# a step that has more than one input, or moves values about
WITHOUT_WEIGHTS = ("route", "norm", "concatenate", "sum", "write")


def mark_entrances(steps: list[Step]) -> None:
    """Set `reads_input` of the entrances, and `before_entrances` of the batch norms on the way to them."""
    raw = {0}
    for n, step in enumerate(steps, start=1):
        values = [i for i in step.inputs if i == 0 or steps[i - 1].kind != "shape"]
        if step.kind == "shape" or not values or not raw.issuperset(values):
            continue
        step.before_entrances = isinstance(step.module, SCALES_AND_SHIFTS)
        step.reads_input = step.kind in ("linear", "sequence") and not step.before_entrances
        if step.before_entrances or step.kind in WITHOUT_WEIGHTS or _is_element_wise(step):
            raw.add(n)


def _is_element_wise(step: Step) -> bool:
    """Whether each output is a function of one input that rises, falls, or falls and then rises."""
    module = step.module
    if isinstance(module, SoftExtremum) or step.kind != "pass" or len(step.inputs) > 1:
        return False
    if not isinstance(module, Call):
        return isinstance(module, MODULES["pass"])
    if module.function in SCALE_CALLS:
        # not a constant divided by the input
        return module.arguments[0] == Slot(0) or module.function not in DIVISIONS
    return module.function in CALLS["pass"] - PERIODIC_CALLS


def entrances_of(canonical: Canonical) -> list[int]:
    """Positions of the steps that the rule of the first layer is for."""
    steps = enumerate(canonical.steps)
    return [n for n, step in steps if step.reads_input and has_rule_of_first_layer(step)]


def has_rule_of_first_layer(step: Step) -> bool:
    """Whether an entrance can have any rule: LSTM, attention and layers with root points have one of their own."""
    return step.kind == "linear" and not isinstance(step.module, RootedLinear)


def entrance_notes(canonical: Canonical, rules: Rules) -> list[str]:
    """Layers that read the input, but not by the rule of the first layer; one sentence each."""
    if rules.first_layer is None:
        return []
    others = [step.name for step in canonical.steps if step.reads_input and not has_rule_of_first_layer(step)]
    return [
        f"{name}: reads the input by a rule of its own, not by `first_layer: {rules.first_layer.name}`"
        for name in others
    ]


def rules_of_entrances(canonical: Canonical, rules: Rules, shape: torch.Size) -> dict[int, Rule]:
    """The rule of each entrance by its position, none where the composite has no rule of the first layer.

    Args:
        shape: (channel, time) of a window.

    Raises:
        CompositeError: there is no entrance.
    """
    first = rules.first_layer
    if first is None:
        return {}
    entrances = entrances_of(canonical)
    if not entrances:
        raise CompositeError(_no_entrance(canonical, rules, first))
    if first.low is None or first.high is None:
        return _without_padding(canonical, entrances, first, shape)
    low, high = first.low.expand(1, *shape), first.high.expand(1, *shape)
    boxes = _boxes(canonical, entrances, low.contiguous(), high.contiguous())
    return {n: replace(first, low=lowest, high=highest) for n, (lowest, highest) in boxes.items()}


def _without_padding(canonical: Canonical, entrances: list[int], rule: Rule, shape: torch.Size) -> dict[int, Rule]:
    """Rules that share evenly give nothing to padding, as if it were that of the layer itself."""
    example = next((p for p in canonical.parameters() if p.is_floating_point()), torch.zeros(()))
    high = example.new_ones((1, *shape))
    found = dict.fromkeys(entrances, rule)
    for n, (lowest, highest) in _boxes(canonical, entrances, -high, high).items():
        # what does not move with the input does not come from it
        present = lowest != highest
        if len(present) == 1 and not present.all():
            found[n] = replace(rule, present=present)
    return found


def _no_entrance(canonical: Canonical, rules: Rules, first: Rule) -> str:
    fitting = [name for name, other in COMPOSITES.items() if not other.first_layer]
    same = [name for name in fitting if COMPOSITES[name].convolution == rules.convolution.name]
    reading = (step for step in canonical.steps if 0 in step.inputs and step.kind != "shape")
    readers = [f"{step.name} ({type(step.module).__name__})" for step in reading]
    return (
        f"the rule {first.name} of the first layer fits no layer of this network: the input reaches no convolution or "
        f"dense layer before other layers with weights; it is read by {', '.join(readers) or 'nothing'}. Choose a "
        f"composite without `first_layer`, such as {(same or fitting)[0]}"
    )


@torch.no_grad()
def _boxes(
    canonical: Canonical, entrances: list[int], low: torch.Tensor, high: torch.Tensor
) -> dict[int, tuple[torch.Tensor, torch.Tensor]]:
    """Lowest and highest values (1, ...) that each entrance can read, by interval arithmetic."""
    needed = _needed(canonical, entrances)
    ends: dict[int, tuple[Any, Any]] = {0: (low, high)}
    for n, step in enumerate(canonical.steps):
        if n in needed and n not in entrances:
            ends[n + 1] = _through(step, [ends[i] for i in step.inputs])
    return {n: ends[canonical.steps[n].inputs[0]] for n in entrances}


def _needed(canonical: Canonical, entrances: list[int]) -> set[int]:
    """Positions of the steps before the entrances."""
    waiting, found = list(entrances), set[int]()
    while waiting:
        n = waiting.pop()
        if n not in found:
            found.add(n)
            waiting += [i - 1 for i in canonical.steps[n].inputs if i > 0]
    return found


def _through(step: Step, inputs: list[tuple[Any, Any]]) -> tuple[Any, Any]:
    """Ends of the output; a falling function, such as a scale below 0, swaps them."""
    found = [step.module(*end) for end in zip(*inputs, strict=True)]
    if step.kind == "shape":
        return found[0], found[1]
    if step.kind == "pass":
        low, high = inputs[0]
        found += [step.module(torch.clamp(torch.full_like(low, turn), low, high)) for turn in TURNS]
    every = torch.stack(torch.broadcast_tensors(*found))
    return every.amin(dim=0), every.amax(dim=0)

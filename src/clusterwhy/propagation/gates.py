"""Which factor of a product is a gate: values between 0 and 1 that say how much of the other one passes."""

import operator
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from clusterwhy.propagation.linearised import Product, Quotient, Softmax
from clusterwhy.propagation.operations import SCALE_CALLS, Call
from clusterwhy.propagation.steps import Step

GATE_MODULES = (nn.Sigmoid, nn.Hardsigmoid, nn.Softmax, Softmax)
GATE_CALLS = {torch.sigmoid, F.sigmoid, "sigmoid", F.hardsigmoid, torch.softmax, F.softmax, "softmax"}
MULTIPLY = (operator.mul, operator.imul, torch.mul, torch.multiply, "mul", "multiply")
# of gates they are one, too
KEPT = ("route", "concatenate", "sum", "norm")


def is_gate(steps: list[Step], position: int) -> bool:
    """Whether a value is a sigmoid or a softmax, or made of such alone: scaled by a constant or a statistic, reshaped,
    averaged, subtracted from a constant, multiplied with each other."""
    waiting, seen = [position], set[int]()
    while waiting:
        i = waiting.pop()
        if i in seen:
            continue
        seen.add(i)
        if i == 0:
            return False
        step = steps[i - 1]
        if isinstance(step.module, GATE_MODULES) or _function_of(step.module) in GATE_CALLS:
            continue
        sources = _made_of(step, steps)
        if not sources:
            return False
        waiting += sources
    return True


def _made_of(step: Step, steps: list[Step]) -> list[int]:
    """The values that have to be gates for a value to be one; none where it is no gate whatever they are."""
    module: Any = step.module
    if isinstance(module, Quotient) or (isinstance(module, Product) and _function_of(module.multiply) in MULTIPLY):
        return [i for i, is_signal in zip(step.inputs, module.signals, strict=True) if is_signal]
    if step.kind in KEPT or (step.kind == "pass" and _function_of(step.module) in SCALE_CALLS):
        return [i for i in step.inputs if i == 0 or steps[i - 1].kind != "shape"]
    return []


def _function_of(module: Any) -> Any:
    return module.function if isinstance(module, Call) else None


def fixed_factor(steps: list[Step], positions: tuple[int, ...]) -> int | None:
    """The factor of a product that is held fixed: the only gate among them; None where both or none are gates."""
    gates: list[Any] = [i for i, position in enumerate(positions) if is_gate(steps, position)]
    return gates[0] if len(gates) == 1 else None

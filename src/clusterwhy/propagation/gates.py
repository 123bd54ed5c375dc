"""Which factor of a product is a gate: values that are never negative and say how much of the others passes."""

import operator
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn

from clusterwhy.propagation.constants import Operand
from clusterwhy.propagation.linearised import Product, Quotient, Softmax
from clusterwhy.propagation.operations import SCALE_CALLS, Call
from clusterwhy.propagation.steps import Step

MULTIPLY = (operator.mul, operator.imul, torch.mul, torch.multiply, "mul", "multiply")
GATE_MODULES = (nn.Sigmoid, nn.Hardsigmoid, nn.Softmax, Softmax)
GATE_CALLS = {
    *(torch.sigmoid, F.sigmoid, "sigmoid", F.hardsigmoid, torch.softmax, F.softmax, "softmax", torch.exp, "exp"),
}
# between -1 and 1: gates once 1 is added, as in a GELU that is written out
ODD_CALLS = {torch.tanh, F.tanh, "tanh", torch.erf, "erf"}
# of a gate they are one, too
KEPT = ("route", "concatenate", "sum", "norm")


def is_gate(steps: list[Step], step: Step) -> bool:
    """Whether a step gives a gate, perhaps scaled, masked, reshaped, averaged, normalised, times another gate, or
    subtracted from a constant.

    Gates are sigmoid, softmax, exponentials (as in a selective state space), 1 + tanh and 1 + erf.

    Args:
        steps: before it.
        step: whose inputs know whether they are gates.
    """
    function = step.module.function if isinstance(step.module, Call) else None
    if isinstance(step.module, GATE_MODULES) or function in GATE_CALLS:
        return step.kind != "shape"
    signals = [i for i in step.inputs if i == 0 or steps[i - 1].kind != "shape"]
    if isinstance(step.module, Quotient):
        signals = signals[:1]
    elif isinstance(step.module, Product):
        if getattr(step.module.multiply, "function", None) not in MULTIPLY:
            return False
        signals = [i for i, moves in zip(step.inputs, step.module.signals, strict=True) if moves]
    elif step.kind == "sum" and len(signals) == 1:
        return _gives_gate(steps, signals[0]) or _adds_one(steps, step, signals[0])
    elif step.kind not in KEPT and not (step.kind == "pass" and function in SCALE_CALLS | {operator.neg}):
        return False
    return bool(signals) and all(_gives_gate(steps, i) for i in signals)


def _gives_gate(steps: list[Step], position: int) -> bool:
    return position > 0 and steps[position - 1].is_gate


def _adds_one(steps: list[Step], step: Step, signal: int) -> bool:
    """Whether a sum raises values between -1 and 1 to values that are never negative."""
    number = next((steps[i - 1].module for i in step.inputs if i != signal), None)
    if signal == 0 or not isinstance(number, Operand) or number.number is None or number.number < 1.0:
        return False
    source = steps[signal - 1].module
    return isinstance(source, nn.Tanh) or (isinstance(source, Call) and source.function in ODD_CALLS)


def fixed_factors(steps: list[Step], positions: Sequence[int], signals: Sequence[bool]) -> frozenset[int]:
    """Which factors of a product are held fixed: its gates; none where all that hold data are gates."""
    moving = {i for i, is_data in enumerate(signals) if is_data}
    gates = frozenset(i for i in moving if _gives_gate(steps, positions[i]))
    return gates if len(gates) < len(moving) else frozenset()

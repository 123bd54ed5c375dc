"""Which factor of a product is a gate: values between 0 and 1 that say how much of the other one passes."""

import operator
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from clusterwhy.propagation.linearised import Softmax
from clusterwhy.propagation.operations import SCALE_CALLS, Call
from clusterwhy.propagation.steps import Step

GATE_MODULES = (nn.Sigmoid, nn.Hardsigmoid, nn.Softmax, Softmax)
GATE_CALLS = {torch.sigmoid, F.sigmoid, "sigmoid", F.hardsigmoid, torch.softmax, F.softmax, "softmax"}
# of a gate they are one, too
KEPT = ("route", "concatenate", "sum")


def is_gate(steps: list[Step], position: int) -> bool:
    """Whether a value is a sigmoid or a softmax, perhaps scaled, reshaped, or subtracted from a constant."""
    if position == 0:
        return False
    step = steps[position - 1]
    function = step.module.function if isinstance(step.module, Call) else None
    if isinstance(step.module, GATE_MODULES) or function in GATE_CALLS:
        return True
    if step.kind not in KEPT and not (step.kind == "pass" and function in SCALE_CALLS | {operator.neg}):
        return False
    signals = [i for i in step.inputs if i == 0 or steps[i - 1].kind != "shape"]
    return bool(signals) and all(is_gate(steps, i) for i in signals)


def fixed_factor(steps: list[Step], positions: tuple[int, ...]) -> int | None:
    """The factor of a product that is held fixed: the only gate among them; None where both or none are gates."""
    gates: list[Any] = [i for i, position in enumerate(positions) if is_gate(steps, position)]
    return gates[0] if len(gates) == 1 else None

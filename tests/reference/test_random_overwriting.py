"""Random programs of views and writes: the canonical form gives what torch gives, whatever shares memory."""

import random
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from clusterwhy.propagation.canonical import canonize
from clusterwhy.propagation.engine import Engine

Values = list[torch.Tensor]
LENGTH = 6


def _write_slice(v: Any, other: Any) -> None:
    v[:, 0] = other[:, -1]


def _write_number(v: Any, other: Any) -> None:
    v[:, -1] = 0.25


def _add_to_slice(v: Any, other: Any) -> None:
    v[:, 1:] += other[:, :1]


def _multiply(v: Any, other: Any) -> None:
    v *= -1.5


def _add(v: Any, other: Any) -> None:
    v += other


# of a value and a copy of one of the same shape; what they give joins the values of the program
OPERATIONS: list[Callable[[Any, Any], Any]] = [
    lambda v, other: torch.tanh(v),
    lambda v, other: v.clone(),
    lambda v, other: v.transpose(-1, -2),
    lambda v, other: v.unsqueeze(1).squeeze(1),
    lambda v, other: v[:, :2],
    lambda v, other: v.relu_(),
    lambda v, other: F.leaky_relu(v, 0.3, inplace=True),
    lambda v, other: v.neg_(),
    lambda v, other: v.copy_(other),
    lambda v, other: F.dropout(v, training=False),
    *(_write_slice, _write_number, _add_to_slice, _multiply, _add),
]


class RandomProgram(nn.Module):
    """A convolution, random views and writes of what it gives, and the sum of the means of all values."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.layer, self.relu, self.seed = nn.Conv1d(3, LENGTH, 3, padding=1), nn.ReLU(inplace=True), seed

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        chosen = random.Random(self.seed)
        # (axes, value): values of the same axes have the same shape
        values: list[tuple[str, Any]] = [("ct", self.layer(x)), ("ct", self.layer(x * 2.0))]
        for _ in range(chosen.randrange(3, 14)):
            axes, value = chosen.choice(values)
            other = chosen.choice([v for a, v in values if a == axes]).clone()
            operation = chosen.choice(OPERATIONS)
            made = operation(value, other)
            if made is not None:
                changed = {OPERATIONS[2]: axes[::-1], OPERATIONS[4]: axes + "|"}
                values.append((changed.get(operation, axes), made))
            elif chosen.random() < 0.2:
                self.relu(value)
        return sum(value.flatten(1).mean(dim=1) for _, value in values)  # type: ignore[return-value]


@pytest.mark.parametrize("seed", range(40))
def test_what_shares_memory_is_overwritten_together(seed: int) -> None:
    network = RandomProgram(seed).double().eval()
    windows = torch.randn(3, 3, LENGTH, dtype=torch.float64)
    before = windows.clone()
    found = Engine(canonize(network, windows)).run(windows).output
    assert torch.equal(windows, before)
    torch.testing.assert_close(found, network(windows), rtol=1e-10, atol=1e-12)

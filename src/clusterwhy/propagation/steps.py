"""A network as a list of steps, each of a kind that LRP has a rule for."""

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import nn

# linear: has weights, the composite chooses its rule; norm: means and sums, shared by contribution;
# sum: residual additions; pass: element-wise, relevance passes; route: reshapes, slices and
# pooling by choice, where relevance goes where the value came from; distance: squared distances, shared
# by their parts; sequence: LSTM and attention, which share by rules of their own; mixed: of several signals, or with
# statistics of their own, linear once some values are held fixed (`linearised`); held: statistics of the data that only
# scale others and take no relevance; write: a value with others written into it, relevance goes where each came from;
# shape: nothing that depends on the windows' values, sizes and constants
Kind = Literal[
    "linear", "norm", "sum", "pass", "route", "distance", "sequence", "mixed", "held", "concatenate", "write", "shape"
]


@dataclass
class Step:
    """One operation.

    Attributes:
        name: where it stands in the network.
        kind: what LRP does with it.
        module: computes it.
        inputs: positions of its inputs; 0 is the network's input, i + 1 the output of step i.
        non_negative: its output never falls below 0.
        reads_input: an entrance (`propagation.entrances`): a step with weights that the input reaches through none.
        before_entrances: a scale and shift of each channel that the input passes on its way to the entrances.
        is_gate: it says how much of another value passes (`propagation.gates`).
        of_convolutions: a sum of convolutions, or of convolutions and the input (`propagation.residual_sums`).
    """

    name: str
    kind: Kind
    module: nn.Module
    inputs: tuple[int, ...]
    non_negative: bool = False
    reads_input: bool = False
    before_entrances: bool = False
    is_gate: bool = False
    of_convolutions: bool = False


class Canonical(nn.Module):
    """A network as a list of steps; computes what the network computes.

    Attributes:
        steps: in the order of computation.
        notes: what was folded, replaced or dropped.
        window_shape: (channel, time) of the windows that it was traced with; None before it has been compared.
        other_rows: positions of steps whose output has other rows than one per window, as where channels are folded
            into the first axis. Where there are such, relevance is computed for one window at a time.
    """

    window_shape: torch.Size | None = None

    def __init__(self, steps: list[Step], output: int, notes: tuple[str, ...]) -> None:
        super().__init__()
        self.other_rows: frozenset[int] = frozenset()
        self.steps, self.output, self.notes = steps, output, notes
        self.modules_in_order = nn.ModuleList(step.module for step in steps)
        last = {i: n for n, step in enumerate(steps) for i in step.inputs}
        self.free_after = [
            [i for i in set(step.inputs) if last[i] == n and i != output] for n, step in enumerate(steps)
        ]

    def depends_on_windows(self, i: int) -> bool:
        """Whether value i is data, no size and no constant."""
        return i == 0 or self.steps[i - 1].kind != "shape"

    def takes_relevance(self, i: int) -> bool:
        """Whether relevance can go to value i: to data, but not to what is held fixed, such as a mask."""
        return i == 0 or self.steps[i - 1].kind not in ("shape", "held")

    @property
    def has_constants(self) -> bool:
        """Whether constants can take relevance: where they are added, joined or written."""
        return any(
            step.kind == "write"
            or (step.kind in ("sum", "concatenate") and not all(map(self.depends_on_windows, step.inputs)))
            for step in self.steps
        )

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        """(window, channel, time) -> what the network gives."""
        values: list[Any] = [windows, *[None] * len(self.steps)]
        for n, step in enumerate(self.steps):
            values[n + 1] = step.module(*[values[i] for i in step.inputs])
            for i in self.free_after[n]:
                values[i] = None
        result: torch.Tensor = values[self.output]
        return result

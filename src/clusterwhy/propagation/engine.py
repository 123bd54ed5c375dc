"""LRP on a canonical network: one forward pass, then one relevance pass per composite."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from clusterwhy.propagation.composites import Rule, Rules
from clusterwhy.propagation.entrances import rules_of_entrances
from clusterwhy.propagation.fixed_rules import averages_all_time, pooling_sizes, share_mean_or_route, share_sum
from clusterwhy.propagation.linearised import Linearised
from clusterwhy.propagation.operations import Addition, Concatenation
from clusterwhy.propagation.overwriting import share_overwritten
from clusterwhy.propagation.planes import operation_of
from clusterwhy.propagation.residual_sums import residual_rule
from clusterwhy.propagation.rules import Shared, passed, per_window, rule_of, share
from clusterwhy.propagation.sequence_rules import Recurrent, SelfAttention
from clusterwhy.propagation.steps import Canonical, Step

BATCH_SIZE = 32  # windows that go through the network at a time
# of a step's kind, the category of what it does not pass on; others have their own name
CATEGORIES = {"write": "constant"}
# gets a step's position, the relevance that arrives at its output and all that waits at other values (to be replaced,
# never changed in place); gives the relevance that goes on
Observer = Callable[[int, torch.Tensor, dict[int, torch.Tensor]], torch.Tensor]


@dataclass(frozen=True)
class Tape:
    """A forward pass: every value that a relevance pass reads, and the network's output."""

    values: list[Any]
    output: torch.Tensor
    widths: dict[int, list[int]]
    winners: dict[int, torch.Tensor]


@dataclass(frozen=True)
class RelevanceBudget:
    """Relevance absorbed on the way to the input, per window.

    Output = input + bias + stabiliser + sums + routing + constants.

    Attributes:
        entries: (step, category, (window,) amount); categories `bias`, `stabilizer`, `sum` (dead residual
            sums), `norm` (means and sums), `route` (padding and slices), `softmax` (of attention weights), `sign`
            (signs in place of values), `constant` (what the network adds to, joins with or writes into data).
    """

    entries: list[tuple[str, str, torch.Tensor]] = field(default_factory=list)

    def add(self, name: str, shared: Shared, n_windows: int) -> None:
        """Note what a step with weights kept."""
        kept = {"bias": shared.bias, "stabilizer": shared.stabilizer()}
        kept |= {name: part for name, part in (("softmax", shared.softmax), ("sign", shared.sign)) if part is not None}
        self.entries.extend((name, category, per_window(amount, n_windows)) for category, amount in kept.items())

    def sum(self, category: str) -> torch.Tensor | float:
        """(window,) all amounts of a category."""
        return sum((amount for _, kind, amount in self.entries if kind == category), start=0.0)  # type: ignore[arg-type]


class Engine:
    """LRP through a canonical network without autograd.

    Equal to zennit's hooks on the same network (tests/reference/test_engine.py), at a fraction of their cost: no
    layer's own backward pass runs, and composites share one forward pass.

    Attributes:
        batch_size: windows of one relevance pass, at most; 1 where a row of a value is no window.
    """

    def __init__(self, canonical: Canonical) -> None:
        self.canonical = canonical
        self.layers = {n: operation_of(step.module) for n, step in enumerate(canonical.steps) if step.kind == "linear"}
        readers: dict[int, list[int]] = {}
        for n, step in enumerate(canonical.steps):
            for i in step.inputs:
                readers.setdefault(i, []).append(n)
        self.readers = readers
        self.kept = self._kept_values()
        self.batch_size = 1 if canonical.other_rows else BATCH_SIZE

    def _kept_values(self) -> set[int]:
        """Values that the relevance pass reads."""
        kept = {0, self.canonical.output}
        for n, step in enumerate(self.canonical.steps):
            if step.kind in ("linear", "norm", "distance", "sequence"):
                kept |= {step.inputs[0], n + 1}
            elif step.kind == "mixed":
                kept |= {*step.inputs, n + 1}
            elif step.kind in ("sum", "route", "write"):
                kept |= set(step.inputs)
            elif step.kind in ("concatenate", "shape"):
                kept.add(n + 1)
        return kept

    def explain(self, windows: torch.Tensor, rules: Rules) -> tuple[torch.Tensor, ...]:
        """Relevance of the network's output: (window, channel, time); what biases and constants took; the output.

        Windows go through in small batches, which halves the memory and costs no time (`python -m benchmarks.engine`).
        """
        parts = []
        for batch in windows.split(self.batch_size):
            tape = self.run(batch)
            budget = RelevanceBudget() if self.canonical.has_constants else None
            values, absorbed = self.relevance(tape, tape.output, rules, budget)
            of_constants = torch.zeros_like(absorbed) + (0.0 if budget is None else budget.sum("constant"))
            parts.append((values, absorbed, of_constants, tape.output))
        return tuple(torch.cat(part) for part in zip(*parts, strict=True))

    def budget(self, windows: torch.Tensor, rules: Rules) -> RelevanceBudget:
        """What each step keeps of the relevance of the network's output."""
        parts = []
        for batch in windows.split(self.batch_size):
            tape, found = self.run(batch), RelevanceBudget()
            self.relevance(tape, tape.output, rules, found)
            parts.append(found.entries)
        return RelevanceBudget(
            [(*same[0][:2], torch.cat([amount for _, _, amount in same])) for same in zip(*parts, strict=True)]
        )

    @torch.no_grad()
    def run(self, windows: torch.Tensor) -> Tape:
        """Forward pass of windows (window, channel, time)."""
        values: list[Any] = [windows.transpose(1, 2).contiguous().transpose(1, 2), *[None] * len(self.canonical.steps)]
        widths: dict[int, list[int]] = {}
        winners: dict[int, torch.Tensor] = {}
        for n, step in enumerate(self.canonical.steps):
            inputs = [values[i] for i in step.inputs]
            values[n + 1] = self.forward_step(n, inputs, winners)
            if isinstance(step.module, Concatenation):
                widths[n] = [part.shape[step.module.dim] for part in inputs]
                if step.module.dim == 1:
                    self._view_parts(n, step, values)
            for i in self.canonical.free_after[n]:
                if i not in self.kept:
                    values[i] = None
        return Tape(values, values[self.canonical.output], widths, winners)

    def forward_step(self, n: int, inputs: list[Any], winners: dict[int, torch.Tensor]) -> Any:
        """The output of one step; `winners` keeps which inputs of a maximum were greatest."""
        step, x = self.canonical.steps[n], inputs[0]
        if step.kind == "linear":
            layer = self.layers[n]
            return layer.forward(x, "w", layer.bias)
        if isinstance(step.module, Concatenation) and step.module.dim == 1 and x.ndim == 3:
            return torch.cat([part.transpose(1, 2) for part in inputs], dim=2).transpose(1, 2)
        if isinstance(step.module, Addition):
            return x + inputs[1]
        if isinstance(step.module, nn.MaxPool1d):
            # as 2-D pooling, which keeps channels last
            found, winners[n] = torch.ops.aten.max_pool2d_with_indices(x.unsqueeze(2), *pooling_sizes(step.module))
            return found.squeeze(2)
        if averages_all_time(step.module):
            return x.mean(dim=-1, keepdim=True)
        return step.module(*inputs)

    def _view_parts(self, n: int, step: Step, values: list[Any]) -> None:
        """Let outputs that only the concatenation reads be views of it: half the memory."""
        first = 0
        for i in step.inputs:
            width = values[i].shape[1]
            if self.readers[i] == [n] and i > 0:
                values[i] = values[n + 1].narrow(1, first, width)
            first += width

    @torch.no_grad()
    def relevance(
        self,
        tape: Tape,
        seed: torch.Tensor,
        rules: Rules,
        budget: RelevanceBudget | None = None,
        observer: Observer | None = None,
        at: int | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Carry relevance of the output, or of an inner value, back to the input.

        Args:
            tape: of the same windows.
            seed: relevance of the value it starts from, the same shape as it.
            rules: the composite.
            budget: filled with what each step kept, when given.
            observer: sees, and may replace, what arrives at each step.
            at: position of the value it starts from (`Step.inputs` counts them), the network's output if None.

        Returns:
            (window, channel, time) relevance and (window,) what the biases absorbed.
        """
        steps, n_windows = self.canonical.steps, len(tape.output)
        entrances = rules_of_entrances(self.canonical, rules, tape.values[0].shape[1:])
        waiting: dict[int, torch.Tensor] = {self.canonical.output if at is None else at: seed.clone()}
        absorbed = seed.new_zeros(n_windows)
        for n in reversed(range(len(steps))):
            step = steps[n]
            arriving = waiting.pop(n + 1, None)
            if arriving is None or step.kind == "held":
                continue
            if step.kind == "shape":
                if budget is not None:
                    budget.entries.append((step.name, "constant", per_window(arriving, n_windows)))
                continue
            if observer is not None:
                arriving = observer(n, arriving, waiting)
            if step.kind in ("linear", "sequence", "mixed"):
                shared = self._share_layer(n, tape, arriving, rules, entrances)
                leaving: Sequence[torch.Tensor | None] = shared.of_inputs
                absorbed = absorbed + per_window(shared.bias, n_windows)
                if budget is not None:
                    budget.add(step.name, shared, n_windows)
            else:
                before = per_window(arriving, n_windows) if budget is not None else None
                leaving = self._share(n, step, tape, arriving, rules)
                if budget is not None and before is not None and step.kind != "pass":
                    lost = before - sum(per_window(part, n_windows) for part in leaving if part is not None)
                    budget.entries.append((step.name, CATEGORIES.get(step.kind, step.kind), lost))
            for i, part in zip(step.inputs, leaving, strict=True):
                if part is not None:
                    _add(waiting, i, part)
        result = waiting.get(0)
        return (torch.zeros_like(tape.values[0]) if result is None else result), absorbed

    def _share_layer(
        self, n: int, tape: Tape, arriving: torch.Tensor, rules: Rules, entrances: dict[int, Rule]
    ) -> Shared:
        """Of a step with weights."""
        step, x, z = self.canonical.steps[n], tape.values[self.canonical.steps[n].inputs[0]], tape.values[n + 1]
        if isinstance(step.module, Linearised):
            return step.module.share([tape.values[i] for i in step.inputs], z, arriving, rules.sequence)
        if isinstance(step.module, (Recurrent, SelfAttention)):
            return step.module.share(x, z, arriving, rules.sequence)
        if step.before_entrances and entrances:
            # scale and shift are part of the entrance, whose rule has seen them
            return passed(arriving)
        i = step.inputs[0]
        non_negative = i > 0 and self.canonical.steps[i - 1].non_negative
        return share(entrances.get(n) or rule_of(step, rules), self.layers[n], x, z, arriving, non_negative)

    def _are_signals(self, step: Step) -> list[bool]:
        return [self.canonical.takes_relevance(i) for i in step.inputs]

    def _share(
        self, n: int, step: Step, tape: Tape, arriving: torch.Tensor, rules: Rules
    ) -> Sequence[torch.Tensor | None]:
        if step.kind == "pass":
            return [arriving]
        if step.kind == "concatenate":
            return arriving.split(tape.widths[n], dim=step.module.dim)  # type: ignore[arg-type]
        inputs = [tape.values[i] for i in step.inputs]
        if step.kind == "sum":
            return share_sum(inputs, arriving, residual_rule(step, rules))
        if step.kind == "write":
            return share_overwritten(step.module, inputs, self._are_signals(step), arriving)
        first = share_mean_or_route(step, inputs, tape.values[n + 1], arriving, tape.winners.get(n))
        return [first, *[None] * (len(inputs) - 1)]


def _add(waiting: dict[int, torch.Tensor], i: int, part: torch.Tensor) -> None:
    """Add relevance that arrives at a value from one of its readers."""
    if i not in waiting:
        waiting[i] = part
    elif 0 in waiting[i].stride():  # an expanded view, whose elements share memory
        waiting[i] = waiting[i] + part
    else:
        waiting[i].add_(part)

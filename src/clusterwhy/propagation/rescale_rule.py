"""DeepLIFT's rescale rule on the canonical form: relevance of the difference between the outputs of two inputs."""

import operator
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from clusterwhy.propagation.engine import Engine
from clusterwhy.propagation.head_layers import MeanOfSmallest, SoftExtremum
from clusterwhy.propagation.linearised import small_change
from clusterwhy.propagation.multipliers import of_mixed
from clusterwhy.propagation.operations import Call
from clusterwhy.propagation.overwriting import share_overwritten
from clusterwhy.propagation.sequence_rules import Recurrent, SelfAttention
from clusterwhy.propagation.steps import Canonical, Step
from clusterwhy.propagation.straight_lines import maxima_on_line, share_above, smallest_on_line
from clusterwhy.propagation.targets import as_scalars

# below this difference of inputs a secant is replaced by the slope halfway
SMALLEST_DIFFERENCE = 1e-6
NUMBERS_AT_ONCE = 1 << 18  # of points on a line that go through a layer together
SELECTING_CALLS = {
    *("amin", "amax", torch.amin, torch.amax, F.max_pool1d, F.adaptive_max_pool1d, F.max_pool2d),
    F.adaptive_max_pool2d,
}
ELEMENT_WISE_CALLS = {
    *(torch.sqrt, torch.rsqrt, torch.abs, torch.square, torch.pow, operator.pow),
    *("sqrt", "rsqrt", "abs", "square", "pow", "clamp"),
}
SELECTING = (
    *(nn.AdaptiveMaxPool1d, nn.MaxPool2d, nn.AdaptiveMaxPool2d, SoftExtremum),
    *(Recurrent, SelfAttention),
)


# a forward pass: the input and the output of each step
Values = list[Any]


class RescaleRule:
    """Carries the difference of two outputs of a canonical network back to its input.

    Args:
        canonical: the network, with the target behind it.
        n_path: points on the straight line between two inputs, where gradients change along it.
        device: of the network.
    """

    def __init__(self, canonical: Canonical, n_path: int, device: torch.device) -> None:
        self.canonical, self.n_path, self.device = canonical, n_path, device
        self.engine = Engine(canonical)

    def mean_relevance(
        self, windows: torch.Tensor, references: torch.Tensor, batch_size: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean over references of what `relevance` gives, on the CPU.

        Args:
            windows: (window, channel, time).
            references: (window, reference, channel, time), or (reference, channel, time) for all windows alike.
            batch_size: windows at a time.
        """
        values, differences = (torch.zeros(size, dtype=windows.dtype) for size in (windows.shape, len(windows)))
        shared, count = references.ndim == 3, references.shape[-3]
        batch_size = 1 if self.canonical.other_rows else batch_size
        for first in range(0, len(windows), batch_size):
            part = slice(first, first + batch_size)
            own = self.forward(windows[part].to(self.device))
            for j in range(count):
                # one reference for all windows is broadcast
                reference = references[j : j + 1] if shared else references[part, j]
                relevance, difference = self.relevance(own, self.forward(reference.to(self.device, windows.dtype)))
                values[part] += relevance.cpu() / count
                differences[part] += difference.cpu() / count
        return values, differences

    @torch.no_grad()
    def forward(self, windows: torch.Tensor) -> Values:
        """Windows (window, channel, time), and what each step after them gives."""
        # channels last in memory, as the engine has them
        values: Values = [windows.transpose(1, 2).contiguous().transpose(1, 2)]
        for n, step in enumerate(self.canonical.steps):
            values.append(self.engine.forward_step(n, [values[i] for i in step.inputs], {}))
        return values

    @torch.no_grad()
    def relevance(self, here: Values, there: Values) -> tuple[torch.Tensor, torch.Tensor]:
        """(window, channel, time) relevance and (window,) difference, from the values of windows and references."""
        output = self.canonical.output
        difference = as_scalars(here[output] - there[output], len(here[0]))
        waiting: dict[int, torch.Tensor] = {output: torch.ones_like(difference)}
        for n, step in reversed(list(enumerate(self.canonical.steps))):
            arriving = waiting.pop(n + 1, None)
            if arriving is None or step.kind == "shape":
                continue
            inputs = [(here[i], there[i]) for i in step.inputs]
            leaving = self._back(n, step, inputs, (here[n + 1], there[n + 1]), arriving)
            for i, part in zip(step.inputs, leaving, strict=False):
                if part is not None:
                    waiting[i] = waiting[i] + part if i in waiting else part
        multipliers = waiting.get(0)
        if multipliers is None:
            return torch.zeros_like(here[0]), difference
        return multipliers * (here[0] - there[0]), difference

    def _back(
        self, n: int, step: Step, inputs: list[tuple[Any, Any]], outputs: tuple[Any, Any], arriving: torch.Tensor
    ) -> list[torch.Tensor | None]:
        """Multipliers of the inputs; constant inputs of a reshape get none."""
        here, there = inputs[0]
        module: Any = step.module
        if step.kind == "linear":
            return [self.engine.layers[n].transpose(arriving, "w", here)]
        if step.kind == "sum":
            return [arriving.sum_to_size(own.shape) for own, _ in inputs]
        if step.kind == "concatenate":
            return list(arriving.split([own.shape[module.dim] for own, _ in inputs], dim=module.dim))
        if step.kind == "pass":
            return [_secant(module, here, there, outputs, arriving, SMALLEST_DIFFERENCE)]
        if step.kind == "held" and len(inputs) == 1 and _is_element_wise(module):
            smallest = small_change(here) * (here + there).abs()  # a power of small values is tiny
            return [_secant(module, here, there, outputs, arriving, smallest)]
        if step.kind in ("mixed", "held"):
            if not outputs[0].is_floating_point():  # a mask
                return [None] * len(inputs)
            data = [self.canonical.depends_on_windows(i) for i in step.inputs]
            return of_mixed(module, inputs, data, arriving, self.n_path)
        if step.kind == "write":
            return self._written(step, inputs, arriving)
        if isinstance(module, nn.MaxPool1d):
            return [maxima_on_line(module, here, there, arriving)]
        if isinstance(module, MeanOfSmallest):
            return [smallest_on_line(module, here, there, arriving, self.n_path)]
        others = tuple(own for own, _ in inputs[1:])
        if not _selects(module):  # linear and quadratic steps need one point
            return [_gradient(module, (here + there) / 2, others, arriving)]
        total = torch.zeros_like(here)
        at_once = 1 if others or self.canonical.other_rows else max(1, NUMBERS_AT_ONCE // here.numel())
        for points in ((torch.arange(self.n_path).to(here) + 0.5) / self.n_path).split(at_once):
            at = torch.cat([there + share * (here - there) for share in points])
            found = _gradient(module, at, others, arriving.repeat(len(points), *[1] * (arriving.ndim - 1)))
            total += found.unflatten(0, (len(points), len(here))).sum(dim=0)
        return [total / self.n_path]

    def _written(self, step: Step, inputs: list[tuple[Any, Any]], arriving: torch.Tensor) -> list[torch.Tensor | None]:
        """Multipliers of values that are written or chosen; the mean of both ends where their masks differ."""
        signals = [self.canonical.takes_relevance(i) for i in step.inputs]
        here = share_overwritten(step.module, [own for own, _ in inputs], signals, arriving)
        if signals == [self.canonical.depends_on_windows(i) for i in step.inputs]:
            return here
        others = [b.expand_as(a) if isinstance(b, torch.Tensor) else b for a, b in inputs]
        there = share_overwritten(step.module, others, signals, arriving)
        return [None if a is None or b is None else (a + b) / 2.0 for a, b in zip(here, there, strict=True)]


def _secant(
    module: nn.Module,
    here: torch.Tensor,
    there: torch.Tensor,
    outputs: tuple[Any, Any],
    arriving: torch.Tensor,
    smallest: float | torch.Tensor,
) -> torch.Tensor:
    """The slope of the line through both values of an activation; of the curve halfway where they differ by no more
    than `smallest`, 0 where that is infinite (a root at 0)."""
    if isinstance(module, nn.ReLU):
        return share_above(here, there, arriving)
    run = here - there
    small = run.abs() <= smallest
    slope = _gradient(module, (here + there) / 2, (), torch.ones_like(arriving)).nan_to_num(0.0, 0.0, 0.0)
    return arriving * torch.where(small, slope, (outputs[0] - outputs[1]) / run.masked_fill(small, 1.0))


def _selects(module: nn.Module) -> bool:
    """Whether gradients change along a line: others come to be chosen, or the layer is not linear."""
    if isinstance(module, Call):
        return module.function in SELECTING_CALLS
    return isinstance(module, SELECTING)


def _is_element_wise(module: nn.Module) -> bool:
    """Whether each output of a statistic is a function of one input."""
    return isinstance(module, Call) and module.function in ELEMENT_WISE_CALLS


def _gradient(module: nn.Module, at: torch.Tensor, others: tuple[Any, ...], arriving: torch.Tensor) -> torch.Tensor:
    with torch.enable_grad():
        x = at.detach().requires_grad_()
        # a soft extremum without the detachment that relevance needs
        value = module.weighted(x, x) if isinstance(module, SoftExtremum) else module(x, *others)
        # of a scalar, as in `propagation.fixed_rules`
        (found,) = torch.autograd.grad((value * arriving).sum(), x)
    return found

"""DeepLIFT's rescale rule on the canonical form: relevance of the difference between the outputs of two inputs."""

import itertools
import operator
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from clusterwhy.propagation.engine import Engine
from clusterwhy.propagation.fixed_rules import pooling_sizes
from clusterwhy.propagation.head_layers import MeanOfSmallest, SoftExtremum
from clusterwhy.propagation.inputs import as_scalars
from clusterwhy.propagation.linearised import Linearised, Product, small_change
from clusterwhy.propagation.operations import Call
from clusterwhy.propagation.overwriting import share_overwritten
from clusterwhy.propagation.sequence_rules import Recurrent, SelfAttention
from clusterwhy.propagation.steps import Canonical, Step

# below this difference of inputs a secant is replaced by the slope halfway
SMALLEST_DIFFERENCE = 1e-6
INFINITY = float("inf")
SELECTING_CALLS = {
    *("amin", "amax", torch.amin, torch.amax, F.max_pool1d, F.adaptive_max_pool1d, F.max_pool2d),
    F.adaptive_max_pool2d,
}
ELEMENT_WISE_CALLS = {
    *(torch.sqrt, torch.rsqrt, torch.abs, torch.square, torch.pow, operator.pow),
    *("sqrt", "rsqrt", "abs", "square", "pow", "clamp"),
}
SELECTING = (
    *(nn.AdaptiveMaxPool1d, nn.MaxPool2d, nn.AdaptiveMaxPool2d, MeanOfSmallest, SoftExtremum),
    *(Recurrent, SelfAttention),
)


@dataclass(frozen=True)
class ForwardPass:
    """A forward pass: the input and the output of each step; `winners` are the greatest inputs of max pooling."""

    steps: list[Any]
    winners: dict[int, torch.Tensor]


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
    def forward(self, windows: torch.Tensor) -> ForwardPass:
        """What windows (window, channel, time) and each step after them give."""
        # channels last in memory, as the engine has them
        values: list[Any] = [windows.transpose(1, 2).contiguous().transpose(1, 2)]
        winners: dict[int, torch.Tensor] = {}
        for n, step in enumerate(self.canonical.steps):
            values.append(self.engine.forward_step(n, [values[i] for i in step.inputs], winners))
        return ForwardPass(values, winners)

    @torch.no_grad()
    def relevance(self, window: ForwardPass, reference: ForwardPass) -> tuple[torch.Tensor, torch.Tensor]:
        """(window, channel, time) relevance and (window,) difference, from the values of windows and references."""
        output = self.canonical.output
        here, there = window.steps, reference.steps
        difference = as_scalars(here[output] - there[output], len(here[0]))
        waiting: dict[int, torch.Tensor] = {output: torch.ones_like(difference)}
        for n, step in reversed(list(enumerate(self.canonical.steps))):
            arriving = waiting.pop(n + 1, None)
            if arriving is None or step.kind == "shape":
                continue
            inputs = [(here[i], there[i]) for i in step.inputs]
            if n in window.winners:
                winners = window.winners[n], reference.winners[n]
                leaving: list[torch.Tensor | None] = [_maxima(step.module, *inputs[0], winners, arriving)]  # type: ignore[arg-type]
            else:
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
            return self._mixed(step, inputs, arriving)
        if step.kind == "write":
            signals = [self.canonical.depends_on_windows(i) for i in step.inputs]
            return share_overwritten(module, [own for own, _ in inputs], signals, arriving)
        others = tuple(own for own, _ in inputs[1:])
        # linear and quadratic steps need one point
        count = self.n_path if _selects(module) else 1
        at = (there + (k + 0.5) / count * (here - there) for k in range(count))
        return [sum(_gradient(module, point, others, arriving) for point in at) / count]  # type: ignore[list-item]

    def _mixed(self, step: Step, inputs: list[tuple[Any, Any]], arriving: torch.Tensor) -> list[Any]:
        """Mean gradients of all inputs along the line, in closed form or at its points; products are exact at its
        middle."""
        if isinstance(step.module, Linearised):
            here, there = ([ends[i] for ends in inputs] for i in (0, 1))
            known = step.module.mean_gradients(here, there, arriving)
            if known is not None:
                return list(known)
        count = 1 if isinstance(step.module, Product) else self.n_path
        data = [i == 0 or self.canonical.steps[i - 1].kind != "shape" for i in step.inputs]
        total: list[Any] = [0.0 if is_data else None for is_data in data]
        for k in range(count):
            share = (k + 0.5) / count
            points = [
                (b + share * (a - b)).requires_grad_() if is_data else a
                for (a, b), is_data in zip(inputs, data, strict=True)
            ]
            moving = [i for i, is_data in enumerate(data) if is_data]
            with torch.enable_grad():
                value = (step.module(*points) * arriving).sum()
                found = torch.autograd.grad(value, [points[i] for i in moving])
            for i, gradient in zip(moving, found, strict=True):
                total[i] = total[i] + gradient / count
        return total


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
    run, middle = here - there, (here + there) / 2
    small = run.abs() <= smallest
    if isinstance(module, nn.ReLU):
        slope = (middle > 0).to(middle.dtype)
    else:
        slope = _gradient(module, middle, (), torch.ones_like(arriving)).nan_to_num(nan=0.0, posinf=0.0, neginf=0.0)
    return arriving * torch.where(small, slope, (outputs[0] - outputs[1]) / run.masked_fill(small, 1.0))


def _maxima(
    module: nn.MaxPool1d,
    here: torch.Tensor,
    there: torch.Tensor,
    winners: tuple[torch.Tensor, torch.Tensor],
    arriving: torch.Tensor,
) -> torch.Tensor:
    """Mean gradients of a maximum on the straight line: each input's share of the line on which it is the greatest.

    Exact, since two inputs change places at most once on a line. What is greatest at both ends is so all along.

    Args:
        module: the pooling.
        here, there: (window, channel, time) both ends; `there` may be one window for all.
        winners: of both ends, (window, channel, 1, place) positions of the greatest inputs.
        arriving: (window, channel, place) multipliers.
    """
    (_, kernel), (_, stride), (_, padding), (_, dilation), _ = pooling_sizes(module)
    changes = (winners[0] != winners[1]).squeeze(2)
    planes = here.unsqueeze(2), *pooling_sizes(module), winners[0]
    kept = torch.ops.aten.max_pool2d_with_indices_backward(arriving.masked_fill(changes, 0.0).unsqueeze(2), *planes)
    found: torch.Tensor = kept.squeeze(2)
    window, channel, place = changes.nonzero(as_tuple=True)
    taps = place * stride - padding + dilation * torch.arange(kernel, device=here.device)[:, None]
    outside = (taps < 0) | (taps >= here.shape[2])
    taps = taps.clamp(0, here.shape[2] - 1)
    # padding never wins: lower than anything, and finite, so that differences are numbers
    lowest = min(float(here.min()), float(there.min())) - 1.0
    first = there[window if len(there) > 1 else 0, channel, taps].masked_fill_(outside, lowest)
    last = here[window, channel, taps].masked_fill_(outside, lowest)
    low, high = torch.zeros_like(first), torch.ones_like(first)
    for i, j in itertools.combinations(range(kernel), 2):
        start, stop = first[i] - first[j], last[i] - last[j]
        # where they are equal; beyond [0, 1] one leads all along, and of two that stay equal the first one does
        turn = (start / (start - stop)).nan_to_num_(nan=INFINITY, posinf=INFINITY, neginf=-INFINITY)
        falls = stop <= start  # i leads before the turn, else after it
        for k, before, after in ((i, falls, ~falls), (j, ~falls, falls)):
            low[k] = torch.maximum(low[k], turn.masked_fill(before, -INFINITY))
            high[k] = torch.minimum(high[k], turn.masked_fill(after, INFINITY))
    shares = (high - low).clamp_(min=0.0) * arriving[window, channel, place]
    for tap, share in zip(taps, shares, strict=True):
        # a place has one input per tap: threads never add to the same number, whose sum would depend on their order
        found.index_put_((window, channel, tap), share, accumulate=True)
    return found


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

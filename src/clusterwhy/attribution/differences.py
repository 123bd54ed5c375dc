"""Relevance of the difference between windows and reference windows: what makes one unlike the other."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from clusterwhy.errors import ShapeError
from clusterwhy.propagation.canonical import canonize
from clusterwhy.propagation.engine import Engine
from clusterwhy.propagation.explainer import Relevance, target_name, with_target
from clusterwhy.propagation.fixed_rules import pooling_sizes
from clusterwhy.propagation.head_layers import MeanOfSmallest, SoftExtremum
from clusterwhy.propagation.operations import Call
from clusterwhy.propagation.sequence_rules import Recurrent, SelfAttention
from clusterwhy.propagation.steps import Canonical, Step
from clusterwhy.types import FloatArray

# below this difference of inputs a secant is replaced by the slope halfway
SMALLEST_DIFFERENCE = 1e-6
INFINITY = float("inf")


def explain_difference(
    network: nn.Module,
    windows: FloatArray | torch.Tensor,
    references: FloatArray | torch.Tensor,
    target: int | Callable[[torch.Tensor], torch.Tensor] | None = None,
    batch_size: int = 64,
    n_path: int = 32,
) -> Relevance:
    """Relevance of windows for the difference of a scalar to that of reference windows.

    Multipliers are carried back through the canonical form: transposed linear layers, the slope of the
    secant through both values at activations (the rescale rule of DeepLIFT, Shrikumar et al. 2017, eq. 8; LRP's
    epsilon rule on differences, Ancona et al. 2018), and mean gradients on the straight line between both
    inputs at maxima, minima and distances (exact at distances and max pooling). Biases cancel, so relevance
    adds up to the difference.

    Args:
        network: (window, channel, time) -> anything, in evaluation mode. It is not changed.
        windows: (window, channel, time) float32 or float64.
        references: (window, reference, channel, time), such as the nearest normal windows of each, or
            (reference, channel, time) for all windows alike; their mean relevance is given.
        target: as in `explain`.
        batch_size: windows at a time.
        n_path: points on the line at other maxima and minima; the gap tells what more of them would gain.

    Returns:
        Relevance whose `target` is the mean difference to the references and whose `bias_share` is 0.

    Raises:
        CompositeError: an operation has no rule.
        ShapeError: shapes do not fit, or the target is not one scalar per window.
    """
    x, base = torch.as_tensor(windows), torch.as_tensor(references)
    shared = base.ndim == 3
    fits = x.ndim == 3 and (shared or (base.ndim == 4 and len(x) == len(base))) and x.shape[1:] == base.shape[-2:]
    if not fits or not len(x) or not base.shape[-3]:
        raise ShapeError(
            "expected windows (window >= 1, channel, time) and references (reference >= 1, channel, time) for all or "
            f"(window, reference >= 1, channel, time), got {tuple(x.shape)} and {tuple(base.shape)}"
        )
    whole = network if target is None else with_target(network, target)
    device = next((p.device for p in network.parameters()), torch.device("cpu"))
    canonical = canonize(whole, (x[:2] if len(x) > 1 else x.repeat(2, 1, 1)).to(device))
    secants = Secants(canonical, n_path)
    values, differences = torch.zeros(x.shape, dtype=x.dtype), torch.zeros(len(x), dtype=x.dtype)
    count = base.shape[-3]
    for first in range(0, len(x), batch_size):
        part = slice(first, first + batch_size)
        here = secants.values(x[part].to(device))
        for j in range(count):
            # one reference for all is broadcast
            reference = base[j : j + 1] if shared else base[part, j]
            found, difference = secants.relevance(here, secants.values(reference.to(device, x.dtype)))
            values[part] += found.cpu() / count
            differences[part] += difference.cpu() / count
    provenance = {
        "target": target_name(target),
        "composite": "difference to references",
        "references": count,
        "canonizer": "auto",
        "notes": list(canonical.notes),
    }
    return Relevance(values.numpy(), differences.numpy(), torch.zeros_like(differences).numpy(), provenance)


@dataclass(frozen=True)
class Values:
    """A forward pass: the input and the output of each step; `winners` are the greatest inputs of max pooling."""

    steps: list[Any]
    winners: dict[int, torch.Tensor]


class Secants:
    """Carries the difference of two outputs of a canonical network back to its input."""

    def __init__(self, canonical: Canonical, n_path: int) -> None:
        self.canonical, self.n_path = canonical, n_path
        self.engine = Engine(canonical)

    @torch.no_grad()
    def values(self, windows: torch.Tensor) -> Values:
        """What windows (window, channel, time) and each step after them give."""
        # channels last in memory, as the engine has them
        values: list[Any] = [windows.transpose(1, 2).contiguous().transpose(1, 2)]
        winners: dict[int, torch.Tensor] = {}
        for n, step in enumerate(self.canonical.steps):
            values.append(self.engine.forward_step(n, [values[i] for i in step.inputs], winners))
        return Values(values, winners)

    @torch.no_grad()
    def relevance(self, window: Values, reference: Values) -> tuple[torch.Tensor, torch.Tensor]:
        """(window, channel, time) relevance and (window,) difference, from the values of windows and references."""
        output = self.canonical.output
        here, there = window.steps, reference.steps
        difference = here[output] - there[output]
        if difference.shape != (len(here[0]),):
            raise ShapeError(
                f"expected a target (window,), got {tuple(difference.shape)}: choose one scalar per window"
            )
        waiting: dict[int, torch.Tensor] = {output: torch.ones_like(difference)}
        for n, step in reversed(list(enumerate(self.canonical.steps))):
            arriving = waiting.pop(n + 1, None)
            if arriving is None or step.kind == "shape":
                continue
            inputs = [(here[i], there[i]) for i in step.inputs]
            if n in window.winners:
                winners = window.winners[n], reference.winners[n]
                leaving = [_maxima(step.module, *inputs[0], winners, arriving)]  # type: ignore[arg-type]
            else:
                leaving = self._back(n, step, inputs, (here[n + 1], there[n + 1]), arriving)
            for i, part in zip(step.inputs, leaving, strict=False):
                waiting[i] = waiting[i] + part if i in waiting else part
        multipliers = waiting.get(0)
        if multipliers is None:
            return torch.zeros_like(here[0]), difference
        return multipliers * (here[0] - there[0]), difference

    def _back(
        self, n: int, step: Step, inputs: list[tuple[Any, Any]], outputs: tuple[Any, Any], arriving: torch.Tensor
    ) -> list[torch.Tensor]:
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
            return [_secant(module, here, there, outputs, arriving)]
        others = tuple(own for own, _ in inputs[1:])
        # linear and quadratic steps need one point
        count = self.n_path if _selects(module) else 1
        at = (there + (k + 0.5) / count * (here - there) for k in range(count))
        return [sum(_gradient(module, point, others, arriving) for point in at) / count]  # type: ignore[list-item]


def _secant(
    module: nn.Module, here: torch.Tensor, there: torch.Tensor, outputs: tuple[Any, Any], arriving: torch.Tensor
) -> torch.Tensor:
    """The slope of the line through both values of an activation; of the curve halfway where they are the same."""
    run, middle = here - there, (here + there) / 2
    small = run.abs() < SMALLEST_DIFFERENCE
    if isinstance(module, nn.ReLU):
        slope = (middle > 0).to(middle.dtype)
    else:
        slope = _gradient(module, middle, (), torch.ones_like(arriving))
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
        return module.function in {"amin", "amax", torch.amin, torch.amax, F.max_pool1d, F.adaptive_max_pool1d}
    return isinstance(module, (nn.AdaptiveMaxPool1d, MeanOfSmallest, SoftExtremum, Recurrent, SelfAttention))


def _gradient(module: nn.Module, at: torch.Tensor, others: tuple[Any, ...], arriving: torch.Tensor) -> torch.Tensor:
    with torch.enable_grad():
        x = at.detach().requires_grad_()
        # a soft extremum without the detachment that relevance needs
        value = module.weighted(x, x) if isinstance(module, SoftExtremum) else module(x, *others)
        # of a scalar, as in `propagation.fixed_rules`
        (found,) = torch.autograd.grad((value * arriving).sum(), x)
    return found

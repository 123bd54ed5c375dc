"""Relevance of the difference between windows and reference windows: what makes one unlike the other."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from clusterwhy.errors import ShapeError
from clusterwhy.relevance.canonical import Canonical, Step, canonize
from clusterwhy.relevance.explaining import Explained, Relevance, Unit
from clusterwhy.relevance.heads import MeanOfSmallest
from clusterwhy.relevance.rules import LinearOperation
from clusterwhy.types import FloatArray

# below this difference of inputs a secant is replaced by the slope halfway
SMALLEST_DIFFERENCE = 1e-6


def explain_difference(
    network: nn.Module,
    windows: FloatArray | torch.Tensor,
    references: FloatArray | torch.Tensor,
    target: int | Callable[[torch.Tensor], torch.Tensor] | None = None,
    batch_size: int = 64,
    n_path: int = 8,
) -> Relevance:
    """Relevance of windows for the difference of a scalar to that of reference windows.

    Multipliers are carried back through the canonical form: transposed linear layers, the slope of the
    secant through both values at activations (the rescale rule of DeepLIFT, Shrikumar et al. 2017, eq. 8; LRP's
    epsilon rule on differences, Ancona et al. 2018), and mean gradients on the straight line between both
    inputs at maxima, minima and distances. Biases cancel, so relevance adds up to the difference.

    Args:
        network: (window, channel, time) -> anything, in evaluation mode. It is not changed.
        windows: (window, channel, time) float32 or float64.
        references: (window, reference, channel, time), such as the nearest normal windows of each; their
            mean relevance is given.
        target: as in `explain`.
        batch_size: windows at a time.
        n_path: points on the line at maxima and minima; the gap tells what more of them would gain.

    Returns:
        Relevance whose `target` is the mean difference to the references and whose `bias_share` is 0.

    Raises:
        CompositeError: an operation has no rule.
        ShapeError: shapes do not fit, or the target is not one scalar per window.
    """
    x, base = torch.as_tensor(windows), torch.as_tensor(references)
    fits = x.ndim == 3 and base.ndim == 4 and len(x) == len(base) and x.shape[1:] == base.shape[2:]
    if not fits or not len(x) or not base.shape[1]:
        raise ShapeError(
            "expected windows (window >= 1, channel, time) and references (window, reference >= 1, channel, time), "
            f"got {tuple(x.shape)} and {tuple(base.shape)}"
        )
    head: Any = Unit(target) if isinstance(target, int) else target
    whole = network if head is None else Explained(network, head).train(network.training)
    device = next((p.device for p in network.parameters()), torch.device("cpu"))
    canonical = canonize(whole, (x[:2] if len(x) > 1 else x.repeat(2, 1, 1)).to(device))
    secants = Secants(canonical, n_path)
    values, differences = torch.zeros(x.shape, dtype=x.dtype), torch.zeros(len(x), dtype=x.dtype)
    for first in range(0, len(x), batch_size):
        part = slice(first, first + batch_size)
        for j in range(base.shape[1]):
            found, difference = secants.relevance(x[part].to(device), base[part, j].to(device, x.dtype))
            values[part] += found.cpu() / base.shape[1]
            differences[part] += difference.cpu() / base.shape[1]
    provenance = {
        "target": type(head).__name__ if head is not None else "output",
        "composite": "difference to references",
        "references": int(base.shape[1]),
        "canonizer": "auto",
        "notes": list(canonical.notes),
    }
    return Relevance(values.numpy(), differences.numpy(), torch.zeros_like(differences).numpy(), provenance)


class Secants:
    """Carries the difference of two outputs of a canonical network back to its input."""

    def __init__(self, canonical: Canonical, n_path: int) -> None:
        self.canonical, self.n_path = canonical, n_path
        self.layers = {
            n: LinearOperation(step.module)  # type: ignore[arg-type]
            for n, step in enumerate(canonical.steps)
            if step.kind == "linear"
        }

    @torch.no_grad()
    def relevance(self, windows: torch.Tensor, references: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(window, channel, time) relevance and (window,) difference, of windows and references of one shape."""
        here, there = self._values(windows), self._values(references)
        output = self.canonical.output
        difference = here[output] - there[output]
        if difference.shape != (len(windows),):
            raise ShapeError(
                f"expected a target (window,), got {tuple(difference.shape)}: choose one scalar per window"
            )
        waiting: dict[int, torch.Tensor] = {output: torch.ones_like(difference)}
        for n, step in reversed(list(enumerate(self.canonical.steps))):
            arriving = waiting.pop(n + 1, None)
            if arriving is None or step.kind == "shape":
                continue
            inputs = [(here[i], there[i]) for i in step.inputs]
            leaving = self._back(n, step, inputs, (here[n + 1], there[n + 1]), arriving)
            for i, part in zip(step.inputs, leaving, strict=False):
                waiting[i] = waiting[i] + part if i in waiting else part
        multipliers = waiting.get(0)
        if multipliers is None:
            return torch.zeros_like(windows), difference
        return multipliers * (windows - references), difference

    def _values(self, windows: torch.Tensor) -> list[Any]:
        values: list[Any] = [windows]
        for step in self.canonical.steps:
            values.append(step.module(*[values[i] for i in step.inputs]))
        return values

    def _back(
        self, n: int, step: Step, inputs: list[tuple[Any, Any]], outputs: tuple[Any, Any], arriving: torch.Tensor
    ) -> list[torch.Tensor]:
        """Multipliers of the inputs; constant inputs of a reshape get none."""
        here, there = inputs[0]
        if step.kind == "linear":
            return [self.layers[n].transpose(arriving, "w", here)]
        if step.kind == "sum":
            return [arriving.sum_to_size(own.shape) for own, _ in inputs]
        if step.kind == "concatenate":
            axis: Any = step.module.dim
            return list(arriving.split([own.shape[axis] for own, _ in inputs], dim=axis))
        if step.kind == "pass":
            run = here - there
            small = run.abs() < SMALLEST_DIFFERENCE
            slope = _gradient(step.module, (here + there) / 2, (), torch.ones_like(arriving))
            rise = (outputs[0] - outputs[1]) / torch.where(small, 1.0, run)
            return [arriving * torch.where(small, slope, rise)]
        # means, sums and reshapes are linear, and distances quadratic: one point is exact
        exact = step.kind == "distance" or (step.kind == "norm" and not isinstance(step.module, MeanOfSmallest))
        count = 1 if exact else self.n_path
        others = tuple(own for own, _ in inputs[1:])
        at = ((k + 0.5) / count for k in range(count))
        return [sum(_gradient(step.module, there + w * (here - there), others, arriving) for w in at) / count]  # type: ignore[list-item]


def _gradient(module: nn.Module, at: torch.Tensor, others: tuple[Any, ...], arriving: torch.Tensor) -> torch.Tensor:
    with torch.enable_grad():
        x = at.detach().requires_grad_()
        (found,) = torch.autograd.grad(module(x, *others), x, arriving)
    return found

"""What attributors without LRP rules share: a copy of the network, baselines, and the target of each window."""

import contextlib
import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from clusterwhy.attribution.base import Attributor, Question
from clusterwhy.errors import MethodError, ShapeError
from clusterwhy.types import FloatArray

if TYPE_CHECKING:
    import torch
    from torch import nn

    from clusterwhy.propagation.explainer import Relevance

BaselineName = Literal["zero", "mean", "references"]


@dataclass(frozen=True)
class Probe:
    """A network that may be probed as one likes, and what it is probed with.

    Attributes:
        network: (window, channel, time) -> (window,), a copy whose parameters need no gradient.
        references: (reference, channel, time) windows from elsewhere; may be none.
        generator: random numbers, on the CPU.
    """

    network: "nn.Module"
    references: "torch.Tensor"
    generator: "torch.Generator"

    def noise(self, like: "torch.Tensor") -> "torch.Tensor":
        """Standard normal values of the same shape, the same on every device."""
        import torch

        return torch.randn(like.shape, generator=self.generator, dtype=like.dtype).to(like.device)

    def gradient(self, windows: "torch.Tensor") -> "torch.Tensor":
        """(window, channel, time) gradient of the target."""
        import torch

        x = windows.detach().requires_grad_()
        (found,) = torch.autograd.grad(self.network(x).sum(), x)
        return found

    def baselines(self, name: BaselineName, windows: "torch.Tensor", count: int) -> "list[torch.Tensor]":
        """What stands for "no evidence", each of the shape of the windows (window, channel, time).

        `zero`: the mean of a standardised series; `mean`: each channel's own mean in the window; `references`: up to
        `count` windows from elsewhere, one after the other.

        Raises:
            MethodError: references are asked for and there are none.
        """
        import torch

        if name == "zero":
            return [torch.zeros_like(windows)]
        if name == "mean":
            return [windows.mean(dim=2, keepdim=True).expand_as(windows).contiguous()]
        if not len(self.references):
            raise MethodError(
                "baseline: references needs windows from elsewhere: give `references` (reference, channel, time), or "
                "choose the baseline `zero` or `mean`"
            )
        return [reference.expand_as(windows).contiguous() for reference in self.references[:count]]


class Probing(Attributor, ABC):
    """An attributor that asks the network itself and needs no rules; nothing is left on the network.

    Attributes:
        complete: relevance adds up to the target less that of the baseline.
    """

    complete: ClassVar[bool] = False

    @property
    def has_own_rules(self) -> bool:
        return True

    @abstractmethod
    def relevance(self, probe: Probe, windows: "torch.Tensor") -> "torch.Tensor":
        """(window, channel, time) for one batch of windows of the same shape."""

    def usual(self, probe: Probe, windows: "torch.Tensor") -> "torch.Tensor | float":
        """(window,) the target of the baseline, 0 where the method has none."""
        return 0.0

    def facts(self, probe: Probe, windows: "torch.Tensor") -> dict[str, Any]:
        """What else is to be known of the relevance, such as its resolution."""
        return {}

    def explain(self, question: Question, windows: FloatArray, seed: int) -> "Relevance":
        """Relevance of windows (window, channel, time).

        Raises:
            MethodError: the network has not what the method needs, or relevance is not finite.
            ShapeError: the target is not one scalar per window.
        """
        import torch

        from clusterwhy.propagation.explainer import Relevance

        device = next((p.device for p in question.network.parameters()), torch.device("cpu"))
        data = torch.as_tensor(windows)
        network = copy.deepcopy(question.network).eval().requires_grad_(False)
        references = torch.as_tensor(question.references, dtype=data.dtype).to(device)
        probe = Probe(network, references, torch.Generator().manual_seed(seed))
        values, targets = [], []
        with _backward_of_recurrent_layers():
            for batch in data.split(self.batch_size):
                here = batch.to(device)
                with torch.no_grad():
                    target = network(here)
                    if target.shape != (len(here),):
                        raise ShapeError(
                            f"expected a target (window,), got {tuple(target.shape)}: choose one scalar per window"
                        )
                    target = target - self.usual(probe, here)
                values.append(self.relevance(probe, here).detach().cpu().numpy())
                targets.append(target.cpu().numpy())
            facts = self.facts(probe, data[:1].to(device))
        found, scalar = np.concatenate(values), np.concatenate(targets)
        broken = ~np.isfinite(found).all(axis=(1, 2))
        if broken.any():
            raise MethodError(
                f"relevance of {int(broken.sum())} of {len(data)} windows is not finite: "
                "the windows hold such values, or the network does not fit the method"
            )
        share = np.full_like(scalar, 0.0 if self.complete else np.nan)
        return Relevance(found, scalar, share, {"attributor": type(self).__name__, **self.model_dump(), **facts})


class WithBaseline(Probing, ABC):
    """A method whose relevance counts from a baseline."""

    baseline: BaselineName
    n_references: int = Field(ge=1)  # of the baseline `references`

    def usual(self, probe: Probe, windows: "torch.Tensor") -> "torch.Tensor | float":
        ends = self.ends(probe, windows)
        total: torch.Tensor = sum(probe.network(end) for end in ends) / len(ends)  # type: ignore[assignment]
        return total

    def ends(self, probe: Probe, windows: "torch.Tensor") -> "list[torch.Tensor]":
        """The baselines of a batch."""
        return probe.baselines(self.baseline, windows, self.n_references)

    def mean(
        self, probe: Probe, windows: "torch.Tensor", of: "Callable[[torch.Tensor], torch.Tensor]"
    ) -> "torch.Tensor":
        """The mean over baselines of what a function makes of each."""
        ends = self.ends(probe, windows)
        total: torch.Tensor = sum(of(end) for end in ends) / len(ends)  # type: ignore[assignment]
        return total


@contextlib.contextmanager
def _backward_of_recurrent_layers() -> Iterator[None]:
    """cuDNN has no backward pass through recurrent layers in evaluation mode: torch's own kernels have."""
    import torch

    with torch.backends.cudnn.flags(enabled=False):
        yield

"""What every attribution method is: its parameters, the task it is given, and the name it is called by."""

import contextlib
import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import numpy as np
from pydantic import Field

from clusterwhy.config import Settings
from clusterwhy.errors import MethodError
from clusterwhy.types import FloatArray

if TYPE_CHECKING:
    import torch
    from torch import nn

    from clusterwhy.propagation.canonizer import CanonizerName
    from clusterwhy.propagation.composites import CompositeSettings
    from clusterwhy.propagation.relevance import Relevance

BATCH_SIZE = 64  # of methods called by name


@dataclass(frozen=True)
class AttributionTask:
    """The scalar to be explained, and what a method may need to explain it.

    Attributes:
        network: (window, channel, time) -> (window,), the target.
        composite: rules, for attributors that have none of their own.
        canonizer: the same.
        box: (channel,) lowest and highest values.
        references: (reference, channel, time) windows to compare with, in random order. An attributor takes as many as
            it needs from the front; there may be none.
        drawn_for: (window, channel, time) windows for which references are drawn, instead of those that are explained:
            a disturbed window is then compared with what the undisturbed one is compared with.
    """

    network: "nn.Module"
    composite: "CompositeSettings"
    canonizer: "CanonizerName"
    box: tuple[FloatArray, FloatArray]
    references: FloatArray
    drawn_for: FloatArray | None = None


class Attributor(Settings, ABC):
    """An attribution method with its parameters, a choice of `conf/attributor`.

    Attributes:
        has_own_rules: composite and canonizer of the task are not used.
        complete: relevance adds up to the target of the result, up to what biases absorb.
    """

    has_own_rules: ClassVar[bool] = False
    complete: ClassVar[bool] = True

    batch_size: int = Field(ge=1)

    @abstractmethod
    def explain(self, task: AttributionTask, windows: FloatArray, seed: int) -> "Relevance":
        """Relevance of windows (window, channel, time)."""


ATTRIBUTORS: dict[str, Attributor] = {}
Class = TypeVar("Class", bound=type[Attributor])


def register_attributor(name: str, **parameters: Any) -> Callable[[Class], Class]:
    """Make an attributor a method of `explain`.

    Args:
        name: of the method, and of its file in `conf/attributor`.
        parameters: of the method unless others are given with its name; the same as in its file. `batch_size` is
            `BATCH_SIZE`.
    """

    def register(attributor: Class) -> Class:
        ATTRIBUTORS[name] = attributor.model_validate({"batch_size": BATCH_SIZE, **parameters})
        return attributor

    return register


@dataclass(frozen=True)
class FrozenNetwork:
    """A copy of the task's network whose parameters need no gradient; hooks on it reach nobody else.

    Attributes:
        module: (window, channel, time) -> (window,).
        references: (reference, channel, time) windows to compare with; there may be none.
        drawn_for: (window, channel, time) windows of the batch for which references are drawn.
        generator: random numbers, on the CPU.
    """

    module: "nn.Module"
    references: "torch.Tensor"
    drawn_for: "torch.Tensor"
    generator: "torch.Generator"

    def __call__(self, windows: "torch.Tensor") -> "torch.Tensor":
        """(window,) target.

        Raises:
            MethodError: it has no gradient with respect to windows that ask for one, or one of 0 everywhere.
        """
        from clusterwhy.propagation.targets import as_scalars

        target = as_scalars(self.module(windows), len(windows))
        if windows.requires_grad and not target.requires_grad:
            raise MethodError(
                "the target has no gradient with respect to the windows: the network's forward, or the target, runs "
                "under `torch.no_grad()`, detaches, or chooses (argmax); choose LRP or a perturbation, or change it"
            )
        if windows.requires_grad:
            _refuse_steps(self.module)
        return target

    def noise(self, like: "torch.Tensor") -> "torch.Tensor":
        """Standard normal values of the same shape, the same on every device."""
        import torch

        return torch.randn(like.shape, generator=self.generator, dtype=like.dtype).to(like.device)

    def gradient(self, windows: "torch.Tensor") -> "torch.Tensor":
        """(window, channel, time) gradient of the target."""
        import torch

        x = windows.detach().requires_grad_()
        (found,) = torch.autograd.grad(self(x).sum(), x)
        return found


class BatchAttributor(Attributor, ABC):
    """A method that needs no rules, only the network and its gradients, one batch of windows at a time."""

    has_own_rules: ClassVar[bool] = True
    complete: ClassVar[bool] = False

    @abstractmethod
    def relevance(self, network: FrozenNetwork, windows: "torch.Tensor") -> "torch.Tensor":
        """(window, channel, time) for one batch of windows of the same shape."""

    def baseline_target(self, network: FrozenNetwork, windows: "torch.Tensor") -> "torch.Tensor | float":
        """(window,) target of the baseline; 0 for methods without one."""
        return 0.0

    def details(self, network: FrozenNetwork, windows: "torch.Tensor") -> dict[str, Any]:
        """Further entries of the provenance, such as the resolution of the relevance in samples."""
        return {}

    def why_nothing(self, network: FrozenNetwork, windows: "torch.Tensor") -> list[str]:
        """Why some windows have no relevance at all, each reason once; none where it is not known."""
        return []

    def explain(self, task: AttributionTask, windows: FloatArray, seed: int) -> "Relevance":
        """Relevance of windows (window, channel, time).

        Raises:
            MethodError: the network lacks what the method needs, or relevance is not finite.
            ShapeError: the target is not one scalar per window.
        """
        import torch

        from clusterwhy.propagation.inputs import device_of
        from clusterwhy.propagation.plain_network import plain_network
        from clusterwhy.propagation.relevance import NOTHING, Relevance

        device = device_of(task.network)
        data = torch.as_tensor(windows)
        module = copy.deepcopy(plain_network(task.network)).eval().requires_grad_(False)
        module.register_forward_pre_hook(_copies)  # windows stay as they are, whatever the network overwrites
        references = torch.as_tensor(task.references, dtype=data.dtype).to(device)
        self._check_windows_apart(module, data[:2].to(device))
        drawn_for = torch.as_tensor(windows if task.drawn_for is None else task.drawn_for)
        generator = torch.Generator().manual_seed(seed)
        values, targets = [], []
        # copies of what gradients need, which the network may overwrite; torch's own context for this is slow to import
        kept = torch.autograd.graph.saved_tensors_hooks(lambda x: x.detach().clone(), lambda x: x)
        with _recurrent_gradients(), kept:
            for part, own in zip(data.split(self.batch_size), drawn_for.split(self.batch_size), strict=True):
                batch, network = part.to(device), FrozenNetwork(module, references, own, generator)
                targets.append(self._target(network, batch).cpu().numpy())
                values.append(self.relevance(network, batch).detach().cpu().numpy())
            one = FrozenNetwork(module, references, drawn_for[:1], generator)
            details = self.details(one, data[:1].to(device))
            nothing = torch.from_numpy(~np.concatenate(values).any(axis=(1, 2)))
            if nothing.any() and (reasons := self.why_nothing(one, data[nothing][: self.batch_size].to(device))):
                details[NOTHING] = "; ".join(reasons)
        relevance, target = require_finite(np.concatenate(values)), np.concatenate(targets)
        bias_share = np.full_like(target, 0.0 if self.complete else np.nan)
        provenance = {"attributor": type(self).__name__, **self.model_dump(), **details}
        return Relevance(relevance, target, bias_share, provenance)

    def _check_windows_apart(self, module: "nn.Module", windows: "torch.Tensor") -> None:
        from clusterwhy.propagation.per_window import fault_of_batches, probes

        if (fault := fault_of_batches(module, probes(windows))) is not None:
            raise MethodError(fault)

    def _target(self, network: FrozenNetwork, windows: "torch.Tensor") -> "torch.Tensor":
        import torch

        with torch.no_grad():
            return network(windows) - self.baseline_target(network, windows)


def require_finite(relevance: FloatArray) -> FloatArray:
    """Relevance (window, channel, time) as it is.

    Raises:
        MethodError: some of it is NaN or infinite.
    """
    broken = ~np.isfinite(relevance).all(axis=(1, 2))
    if broken.any():
        raise MethodError(
            f"relevance of {int(broken.sum())} of {len(relevance)} windows is not finite: "
            "the windows hold such values, or the network does not fit the method"
        )
    return relevance


def _refuse_steps(network: "nn.Module") -> None:
    from clusterwhy.encoders.mini_rocket import Heaviside

    if any(isinstance(module, Heaviside) for module in network.modules()):
        raise MethodError(
            "the network counts how often values are above a threshold, and the gradient of a count is 0 everywhere: "
            "choose `difference`, LRP or a perturbation"
        )


def _copies(_module: "nn.Module", inputs: "tuple[torch.Tensor, ...]") -> "tuple[torch.Tensor, ...]":
    return tuple(x.clone() for x in inputs)


@contextlib.contextmanager
def _recurrent_gradients() -> Iterator[None]:
    """cuDNN has no backward pass through recurrent layers in evaluation mode; torch's own kernels have."""
    import torch

    with torch.backends.cudnn.flags(enabled=False):
        yield

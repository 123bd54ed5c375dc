"""Attributors by gradients that pass rectifiers (ReLU) in another way than the network's own.

They work on the canonical form, which includes ReLUs that are functions or shared modules.
"""

from abc import ABC, abstractmethod
from dataclasses import replace
from typing import TYPE_CHECKING

from clusterwhy.attribution.base import BatchAttributor, FrozenNetwork, register_attributor

if TYPE_CHECKING:
    import torch
    from torch import nn

    from clusterwhy.propagation.steps import Canonical


class OfRectifiers(BatchAttributor, ABC):
    """The gradient of the canonical form with another rule at every ReLU."""

    @abstractmethod
    def at_rectifier(
        self, _module: "nn.Module", inputs: "tuple[torch.Tensor, ...]", output: "torch.Tensor"
    ) -> "torch.Tensor":
        """A forward hook of every ReLU: its output, with another gradient."""

    def relevance(self, network: FrozenNetwork, windows: "torch.Tensor") -> "torch.Tensor":
        """(window, channel, time) gradient of the target.

        Raises:
            CompositeError: an operation that the canonical form does not know.
        """
        from clusterwhy.propagation.canonical import canonize

        canonical = canonize(network.module, windows[:2])
        for rectifier in rectifiers(canonical):
            rectifier.register_forward_hook(self.at_rectifier)
        return replace(network, module=canonical).gradient(windows)


@register_attributor("guided_backprop")
class GuidedBackpropagation(OfRectifiers):
    """Gradients that pass a ReLU only where they and its input are positive (Springenberg et al. 2015)."""

    def at_rectifier(
        self, _module: "nn.Module", inputs: "tuple[torch.Tensor, ...]", output: "torch.Tensor"
    ) -> "torch.Tensor":
        return _positive_gradients(output)


@register_attributor("deconvnet")
class DeconvNet(OfRectifiers):
    """Gradients that pass a ReLU where they are positive, whatever its input was (Zeiler & Fergus 2014)."""

    def at_rectifier(
        self, _module: "nn.Module", inputs: "tuple[torch.Tensor, ...]", output: "torch.Tensor"
    ) -> "torch.Tensor":
        # the same values, with the gradient of the identity
        return _positive_gradients(inputs[0] + (output - inputs[0]).detach())


def _positive_gradients(values: "torch.Tensor") -> "torch.Tensor":
    if values.requires_grad:
        values.register_hook(lambda gradient: gradient.clamp(min=0))
    return values


def rectifiers(canonical: "Canonical") -> "list[nn.Module]":
    """The steps of a canonical form that are ReLUs."""
    import torch

    from clusterwhy.propagation.operations import Call

    def is_rectifier(module: "nn.Module") -> bool:
        function = module.function if isinstance(module, Call) else None
        # of a method the name, in all of their spellings: F.relu, torch.relu, x.relu_()
        return isinstance(module, torch.nn.ReLU) or getattr(function, "__name__", function) in ("relu", "relu_")

    return [step.module for step in canonical.steps if step.module is not None and is_rectifier(step.module)]

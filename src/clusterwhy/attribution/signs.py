"""Attributors times the sign of the value instead of the value (SIGN; Gumpfer et al. 2023).

Values near 0 then count as much as others. LRP with SIGN is a composite with the rule `sign` as its first layer.
"""

from typing import TYPE_CHECKING

from clusterwhy.attribution.base import FrozenNetwork, register_attributor
from clusterwhy.attribution.gradients import Gradient, SmoothGrad, VarGrad
from clusterwhy.attribution.rectified import DeconvNet, GuidedBackpropagation
from clusterwhy.propagation.signs import sign_of

if TYPE_CHECKING:
    import torch


@register_attributor("gradient_x_sign", threshold=0.0)
class GradientTimesSign(Gradient):
    """Gradient times 1 where the value is at least `threshold`, else times -1 (SIGN; Gumpfer et al. 2023, equation 4).

    Values near 0 then count as much as others, unlike in gradient x input.
    """

    threshold: float  # in units of the windows

    def relevance(self, network: FrozenNetwork, windows: "torch.Tensor") -> "torch.Tensor":
        return super().relevance(network, windows) * sign_of(windows, self.threshold)


@register_attributor("smoothgrad_x_sign", noise=0.1, samples=50, threshold=0.0)
class SmoothGradTimesSign(SmoothGrad):
    """SmoothGrad (Smilkov et al. 2017) times the sign of the value, as `gradient_x_sign`.

    The sign is that of the window without noise.
    """

    threshold: float  # in units of the windows

    def relevance(self, network: FrozenNetwork, windows: "torch.Tensor") -> "torch.Tensor":
        return super().relevance(network, windows) * sign_of(windows, self.threshold)


@register_attributor("vargrad_x_sign", noise=0.1, samples=50, threshold=0.0)
class VarGradTimesSign(VarGrad):
    """VarGrad (Adebayo et al. 2018) times the sign of the value, as `gradient_x_sign`.

    A variance has no sign, so the sign is that of the value, and not of what speaks for the target.
    """

    threshold: float  # in units of the windows

    def relevance(self, network: FrozenNetwork, windows: "torch.Tensor") -> "torch.Tensor":
        return super().relevance(network, windows) * sign_of(windows, self.threshold)


@register_attributor("guided_backprop_x_sign", threshold=0.0)
class GuidedBackpropagationTimesSign(GuidedBackpropagation):
    """Guided backpropagation (Springenberg et al. 2015) times the sign of the value, as `gradient_x_sign`."""

    threshold: float  # in units of the windows

    def relevance(self, network: FrozenNetwork, windows: "torch.Tensor") -> "torch.Tensor":
        return super().relevance(network, windows) * sign_of(windows, self.threshold)


@register_attributor("deconvnet_x_sign", threshold=0.0)
class DeconvNetTimesSign(DeconvNet):
    """DeconvNet (Zeiler & Fergus 2014) times the sign of the value, as `gradient_x_sign`."""

    threshold: float  # in units of the windows

    def relevance(self, network: FrozenNetwork, windows: "torch.Tensor") -> "torch.Tensor":
        return super().relevance(network, windows) * sign_of(windows, self.threshold)

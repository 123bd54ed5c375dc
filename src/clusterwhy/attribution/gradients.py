"""Attributors by gradients: of the target with respect to each channel and time step."""

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from clusterwhy.attribution.probing import Probe, Probing, WithBaseline

if TYPE_CHECKING:
    import torch


class Gradient(Probing):
    """The gradient of the target (Simonyan et al. 2014), with its sign."""

    def relevance(self, probe: Probe, windows: "torch.Tensor") -> "torch.Tensor":
        return probe.gradient(windows)


class GradientTimesInput(Probing):
    """Gradient times input (Shrikumar et al. 2016)."""

    def relevance(self, probe: Probe, windows: "torch.Tensor") -> "torch.Tensor":
        return probe.gradient(windows) * windows


class SmoothGrad(Probing):
    """The mean gradient of noisy copies (Smilkov et al. 2017)."""

    noise: float = Field(ge=0.0)  # standard deviation, as a share of the window's range
    samples: int = Field(ge=1)

    def relevance(self, probe: Probe, windows: "torch.Tensor") -> "torch.Tensor":
        import torch

        spread = self.noise * (windows.amax(dim=(1, 2)) - windows.amin(dim=(1, 2)))[:, None, None]
        total = torch.zeros_like(windows)
        for _ in range(self.samples):
            total += probe.gradient(windows + spread * probe.noise(windows))
        return total / self.samples


class IntegratedGradients(WithBaseline):
    """Gradients on the straight line from a baseline, times the way (Sundararajan et al. 2017, eq. 1), by captum."""

    complete: ClassVar[bool] = True
    steps: int = Field(ge=2)  # of Gauss-Legendre quadrature

    def relevance(self, probe: Probe, windows: "torch.Tensor") -> "torch.Tensor":
        from captum.attr import IntegratedGradients

        method = IntegratedGradients(probe.network)  # type: ignore[no-untyped-call]

        def of(end: "torch.Tensor") -> "torch.Tensor":
            found: torch.Tensor = method.attribute(
                windows, end, n_steps=self.steps, internal_batch_size=max(self.batch_size, len(windows))
            )
            return found

        return self.mean(probe, windows, of)


class GradientShap(WithBaseline):
    """Expected gradients: at random points of the lines from the baselines (Erion et al. 2021)."""

    samples: int = Field(ge=1)

    def relevance(self, probe: Probe, windows: "torch.Tensor") -> "torch.Tensor":
        import torch

        def of(end: "torch.Tensor") -> "torch.Tensor":
            total = torch.zeros_like(windows)
            for _ in range(self.samples):
                share = torch.rand((len(windows), 1, 1), generator=probe.generator, dtype=windows.dtype)
                point = end + share.to(windows.device) * (windows - end)
                total += probe.gradient(point) * (windows - end)
            return total / self.samples

        return self.mean(probe, windows, of)


class GuidedBackpropagation(Probing):
    """Gradients that pass a ReLU only where they are positive, too (Springenberg et al. 2015).

    It works on the canonical form, so that functional and shared activations are guided like all others.
    """

    def relevance(self, probe: Probe, windows: "torch.Tensor") -> "torch.Tensor":
        from clusterwhy.attribution.guiding import guided

        return Probe(guided(probe.network, windows), probe.references, probe.generator).gradient(windows)

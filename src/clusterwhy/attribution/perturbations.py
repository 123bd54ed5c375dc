"""Attributors by perturbation: how the target changes when channels, or segments of them, are replaced."""

from abc import ABC
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from clusterwhy.attribution.base import FrozenNetwork, register_attributor
from clusterwhy.attribution.baselines import BaselineAttributor

if TYPE_CHECKING:
    import torch


class SegmentAttributor(BaselineAttributor, ABC):
    """A method that replaces segments of one channel (players); a segment's relevance is divided among its samples."""

    segment: int | None = Field(ge=1)  # samples; null: whole channels

    def players(self, windows: "torch.Tensor") -> "torch.Tensor":
        """(1, channel, time) number of the segment that each sample belongs to."""
        import torch

        _, n_channels, n_steps = windows.shape
        of_time = torch.arange(n_steps, device=windows.device) // (self.segment or n_steps)
        of_channel = torch.arange(n_channels, device=windows.device) * (int(of_time[-1]) + 1)
        return (of_channel[:, None] + of_time[None])[None]

    def per_sample(self, relevance: "torch.Tensor", players: "torch.Tensor") -> "torch.Tensor":
        """Relevance of segments, given at each of their samples, divided by the number of samples."""
        return relevance / players.flatten().bincount()[players].to(relevance)

    def details(self, network: FrozenNetwork, windows: "torch.Tensor") -> dict[str, object]:
        return {"resolution_samples": min(self.segment or windows.shape[2], windows.shape[2])}


@register_attributor("occlusion", baseline="zero", n_references=8, segment=16)
@register_attributor("occlusion_channels", baseline="zero", n_references=8, segment=None)
class Occlusion(SegmentAttributor):
    """What the target loses when a segment is replaced by the baseline (Zeiler and Fergus 2014), by captum."""

    def relevance(self, network: FrozenNetwork, windows: "torch.Tensor") -> "torch.Tensor":
        from captum.attr import FeatureAblation

        method, players = FeatureAblation(network), self.players(windows)

        def of(baseline: "torch.Tensor") -> "torch.Tensor":
            found: torch.Tensor = method.attribute(windows, baseline, feature_mask=players)
            return found

        return self.per_sample(self.mean_over_baselines(network, windows, of), players)


@register_attributor("shapley_sampling", baseline="zero", n_references=8, segment=16, samples=25)
class ShapleySampling(SegmentAttributor):
    """Shapley values of segments from random orders, the same for all windows (Castro et al. 2009).

    Our own, since captum's adds in float32 and draws from torch's global generator.
    """

    complete: ClassVar[bool] = True
    samples: int = Field(ge=1)  # orders; a forward pass per segment each

    def relevance(self, network: FrozenNetwork, windows: "torch.Tensor") -> "torch.Tensor":
        import torch

        players = self.players(windows)
        count = int(players.max()) + 1

        @torch.no_grad()
        def of(baseline: "torch.Tensor") -> "torch.Tensor":
            total = torch.zeros_like(windows)
            for _ in range(self.samples):
                order = torch.randperm(count, generator=network.generator).tolist()
                mixed, before = baseline, network(baseline)
                for player in order:
                    mine = players == player
                    mixed = torch.where(mine, windows, mixed)
                    now = network(mixed)
                    total += (now - before)[:, None, None] * mine
                    before = now
            return total / self.samples

        return self.per_sample(self.mean_over_baselines(network, windows, of), players)

"""Attributors by perturbation: what the target does when channels, or segments of them, are replaced."""

from abc import ABC
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from clusterwhy.attribution.probing import Probe, WithBaseline

if TYPE_CHECKING:
    import torch


class BySegment(WithBaseline, ABC):
    """Players are segments of one channel; each cell gets its part of the segment's relevance."""

    segment: int | None = Field(ge=1)  # samples; null: whole channels

    def players(self, windows: "torch.Tensor") -> "torch.Tensor":
        """(1, channel, time) number of the segment that a cell belongs to."""
        import torch

        _, n_channels, n_steps = windows.shape
        of_time = torch.arange(n_steps, device=windows.device) // (self.segment or n_steps)
        of_channel = torch.arange(n_channels, device=windows.device) * (int(of_time[-1]) + 1)
        return (of_channel[:, None] + of_time[None])[None]

    def apart(self, found: "torch.Tensor", players: "torch.Tensor") -> "torch.Tensor":
        """Relevance of segments, given to each of their cells, as the cell's part."""
        return found / players.flatten().bincount()[players].to(found)

    def facts(self, probe: Probe, windows: "torch.Tensor") -> dict[str, object]:
        return {"resolution_samples": min(self.segment or windows.shape[2], windows.shape[2])}


class Occlusion(BySegment):
    """What the target loses when a segment is replaced by the baseline (Zeiler and Fergus 2014), by captum."""

    def relevance(self, probe: Probe, windows: "torch.Tensor") -> "torch.Tensor":
        from captum.attr import FeatureAblation

        method, players = FeatureAblation(probe.network), self.players(windows)

        def of(end: "torch.Tensor") -> "torch.Tensor":
            found: torch.Tensor = method.attribute(windows, end, feature_mask=players)
            return found

        return self.apart(self.mean(probe, windows, of), players)


class ShapleySampling(BySegment):
    """Shapley values of segments from random orders, the same for all windows (Castro et al. 2009).

    Our own, since captum's adds in float32 and draws from torch's global generator.
    """

    complete: ClassVar[bool] = True
    samples: int = Field(ge=1)  # orders; a forward pass per segment each

    def relevance(self, probe: Probe, windows: "torch.Tensor") -> "torch.Tensor":
        import torch

        players = self.players(windows)
        count = int(players.max()) + 1

        @torch.no_grad()
        def of(end: "torch.Tensor") -> "torch.Tensor":
            total = torch.zeros_like(windows)
            for _ in range(self.samples):
                order = torch.randperm(count, generator=probe.generator).tolist()
                mixed, before = end, probe.network(end)
                for player in order:
                    mine = players == player
                    mixed = torch.where(mine, windows, mixed)
                    now = probe.network(mixed)
                    total += (now - before)[:, None, None] * mine
                    before = now
            return total / self.samples

        return self.apart(self.mean(probe, windows, of), players)


class DeepLift(WithBaseline):
    """DeepLIFT's rescale rule from a baseline, through the canonical form (`explain_difference`)."""

    complete: ClassVar[bool] = True

    def relevance(self, probe: Probe, windows: "torch.Tensor") -> "torch.Tensor":
        import torch

        from clusterwhy.attribution.differences import explain_difference

        ends = torch.stack(self.ends(probe, windows), dim=1)
        found = explain_difference(probe.network, windows.cpu(), ends.cpu(), None, self.batch_size)
        return torch.as_tensor(found.values)

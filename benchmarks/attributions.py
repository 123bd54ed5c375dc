"""Other attributions, for comparison: gradients along a path, occlusion of whole channels."""

import numpy as np
import torch
from torch import nn


def gradients(network: nn.Module, windows: np.ndarray, baselines: np.ndarray, steps: int) -> np.ndarray:
    """Mean over baselines and steps of (x - baseline) times the gradient on the way (Sundararajan 2017; Erion 2021).

    One step is gradient x input at the middle of the way.

    Args:
        network: (window, channel, time) -> (window,).
        windows: (window, channel, time).
        baselines: (window, baseline, channel, time).
    """
    x, total = torch.from_numpy(windows), torch.zeros(windows.shape)
    for j in range(baselines.shape[1]):
        base = torch.from_numpy(np.ascontiguousarray(baselines[:, j]))
        for step in range(steps):
            at = (base + (step + 0.5) / steps * (x - base)).requires_grad_()
            (gradient,) = torch.autograd.grad(network(at).sum(), at)
            total += (x - base) * gradient / (steps * baselines.shape[1])
    return total.numpy()


def gradient_x_input(network: nn.Module, windows: np.ndarray) -> np.ndarray:
    """(window, channel, time) gradient at the window times its values."""
    x = torch.from_numpy(windows).requires_grad_()
    (gradient,) = torch.autograd.grad(network(x).sum(), x)
    found: np.ndarray = (gradient * x).detach().numpy()
    return found


def occlusion(network: nn.Module, windows: np.ndarray, others: np.ndarray) -> np.ndarray:
    """(window, channel) mean fall of the target when a channel comes from others (window, other, channel, time)."""
    with torch.no_grad():
        start = network(torch.from_numpy(windows)).numpy()
        drops = np.zeros(windows.shape[:2])
        for channel in range(windows.shape[1]):
            for j in range(others.shape[1]):
                changed = windows.copy()
                changed[:, channel] = others[:, j, channel]
                drops[:, channel] += (start - network(torch.from_numpy(changed)).numpy()) / others.shape[1]
    return drops

"""Networks with redrawn weights: what relevance looks like when nothing was learned (Adebayo et al. 2018)."""

import copy
from collections.abc import Iterator
from typing import TYPE_CHECKING

from clusterwhy.types import FloatArray

if TYPE_CHECKING:
    import torch
    from torch import nn

OWN_STREAM = 0x5EED  # what sets the random numbers apart from those of a training of the same seed
SPREAD_OF_CONSTANTS = 0.1  # of parameters that are all the same, in units of their size (of 1 for zeros)


def randomised(network: "nn.Module", windows: FloatArray, share: float, seed: int) -> "nn.Module":
    """A copy whose last layers are redrawn (cascading randomisation, Adebayo et al. 2018, section 3).

    Every parameter of a layer is redrawn, whatever kind of layer it is: matrices and kernels from a normal distribution
    around 0 with the size (root mean square) of the trained ones, vectors from one with their mean and spread. Running
    statistics start anew. The random numbers share nothing with a training of the same seed.

    Args:
        network: (window, channel, time) -> anything. Layers that make a target of its output are kept.
        windows: (window, channel, time), one at least; the order of layers is that in which they are called.
        share: of the layers with parameters, from the output down.
        seed: of the random numbers.
    """
    import numpy as np
    import torch

    made = copy.deepcopy(network).eval()
    layers = list(_layers(made, torch.as_tensor(windows[:1])))
    drawn = layers[len(layers) - round(share * len(layers)) :]
    stream = int(np.random.SeedSequence([OWN_STREAM, seed]).generate_state(1, np.uint64)[0] >> 1)
    generator, seen = torch.Generator().manual_seed(stream), set[int]()
    with torch.no_grad():
        for parts in drawn:
            for part in parts:
                for parameter in part.parameters(recurse=False):
                    if id(parameter) not in seen:  # weights that several layers share are drawn once
                        seen.add(id(parameter))
                        parameter.copy_(_redrawn(parameter, generator))
                if callable(reset := getattr(part, "reset_running_stats", None)):
                    reset()
    return made


def _redrawn(parameter: "torch.Tensor", generator: "torch.Generator") -> "torch.Tensor":
    import torch

    noise = torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype).to(parameter.device)
    if parameter.ndim > 1 and parameter.any():
        return noise * parameter.square().mean().sqrt()
    spread = float(parameter.std(correction=0))
    if not spread > 0:
        spread = SPREAD_OF_CONSTANTS * (float(parameter.abs().max()) or 1.0)
    return parameter.mean() + noise * spread


def _layers(network: "nn.Module", windows: "torch.Tensor") -> "Iterator[list[nn.Module]]":
    """Modules with parameters, from the input to the output.

    A module that is never called itself, such as the projections within torch's attention, belongs to the module around
    it.
    """
    import torch

    from clusterwhy.propagation.inputs import device_of

    order: dict[nn.Module, int] = {}

    def note(module: "nn.Module", _inputs: object) -> None:
        order.setdefault(module, len(order))

    hooks = [module.register_forward_pre_hook(note) for module in network.modules()]
    try:
        with torch.no_grad():
            network(windows.to(device_of(network)))
    finally:
        for hook in hooks:
            hook.remove()
    layers: dict[nn.Module, list[nn.Module]] = {network: []}
    _gather(network, network, order, layers)
    for called in sorted(layers, key=lambda module: order.get(module, -1)):
        if any(True for part in layers[called] for _ in part.parameters(recurse=False)):
            yield layers[called]


def _gather(
    module: "nn.Module",
    around: "nn.Module",
    order: "dict[nn.Module, int]",
    layers: "dict[nn.Module, list[nn.Module]]",
) -> None:
    """Note each module below the one that is called with it."""
    from clusterwhy.propagation import head_layers

    if type(module).__module__ == head_layers.__name__:
        return
    if module in order:
        around = module
    layers.setdefault(around, []).append(module)
    for child in module.children():
        _gather(child, around, order, layers)

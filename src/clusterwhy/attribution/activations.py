"""Attributors that read hidden layers: Grad-CAM and attention weights."""

import contextlib
import functools
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from clusterwhy.attribution.base import BatchAttributor, FrozenNetwork, register_attributor
from clusterwhy.errors import MethodError

if TYPE_CHECKING:
    import torch
    from torch import nn


@register_attributor("grad_cam", layer=None)
class GradCam(BatchAttributor):
    """Activations of a layer, weighted by their mean gradient, positive part (Selvaraju et al. 2017, eq. 2), over time.

    The map has the layer's resolution and no channels: it is interpolated linearly over the window, with equal parts
    for all channels. A layer over planes (window, map, row, time) with a row for each channel keeps channels apart:
    each has the map of its row. Of other planes the rows are added up.
    """

    layer: str | None  # its name in the network; null: the last convolution

    def relevance(self, network: FrozenNetwork, windows: "torch.Tensor") -> "torch.Tensor":

        _, activation, gradient, time = self._activation(network, windows)
        if activation.ndim == 4:
            return _map_of_planes(activation, gradient, windows)
        return over_window(_weighted(activation, gradient, time).clamp(min=0), windows)

    def why_nothing(self, network: FrozenNetwork, windows: "torch.Tensor") -> list[str]:
        name, activation, gradient, _ = self._activation(network, windows)
        axes = tuple(range(1, activation.ndim))
        without_gradient, silent = ~gradient.any(dim=axes), ~activation.any(dim=axes)
        reasons = {
            f"the target has a gradient of 0 at layer {name!r}": without_gradient,
            f"layer {name!r} gives 0 everywhere": silent & ~without_gradient,
            f"at layer {name!r} no sum of activations weighted by their mean gradients is above 0, and Grad-CAM keeps "
            "only what is (ReLU)": ~silent & ~without_gradient,
        }
        return [reason for reason, those in reasons.items() if those.any()]

    def _activation(
        self, network: FrozenNetwork, windows: "torch.Tensor"
    ) -> "tuple[str, torch.Tensor, torch.Tensor, int]":
        """Name, output and gradient of the layer, and the axis of time in them."""
        import torch

        name, module = self._layer(network, windows)
        with _recorded_outputs({"": module}) as outputs:
            target = network(windows.detach().requires_grad_())
        if len(outputs) != 1:
            raise MethodError(f"layer {name!r} is called {len(outputs)} times; give a `layer` that is called once")
        ((_, activation),) = outputs
        if activation.ndim not in (3, 4):
            raise MethodError(
                "Grad-CAM needs a layer that gives (window, channel, time) or (window, map, row, time), "
                f"{name!r} gives {tuple(activation.shape)}; give another `layer`"
            )
        (gradient,) = torch.autograd.grad(target.sum(), activation)
        return name, activation.detach(), gradient, _time_axis(module)

    def details(self, network: FrozenNetwork, windows: "torch.Tensor") -> dict[str, Any]:
        import torch

        name, module = self._layer(network, windows)
        with _recorded_outputs({name: module}) as outputs, torch.no_grad():
            network(windows)
        found = outputs[0][1]
        n_steps = found.shape[3 if found.ndim == 4 else _time_axis(module)]
        return {"layer": name, "resolution_samples": windows.shape[2] / n_steps}

    def _layer(self, network: FrozenNetwork, windows: "torch.Tensor") -> "tuple[str, nn.Module]":
        import torch

        modules = dict(network.module.named_modules())
        if self.layer is not None:
            # a target wraps the network that the user knows
            matching = [name for name in modules if name == self.layer or name.endswith("." + self.layer)]
            if not matching:
                raise MethodError(
                    f"no layer {self.layer!r}; there are {', '.join(name for name in modules if name)[:600]}"
                )
            name = min(matching, key=len)
            return name, modules[name]
        kinds = (torch.nn.Conv1d, torch.nn.Conv2d, torch.nn.ConvTranspose1d)
        convolutions = {name: module for name, module in modules.items() if isinstance(module, kinds)}
        with _recorded_outputs(convolutions) as outputs, torch.no_grad():
            network(windows[:1])
        if not outputs:
            raise MethodError("Grad-CAM needs a convolution, this network has none; choose a `layer`")
        name, _ = outputs[-1]
        return name, modules[name]


@register_attributor("attention_weights")
class AttentionWeights(BatchAttributor):
    """How much attention each time step receives: the mean over layers, heads and queries. It ignores the target.

    Interpolated linearly over the window, with equal parts for all channels; adds up to 1.
    """

    def relevance(self, network: FrozenNetwork, windows: "torch.Tensor") -> "torch.Tensor":
        import torch

        with torch.no_grad():
            weights = attention_of(network.module, windows)
        received = torch.stack([layer.mean(dim=(1, 2)) for layer in weights.values()])
        found = over_window(received.mean(dim=0), windows)
        return found / found.sum(dim=(1, 2), keepdim=True)

    def details(self, network: FrozenNetwork, windows: "torch.Tensor") -> dict[str, Any]:
        import torch

        with torch.no_grad():
            weights = attention_of(network.module, windows)
        coarsest = min(layer.shape[-1] for layer in weights.values())
        return {"layers": list(weights), "resolution_samples": windows.shape[2] / coarsest}


def attention_of(network: "nn.Module", windows: "torch.Tensor") -> "dict[str, torch.Tensor]":
    """Attention weights (window, head, query time, key time) of each `nn.MultiheadAttention`, by its name.

    Raises:
        MethodError: the network has no such layer, or its layers attend to sequences of different lengths.
    """
    import torch

    found: dict[str, torch.Tensor] = {}
    handles = []
    for name, module in network.named_modules():
        if isinstance(module, torch.nn.MultiheadAttention):
            handles.append(module.register_forward_pre_hook(_ask_for_weights, with_kwargs=True))
            keep = functools.partial(_keep_weights, found, name)
            handles.append(module.register_forward_hook(keep))
    try:
        network(windows.clone())
    finally:
        for handle in handles:
            handle.remove()
    if not found:
        raise MethodError("attention weights need a `torch.nn.MultiheadAttention`, this network calls none")
    if len({layer.shape[-1] for layer in found.values()}) > 1:
        raise MethodError("attention layers attend to sequences of different lengths: their weights have no mean")
    return found


def _keep_weights(found: "dict[str, torch.Tensor]", name: str, _module: Any, _inputs: Any, output: Any) -> None:
    found[name] = output[1].clone()  # what follows may overwrite it


def _ask_for_weights(_module: Any, inputs: tuple[Any, ...], keywords: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    return inputs, {**keywords, "need_weights": True, "average_attn_weights": False}


@contextlib.contextmanager
def _recorded_outputs(modules: "Mapping[str, nn.Module]") -> "Iterator[list[tuple[str, torch.Tensor]]]":
    """A list that gets the name and the output of each call of some modules; of several outputs the first one.

    The network goes on with a copy, which it may overwrite.
    """
    outputs: list[tuple[str, torch.Tensor]] = []

    def record(name: str, _module: Any, _inputs: Any, output: Any) -> Any:
        first, *others = output if isinstance(output, tuple) else (output,)
        outputs.append((name, first))
        return (first.clone(), *others) if isinstance(output, tuple) else first.clone()

    handles = [module.register_forward_hook(functools.partial(record, name)) for name, module in modules.items()]
    try:
        yield outputs
    finally:
        for handle in handles:
            handle.remove()


def _weighted(activation: "torch.Tensor", gradient: "torch.Tensor", time: int) -> "torch.Tensor":
    """(window, step) sum of activations (window, ...) weighted by their mean gradients over the axis of time."""
    return (gradient.mean(dim=time, keepdim=True) * activation).sum(dim=3 - time)


def _map_of_planes(activation: "torch.Tensor", gradient: "torch.Tensor", windows: "torch.Tensor") -> "torch.Tensor":
    """The map of a layer over planes, (window, channel, time)."""
    import torch.nn.functional as F

    weights = gradient.mean(dim=(2, 3), keepdim=True)
    map_of_rows = (weights * activation).sum(dim=1)
    if map_of_rows.shape[1] != windows.shape[1]:
        return over_window(map_of_rows.sum(dim=1).clamp(min=0), windows)
    return F.interpolate(map_of_rows.clamp(min=0), size=windows.shape[2], mode="linear", align_corners=False)


def _time_axis(module: "nn.Module") -> int:
    """The axis of time in the output (window, ...) of a layer."""
    import torch

    return 1 if isinstance(module, torch.nn.RNNBase | torch.nn.MultiheadAttention) else 2


def over_window(map_over_time: "torch.Tensor", windows: "torch.Tensor") -> "torch.Tensor":
    """(window, step) interpolated linearly to (window, channel, time), with equal parts for all channels."""
    import torch.nn.functional as F

    drawn = F.interpolate(map_over_time[:, None], size=windows.shape[2], mode="linear", align_corners=False)
    return drawn.expand_as(windows) / windows.shape[1]

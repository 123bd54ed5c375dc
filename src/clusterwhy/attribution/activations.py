"""Attributors by what layers inside the network hold: Grad-CAM and attention weights."""

import functools
from typing import TYPE_CHECKING, Any

from clusterwhy.attribution.base import BatchAttributor, FrozenNetwork, register_attributor
from clusterwhy.errors import MethodError

if TYPE_CHECKING:
    import torch
    from torch import nn


@register_attributor("grad_cam", layer=None)
class GradCam(BatchAttributor):
    """Activations of a layer, weighted by their mean gradient, positive part (Selvaraju et al. 2017, eq. 2), over time.

    The map has the layer's resolution and no channels: it is drawn linearly over the window and shared alike among
    channels.
    """

    layer: str | None  # where it stands in the network; null: the last convolution

    def relevance(self, network: FrozenNetwork, windows: "torch.Tensor") -> "torch.Tensor":
        import torch

        _, module = self._layer(network, windows)
        kept: list[torch.Tensor] = []
        handle = module.register_forward_hook(lambda _module, _inputs, output: kept.append(_first(output)))
        try:
            target = network(windows.detach().requires_grad_())
        finally:
            handle.remove()
        if len(kept) != 1:
            raise MethodError(f"layer {self.layer!r} is called {len(kept)} times; choose a layer that is called once")
        (activation,) = kept
        if activation.ndim != 3:
            raise MethodError(
                f"Grad-CAM needs a layer that gives (window, channel, time), {self.layer!r} gives "
                f"{tuple(activation.shape)}"
            )
        (gradient,) = torch.autograd.grad(target.sum(), activation)
        axis = 1 if isinstance(module, torch.nn.LSTM | torch.nn.MultiheadAttention) else 2
        weights = gradient.mean(dim=axis, keepdim=True)
        map_over_time = (weights * activation).sum(dim=3 - axis).clamp(min=0)
        return over_window(map_over_time, windows)

    def details(self, network: FrozenNetwork, windows: "torch.Tensor") -> dict[str, Any]:
        import torch

        name, module = self._layer(network, windows)
        sizes: list[int] = []
        sequence = isinstance(module, torch.nn.LSTM | torch.nn.MultiheadAttention)
        handle = module.register_forward_hook(
            lambda _module, _inputs, output: sizes.append(_first(output).shape[1 if sequence else 2])
        )
        with torch.no_grad():
            network(windows)
        handle.remove()
        return {"layer": name, "resolution_samples": windows.shape[2] / sizes[0]}

    def _layer(self, network: FrozenNetwork, windows: "torch.Tensor") -> "tuple[str, nn.Module]":
        import torch

        modules = dict(network.module.named_modules())
        if self.layer is not None:
            # a target wraps the network that the user knows
            fits = [name for name in modules if name == self.layer or name.endswith("." + self.layer)]
            if not fits:
                raise MethodError(
                    f"no layer {self.layer!r}; there are {', '.join(name for name in modules if name)[:600]}"
                )
            name = min(fits, key=len)
            return name, modules[name]
        called: list[str] = []
        handles = [
            module.register_forward_hook(lambda _module, _inputs, _output, name=name: called.append(name))
            for name, module in modules.items()
            if isinstance(module, torch.nn.Conv1d)
        ]
        with torch.no_grad():
            network(windows[:1])
        for handle in handles:
            handle.remove()
        if not called:
            raise MethodError("Grad-CAM needs a convolution, this network has none; choose a `layer`")
        return called[-1], modules[called[-1]]


@register_attributor("attention_weights")
class AttentionWeights(BatchAttributor):
    """How much attention each moment receives, the mean over heads and moments that look; says nothing of the target.

    Drawn linearly over the window and shared alike among channels; adds up to 1.
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
    """Attention weights (window, head, looking time, time looked at) of each `nn.MultiheadAttention`, by its name.

    Raises:
        MethodError: the network has no such layer, or its layers look at sequences of different lengths.
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
        network(windows)
    finally:
        for handle in handles:
            handle.remove()
    if not found:
        raise MethodError("attention weights need a `torch.nn.MultiheadAttention`, this network calls none")
    if len({layer.shape[-1] for layer in found.values()}) > 1:
        raise MethodError("attention layers look at sequences of different lengths: their weights have no mean")
    return found


def _keep_weights(found: "dict[str, torch.Tensor]", name: str, _module: Any, _inputs: Any, output: Any) -> None:
    found[name] = output[1]


def _ask_for_weights(_module: Any, inputs: tuple[Any, ...], keywords: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    return inputs, {**keywords, "need_weights": True, "average_attn_weights": False}


def _first(output: Any) -> "torch.Tensor":
    tensor: torch.Tensor = output[0] if isinstance(output, tuple) else output
    return tensor


def over_window(map_over_time: "torch.Tensor", windows: "torch.Tensor") -> "torch.Tensor":
    """(window, step) drawn linearly over (window, channel, time), each channel with the same part."""
    import torch.nn.functional as F

    drawn = F.interpolate(map_over_time[:, None], size=windows.shape[2], mode="linear", align_corners=False)
    return drawn.expand_as(windows) / windows.shape[1]

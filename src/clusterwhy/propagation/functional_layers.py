"""Layers that a network calls as functions with constant weights, such as `F.conv1d(x, self.weight)`, as modules.

Weights may be parameters, buffers or computed from both; each call becomes a layer with a rule of its own.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import fx, nn

from clusterwhy.propagation.graph_nodes import refuse
from clusterwhy.propagation.known_values import KnownValues

Given = Mapping[str, Any]
CONVOLUTION = ("weight", "bias", "stride", "padding", "dilation", "groups")
TRANSPOSED = ("weight", "bias", "stride", "padding", "output_padding", "groups", "dilation")
POOLING = ("kernel_size", "stride", "padding", "dilation", "ceil_mode", "return_indices")


def _convolution(kind: Any, given: Given, x: torch.Tensor) -> nn.Module:
    weight = given["weight"]
    keys = {name: value for name, value in given.items() if name not in ("weight", "bias")}
    return kind(x.shape[1], weight.shape[0], weight.shape[2:], bias=False, device="meta", **keys)


def _transposed(given: Given, x: torch.Tensor) -> nn.Module:
    weight = given["weight"]
    keys = {name: value for name, value in given.items() if name not in ("weight", "bias")}
    n_out = weight.shape[1] * given.get("groups", 1)
    return nn.ConvTranspose1d(x.shape[1], n_out, weight.shape[2], bias=False, device="meta", **keys)


def _linear(given: Given, x: torch.Tensor) -> nn.Module:
    return nn.Linear(x.shape[-1], len(given["weight"]), bias=False, device="meta")


def _layer_norm(given: Given, x: torch.Tensor) -> nn.Module:
    return nn.LayerNorm(given["normalized_shape"], given.get("eps", 1e-5), elementwise_affine=False)


def _root_mean_square_norm(given: Given, x: torch.Tensor) -> nn.Module:
    return nn.RMSNorm(given["normalized_shape"], given.get("eps"), elementwise_affine=False)


def _group_norm(given: Given, x: torch.Tensor) -> nn.Module:
    return nn.GroupNorm(given["num_groups"], x.shape[1], given.get("eps", 1e-5), affine=False)


def _instance_norm(given: Given, x: torch.Tensor) -> nn.Module | None:
    if not given.get("use_input_stats", True):
        return None
    kind = nn.InstanceNorm1d if x.ndim == 3 else nn.InstanceNorm2d
    return kind(x.shape[1], given.get("eps", 1e-5), affine=False)


def _batch_norm(given: Given, x: torch.Tensor) -> nn.Module | None:
    if given.get("training", False):
        return None
    made = (nn.BatchNorm2d if x.ndim == 4 else nn.BatchNorm1d)(x.shape[1], given.get("eps", 1e-5))
    made.running_mean, made.running_var = given["running_mean"], given["running_var"]
    made.weight.data, made.bias.data = (end.to(x) for end in (made.weight.data, made.bias.data))
    return made


def _prelu(given: Given, x: torch.Tensor) -> nn.Module:
    return nn.PReLU(given["weight"].numel())


def _pooling(given: Given, x: torch.Tensor) -> nn.Module:
    return nn.MaxPool1d(**given)


# function -> names of its arguments behind the first, and what makes a layer of them and an example of the first
LAYERS: dict[Any, tuple[tuple[str, ...], Callable[[Given, torch.Tensor], nn.Module | None]]] = {
    F.conv1d: (CONVOLUTION, lambda given, x: _convolution(nn.Conv1d, given, x)),
    F.conv2d: (CONVOLUTION, lambda given, x: _convolution(nn.Conv2d, given, x)),
    F.conv_transpose1d: (TRANSPOSED, _transposed),
    F.linear: (("weight", "bias"), _linear),
    F.layer_norm: (("normalized_shape", "weight", "bias", "eps"), _layer_norm),
    F.rms_norm: (("normalized_shape", "weight", "eps"), _root_mean_square_norm),
    F.group_norm: (("num_groups", "weight", "bias", "eps"), _group_norm),
    F.instance_norm: (
        ("running_mean", "running_var", "weight", "bias", "use_input_stats", "momentum", "eps"),
        _instance_norm,
    ),
    F.batch_norm: (("running_mean", "running_var", "weight", "bias", "training", "momentum", "eps"), _batch_norm),
    F.prelu: (("weight",), _prelu),
    torch.prelu: (("weight",), _prelu),
    F.max_pool1d: (POOLING, _pooling),
    torch.max_pool1d: (POOLING, _pooling),
}


def name_layers(graph: fx.Graph, network: nn.Module, known: KnownValues, data: set[fx.Node]) -> None:
    """Make modules of the layers that a graph calls as functions, in place.

    Args:
        graph: in plain spelling.
        network: a copy of our own, which gets the modules.
        known: values of the graph.
        data: nodes that depend on the windows.
    """
    for node in list(graph.nodes):
        if node in data and node.op == "call_function" and node.target in LAYERS:
            _name_layer(node, network, known, data)


def _name_layer(node: fx.Node, network: nn.Module, known: KnownValues, data: set[fx.Node]) -> None:
    names, make = LAYERS[node.target]
    source: Any = node.args[0] if node.args else None
    given = dict(zip(names, node.args[1:], strict=False)) | node.kwargs
    computed = [n.name for n in node.all_input_nodes if n in data and n is not source]
    if computed or not isinstance(source, fx.Node) or source not in data:
        what = f"its weights ({', '.join(computed)}) are computed from the data" if computed else "no data go in"
        refuse(node, f"{what}, which has no rule; gradients, occlusion and Shapley values need none")
        return
    values: dict[str, Any] = {name: fx.node.map_arg(value, known.constant) for name, value in given.items()}
    made = make(values, known.constant(source))
    if made is None:
        return
    for name in ("weight", "bias"):
        if isinstance(values.get(name), torch.Tensor):
            setattr(made, name, nn.Parameter(values[name].detach(), requires_grad=False))
    name = node.name
    while hasattr(network, name):
        name += "_"
    network.add_module(name, made.eval())
    node.op, node.target, node.args, node.kwargs = "call_module", name, (source,), {}

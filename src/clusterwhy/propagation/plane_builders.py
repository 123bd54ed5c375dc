"""Builders of steps over planes (window, map, height, time), and of steps that make series longer."""

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import fx, nn

from clusterwhy.errors import CompositeError
from clusterwhy.propagation.batch_norms import BatchNormAsPlaneConvolution
from clusterwhy.propagation.building import CallBuilder, ModuleBuilder, Steps, call_of
from clusterwhy.propagation.copies import plane_convolution
from clusterwhy.propagation.operations import Call, Slot


def _upsample(builder: Steps, node: Any, module: Any) -> None:
    _interpolate_step(builder, node, module, module.mode)


def _interpolate(builder: Steps, node: Any) -> bool:
    names = ("input", "size", "scale_factor", "mode")
    given: Mapping[str, Any] = dict(zip(names, node.args, strict=False)) | node.kwargs
    _interpolate_step(builder, node, call_of(node), given.get("mode", "nearest"))
    return True


def _batch_norm(builder: Steps, node: Any, module: nn.BatchNorm2d) -> None:
    if node in builder.norms.parts:
        builder.position[node] = builder.positions(node)[0]
        return
    builder.notes.append(f"{node.target}: batch norm became a 1 x 1 depthwise convolution")
    builder.add_step(node, "linear", BatchNormAsPlaneConvolution(module, str(node.target)), builder.positions(node))


def _plane(builder: Steps, node: Any, module: nn.Conv2d) -> None:
    weight, bias = builder.norms.weights(node, module)
    positions = builder.positions(node)
    if module.padding_mode != "zeros":
        positions, left = pad_by_mode(builder, node, module, positions), (0, 0)
    elif isinstance(module.padding, str):
        left, right = _same_padding(module)
        if left != right:
            call = Call(F.pad, (Slot(0), (left[1], right[1], left[0], right[0])), {})
            builder.add_step(node, "route", call, positions, builder.keeps_sign(positions))
            positions, left = (builder.position[node],), (0, 0)
    else:
        left = module.padding  # type: ignore[assignment]
    builder.add_step(node, "linear", plane_convolution(module, weight, bias, left), positions)


def pad_by_mode(builder: Steps, node: Any, module: Any, positions: tuple[int, ...]) -> tuple[int, ...]:
    """A step that pads as a convolution does whose padding is not of zeros; the position of what it reads then."""
    sizes = tuple(module._reversed_padding_repeated_twice)
    if not any(sizes):
        return positions
    call = Call(F.pad, (Slot(0), sizes), {"mode": module.padding_mode})
    builder.add_step(node, "route", call, positions, builder.keeps_sign(positions))
    return (builder.position[node],)


def _same_padding(module: nn.Conv2d) -> tuple[tuple[int, int], tuple[int, int]]:
    """Zeros before and behind (height, time) of `padding="same"`; none of `valid`."""
    if module.padding == "valid":
        return (0, 0), (0, 0)
    totals = [d * (k - 1) for d, k in zip(module.dilation, module.kernel_size, strict=True)]
    return (totals[0] // 2, totals[1] // 2), (totals[0] - totals[0] // 2, totals[1] - totals[1] // 2)


def _transposed(builder: Steps, node: Any, module: nn.ConvTranspose1d) -> None:
    if len(node.args) > 1 or node.kwargs:
        raise CompositeError(f"{node.target}: a transposed convolution with `output_size` has no rule; leave it out")
    builder.add_step(node, "linear", module, builder.positions(node))


def _plane_pooling(builder: Steps, node: Any, module: nn.MaxPool2d) -> None:
    """Where rows stay apart it is 1-D pooling of each row, which differences are exact at."""
    if module.return_indices:
        raise CompositeError(f"{node.target}: pooling with indices has no rule; leave out return_indices")
    sizes = [_pair(size) for size in (module.kernel_size, module.stride, module.padding, module.dilation)]
    positions = builder.positions(node)
    non_negative = builder.keeps_sign(positions)
    if [size[0] for size in sizes] != [1, 1, 0, 1]:
        builder.add_step(node, "route", module, positions, non_negative)
        return
    builder.add_step(node, "shape", Call(_rows_of, (Slot(0),), {}), positions)
    rows = builder.position[node]
    builder.add_step(node, "route", Call(torch.flatten, (Slot(0), 1, 2), {}), positions, non_negative)
    kernel, stride, padding, dilation = (size[1] for size in sizes)
    pooling = nn.MaxPool1d(kernel, stride, padding, dilation, ceil_mode=module.ceil_mode)
    builder.add_step(node, "route", pooling, (builder.position[node],), non_negative)
    apart = Call("unflatten", (Slot(0), 1, Slot(1)), {})
    builder.add_step(node, "route", apart, (builder.position[node], rows), non_negative)


def _plane_pooling_call(builder: Steps, node: Any) -> bool:
    names = ("kernel_size", "stride", "padding", "dilation", "ceil_mode", "return_indices")
    given = dict(zip(names, node.args[1:], strict=False)) | node.kwargs
    if any(isinstance(value, fx.Node) for value in given.values()):
        return False  # sizes that depend on the windows
    _plane_pooling(builder, node, nn.MaxPool2d(**given))
    return True


def _pair(size: Any) -> tuple[int, int]:
    return size if isinstance(size, tuple) else (size, size)


def _rows_of(x: torch.Tensor) -> tuple[int, int]:
    """(map, height) of (window, map, height, time)."""
    return x.shape[1], x.shape[2]


def _interpolate_step(builder: Steps, node: Any, module: nn.Module, mode: str) -> None:
    """Means of neighbours with constant weights, negative ones for `bicubic`."""
    positions = builder.positions(node)
    builder.add_step(node, "norm", module, positions, mode != "bicubic" and builder.keeps_sign(positions))


MODULES: dict[type[nn.Module], ModuleBuilder] = {
    nn.Upsample: _upsample,
    nn.BatchNorm2d: _batch_norm,
    nn.Conv2d: _plane,
    nn.ConvTranspose1d: _transposed,
    nn.MaxPool2d: _plane_pooling,
}
CALLS: dict[Any, CallBuilder] = {
    F.max_pool2d: _plane_pooling_call,
    F.interpolate: _interpolate,
}

"""Receptive fields: which input samples a value depends on, exactly, from kernels, strides, pads and dilations.

How far back and how far forth a value reaches are carried through the traced graph as if they were data: each
operation gives the greatest reach of what it reads. Weights play no part, so a sample that is multiplied by 0 counts.
"""

import functools
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from clusterwhy.propagation.head_layers import MeanOfSmallest, SoftExtremum, Sum
from clusterwhy.propagation.linearised import Product, Quotient
from clusterwhy.propagation.normalisers import Normaliser
from clusterwhy.propagation.operations import Call, Slot
from clusterwhy.propagation.overwriting import overwrite
from clusterwhy.propagation.sequence_rules import Recurrent, SelfAttention
from clusterwhy.propagation.statistics_builders import CHOICES
from clusterwhy.propagation.steps import Canonical, Step


def reach(canonical: Canonical, example: torch.Tensor) -> list[Any]:
    """What the input and each step see.

    Args:
        canonical: the traced network.
        example: windows (window, channel, time).

    Returns:
        For each value (2, ...), its own shape behind the first axis: first samples counted back from the end of the
        window (time - start), then last samples counted from its beginning (stop). Both are 0 where a value sees
        nothing but padding. Steps that compute shapes give these.
    """
    n_channels, length = example.shape[1:]
    forth = torch.arange(1, length + 1, device=example.device).to(example.dtype)
    values: list[Any] = [torch.stack([forth.flip(0), forth])[:, None].expand(2, n_channels, length).contiguous()]
    with torch.no_grad():
        for step in canonical.steps:
            inputs = [values[i] for i in step.inputs]
            if step.kind in ("sum", "concatenate", "write"):  # constants see nothing
                signals = [canonical.depends_on_windows(i) for i in step.inputs]
                inputs = [x if s else _blind(x, forth.dtype) for x, s in zip(inputs, signals, strict=True)]
            values.append(_through(step, inputs))
    return values


def _blind(constant: Any, dtype: torch.dtype) -> Any:
    return torch.zeros_like(constant, dtype=dtype) if isinstance(constant, torch.Tensor) else constant


def _through(step: Step, inputs: list[Any]) -> Any:
    x, module = inputs[0], step.module
    if step.kind == "pass":
        return x
    if step.kind == "sum":
        return torch.maximum(*torch.broadcast_tensors(*inputs))
    if isinstance(module, Call) and module.function in CHOICES:
        return _chosen(module, inputs)
    if step.kind in ("mixed", "held"):
        return _mixed(module, inputs)
    if step.kind == "write":
        return _written(module, inputs)
    if isinstance(module, Call):
        if module.function is F.interpolate:
            return _interpolated(module(*inputs), x)
        # an axis that is averaged reaches as far as its farthest value; padding with 0 sees nothing
        return Call(GREATEST.get(module.function, module.function), module.arguments, module.keywords)(*inputs)
    if isinstance(module, nn.Conv1d):
        return x if x.ndim == 2 else _convolution(module, x)
    for kind, greatest in MODULES.items():
        if isinstance(module, kind):
            return greatest(module, x)
    if step.kind in ("shape", "route", "concatenate"):
        return module(*inputs)
    return _everything([x], module(x))


def _written(written: Any, inputs: list[Any]) -> Any:
    """A value, or what is written into it; where it is written, a mask of the data says."""
    if written.function is not overwrite:  # chosen by a mask, value by value
        return _greatest(inputs)
    base, value, views, *index = written.arguments
    if not any(isinstance(part, Slot) for part in (*index, *(index[0] if isinstance(index[0], tuple) else ()))):
        return Call(overwrite, (base, value if isinstance(value, Slot) else 0.0, views, *index), {})(*inputs)
    others = [x for i, x in enumerate(inputs) if i != base.i and isinstance(x, torch.Tensor)]
    return torch.maximum(inputs[base.i], _everything(others, inputs[base.i]))


def _chosen(module: Call, inputs: list[Any]) -> Any:
    """A comparison sees what it compares, and what is counted along an axis all of it."""
    greatest = REDUCED.get(module.function)
    return _greatest(inputs) if greatest is None else Call(greatest, module.arguments, module.keywords)(*inputs)


def _greatest(inputs: list[Any]) -> torch.Tensor:
    data = [x for x in inputs if isinstance(x, torch.Tensor)]
    return functools.reduce(torch.maximum, torch.broadcast_tensors(*data)).contiguous()


def _everything(data: list[torch.Tensor], like: torch.Tensor) -> torch.Tensor:
    """The farthest reach of any value, for each value of a step's output."""
    farthest = torch.stack([x.flatten(1).amax(dim=1) for x in data]).amax(dim=0)
    return farthest.reshape(2, *[1] * (like.ndim - 1)).expand_as(like).contiguous()


def _convolution(module: nn.Conv1d, x: torch.Tensor) -> torch.Tensor:
    """The farthest reach under the kernel and among the channels of a group; padding sees nothing."""
    of_group = x.unflatten(1, (module.groups, -1)).amax(dim=2)
    padding = int(module.padding[0])
    kernel, stride, dilation = module.kernel_size[0], module.stride[0], module.dilation[0]
    found = F.max_pool1d(F.pad(of_group, (padding, padding)), kernel, stride, 0, dilation)
    return found.repeat_interleave(module.out_channels // module.groups, dim=1)


def _plane(module: nn.Conv2d, x: torch.Tensor) -> torch.Tensor:
    """As `_convolution`, over planes."""
    of_group = x.unflatten(1, (module.groups, -1)).amax(dim=2)
    top, left = (int(size) for size in module.padding)
    padded = F.pad(of_group, (left, left, top, top))
    found = F.max_pool2d(padded, module.kernel_size, module.stride, 0, module.dilation)
    return found.repeat_interleave(module.out_channels // module.groups, dim=1)


def _transposed(module: nn.ConvTranspose1d, x: torch.Tensor) -> torch.Tensor:
    """Every position is spread by the kernel; between positions stands nothing."""
    of_group = x.unflatten(1, (module.groups, -1)).amax(dim=2)
    stride, dilation, kernel = module.stride[0], module.dilation[0], module.kernel_size[0]
    apart = x.new_zeros(*of_group.shape[:2], (x.shape[2] - 1) * stride + 1)
    apart[..., ::stride] = of_group
    margin = dilation * (kernel - 1) - int(module.padding[0])
    padded = F.pad(apart, (margin, margin + module.output_padding[0]))
    found = F.max_pool1d(padded, kernel, 1, 0, dilation)
    return found.repeat_interleave(module.out_channels // module.groups, dim=1)


def _interpolated(like: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """Neighbours of a position, of which an interpolation reads two at most."""
    return F.interpolate(F.max_pool1d(x, 3, 1, 1) if x.ndim == 3 else x.amax((2, 3), keepdim=True), like.shape[2:])


def _mixed(module: Any, inputs: list[Any]) -> torch.Tensor:
    """Products see what both factors see, normalisers and groups all their members; others at most everything."""
    data = [x for x in inputs if isinstance(x, torch.Tensor) and x.ndim and len(x) == 2]
    if not data:  # windows are not the first axis: the whole window, at most
        return torch.full_like(module(*inputs), max(float(x.max()) for x in inputs if isinstance(x, torch.Tensor)))
    if isinstance(module, Normaliser):
        shape, axes = module.groups(data[0])
        grouped = data[0].reshape(shape)
        return grouped.amax(axes, keepdim=True).expand_as(grouped).reshape(data[0].shape)
    like = module(*inputs)
    if all(x.shape == like.shape or 1 in x.shape for x in data) and isinstance(module, Product | Quotient):
        return functools.reduce(torch.maximum, data).expand_as(like).contiguous()
    return _everything(data, like)


def _recurrent(lstm: nn.LSTM, x: torch.Tensor) -> torch.Tensor:
    """Cells that read forth see all time steps before theirs, those that read back all behind it."""
    for _ in range(lstm.num_layers):
        at_once = x.amax(dim=2, keepdim=True)
        ways = [at_once.cummax(dim=1).values]
        if lstm.bidirectional:
            ways.append(at_once.flip(1).cummax(dim=1).values.flip(1))
        x = torch.cat([way.expand(-1, -1, lstm.hidden_size) for way in ways], dim=2)
    return x


def _attention(x: torch.Tensor) -> torch.Tensor:
    """Each time step sees all others."""
    return x.amax(dim=(1, 2), keepdim=True).expand_as(x).contiguous()


def _average(
    x: torch.Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False, *_: Any, **__: Any
) -> torch.Tensor:
    return F.max_pool1d(x, kernel_size, stride, padding, 1, ceil_mode)


def _linear(module: Any, x: torch.Tensor) -> torch.Tensor:
    return x.amax(dim=-1, keepdim=True).expand(*x.shape[:-1], module.out_features).contiguous()


GREATEST: dict[Any, Any] = {
    **{torch.mean: torch.amax, torch.sum: torch.amax, torch.amin: torch.amax},
    **{"mean": "amax", "sum": "amax", "amin": "amax"},
    **{F.avg_pool1d: _average, F.adaptive_avg_pool1d: F.adaptive_max_pool1d},
    **{F.adaptive_avg_pool2d: F.adaptive_max_pool2d},
}
REDUCED: dict[Any, Any] = {
    **dict.fromkeys(("any", "all", "argmax", "argmin"), "amax"),
    **dict.fromkeys((torch.any, torch.all, torch.argmax, torch.argmin), torch.amax),
}
MODULES: dict[type[nn.Module], Callable[[Any, torch.Tensor], torch.Tensor]] = {
    nn.Linear: _linear,
    nn.AvgPool1d: lambda m, x: _average(x, m.kernel_size, m.stride, m.padding, m.ceil_mode),
    nn.AdaptiveAvgPool1d: lambda m, x: F.adaptive_max_pool1d(x, m.output_size),
    nn.Upsample: lambda m, x: _interpolated(m(x), x),
    nn.Conv2d: _plane,
    nn.ConvTranspose1d: _transposed,
    nn.AvgPool2d: lambda m, x: F.max_pool2d(x, m.kernel_size, m.stride, m.padding, 1, m.ceil_mode),
    nn.AdaptiveAvgPool2d: lambda m, x: F.adaptive_max_pool2d(x, m.output_size),
    Sum: lambda m, x: x.amax(dim=m.dim),
    SoftExtremum: lambda m, x: x.amax(dim=m.dim),
    MeanOfSmallest: lambda m, x: x.amax(dim=1),
    Recurrent: lambda m, x: _recurrent(m.lstm, x),
    SelfAttention: lambda m, x: _attention(x),
}

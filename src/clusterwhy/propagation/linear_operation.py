"""A linear layer and its transpose for parts of its weights: what the rules of linear layers are made of."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import nn

from clusterwhy.propagation.head_layers import RootedLinear

LAST = torch.channels_last


class LinearOperation:
    """A linear layer and its transpose, for parts of its weights.

    These are w, p = max(w, 0), n = min(w, 0), abs = |w|, sq = w ** 2.
    Convolutions run as 2-D ones of height 1 with channels last in memory, which is several times faster
    on CPUs.
    """

    def __init__(self, module: nn.Conv1d | nn.Linear) -> None:
        self.module = module
        self.weight = module.weight.detach()
        self.bias = None if module.bias is None else module.bias.detach()
        self.is_convolution = isinstance(module, nn.Conv1d)
        self.stackable = True  # two parts can run as one layer of twice the size
        self.diagonal = False
        if isinstance(module, nn.Conv1d):
            self.stackable = module.groups == 1
            plain = module.stride == (1,) and module.padding == (0,) and module.kernel_size == (1,)
            self.diagonal = plain and module.groups == module.in_channels == module.out_channels > 1
        # what contributions at a root point are, (output, input)
        self.offset = module.root.detach() * self.weight if isinstance(module, RootedLinear) else None
        self.axis = 1 if self.is_convolution else -1  # of channels
        self._kept: dict[str, torch.Tensor] = {}

    def _keep(self, key: str, make: Callable[[], torch.Tensor]) -> torch.Tensor:
        if key not in self._kept:
            self._kept[key] = make()
        return self._kept[key]

    def part(self, key: str) -> torch.Tensor:
        """Weights of one part, or of two parts stacked along inputs (`p|n`) or outputs (`p/n`)."""
        for mark, dim in (("/", 0), ("|", 1)):
            if mark in key:
                return self._keep(key, lambda: torch.cat([self.part(k) for k in key.split(mark)], dim=dim))  # noqa: B023
        made = {
            "w": lambda: self.weight,
            "p": lambda: self.weight.clamp(min=0),
            "n": lambda: self.weight.clamp(max=0),
            "abs": lambda: self.weight.abs(),
            "sq": lambda: self.weight**2,
            "one": lambda: torch.ones_like(self.weight),
        }
        return self._keep(key, made[key])

    def forward(self, x: torch.Tensor, key: str = "w", bias: torch.Tensor | None = None) -> torch.Tensor:
        """The layer with part of its weights and a bias."""
        weight, module = self.part(key), self.module
        if isinstance(module, nn.Linear):
            return F.linear(x, weight, bias)
        if self.diagonal:
            return self.add_bias(x * weight[:, :, 0] if x.ndim == 3 else x * weight[:, 0, 0], bias)
        if weight.shape[2] == 1 and module.stride == (1,) and module.padding == (0,) and module.groups == 1:
            return F.linear(x.transpose(1, 2), weight[:, :, 0], bias).transpose(1, 2)
        flat = self._keep(f"forward {key}", lambda: weight[:, :, None].contiguous(memory_format=LAST))
        planes = x.unsqueeze(2)
        sizes = ((1, *module.stride), (0, *module.padding), (1, *module.dilation), module.groups)  # type: ignore[misc]
        return F.conv2d(planes, flat, bias, *sizes).squeeze(2)

    def transpose(self, s: torch.Tensor, key: str, like: torch.Tensor) -> torch.Tensor:
        """The transposed layer: what the gradient with respect to an input of the shape of `like` would be."""
        weight, module = self.part(key), self.module
        if isinstance(module, nn.Linear):
            return s @ weight
        if self.diagonal:
            return s * weight[:, :, 0] if s.ndim == 3 else s * weight[:, 0, 0]
        reach = module.dilation[0] * (weight.shape[2] - 1) - int(module.padding[0])
        if module.groups == 1 and module.stride == (1,) and reach >= 0:
            if weight.shape[2] == 1 and reach == 0:
                return F.linear(
                    s.transpose(1, 2), self._keep(f"T {key}", lambda: weight[:, :, 0].T.contiguous())
                ).transpose(1, 2)
            flat = self._keep(
                f"transpose {key}",
                lambda: weight.flip(2).transpose(0, 1)[:, :, None].contiguous(memory_format=LAST),
            )
            return F.conv2d(s.unsqueeze(2), flat, None, 1, (0, reach), (1, module.dilation[0])).squeeze(2)
        planes = like.new_empty(1).expand(len(s), weight.shape[1] * module.groups, 1, like.shape[2])
        flat = self._keep(f"forward {key}", lambda: weight[:, :, None].contiguous(memory_format=LAST))
        sizes = ([1, *module.stride], [0, *module.padding], [1, *module.dilation])
        found = torch.ops.aten.convolution_backward(
            s.unsqueeze(2), planes, flat, None, *sizes, False, [0, 0], module.groups, [True, False, False]
        )[0]
        result: torch.Tensor = found.squeeze(2)
        return result

    def join(self, first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        """Two values stacked along their channels, channels last in memory."""
        if self.is_convolution and first.ndim == 3:
            return torch.cat([first.transpose(1, 2), second.transpose(1, 2)], dim=2).transpose(1, 2)
        return torch.cat([first, second], dim=self.axis)

    def add_bias(self, z: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        """z plus a value per output."""
        if bias is None:
            return z
        return z + (bias[:, None] if self.is_convolution and z.ndim == 3 else bias)

    def dot(self, bias: torch.Tensor | None, s: torch.Tensor) -> torch.Tensor:
        """(window,) sum over outputs of bias times s."""
        if bias is None:
            return s.new_zeros(len(s))
        if self.is_convolution:
            return (s.sum(dim=2) if s.ndim == 3 else s) @ bias
        return (s @ bias).flatten(1).sum(1) if s.ndim > 2 else s @ bias

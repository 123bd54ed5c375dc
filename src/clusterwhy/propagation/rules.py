"""Rules of linear layers, each in closed form: what zennit computes with several backward passes.

The denominators reuse the stored output, z- is z - z+, and the branch of negative inputs is left out
where an input cannot be negative. Every rule is tested equal to zennit's (tests/reference/test_engine.py).
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import torch
import torch.nn.functional as F
from torch import nn

from clusterwhy.errors import CompositeError
from clusterwhy.propagation.head_layers import RootedLinear

RuleName = Literal["epsilon", "z_plus", "alpha_beta", "gamma", "flat", "w_square", "box"]
LAST = torch.channels_last


@dataclass(frozen=True)
class Rule:
    """How a linear layer shares relevance among its inputs (Montavon et al. 2019, table 1).

    Attributes:
        name: which rule.
        stabilizer: added to denominators with their sign.
        gamma: weight of positive (negative) parts in `gamma`.
        zero_bias: leave the bias out of denominators, so that it absorbs nothing.
        low: (1, channel, 1) lower end of the box.
        high: (1, channel, 1) upper end of the box.
    """

    name: RuleName
    stabilizer: float
    gamma: float = 0.0
    alpha: float = 2.0
    zero_bias: bool = False
    low: torch.Tensor | None = field(default=None, compare=False)
    high: torch.Tensor | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Shared:
    """What a layer passes on (`inputs`), and what its bias, the stabiliser and a softmax keep, (window,) each."""

    inputs: torch.Tensor
    bias: torch.Tensor
    stabilizer: Callable[[], torch.Tensor]  # computed for a ledger only
    softmax: torch.Tensor | None = None


def stabilize(z: torch.Tensor, epsilon: float) -> torch.Tensor:
    """z moved away from 0 by epsilon, with its sign."""
    return torch.copysign(z.new_full((), epsilon), z).add_(z)


def divide(relevance: torch.Tensor, z: torch.Tensor, epsilon: float) -> torch.Tensor:
    """relevance / stabilize(z, epsilon), in the memory of one tensor."""
    denominator = stabilize(z, epsilon)
    return torch.div(relevance, denominator, out=denominator)


class LinearOperation:
    """A linear layer and its transpose, for parts of its weights: w, p = max(w, 0), n = min(w, 0), sq = w ** 2.

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


def total(relevance: torch.Tensor) -> torch.Tensor:
    """(window,) summed relevance."""
    return relevance.reshape(len(relevance), -1).sum(1)


@dataclass(frozen=True)
class _Case:
    """One layer, what went through it, and the relevance that arrives at its outputs."""

    rule: Rule
    layer: LinearOperation
    x: torch.Tensor
    z: torch.Tensor
    relevance: torch.Tensor
    non_negative: bool
    bias: torch.Tensor | None

    def bias_part(self, sign: int) -> torch.Tensor | None:
        """The positive or the negative part of the bias."""
        if self.bias is None:
            return None
        return self.bias.clamp(min=0) if sign > 0 else self.bias.clamp(max=0)

    def positive(self) -> "_Positive":
        """x split by sign, and z+, the sum of positive contributions (with the positive bias)."""
        layer, bias = self.layer, self.bias_part(1)
        if self.non_negative:
            return _Positive(self.x, None, layer.forward(self.x, "p", bias))
        above = self.x.clamp(min=0)
        below = self.x - above
        if layer.stackable:
            joined = layer.join(above, below)
            return _Positive(joined, None, layer.forward(joined, "p|n", bias))
        z = layer.forward(above, "p", bias).add_(layer.forward(below, "n"))
        return _Positive(above, below, z)

    def weigh(self, parts: "_Positive", first: torch.Tensor, second: torch.Tensor | None) -> torch.Tensor:
        """x+ (W+^T first + W-^T second) + x- (W-^T first + W+^T second); `second` may be left out."""
        layer = self.layer
        if not layer.stackable:
            return self._weigh_parts(parts, first, second)
        s = first if second is None else layer.join(first, second)
        if self.non_negative:
            return layer.transpose(s, "p" if second is None else "p/n", self.x).mul_(parts.above)
        both = layer.transpose(s, "p|n" if second is None else "p|n/n|p", parts.above).mul_(parts.above)
        half = both.shape[layer.axis] // 2
        return both.narrow(layer.axis, 0, half) + both.narrow(layer.axis, half, half)

    def _weigh_parts(self, parts: "_Positive", first: torch.Tensor, second: torch.Tensor | None) -> torch.Tensor:
        found = [
            self.layer.transpose(s, key, self.x).mul_(x)
            for x, keys in ((parts.above, "pn"), (parts.below, "np"))
            for s, key in zip((first, second), keys, strict=True)
            if x is not None and s is not None
        ]
        return functools.reduce(torch.Tensor.add_, found)


@dataclass(frozen=True)
class _Positive:
    """`above`: positive part of x, joined with the negative one where the layer can take both at once."""

    above: torch.Tensor
    below: torch.Tensor | None
    z: torch.Tensor


def _last(x: torch.Tensor) -> torch.Tensor:
    """Channels last in memory."""
    return x.transpose(1, 2).contiguous().transpose(1, 2) if x.ndim == 3 else x


def share(
    rule: Rule, layer: LinearOperation, x: torch.Tensor, z: torch.Tensor, relevance: torch.Tensor, non_negative: bool
) -> Shared:
    """Share the relevance of a layer's outputs among its inputs.

    Args:
        x: the layer's input.
        z: its output, with bias.
        relevance: of the output, the same shape as z.
        non_negative: x holds no negative value.
    """
    # a root point stands for the bias: there is none to leave out
    without = rule.zero_bias and layer.offset is None
    bias = None if without else layer.bias
    if without and layer.bias is not None:
        z = layer.add_bias(z, -layer.bias)
    return _RULES[rule.name](_Case(rule, layer, x, z, relevance, non_negative, bias))


def _epsilon(case: _Case) -> Shared:
    s = divide(case.relevance, case.z, case.rule.stabilizer)
    inputs, bias, offset = case.layer.transpose(s, "w", case.x).mul_(case.x), case.bias, case.layer.offset
    if offset is not None:
        inputs = inputs - s @ offset
        bias = offset.sum(dim=1) if bias is None else bias + offset.sum(dim=1)
    return Shared(inputs, case.layer.dot(bias, s), lambda: total(case.relevance - case.z * s))


def _z_plus(case: _Case) -> Shared:
    parts = case.positive()
    s = divide(case.relevance, parts.z, case.rule.stabilizer)
    kept = case.layer.dot(case.bias_part(1), s)
    return Shared(case.weigh(parts, s, None), kept, lambda: total(case.relevance - parts.z * s))


def _alpha_beta(case: _Case) -> Shared:
    parts, layer, rule = case.positive(), case.layer, case.rule
    # never positive but for rounding; 0 counts as positive, as in zennit
    z_minus = (case.z - parts.z).clamp_(max=0)
    s_plus = divide(case.relevance, parts.z, rule.stabilizer).mul_(rule.alpha)
    s_minus = divide(case.relevance, z_minus, rule.stabilizer).mul_(1.0 - rule.alpha)
    kept = layer.dot(case.bias_part(1), s_plus) + layer.dot(case.bias_part(-1), s_minus)
    inputs = case.weigh(parts, s_plus, s_minus)
    return Shared(inputs, kept, lambda: total(case.relevance - parts.z * s_plus - z_minus * s_minus))


def _gamma(case: _Case) -> Shared:
    # generalised as in zennit (Andeol et al. 2021): outputs above 0 favour positive contributions, others negative
    parts, layer, rule, gamma, z = case.positive(), case.layer, case.rule, case.rule.gamma, case.z
    z_plus = torch.add(z, parts.z, alpha=gamma)
    z_minus = torch.mul(z, 1.0 + gamma).sub_(parts.z, alpha=gamma)
    above = divide(case.relevance, z_plus, rule.stabilizer).mul_(z > 0)
    below = divide(case.relevance, z_minus, rule.stabilizer).mul_(z < 0)
    kept = case.x.new_zeros(len(case.x))
    if case.bias is not None:
        kept = layer.dot(case.bias + gamma * case.bias.clamp(min=0), above)
        kept = kept + layer.dot(case.bias + gamma * case.bias.clamp(max=0), below)
    inputs = case.weigh(parts, torch.add(below, above, alpha=1 + gamma), torch.add(above, below, alpha=1 + gamma))
    return Shared(inputs, kept, lambda: total(case.relevance - z_plus * above - z_minus * below))


def _flat(case: _Case) -> Shared:
    return _constant(case, "one", None)


def _w_square(case: _Case) -> Shared:
    return _constant(case, "sq", None if case.bias is None else case.bias**2)


def _constant(case: _Case, key: str, bias: torch.Tensor | None) -> Shared:
    layer = case.layer
    weights = layer.forward(torch.ones_like(case.x[:1]), key, bias)
    s = divide(case.relevance, weights.expand_as(case.relevance), case.rule.stabilizer)
    inputs = layer.transpose(s, key, case.x)
    return Shared(inputs, layer.dot(bias, s), lambda: total(case.relevance - weights * s))


def _box(case: _Case) -> Shared:
    rule, layer, x = case.rule, case.layer, case.x
    if rule.low is None or rule.high is None:
        raise CompositeError("the box rule needs `low` and `high`")
    low, high = rule.low.to(x).expand(1, *x.shape[1:]), rule.high.to(x).expand(1, *x.shape[1:])
    ends = layer.forward(_last(low), "p", case.bias).add_(layer.forward(_last(high), "n"))
    difference = case.z - ends
    s = divide(case.relevance, difference, rule.stabilizer)
    if layer.stackable:
        distances = layer.join(x - low, x - high)
        both = layer.transpose(s, "p|n", distances).mul_(distances)
        half = both.shape[layer.axis] // 2
        inputs = both.narrow(layer.axis, 0, half) + both.narrow(layer.axis, half, half)
    else:
        inputs = layer.transpose(s, "p", x).mul_(x - low).addcmul_(layer.transpose(s, "n", x), x - high)
    return Shared(inputs, x.new_zeros(len(x)), lambda: total(case.relevance - difference * s))


_RULES: dict[str, Callable[[_Case], Shared]] = {
    "epsilon": _epsilon,
    "z_plus": _z_plus,
    "alpha_beta": _alpha_beta,
    "gamma": _gamma,
    "flat": _flat,
    "w_square": _w_square,
    "box": _box,
}

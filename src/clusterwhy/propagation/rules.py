"""Rules of linear layers, each in closed form: what zennit computes with several backward passes.

Sums of the contributions of one sign come from the stored output z = z+ + z- and the sum of sizes |W| |x| = z+ - z-,
which takes half the passes of sums by the signs of inputs and weights. Where z+ or z- is so small beside the other
that few digits would be left, the sums are by signs. Every rule is tested equal to zennit's
(tests/reference/test_engine.py).
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import nn

from clusterwhy.errors import CompositeError
from clusterwhy.propagation.composites import Rule, Rules
from clusterwhy.propagation.head_layers import RootedLinear
from clusterwhy.propagation.linear_operation import LinearOperation
from clusterwhy.propagation.signs import sign_of
from clusterwhy.propagation.steps import Step

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.ConvTranspose1d)
LEAST = 2.0**-8  # share of a sum of sizes: a smaller z+ or z- would keep less than 16 of float32's 24 digits


@dataclass(frozen=True)
class Shared:
    """What a layer passes on (`inputs`), and what its bias, the stabiliser, a softmax, signs keep, (window,) each."""

    inputs: torch.Tensor | tuple[torch.Tensor | None, ...]  # of several inputs, None to those that take none
    bias: torch.Tensor
    stabilizer: Callable[[], torch.Tensor]  # computed for a relevance budget only
    softmax: torch.Tensor | None = None
    sign: torch.Tensor | None = None  # of signs in place of values

    @property
    def of_inputs(self) -> tuple[torch.Tensor | None, ...]:
        """What each input gets."""
        return self.inputs if isinstance(self.inputs, tuple) else (self.inputs,)


def stabilize(z: torch.Tensor, epsilon: float) -> torch.Tensor:
    """z moved away from 0 by epsilon, with its sign."""
    return torch.copysign(z.new_full((), epsilon), z).add_(z)


def divide(relevance: torch.Tensor, z: torch.Tensor, epsilon: float) -> torch.Tensor:
    """relevance / stabilize(z, epsilon), in the memory of one tensor."""
    denominator = stabilize(z, epsilon)
    return torch.div(relevance, denominator, out=denominator)


def rule_of(step: Step, rules: Rules) -> Rule:
    """The rule of a linear step; a box is still that of the network's input (`entrances.rules_of_entrances`)."""
    if isinstance(step.module, RootedLinear):
        return replace(rules.dense, name="epsilon")
    if step.reads_input and rules.first_layer is not None:
        return rules.first_layer
    return rules.convolution if isinstance(step.module, CONVOLUTIONS) else rules.dense


def passed(relevance: torch.Tensor) -> Shared:
    """Relevance as it is, of a step that keeps none."""
    nothing = relevance.new_zeros(len(relevance))
    return Shared(relevance, nothing, lambda: nothing)


def total(relevance: torch.Tensor) -> torch.Tensor:
    """(row,) summed relevance."""
    return per_window(relevance, len(relevance))


def per_window(relevance: torch.Tensor, n_windows: int) -> torch.Tensor:
    """(window,) summed relevance of values whose first axis is the window, or the window and another axis."""
    return relevance.reshape(n_windows, -1).sum(1)


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

    def sizes(self) -> "_Sizes":
        """|x|, and the sum of the sizes of all contributions (with that of the bias)."""
        x = self.x if self.non_negative else self.x.abs()
        return _Sizes(x, self.layer.forward(x, "abs", None if self.bias is None else self.bias.abs()))

    def weigh_sizes(self, sizes: "_Sizes", first: torch.Tensor, second: torch.Tensor | None = None) -> torch.Tensor:
        """As `weigh`: (x W^T (first + second) + |x| |W|^T (first - second)) / 2."""
        both, difference = (first, first) if second is None else (first + second, first - second)
        found = self.layer.transpose(both, "w", self.x).mul_(self.x)
        return found.addcmul_(self.layer.transpose(difference, "abs", self.x), sizes.x).mul_(0.5)

    def rows(self, of: torch.Tensor) -> "_Case":
        """Some of the rows."""
        return replace(self, x=self.x[of], z=self.z[of], relevance=self.relevance[of])

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

    def both(self) -> "tuple[_Positive, torch.Tensor]":
        """As `positive`, and z-, the sum of negative contributions (with the negative bias).

        Not as z - z+, whose float32 keeps no digit of a z- that is small beside z+.
        """
        layer, above = self.layer, self.bias_part(1)
        below = self.bias_part(-1)
        if layer.stackable:
            bias = None if above is None or below is None else torch.cat([above, below])
            x = self.x if self.non_negative else layer.join(self.x.clamp(min=0), self.x.clamp(max=0))
            z = layer.forward(x, "p/n" if self.non_negative else "p|n/n|p", bias)
            z_plus, z_minus = z.chunk(2, dim=layer.axis)
            return _Positive(x, None, z_plus), z_minus
        parts = self.positive()
        z_minus = layer.forward(parts.above, "n", below)
        return parts, z_minus if parts.below is None else z_minus.add_(layer.forward(parts.below, "p"))

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
class _Sizes:
    """`x`: |x|; `z`: the sum of the sizes of all contributions."""

    x: torch.Tensor
    z: torch.Tensor


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
    return IMPLEMENTATIONS[rule.name](_Case(rule, layer, x, z, relevance, non_negative, bias))


def _epsilon(case: _Case) -> Shared:
    s = divide(case.relevance, case.z, case.rule.stabilizer)
    inputs, bias, offset = case.layer.transpose(s, "w", case.x).mul_(case.x), case.bias, case.layer.offset
    if offset is not None:
        inputs = inputs - s @ offset
        bias = offset.sum(dim=1) if bias is None else bias + offset.sum(dim=1)
    return Shared(inputs, case.layer.dot(bias, s), lambda: total(case.relevance - case.z * s))


def _z_plus(case: _Case) -> Shared:
    if case.non_negative:  # one pass by signs, as many as of sizes
        return _z_plus_by_signs(case)
    sizes = case.sizes()
    z_plus = torch.add(case.z, sizes.z).mul_(0.5)
    few_digits = z_plus < LEAST * sizes.z

    def by_sizes() -> Shared:
        s = divide(case.relevance, z_plus, case.rule.stabilizer)
        kept = case.layer.dot(case.bias_part(1), s)
        return Shared(case.weigh_sizes(sizes, s), kept, lambda: total(case.relevance - z_plus * s))

    return _with_digits(case, few_digits, by_sizes, _z_plus_by_signs)


def _z_plus_by_signs(case: _Case) -> Shared:
    parts = case.positive()
    s = divide(case.relevance, parts.z, case.rule.stabilizer)
    kept = case.layer.dot(case.bias_part(1), s)
    return Shared(case.weigh(parts, s, None), kept, lambda: total(case.relevance - parts.z * s))


def _alpha_beta(case: _Case) -> Shared:
    sizes, layer, rule = case.sizes(), case.layer, case.rule
    z_plus, z_minus = torch.add(case.z, sizes.z).mul_(0.5), torch.sub(case.z, sizes.z).mul_(0.5)
    few_digits = torch.minimum(z_plus, -z_minus) < LEAST * sizes.z

    def by_sizes() -> Shared:
        s_plus = divide(case.relevance, z_plus, rule.stabilizer).mul_(rule.alpha)
        s_minus = divide(case.relevance, z_minus, rule.stabilizer).mul_(1.0 - rule.alpha)
        kept = layer.dot(case.bias_part(1), s_plus) + layer.dot(case.bias_part(-1), s_minus)
        inputs = case.weigh_sizes(sizes, s_plus, s_minus)
        return Shared(inputs, kept, lambda: total(case.relevance - z_plus * s_plus - z_minus * s_minus))

    return _with_digits(case, few_digits, by_sizes, _alpha_beta_by_signs)


def _alpha_beta_by_signs(case: _Case) -> Shared:
    layer, rule = case.layer, case.rule
    parts, z_minus = case.both()
    s_plus = divide(case.relevance, parts.z, rule.stabilizer).mul_(rule.alpha)
    s_minus = divide(case.relevance, z_minus, rule.stabilizer).mul_(1.0 - rule.alpha)
    kept = layer.dot(case.bias_part(1), s_plus) + layer.dot(case.bias_part(-1), s_minus)
    inputs = case.weigh(parts, s_plus, s_minus)
    return Shared(inputs, kept, lambda: total(case.relevance - parts.z * s_plus - z_minus * s_minus))


def _with_digits(
    case: _Case, few_digits: torch.Tensor, by_sizes: Callable[[], Shared], by_signs: Callable[[_Case], Shared]
) -> Shared:
    """By sizes, but by signs the rows with an output whose sum of one sign would keep few digits.

    Args:
        few_digits: of each output; one that no relevance arrives at does not matter.
    """
    if not few_digits.any():
        return by_sizes()
    rows = few_digits.logical_and(case.relevance != 0.0).reshape(len(few_digits), -1).any(dim=1)
    if rows.all():
        return by_signs(case)
    found = by_sizes()
    if not rows.any():
        return found
    exact = by_signs(case.rows(rows))
    # of one input
    found.of_inputs[0][rows], found.bias[rows] = exact.of_inputs[0], exact.bias  # type: ignore[index, assignment]
    return replace(found, stabilizer=lambda: found.stabilizer().index_put((rows,), exact.stabilizer()))


def _gamma(case: _Case) -> Shared:
    # generalised as in zennit (Andeol et al. 2021): outputs above 0 favour positive contributions, others negative;
    # where z > 0, z+ is at least half the sizes, so that it keeps its digits, and so does z- where z < 0
    sizes, layer, rule, gamma, z = case.sizes(), case.layer, case.rule, case.rule.gamma, case.z
    denominator = torch.add(z, torch.addcmul(z, sizes.z, z.sign()), alpha=0.5 * gamma)
    s = divide(case.relevance, denominator, rule.stabilizer).mul_(z != 0)
    signed = s * z.sign()
    kept = case.x.new_zeros(len(case.x))
    if case.bias is not None:
        kept = layer.dot((1.0 + 0.5 * gamma) * case.bias, s) + layer.dot(0.5 * gamma * case.bias.abs(), signed)
    inputs = layer.transpose(s, "w", case.x).mul_(case.x).mul_(1.0 + 0.5 * gamma)
    inputs.addcmul_(layer.transpose(signed, "abs", case.x), sizes.x, value=0.5 * gamma)
    return Shared(inputs, kept, lambda: total(case.relevance - denominator * s))


def _flat(case: _Case) -> Shared:
    return _constant(case, "one", None)


def _w_square(case: _Case) -> Shared:
    return _constant(case, "sq", None if case.bias is None else case.bias**2)


def _constant(case: _Case, key: str, bias: torch.Tensor | None) -> Shared:
    layer = case.layer
    ones = torch.ones_like(case.x[:1])
    if case.rule.present is not None:
        ones = case.rule.present.to(ones)
    weights = layer.forward(_last(ones), key, bias)
    s = divide(case.relevance, weights.expand_as(case.relevance), case.rule.stabilizer)
    inputs = layer.transpose(s, key, case.x)
    inputs = inputs if case.rule.present is None else inputs * ones
    return Shared(inputs, layer.dot(bias, s), lambda: total(case.relevance - weights * s))


def _box(case: _Case) -> Shared:
    rule, layer, x = case.rule, case.layer, case.x
    if rule.low is None or rule.high is None:
        raise CompositeError("the box rule needs `low` and `high`")
    # not as z less what the ends give, whose float32 keeps few digits where values are large beside the box
    above, below = x - rule.low.to(x), x - rule.high.to(x)
    if layer.stackable:
        distances = layer.join(above, below)
        difference = layer.forward(distances, "p|n")
        s = divide(case.relevance, difference, rule.stabilizer)
        both = layer.transpose(s, "p|n", distances).mul_(distances)
        half = both.shape[layer.axis] // 2
        inputs = both.narrow(layer.axis, 0, half) + both.narrow(layer.axis, half, half)
    else:
        difference = layer.forward(above, "p").add_(layer.forward(below, "n"))
        s = divide(case.relevance, difference, rule.stabilizer)
        inputs = layer.transpose(s, "p", x).mul_(above).addcmul_(layer.transpose(s, "n", x), below)
    return Shared(inputs, x.new_zeros(len(x)), lambda: total(case.relevance - difference * s))


def _sign(case: _Case) -> Shared:
    # epsilon with the sign of x - threshold in place of x (SIGN; Gumpfer et al. 2023): what the inputs get does not add
    # up to what arrives
    if case.rule.low is None:
        raise CompositeError("the rule sign needs `low`, the threshold")
    s = divide(case.relevance, case.z, case.rule.stabilizer)
    inputs = case.layer.transpose(s, "w", case.x).mul_(sign_of(case.x, case.rule.low.to(case.x)))
    kept = case.layer.dot(case.bias, s)
    of_values = total(case.z * s) - kept
    return Shared(inputs, kept, lambda: total(case.relevance - case.z * s), sign=of_values - total(inputs))


# of each rule of `composites.RULES`; `zennit_backend.HOOKS` has zennit's hook that must give the same
IMPLEMENTATIONS = {
    "epsilon": _epsilon,
    "z_plus": _z_plus,
    "alpha_beta": _alpha_beta,
    "gamma": _gamma,
    "flat": _flat,
    "w_square": _w_square,
    "box": _box,
    "sign": _sign,
}

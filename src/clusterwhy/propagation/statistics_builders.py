"""Builders of steps of statistics of the data: powers, sizes and spreads.

As the factor or divisor of a signal they are held fixed (`signal_builders`). As features each has the rule of what it
consists of: a power passes its relevance, as a square x * x does, and sums and means share by contribution. What only
chooses, such as a comparison, never takes relevance.
"""

import operator
from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F

from clusterwhy.propagation.building import CallBuilder, Steps, call_of
from clusterwhy.propagation.composites import SequenceRule
from clusterwhy.propagation.linearised import Linearised, Quotient
from clusterwhy.propagation.operations import Call, Slot

# of piecewise constant values: masks, signs, positions
_NAMES_OF_CHOICES = (
    *("gt", "lt", "ge", "le", "eq", "ne", "isnan", "isinf", "isfinite", "logical_and", "logical_or", "logical_not"),
    *("logical_xor", "bitwise_and", "bitwise_or", "bitwise_not", "bitwise_xor", "any", "all", "argmax", "argmin"),
    *("sign", "round", "floor", "ceil"),
)
CHOICES = {
    *(*_NAMES_OF_CHOICES, *(getattr(torch, name) for name in _NAMES_OF_CHOICES), "bool"),
    *(operator.gt, operator.lt, operator.ge, operator.le, operator.eq, operator.ne),
    *(operator.and_, operator.or_, operator.xor, operator.invert),
}


class Variance(Linearised):
    """The variance along axes: the mean is linear, a square passes, and members share by contribution.

    Args:
        dim: axes.
        correction: taken from the number of members.
        keepdim: whether the axes stay, of size 1.
    """

    def __init__(self, dim: int | Sequence[int], correction: float, keepdim: bool) -> None:
        super().__init__()
        self.keywords: dict[str, Any] = {"dim": dim, "keepdim": keepdim}
        self.correction = correction

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.var(x, correction=self.correction, **self.keywords)  # type: ignore[no-any-return]

    def linear_form(
        self, inputs: Sequence[torch.Tensor], biases: Sequence[torch.Tensor], rule: SequenceRule
    ) -> torch.Tensor:
        (x,) = inputs
        centred = x - x.mean(dim=self.keywords["dim"], keepdim=True)
        squares: torch.Tensor = (centred * centred.detach()).sum(**self.keywords)
        return squares / max(x.numel() // squares.numel() - self.correction, 0)


def _given(node: Any, *names: str) -> Mapping[str, Any]:
    """The arguments of a call behind its first one, by their names."""
    return dict(zip(names, node.args[1:], strict=False)) | node.kwargs


def _power(builder: Steps, node: Any) -> bool:
    exponent = 2 if len(node.args) == 1 and not node.kwargs else _given(node, "exponent").get("exponent")
    positions = builder.positions(node)
    if not isinstance(exponent, int | float) or len(positions) > 1:
        return False
    if exponent <= 0 and not builder.statistics.issuperset(node.all_input_nodes):
        return False
    builder.add_step(node, "pass", call_of(node), positions, exponent % 2 == 0 or builder.keeps_sign(positions))
    return True


def _absolute(builder: Steps, node: Any) -> bool:
    builder.add_step(node, "pass", call_of(node), builder.positions(node), True)
    return True


def _add_root(builder: Steps, node: Any) -> None:
    builder.add_step(node, "pass", Call(torch.sqrt, (Slot(0),), {}), (builder.position[node],), True)


def _variance(builder: Steps, node: Any) -> bool:
    given = _given(node, "dim", "unbiased", "keepdim")
    dim, unbiased = given.get("dim"), given.get("unbiased", True)
    correction = given.get("correction", float(unbiased) if isinstance(unbiased, bool) else None)
    if dim is None or isinstance(dim, bool) or not isinstance(correction, int | float):
        return False
    made = Variance(dim, correction, given.get("keepdim", False))
    builder.add_step(node, "mixed", made, builder.positions(node), True)
    return True


def _deviation(builder: Steps, node: Any) -> bool:
    if not _variance(builder, node):
        return False
    _add_root(builder, node)
    return True


def _norm(builder: Steps, node: Any) -> bool:
    order = "ord" if node.target in (torch.linalg.norm, torch.linalg.vector_norm) else "p"
    given = _given(node, order, "dim", "keepdim")
    power, dim = given.get(order, 2), given.get("dim")
    of_matrix = isinstance(dim, tuple | list) and node.target is torch.linalg.norm and power is not None
    if dim is None or of_matrix or power not in (2, 1, "fro", None):
        return False
    _add_norm(builder, node, 1 if power == 1 else 2, dim, given.get("keepdim", False))
    return True


def _add_norm(builder: Steps, node: Any, power: int, dim: Any, keepdim: bool) -> None:
    builder.add_step(
        node, "pass", Call("square" if power == 2 else "abs", (Slot(0),), {}), builder.positions(node), True
    )
    total = Call("sum", (Slot(0),), {"dim": dim, "keepdim": keepdim})
    builder.add_step(node, "norm", total, (builder.position[node],), True)
    if power == 2:
        _add_root(builder, node)


def _normalise(builder: Steps, node: Any) -> bool:
    """`F.normalize`: values divided by their norm."""
    given = _given(node, "p", "dim", "eps")
    positions, power = builder.positions(node), given.get("p", 2)
    if power not in (1, 2) or given.get("out") is not None:
        return False
    _add_norm(builder, node, int(power), given.get("dim", 1), True)
    least = Call(torch.clamp, (Slot(0),), {"min": given.get("eps", 1e-12)})
    builder.add_step(node, "pass", least, (builder.position[node],), True)
    divided = (*positions, builder.position[node])
    builder.add_step(node, "mixed", Quotient(), divided, builder.keeps_sign(divided))
    return True


def _reciprocal(builder: Steps, node: Any) -> bool:
    """Of statistics alone: of a feature it has a pole where data are."""
    if node not in builder.statistics:
        return False
    builder.add_step(node, "pass", call_of(node), builder.positions(node), True)
    return True


# True where it has added steps
STATISTICS: dict[Any, CallBuilder] = {
    **dict.fromkeys((torch.pow, "pow", operator.pow, torch.square, "square"), _power),
    **dict.fromkeys((torch.abs, "abs", torch.absolute, "absolute", operator.abs, abs), _absolute),
    **dict.fromkeys((torch.var, "var"), _variance),
    **dict.fromkeys((torch.std, "std"), _deviation),
    **dict.fromkeys((torch.norm, "norm", torch.linalg.norm, torch.linalg.vector_norm), _norm),
}
CALLS: dict[Any, CallBuilder] = {
    F.normalize: _normalise,
    **dict.fromkeys((torch.rsqrt, "rsqrt", torch.reciprocal, "reciprocal"), _reciprocal),
}

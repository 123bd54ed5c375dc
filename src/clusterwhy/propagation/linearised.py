"""Steps of several signals, or with statistics of their own, that are linear once some values are held fixed.

Relevance is that of the epsilon rule on what is left: each input times its gradient, of relevance / output. What is
held fixed takes none: gates and attention weights (signal-take-all, Arras et al. 2017), scales of normalisers (Ali et
al. 2022, Achtibat et al. 2024). Where two signals share a product, each has half of it (AttnLRP, Achtibat et al. 2024,
proposition 3.3).
"""

from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from clusterwhy.propagation.composites import SequenceRule
from clusterwhy.propagation.rules import Shared, divide, total


class Linearised(nn.Module, ABC):
    """A step with a linear form.

    Attributes:
        signals: which inputs hold data; others are constants, such as masks, and take no relevance.
    """

    def __init__(self, signals: Sequence[bool] = (True,)) -> None:
        super().__init__()
        self.signals = tuple(signals)

    @abstractmethod
    def linear_form(
        self, inputs: Sequence[torch.Tensor], biases: Sequence[torch.Tensor], rule: SequenceRule
    ) -> torch.Tensor:
        """The output, with what is held fixed detached.

        Args:
            inputs: of the step.
            biases: what `biases` gives, one copy per window; zeros where the rule leaves biases out.
            rule: of the composite.
        """

    def biases(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Constants that are added, without an axis of windows; x is the first input."""
        return []

    def share(
        self, inputs: Sequence[torch.Tensor], z: torch.Tensor, relevance: torch.Tensor, rule: SequenceRule
    ) -> Shared:
        """Share the relevance of the output z among the inputs.

        Returns:
            What goes on to each input (None to constants, and to signals that take no relevance); what biases absorb;
            what the stabiliser keeps; and what the linear form does not pass on, which a softmax alone has.
        """
        with torch.enable_grad():
            own = [x.detach().requires_grad_() if data else x for x, data in zip(inputs, self.signals, strict=True)]
            first = inputs[0]
            biases = [b.detach().expand(len(z), *b.shape) for b in self.biases(first)]
            biases = [(b * (not rule.zero_bias)).clone().requires_grad_() for b in biases]
            form = self.linear_form(own, biases, rule)
            s = divide(relevance, form.detach(), rule.stabilizer)
            leaves = [x for x, data in zip(own, self.signals, strict=True) if data]
            found = iter(torch.autograd.grad((form * s).sum(), [*leaves, *biases], allow_unused=True))
        passed = [_times(x, next(found)) if data else None for x, data in zip(inputs, self.signals, strict=True)]
        zero = relevance.new_zeros(len(relevance))
        absorbed = sum((total(b.detach() * g) for b, g in zip(biases, found, strict=True) if g is not None), start=zero)
        through = total(form.detach() * s)
        kept = total(relevance) - through
        lost = through - absorbed - sum((total(part) for part in passed if part is not None), start=zero)
        return Shared(tuple(passed), absorbed, lambda: kept, None if self.conserves(rule) else lost)

    def conserves(self, rule: SequenceRule) -> bool:
        """Whether inputs and biases get all that the stabiliser leaves."""
        return True

    def mean_gradients(
        self, here: Sequence[torch.Tensor], there: Sequence[torch.Tensor], arriving: torch.Tensor
    ) -> Sequence[torch.Tensor | None] | None:
        """Mean gradients of (output * arriving).sum() on the straight line between two inputs, for `rescale_rule`.

        Args:
            here: inputs at one end.
            there: at the other end; perhaps one window for all.
            arriving: multipliers of the output.

        Returns:
            Of each input, None of constants; None for steps without a closed form.
        """
        return None


def small_change(like: torch.Tensor) -> float:
    """Differences that are smaller than this share of a value are told too badly to divide by them."""
    return float(torch.finfo(like.dtype).eps ** 0.5)


def _times(x: torch.Tensor, gradient: torch.Tensor | None) -> torch.Tensor | None:
    """Input times gradient; 0 where an input is infinite, as a masked logit is."""
    return None if gradient is None else (x * gradient).masked_fill(x.isinf(), 0.0)


class _Divided(torch.autograd.Function):
    """The same value, a part of the gradient."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, by: int) -> torch.Tensor:
        ctx.by = by
        return x.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None]:
        return gradients[0] / ctx.by, None


def halved(x: torch.Tensor, by: int = 2) -> torch.Tensor:
    """A factor of a product that takes half of its relevance, or another part."""
    found: torch.Tensor = _Divided.apply(x, by)  # type: ignore[no-untyped-call]
    return found


class Product(Linearised):
    """The product of factors, element by element (`*`), of matrices (`@`) or summed over indices (`einsum`).

    Args:
        multiply: computes it.
        signals: which factors hold data.
        fixed: factors that are held fixed where the rule does not share: gates or attention weights; the others, or all
            of them, have equal parts.
    """

    def __init__(self, multiply: Any, signals: Sequence[bool], fixed: Collection[int] = ()) -> None:
        super().__init__(signals)
        self.multiply, self.fixed = multiply, fixed

    def forward(self, *factors: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.multiply(*factors)
        return result

    def linear_form(
        self, inputs: Sequence[torch.Tensor], biases: Sequence[torch.Tensor], rule: SequenceRule
    ) -> torch.Tensor:
        fixed = () if rule.attention == "shared" else self.fixed
        moving = [i for i, is_data in enumerate(self.signals) if is_data and i not in fixed]
        return self(*(halved(x, len(moving)) if i in moving else _held(x) for i, x in enumerate(inputs)))


def _held(x: Any) -> Any:
    """A factor that takes nothing: data, a constant, or a number such as a size."""
    return x.detach() if isinstance(x, torch.Tensor) else x


class Quotient(Linearised):
    """A signal divided by another one, which is held fixed (identity rule, Achtibat et al. 2024, proposition 3.4)."""

    def __init__(self) -> None:
        super().__init__((True, False))

    def forward(self, x: torch.Tensor, by: torch.Tensor) -> torch.Tensor:
        return x / by

    def linear_form(
        self, inputs: Sequence[torch.Tensor], biases: Sequence[torch.Tensor], rule: SequenceRule
    ) -> torch.Tensor:
        return self(*inputs)

    def mean_gradients(
        self, here: Sequence[torch.Tensor], there: Sequence[torch.Tensor], arriving: torch.Tensor
    ) -> Sequence[torch.Tensor | None] | None:
        """Of x: log(b / b') / (b - b'); of b what is left of the difference. None where b changes its sign."""
        (x, by), (other, other_by) = here, there
        if not bool((by * other_by > 0).all()):
            return None
        run, middle = by - other_by, (by + other_by) / 2.0
        small = run.abs() < small_change(run) * middle.abs()
        steep = run.masked_fill(small, 1.0)
        of_x = torch.where(small, 1.0 / middle, (by / other_by).log() / steep)
        rest = x / by - other / other_by - of_x * (x - other)
        of_by = torch.where(small, -(x + other) / 2.0 / middle**2, rest / steep)
        return (arriving * of_x).sum_to_size(x.shape), (arriving * of_by).sum_to_size(by.shape)


class GatedLinearUnit(Linearised):
    """The first half of the channels times the sigmoid of the second half, a gate (Dauphin et al. 2017)."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.glu(x, self.dim)

    def linear_form(
        self, inputs: Sequence[torch.Tensor], biases: Sequence[torch.Tensor], rule: SequenceRule
    ) -> torch.Tensor:
        signal, gate = inputs[0].chunk(2, dim=self.dim)
        if rule.attention == "shared":
            return halved(signal) * halved(_passed(gate, gate.sigmoid()))
        return signal * gate.sigmoid().detach()


def _passed(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """y as x times a constant: an element-wise step passes its relevance."""
    small = x.abs() < 1e-30
    return torch.where(small, y, x * (y / x.masked_fill(small, 1.0)).detach())


class FirstOrder(Linearised):
    """A function by its first-order expansion, input times gradient (Achtibat et al. 2024, equation 4).

    It does not conserve relevance: what it loses is the category `softmax` of the budget.
    """

    def __init__(self, function: nn.Module) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.function(x)
        return found

    def linear_form(
        self, inputs: Sequence[torch.Tensor], biases: Sequence[torch.Tensor], rule: SequenceRule
    ) -> torch.Tensor:
        return self(inputs[0])

    def conserves(self, rule: SequenceRule) -> bool:
        return False


class Softmax(FirstOrder):
    """A softmax: x_i (R_i - p_i sum R) (Achtibat et al. 2024, proposition 3.1)."""

"""A second, plain way to the relevance of the epsilon rule as epsilon goes to 0: gradient x input of the network itself
in which everything that docs/networks.md holds fixed is detached (Ancona et al. 2018, proposition 1).

Functions of torch are replaced while the network runs: by their names, whatever module or method calls them.
"""

import contextlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from tests.random_networks.plain_layers import PlainLayers, halved

ACTIVATIONS = frozenset(
    {
        *("relu", "relu6", "leaky_relu", "prelu", "rrelu", "elu", "selu", "celu", "gelu", "silu", "mish", "softplus"),
        *("tanh", "hardtanh", "sigmoid", "hardsigmoid", "hardswish", "clamp"),
    }
)
GATES = frozenset({"sigmoid", "hardsigmoid", "softmax"})
# of gates they are one, too
KEEP_GATES = frozenset(
    {
        *("add", "sub", "rsub", "neg", "div", "truediv", "cat", "stack", "expand", "reshape", "flatten", "unflatten"),
        *("transpose", "permute", "unsqueeze", "squeeze", "chunk", "split", "getitem", "flip", "roll", "pad"),
        *("mean", "sum", "amax", "interpolate", "masked_fill", "repeat_interleave"),
        *(f"{adaptive}{kind}_pool{n}d" for adaptive in ("", "adaptive_") for kind in ("avg", "max") for n in (1, 2)),
    }
)
STATISTICS = frozenset({"std", "var", "pow", "abs", "norm", "square"})
PRODUCTS = frozenset({"mul", "rmul", "matmul", "bmm"})


class Plain(TorchFunctionMode):
    """The rules of docs/networks.md, function by function.

    Args:
        shared: both factors of a product have half of its relevance, whatever they are (`attention: shared`).

    Attributes:
        undefined: some activation is not 0 at 0: it is no multiple of its input.
    """

    def __init__(self, shared: bool = False) -> None:
        super().__init__()
        self.shared, self.undefined = shared, False
        self.layers = PlainLayers(shared)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given, name = dict(kwargs or {}), getattr(func, "__name__", "").strip("_")
        if (layer := getattr(self.layers, name, None)) is not None:
            return layer(*args, **given)
        if name in PRODUCTS:
            return self._product(func, name, *args)
        makes_gates = name in GATES or (name in KEEP_GATES and _are_gates(args))
        if name in ("truediv", "div"):
            made = func(args[0], *(held(other) for other in args[1:]), **given)
        elif name in STATISTICS:
            made = held(func(*args, **given))
        elif name in ACTIVATIONS and is_signal(args[0]):
            made = self._secant(func, args[0], args[1:], given)
        else:
            made = func(*args, **given)
        if makes_gates:
            _mark_gates(made)
        elif name in KEEP_GATES and made is args[0]:  # overwritten
            vars(made).pop("is_gate", None)
        return made

    def _secant(self, func: Any, x: torch.Tensor, others: Any, given: dict[str, Any]) -> torch.Tensor:
        """The value f(x), the gradient f(x) / x."""
        given.pop("inplace", None)
        with torch.no_grad():
            value = func(x.detach().clone(), *others, **given)
            self.undefined |= bool(((x == 0) & (value != 0)).any())
            slope = value / torch.where(x == 0, 1.0, x)
        return value + (x - x.detach()) * slope

    def _product(self, func: Any, name: str, first: Any, second: Any) -> torch.Tensor:
        """Of two signals each has half of the relevance, a gate and constants have nothing."""
        if not (is_signal(first) and is_signal(second)):
            made: torch.Tensor = func(first, second)
        elif self.shared or is_gate(first) == is_gate(second):
            made = func(halved(first), halved(second))
        else:
            made = func(*(held(x) if is_gate(x) else x for x in (first, second)))
        if name in ("mul", "rmul") and _are_gates((first, second)):
            _mark_gates(made)
        return made


def is_signal(x: Any) -> bool:
    """Whether it depends on the windows, by what is not held fixed."""
    return isinstance(x, torch.Tensor) and x.requires_grad


def is_gate(x: Any) -> bool:
    return hasattr(x, "is_gate")


def held(x: Any) -> Any:
    return x.detach() if isinstance(x, torch.Tensor) else x


def _mark_gates(made: Any) -> None:
    for x in made if isinstance(made, tuple | list) else [made]:
        x.is_gate = True


def _are_gates(args: Any) -> bool:
    """Whether all signals among the arguments are gates."""
    flat = [x for arg in args for x in (arg if isinstance(arg, tuple | list) else [arg]) if is_signal(x)]
    return bool(flat) and all(map(is_gate, flat))


@contextlib.contextmanager
def _biases_alone(network: nn.Module) -> Iterator[list[torch.Tensor]]:
    """Biases and running means, as leaves; other parameters have no gradient, so that what has one is a signal."""
    before = [(tensor, tensor.requires_grad) for tensor in (*network.parameters(), *network.buffers())]
    named = (*network.named_parameters(), *network.named_buffers())
    biases = [tensor for name, tensor in named if "bias" in name or name.endswith("running_mean")]
    try:
        for tensor, _ in before:
            tensor.requires_grad_(any(tensor is bias for bias in biases))
        yield biases
    finally:
        for tensor, required in before:
            tensor.requires_grad_(required)


class PlainRelevance(NamedTuple):
    """(window, channel, time) relevance, and what biases and running means have of it in all windows together."""

    values: torch.Tensor
    of_biases: float


def plain_epsilon(network: nn.Module, windows: torch.Tensor, shared: bool = False) -> PlainRelevance | None:
    """Relevance of the epsilon rule as epsilon goes to 0, by autograd on the network itself.

    None where an activation such as the sigmoid is not 0 at an input of 0.

    Raises:
        AssertionError: with the functions replaced the network computes something else.
    """
    x, expected = windows.clone().requires_grad_(), network(windows.clone()).detach()
    with _biases_alone(network) as biases:
        with Plain(shared) as plain:
            output = network(x.clone())
        if plain.undefined:
            return None
        torch.testing.assert_close(output.detach(), expected, rtol=1e-9, atol=1e-12)
        found = torch.autograd.grad(output.sum(), [x, *biases], allow_unused=True, materialize_grads=True)
        parts = [(value.detach() * gradient).detach() for value, gradient in zip([x, *biases], found, strict=True)]
    return PlainRelevance(parts[0], float(sum(part.sum() for part in parts[1:])))

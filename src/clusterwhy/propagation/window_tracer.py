"""Tracing of what torch.fx leaves to its users: one input, sizes, loops, modules made in forward, einops."""

import builtins
import contextlib
import math
import sys
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import torch
from torch import fx, nn
from torch.autograd import Variable

from clusterwhy.errors import CompositeError
from clusterwhy.propagation.known_values import KnownValues
from clusterwhy.propagation.overwriting import OverwritableProxy

# drop at random, or take statistics of the windows, in training mode
CHANGING = (nn.modules.dropout._DropoutNd, nn.modules.batchnorm._BatchNorm, nn.modules.instancenorm._InstanceNorm)


# functions of tensors that are constants while a network is traced, with sizes one by one
SIZED: dict[Any, tuple[str, ...]] = {
    torch: ("zeros", "ones", "empty"),
    torch.Tensor: ("expand", "view", "reshape", "repeat", "tile", "new_zeros", "new_ones", "new_empty"),
}


class _Known:
    """A traced value that Python may ask for, where it depends on shapes alone."""

    node: fx.Node
    tracer: Any

    def __index__(self) -> int:
        return int(self.tracer.known.of(self.node))

    def __int__(self) -> int:
        return int(self.tracer.known.of(self.node))

    def __float__(self) -> float:
        return float(self.tracer.known.of(self.node))

    def __len__(self) -> int:
        return int(self.tracer.known.length(self.node))

    def __getattr__(self, name: str) -> Any:
        return TracedAttribute(self, name)  # type: ignore[arg-type]


class TracedAttribute(_Known, fx.proxy.Attribute):
    """An attribute, or method, of a traced value."""


class TracedValue(_Known, OverwritableProxy):
    """Stands for a value."""


class WindowTracer(fx.Tracer):
    """Traces a network as a function of windows (window, channel, time); other arguments keep their defaults.

    Args:
        example: windows of the shape that sizes are told for.
    """

    def __init__(self, example: torch.Tensor) -> None:
        einops = sys.modules.get("einops")
        super().__init__((math,) if einops is None else (math, einops), (Variable,))
        self.example = example

    def trace(self, root: Any, concrete_args: dict[str, Any] | None = None) -> fx.Graph:
        """The graph of a network, which may get names for modules that it makes in forward."""
        self.known = KnownValues(root, self.example)
        plain: Any = builtins.len
        own: Any = lambda values: _length(values) if isinstance(values, fx.Proxy) else plain(values)  # noqa: E731
        with contextlib.ExitStack() as stack:
            stack.enter_context(mock.patch.object(builtins, "len", own))
            for place, names in SIZED.items():
                for name in names:
                    stack.enter_context(mock.patch.object(place, name, self._recorded(place, name)))
            return super().trace(root, concrete_args)

    def _recorded(self, place: Any, name: str) -> Callable[..., Any]:
        """What creates a tensor of traced sizes: torch itself takes such sizes as one tuple only."""
        plain = getattr(place, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            if not any(isinstance(arg, fx.Proxy) for arg in args):
                return plain(*args, **kwargs)
            kind, target = ("call_function", plain) if place is torch else ("call_method", name)
            return self.create_proxy(kind, target, args, kwargs)

        return call

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """Whether a module is one operation."""
        return type(m).__module__.startswith("einops.") or super().is_leaf_module(m, module_qualified_name)

    def create_args_for_root(self, root_fn: Callable[..., Any], is_module: bool, concrete_args: Any = None) -> Any:
        """The network's forward with the windows as its only argument."""

        def forward(self: nn.Module, windows: Any) -> Any:
            return root_fn(self, windows)

        return super().create_args_for_root(forward, is_module, concrete_args)

    def path_of_module(self, mod: nn.Module) -> str:
        """The name of a module; one that is made in forward, or kept outside of the network, gets one.

        Raises:
            CompositeError: it is made in training mode, where it is random or depends on other windows.
        """
        try:
            return super().path_of_module(mod)
        except NameError:
            if mod.training and isinstance(mod, CHANGING):
                raise CompositeError(
                    f"{type(mod).__name__} made in forward is in training mode even if the network is not: make it in "
                    "__init__, where .eval() reaches it"
                ) from None
        name = f"made_in_forward_{len(self.root._modules)}"
        self.root.add_module(name, mod)
        if self.submodule_paths is not None:
            self.submodule_paths[mod] = name
        return name

    def call_module(self, m: nn.Module, forward: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """The output of a module; one that is made in forward, of traced sizes, is traced into."""
        return forward(*args, **kwargs) if _holds_traced(m) else super().call_module(m, forward, args, kwargs)

    def proxy(self, node: fx.Node) -> fx.Proxy:
        """What stands for a value."""
        return TracedValue(node, self)

    def to_bool(self, obj: fx.Proxy) -> bool:
        """What is decided by a value that depends on shapes alone."""
        return bool(self.known.of(obj.node))

    def iter(self, obj: Any) -> Iterator[Any]:
        """The parts of a value."""
        return (obj[i] for i in range(self.known.length(obj.node)))


def _holds_traced(module: nn.Module) -> bool:
    held = (value if isinstance(value, tuple | list) else [value] for value in vars(module).values())
    return any(isinstance(value, fx.Proxy) for values in held for value in values)


def _length(value: fx.Proxy) -> Any:
    """The number of parts of a value, where it does not depend on the number of windows; else recorded."""
    try:
        return value.__len__()
    except CompositeError:
        return value.size(0)

"""Tracing of what torch.fx leaves to its users: one input, `len`, loops over a known number of parts, einops."""

import builtins
import math
import sys
from collections.abc import Callable, Iterator
from typing import Any

from torch import fx, nn
from torch.autograd import Variable

from clusterwhy.errors import CompositeError
from clusterwhy.propagation.splitting import number_of_parts


class _Value(fx.Proxy):
    def __len__(self) -> int:
        # `list(parts)` goes on without; `len(x)` is recorded (`trace`)
        raise TypeError("the length of a traced value is not known")


def _length(value: fx.Proxy) -> fx.Proxy:
    """The size of the first axis, or the number of axes of a shape."""
    if isinstance(value, fx.proxy.Attribute) and value.attr == "shape":
        return value.root.dim()  # type: ignore[no-any-return]
    return value.size(0)  # type: ignore[no-any-return]


class WindowTracer(fx.Tracer):
    """Traces a network as a function of windows (window, channel, time); other arguments keep their defaults."""

    def __init__(self) -> None:
        einops = sys.modules.get("einops")
        super().__init__((math,) if einops is None else (math, einops), (Variable,))

    def trace(self, root: Any, concrete_args: dict[str, Any] | None = None) -> fx.Graph:
        """The graph of a network."""
        plain: Any = builtins.len
        own: Any = lambda values: _length(values) if isinstance(values, fx.Proxy) else plain(values)  # noqa: E731
        builtins.len = own
        try:
            return super().trace(root, concrete_args)
        finally:
            builtins.len = plain

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """Whether a module is one operation."""
        return type(m).__module__.startswith("einops.") or super().is_leaf_module(m, module_qualified_name)

    def create_args_for_root(self, root_fn: Callable[..., Any], is_module: bool, concrete_args: Any = None) -> Any:
        """The network's forward with the windows as its only argument."""

        def forward(self: nn.Module, windows: Any) -> Any:
            return root_fn(self, windows)

        return super().create_args_for_root(forward, is_module, concrete_args)

    def proxy(self, node: fx.Node) -> fx.Proxy:
        """What stands for a value."""
        return _Value(node, self)

    def iter(self, obj: Any) -> Iterator[Any]:
        """The parts of a value that is split into a known number of them."""
        count = number_of_parts(obj.node)
        if count is None:
            raise CompositeError(
                f"{obj.node.name}: its number of parts depends on the windows; unpack them, as in `a, b = "
                "x.split(8, dim=1)`, or loop over a number that the network knows"
            )
        return (obj[i] for i in range(count))

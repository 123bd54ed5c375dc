"""What Python needs to know while a network is traced: sizes, decided by them, and how many parts a value has.

A network may decide by shapes (`if x.ndim == 2`) and loop over time steps, not by the values or the number of windows.
"""

import operator
from typing import Any
from unittest import mock

import torch
from torch import fx, nn

from clusterwhy.errors import CompositeError

SHAPES = ("shape", "ndim", "dtype", "device")  # attributes of tensors that are no values
SIZES = ("size", "dim", "ndimension", "numel")
# as they are while nothing is traced
CALL, GETATTR = nn.Module.__call__, nn.Module.__getattr__


class KnownValues:
    """Values of a graph that is being traced, on two and on three windows of the same shape.

    Args:
        root: holds layers and constants.
        example: windows (window, channel, time).
    """

    def __init__(self, root: nn.Module, example: torch.Tensor) -> None:
        self.root = root
        self.found: list[dict[fx.Node, Any]] = [{}, {}]
        self.examples = [example[:1].repeat(count, 1, 1) for count in (2, 3)]

    def of(self, node: fx.Node) -> Any:
        """A value that depends on shapes alone.

        Raises:
            CompositeError: it depends on the windows' values, or on how many there are.
        """
        if not _is_of_shapes(node):
            raise CompositeError(
                f"{node.name}: forward cannot be traced where it decides by the values of windows; gradients, "
                "occlusion and Shapley values run it as it is"
            )
        return self._agreed(node, *(self._value(node, which) for which in (0, 1)))

    def constant(self, node: fx.Node) -> Any:
        """A value on two windows, whatever it depends on."""
        return self._value(node, 0)

    def counts_windows(self, node: Any) -> bool:
        """Whether the first axis of a value is as long as there are windows."""
        return all(len(self._value(node, which)) == len(self.examples[which]) for which in (0, 1))

    def length(self, node: fx.Node) -> int:
        """How many parts a value has.

        Raises:
            CompositeError: one per window, or none.
        """
        try:
            counts = [len(self._value(node, which)) for which in (0, 1)]
        except TypeError as error:
            raise CompositeError(f"{node.name}: forward loops over what has no parts ({error})") from error
        return int(self._agreed(node, *counts))

    def _agreed(self, node: fx.Node, first: Any, second: Any) -> Any:
        if first != second:
            raise CompositeError(
                f"{node.name}: forward decides by, or loops over, the number of windows; each window must be computed "
                "by itself (write -1 for that number in `reshape`)"
            )
        return first

    def _value(self, node: fx.Node, which: int) -> Any:
        with mock.patch.multiple(nn.Module, __call__=CALL, __getattr__=GETATTR), torch.no_grad():
            return self._computed(node, which)

    def _computed(self, node: fx.Node, which: int) -> Any:
        """The value of a node, from those of its inputs; earlier nodes first, so that long loops do not recurse."""
        known = self.found[which]
        for earlier in _ancestors(node, known):
            args, kwargs = fx.node.map_arg((earlier.args, dict(earlier.kwargs)), known.__getitem__)
            target: Any = earlier.target
            if earlier.op == "placeholder":
                known[earlier] = self.examples[which].clone()
            elif earlier.op == "get_attr":
                known[earlier] = operator.attrgetter(target)(self.root)
            elif earlier.op == "call_module":
                known[earlier] = self.root.get_submodule(target)(*args, **kwargs)
            elif earlier.op == "call_method":
                known[earlier] = getattr(args[0], target)(*args[1:], **kwargs)
            else:
                known[earlier] = target(*args, **kwargs)
        return known[node]


def _ancestors(node: fx.Node, known: dict[fx.Node, Any]) -> list[fx.Node]:
    """What a node depends on and is not known yet, itself last, in the order of computation."""
    needed, waiting = {node} - known.keys(), [node]
    while waiting:
        new = {source for source in waiting.pop().all_input_nodes if source not in known} - needed
        needed |= new
        waiting += new
    return [one for one in node.graph.nodes if one in needed]


def _is_of_shapes(node: fx.Node) -> bool:
    """Whether a value depends on the network, and on the shapes of windows, alone."""
    if node.op == "get_attr" or (node.op == "call_method" and node.target in SIZES):
        return True
    if node.op not in ("call_function", "call_method"):
        return False
    return (node.target is getattr and node.args[1] in SHAPES) or all(map(_is_of_shapes, node.all_input_nodes))

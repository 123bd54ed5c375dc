"""Which operations of a traced graph overwrite their input or give a view of it, and what they are out of place."""

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import fx, nn

from clusterwhy.errors import CompositeError
from clusterwhy.propagation.graph_nodes import NAMED_LIKE_KEYWORDS
from clusterwhy.propagation.operations import DROPPED

SETS_ITEMS = ("setitem", "__setitem__")
IN_PLACE_OPERATORS = ("iadd", "isub", "imul", "itruediv", "ifloordiv", "ipow", "imatmul", "imod", "iand", "ior", "ixor")
# operations named `..._` that leave the values as they are
WRITES_NOTHING = ("requires_grad_", "detach_", "share_memory_")
# those that change the shape of the tensor that they are called on, and nothing that shares its memory
NEW_VIEW_OF_ITSELF = ("unsqueeze_", "squeeze_", "t_", "transpose_", "swapaxes_", "swapdims_")
VIEWS = (
    *("view", "view_as", "unflatten", "transpose", "permute", "swapaxes", "swapdims", "movedim", "moveaxis", "t"),
    *("unsqueeze", "squeeze", "select", "narrow", "expand", "expand_as", "broadcast_to", "diagonal", "unfold"),
    *("chunk", "split", "split_with_sizes", "tensor_split", "unbind", "detach", "detach_", "requires_grad_"),
)
ATTRIBUTES_THAT_ARE_VIEWS = ("T", "mT", "H", "mH", "data")
# a view or a copy, by the layout in memory, the type or the device
PERHAPS_VIEWS = (
    *("reshape", "reshape_as", "flatten", "ravel", "contiguous", "rearrange", "positive", "pos"),
    *("to", "type", "type_as", "float", "double", "cpu", "cuda"),
)
ASKS_FOR_SIZES = ("size", "dim", "ndimension", "numel", "stride", "get_device")
SIZES = ("shape", "ndim", "dtype", "device", "is_cuda", "requires_grad")


class OverwritableProxy(fx.Proxy):
    """Stands for a value while forward is traced; what overwrites it is recorded, too."""

    def __setitem__(self, index: Any, value: Any) -> None:
        self.tracer.create_proxy("call_function", operator.setitem, (self, index, value), {})


def _recorded(function: Callable[..., Any]) -> Callable[..., Any]:
    def record(self: fx.Proxy, other: Any) -> fx.Proxy:
        return self.tracer.create_proxy("call_function", function, (self, other), {})

    return record


for _name in IN_PLACE_OPERATORS:
    setattr(OverwritableProxy, f"__{_name}__", _recorded(getattr(operator, _name)))


@dataclass(frozen=True)
class View:
    """An operation that gives another view of its first input."""

    op: str
    target: Any
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]


@dataclass(frozen=True)
class Overwriting:
    """An operation that overwrites its first input."""

    name: str

    def source(self, node: fx.Node) -> Any:
        """The value that is overwritten."""
        return node.args[0] if node.args else node.kwargs.get("input")

    def written(self, node: fx.Node) -> tuple[Any, Any] | None:
        """What is written and where, None for everywhere; None for operations that compute with what they overwrite."""
        if self.name in SETS_ITEMS:
            return node.args[2], node.args[1]
        if self.name in ("copy_", "fill_"):
            return (*node.args, *node.kwargs.values())[1], None
        return (0.0, None) if self.name == "zero_" else None

    def out_of_place(self, node: fx.Node) -> None:
        """Make the node the operation that gives a new value.

        Raises:
            CompositeError: there is none.
        """
        if node.op == "call_module":  # whose copy in the canonical form is out of place
            return
        if "out" in node.kwargs:
            raise CompositeError(f"{node.name}: writes into `out=`; write `y = {self.name}(...)` instead")
        if "inplace" in node.kwargs:
            node.kwargs = {name: value for name, value in node.kwargs.items() if name != "inplace"}
            return
        target = self._counterpart(node)
        if target is None:
            raise CompositeError(
                f"{node.name}: {self.name} overwrites its input, and nothing computes the same anew; write it without "
                "overwriting"
            )
        node.target = target

    def _counterpart(self, node: fx.Node) -> Any:
        plain = self.name.strip("_")
        if plain in IN_PLACE_OPERATORS:
            node.op = "call_function"
            return getattr(operator, f"__{plain[1:]}__")
        if node.op == "call_method":
            return plain if hasattr(torch.Tensor, plain) else None
        return getattr(F, plain, getattr(torch, plain, None))


def name_of(node: fx.Node) -> str:
    """The name of the function or method that a node calls."""
    return node.target if isinstance(node.target, str) else str(getattr(node.target, "__name__", node.target))


def overwriting_of(node: fx.Node, modules: Mapping[str, nn.Module]) -> Overwriting | None:
    """How a node overwrites its first input; None where it does not."""
    if node.op == "call_module":
        module = modules[str(node.target)]
        overwrites = getattr(module, "inplace", False) and not isinstance(module, DROPPED)
        return Overwriting(type(module).__name__) if overwrites else None
    if node.op not in ("call_function", "call_method"):
        return None
    name = name_of(node)
    by_name = name.endswith("_") and not name.startswith("_") and name not in WRITES_NOTHING
    by_name = by_name and node.target not in NAMED_LIKE_KEYWORDS
    by_operator = name.strip("_") in IN_PLACE_OPERATORS or name in SETS_ITEMS
    by_argument = node.kwargs.get("inplace", False) and not _is_idle_dropout(node)
    return Overwriting(name) if by_name or by_operator or by_argument or node.kwargs.get("out") is not None else None


def _is_idle_dropout(node: fx.Node) -> bool:
    return "dropout" in name_of(node) and node.kwargs.get("training", True) is False


def is_same(node: fx.Node, modules: Mapping[str, nn.Module]) -> bool:
    """Whether a node gives its first input itself, as dropout does in evaluation mode."""
    if node.op == "call_module":
        module = modules[str(node.target)]
        return isinstance(module, DROPPED) or (isinstance(module, nn.Sequential) and not len(module))
    return node.op == "call_function" and _is_idle_dropout(node)


def view_of(node: fx.Node, modules: Mapping[str, nn.Module], sizes: Sequence[fx.Node] | set[fx.Node]) -> View | None:
    """The view of its first input that a node is; None for new values and where it is not certain."""
    if node.op == "call_module":
        module: Any = modules[str(node.target)]
        unflattens = isinstance(module, nn.Unflatten)
        return View("call_method", "unflatten", (module.dim, module.unflattened_size), {}) if unflattens else None
    if node.op not in ("call_function", "call_method"):
        return None
    name = name_of(node)
    is_view = name in VIEWS or (name == "getattr" and node.args[1] in ATTRIBUTES_THAT_ARE_VIEWS)
    if not is_view and not (name == "getitem" and _is_certain(node.args[1], sizes)):
        return None
    return View(node.op, node.target, tuple(node.args[1:]), dict(node.kwargs))


def may_be_view(node: fx.Node, modules: Mapping[str, nn.Module]) -> bool:
    """Whether a node gives a view of its first input or a copy of it, as torch decides when it runs."""
    if node.op == "call_module":
        module = modules[str(node.target)]
        return isinstance(module, nn.Flatten) or type(module).__module__.startswith("einops.")
    return node.op in ("call_function", "call_method") and name_of(node) in (*PERHAPS_VIEWS, "getitem")


def _is_certain(index: Any, sizes: Sequence[fx.Node] | set[fx.Node]) -> bool:
    """Whether an index takes a slice, which is a view; lists and tensors copy."""
    parts = index if isinstance(index, tuple) else (index,)
    return all(
        part is None or part is Ellipsis or isinstance(part, slice | int | str) or part in sizes for part in parts
    )


def reads_sizes(node: fx.Node, sizes: Sequence[fx.Node] | set[fx.Node]) -> bool:
    """Whether a node gives sizes, types or numbers computed from them, and no values."""
    if node.op not in ("call_function", "call_method"):
        return False
    name = name_of(node)
    if name in ASKS_FOR_SIZES or (name == "getattr" and node.args[1] in SIZES):
        return True
    plain = getattr(node.target, "__module__", "") in ("_operator", "builtins", "math") or node.op == "call_method"
    return plain and bool(node.all_input_nodes) and all(n in sizes for n in node.all_input_nodes)


def overwrite(base: torch.Tensor, value: Any, views: Sequence[Any], index: Any) -> torch.Tensor:
    """A copy of `base` with `value` written into a view of it.

    Args:
        views: (function or name of a method, arguments, keywords) that lead from `base` to the view.
        index: where in the view; None for everywhere.
    """
    made = base.clone(memory_format=torch.contiguous_format)
    target: Any = made
    for function, arguments, keywords in views:
        call = getattr(type(target), function) if isinstance(function, str) else function
        target = call(target, *arguments, **keywords)
    target[... if index is None else index] = value
    return made


def share_overwritten(
    module: nn.Module, inputs: Sequence[Any], signals: Sequence[bool], arriving: torch.Tensor
) -> list[torch.Tensor | None]:
    """What arrives at a value with others written into it goes where each came from; constants get None.

    Args:
        module: calls `overwrite`.
        inputs: of the step.
        signals: which of them depend on the windows.
        arriving: relevance, or multipliers, of the output.
    """
    with torch.enable_grad():
        own = [x.detach().requires_grad_() if is_signal else x for x, is_signal in zip(inputs, signals, strict=True)]
        leaves = [x for x, is_signal in zip(own, signals, strict=True) if is_signal]
        found = iter(torch.autograd.grad((module(*own) * arriving).sum(), leaves))
    return [next(found) if is_signal else None for is_signal in signals]

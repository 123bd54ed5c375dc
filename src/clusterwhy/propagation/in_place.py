"""A traced graph without operations that overwrite their inputs, so that what LRP keeps of a step stays what it was.

Each becomes the operation that gives a new value instead. What shares memory with the overwritten value, such as a
slice of it or the value that it is a slice of, is computed anew where it is read later.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import fx, nn

from clusterwhy.errors import CompositeError
from clusterwhy.propagation.overwriting import (
    NEW_VIEW_OF_ITSELF,
    Overwriting,
    View,
    is_same,
    may_be_view,
    overwrite,
    overwriting_of,
    reads_sizes,
    view_of,
)

map_nodes: Any = fx.node.map_aggregate


@dataclass(eq=False)
class Memory:
    """Memory that several values may share.

    Attributes:
        node: holds what is in it now.
        version: how often it was overwritten.
        state: the network's parameter or buffer that it is; empty for values of the forward pass.
        perhaps_shared: other memory that may be the same, with the operation of which torch decides when it runs.
        doubt: such an operation, once one of both was overwritten.
    """

    node: fx.Node
    version: int = 0
    state: str = ""
    perhaps_shared: "list[tuple[Memory, str]]" = field(default_factory=list)
    doubt: str = ""


@dataclass(eq=False)
class Alias:
    """A value: its memory, the views that lead to it, and the node that holds it as of a version of the memory."""

    memory: Memory
    views: tuple[View, ...]
    node: fx.Node
    version: int


def bring_out_of_place(graph: fx.Graph, modules: Mapping[str, nn.Module]) -> None:
    """Replace what overwrites in a graph by what gives new values; a graph without such operations stays as it is.

    Args:
        graph: changed in place.
        modules: of the network, by name.

    Raises:
        CompositeError: lists every operation that has no counterpart that gives a new value.
    """
    if any(overwriting_of(node, modules) for node in graph.nodes):
        _Rewriting(graph, modules).run()


class _Rewriting:
    """One pass through a graph, in the order of computation."""

    def __init__(self, graph: fx.Graph, modules: Mapping[str, nn.Module]) -> None:
        self.graph, self.modules = graph, modules
        self.aliases: dict[fx.Node, Alias] = {}
        self.state: dict[str, Memory] = {}
        self.sizes: set[fx.Node] = set()
        self.made: list[fx.Node] = []

    def run(self) -> None:
        faults = []
        for node in list(self.graph.nodes):
            try:
                self._visit(node)
            except CompositeError as error:
                faults.append(str(error))
                self.aliases[node] = self._new(node)
        if faults:
            raise CompositeError(
                "\n  - ".join(
                    [f"{len(faults)} operations that overwrite values cannot be brought out of place", *faults]
                )
            )
        for node in reversed(self.made):
            if not node.users:
                self.graph.erase_node(node)

    def _visit(self, node: fx.Node) -> None:
        found = overwriting_of(node, self.modules)
        first = next(iter(node.args), None) if found is None else found.source(node)
        source = self.aliases[first] if isinstance(first, fx.Node) else None
        with self.graph.inserting_before(node):
            node.args, node.kwargs = map_nodes((node.args, dict(node.kwargs)), self._read)
        if reads_sizes(node, self.sizes):
            self.sizes.add(node)
        if found is None or source is None or node in self.sizes:
            if found is not None:  # of numbers: the name stands for another one from here on
                found.out_of_place(node)
            self.aliases[node] = self._follow(node, source)
        elif found.name in NEW_VIEW_OF_ITSELF:
            found.out_of_place(node)
            view = View(node.op, node.target, tuple(node.args[1:]), dict(node.kwargs))
            source.views, source.node = (*source.views, view), node
            self.aliases[node] = source
        else:
            self._overwrite(node, found, source)
            self.aliases[node] = source

    def _read(self, argument: Any) -> Any:
        """The node that holds the value of a node now."""
        if not isinstance(argument, fx.Node):
            return argument
        alias = self.aliases[argument]
        memory = alias.memory
        if memory.doubt:
            raise CompositeError(
                f"{argument.name}: may have been overwritten, since torch decides when it runs whether {memory.doubt} "
                "copies; write `.clone()` behind it, or do not overwrite"
            )
        if alias.version < memory.version:
            alias.node, alias.version = memory.node, memory.version
            for view in alias.views:
                alias.node = self._create(view.op, view.target, (alias.node, *view.args), view.kwargs)
        return alias.node

    def _create(self, op: str, target: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> fx.Node:
        made = self.graph.create_node(op, target, args, dict(kwargs))
        self.made.append(made)
        return made

    def _new(self, node: fx.Node) -> Alias:
        if node.op != "get_attr":
            return Alias(Memory(node), (), node, 0)
        name = str(node.target)
        # tensors that forward makes anew are stored under this name by torch.fx
        state = "" if name.startswith("_tensor_constant") else name
        return Alias(self.state.setdefault(name, Memory(node, state=state)), (), node, 0)

    def _follow(self, node: fx.Node, source: Alias | None) -> Alias:
        """The alias of a node that overwrites nothing."""
        if source is None or node in self.sizes:
            return self._new(node)
        if is_same(node, self.modules):
            return Alias(source.memory, source.views, node, source.version)
        view = view_of(node, self.modules, self.sizes)
        if view is not None:
            return Alias(source.memory, (*source.views, view), node, source.version)
        made = self._new(node)
        if may_be_view(node, self.modules):
            made.memory.perhaps_shared.append((source.memory, node.name))
            source.memory.perhaps_shared.append((made.memory, node.name))
        return made

    def _overwrite(self, node: fx.Node, found: Overwriting, alias: Alias) -> None:
        memory = alias.memory
        if memory.state:
            raise CompositeError(
                f"{node.name}: overwrites {memory.state!r} of the network, so what the network gives depends on how "
                "often it ran; compute with a copy (`.clone()`) instead"
            )
        written = found.written(node)
        if written is None:
            found.out_of_place(node)
        self.made.append(node)
        value, index = (node, None) if written is None else written
        if written is None and not alias.views:
            memory.node = node
        else:
            views = tuple((view.target, view.args, dict(view.kwargs)) for view in alias.views)
            with self.graph.inserting_after(node):
                memory.node = self._create("call_function", overwrite, (memory.node, value, views, index), {})
        memory.version += 1
        if written is None:
            alias.node, alias.version = node, memory.version
        _doubt_what_may_be_shared(memory)


def _doubt_what_may_be_shared(memory: Memory) -> None:
    """Mark all memory that may be the same as one that was overwritten."""
    waiting, seen = [memory], {memory}
    while waiting:
        for other, name in waiting.pop().perhaps_shared:
            if other not in seen:
                seen.add(other)
                other.doubt = other.doubt or name
                waiting.append(other)

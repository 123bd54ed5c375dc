"""From a network to its steps: torch.fx traces it, and each operation becomes a step or an error."""

import functools
import operator
from typing import Any

import torch
import torch.nn.functional as F
from torch import fx, nn

from clusterwhy.errors import CompositeError
from clusterwhy.propagation.batch_norms import BatchNormAsConvolution, FoldedBatchNorms, has_shift, move_shift
from clusterwhy.propagation.building import refuse_held, time_and_windows_swapped
from clusterwhy.propagation.constants import (
    Constant,
    is_constant,
    is_never_negative,
    note_constants,
    notes_of_sources,
    summand,
)
from clusterwhy.propagation.copies import convolution, linear, with_windows_first, without_hooks
from clusterwhy.propagation.entrances import mark_entrances
from clusterwhy.propagation.gates import is_gate
from clusterwhy.propagation.head_layers import RootedLinear, SquaredDistances, Sum
from clusterwhy.propagation.in_place import bring_out_of_place
from clusterwhy.propagation.operations import (
    ADD_CALLS,
    CONCATENATE_CALLS,
    DROPPED,
    LEAVES,
    NON_NEGATIVE,
    NON_NEGATIVE_CALLS,
    SCALE_CALLS,
    SUBTRACT_CALLS,
    Addition,
    Call,
    Concatenation,
    Slot,
    is_sum_of_zennit,
    kind_of_call,
    kind_of_module,
    map_arguments,
    refuse_own_forward,
)
from clusterwhy.propagation.overwriting import overwrite
from clusterwhy.propagation.plane_builders import pad_by_mode
from clusterwhy.propagation.residual_sums import mark_sums
from clusterwhy.propagation.sequence_rules import Recurrent, SelfAttention
from clusterwhy.propagation.signal_builders import add_masked_attention
from clusterwhy.propagation.step_builders import add_call, add_held, module_builder
from clusterwhy.propagation.steps import Canonical, Kind, Step
from clusterwhy.propagation.targets import how_to_pick
from clusterwhy.propagation.transformers import TRACED_INTO, plain_forward
from clusterwhy.propagation.window_tracer import WindowTracer

NAMED = 10  # operations without a rule in a message
MASKS_OF_ATTENTION = ("query", "key", "value", "attn_mask", "key_padding_mask")


class Tracer(WindowTracer):
    """Traces into modules down to the operations that have a rule."""

    def trace(self, root: Any, concrete_args: dict[str, Any] | None = None) -> fx.Graph:
        """The graph of a network, out of place; constants are in the `meta` of their nodes."""
        graph = super().trace(root, concrete_args)
        for node in graph.find_nodes(op="get_attr"):
            node.meta["value"] = functools.reduce(getattr, node.target.split("."), root)
        bring_out_of_place(graph, dict(root.named_modules()))
        return graph

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        if isinstance(m, TRACED_INTO):
            return False
        known = isinstance(m, LEAVES) or is_sum_of_zennit(m) or module_builder(m) is not None
        return known or super().is_leaf_module(m, module_qualified_name)

    def call_module(self, m: nn.Module, forward: Any, args: Any, kwargs: Any) -> Any:
        plain = plain_forward(m)
        return super().call_module(m, forward if plain is None else functools.partial(plain, m), args, kwargs)


def _advice(faults: list[str]) -> str:
    """What to do about operations of which there is nothing else to say."""
    if not any(fault.endswith("has no rule") for fault in faults):
        return ""
    return (
        "\nwrite them with operations that have one (docs/networks.md), or choose a method that needs none, such as "
        "integrated_gradients or occlusion"
    )


class Builder:
    """Turns a traced graph into steps."""

    def __init__(self, network: nn.Module, graph: fx.Graph, example: torch.Tensor) -> None:
        self.modules = {
            name: Sum(module.dim) if is_sum_of_zennit(module) else module  # type: ignore[arg-type]
            for name, module in network.named_modules()
        }
        self.network, self.graph = network, graph
        self.steps: list[Step] = []
        self.position: dict[fx.Node, int] = {}
        self.norms = FoldedBatchNorms(network, graph, self.modules, example)
        self.notes = list(self.norms.notes)
        self.statistics: set[fx.Node] = set()

    def build(self) -> Canonical:
        """The steps of the graph.

        Raises:
            CompositeError: lists every operation without a rule.
        """
        faults: list[str] = []
        output = 0
        for node in self.graph.nodes:
            if node.op == "placeholder":
                self.position[node] = 0
            elif node.op == "output":
                if not isinstance(node.args[0], fx.Node):
                    faults.append(f"output: {how_to_pick(node.args[0])}")
                else:
                    output = self.position.get(node.args[0], 0)
                    faults += [f"output: {node.args[0].name} is a statistic of the window, which has no rule"] * (
                        output > 0 and self.steps[output - 1].kind == "held"
                    )
            else:
                try:
                    self._add(node)
                except CompositeError as error:
                    faults.append(str(error))
                    self.position[node] = 0
        if faults:
            listed = faults[:NAMED] + [f"and {len(faults) - NAMED} more"] * (len(faults) > NAMED)
            raise CompositeError(
                "\n  - ".join([f"{type(self.network).__name__}: no rule for {len(faults)} operations", *listed])
                + _advice(faults)
            )
        mark_entrances(self.steps)
        mark_sums(self.steps)
        return Canonical(self.steps, output, tuple(notes_of_sources(self.notes, self.steps, output)))

    def _step(
        self, node: fx.Node, kind: Kind, module: nn.Module, inputs: tuple[int, ...], non_negative: bool = False
    ) -> None:
        name = str(node.target) if node.op == "call_module" else node.name
        step = Step(name, kind, module.eval(), inputs, non_negative)
        step.is_gate = is_gate(self.steps, step)
        self.steps.append(step)
        self.position[node] = len(self.steps)

    def add_step(
        self, node: fx.Node, kind: Kind, module: nn.Module, inputs: tuple[int, ...], non_negative: bool = False
    ) -> None:
        """Add a step for a node; of several steps for one node the last gives its value."""
        self._step(node, kind, without_hooks(module), inputs, non_negative)

    def positions(self, node: fx.Node) -> tuple[int, ...]:
        """Positions of the values that a node reads."""
        return self._inputs(node)

    def keeps_sign(self, positions: tuple[int, ...]) -> bool:
        """Whether none of these values is ever negative."""
        return self._keeps_sign(positions)

    def is_signal(self, node: fx.Node) -> bool:
        """Whether a node gives data, no size and no constant."""
        position = self.position[node]
        return position == 0 or self.steps[position - 1].kind != "shape"

    def has_signal(self, node: fx.Node) -> bool:
        """Whether a node reads data."""
        return any(map(self.is_signal, node.all_input_nodes))

    def is_held(self, node: fx.Node) -> bool:
        """Whether a value is a statistic that takes no relevance."""
        position = self.position[node]
        return position > 0 and self.steps[position - 1].kind == "held"

    def _keeps_sign(self, inputs: tuple[int, ...]) -> bool:
        return all(i > 0 and self.steps[i - 1].non_negative for i in inputs)

    def _inputs(self, node: fx.Node) -> tuple[int, ...]:
        return tuple(self.position[n] for n in node.all_input_nodes)

    def _add(self, node: fx.Node) -> None:
        if "refused" in node.meta:
            raise CompositeError(node.meta["refused"])
        depends = [self.is_signal(n) for n in node.all_input_nodes]
        if node.op == "get_attr":
            made = Constant(node.meta["value"])
            self._step(node, "shape", made, (0,), is_never_negative(made))
        elif is_constant(node, depends):
            self._add_constant(node)
        elif node.op == "call_module":
            self._add_module(node, self.modules[str(node.target)])
        else:
            self._add_call(node)

    def _add_constant(self, node: fx.Node) -> None:
        """Sizes, and tensors made of sizes and other constants."""
        if node.op == "call_module":
            made: nn.Module = Call(without_hooks(self.modules[str(node.target)]), *self._slots(node))
        else:
            made = self._call(node)
        self._step(node, "shape", made, self._inputs(node) or (0,), is_never_negative(made))

    def _call(self, node: Any) -> Call:
        return Call(node.target, *self._slots(node))

    def _slots(self, node: Any) -> Any:
        """Arguments and keywords of a node, with slots for what it reads."""
        slots = {n: Slot(i) for i, n in enumerate(node.all_input_nodes)}
        given = node.args, dict(node.kwargs)
        return map_arguments(given, lambda a: slots.get(a, a) if isinstance(a, fx.Node) else a)

    def _add_module(self, node: fx.Node, module: nn.Module) -> None:
        inputs = self._inputs(node)
        name = str(node.target)
        refuse_own_forward(name, module)
        refuse_held(self, node)
        build = module_builder(module)
        if build is not None:
            build(self, node, module)
        elif isinstance(module, nn.BatchNorm1d):
            if node in self.norms.parts:
                self.position[node] = inputs[0]
                return
            self.notes.append(f"{name}: batch norm became a 1 x 1 depthwise convolution")
            self._step(node, "linear", BatchNormAsConvolution(module, name), inputs)
        elif isinstance(module, nn.Conv1d):
            self._add_convolution(node, module, inputs)
        elif isinstance(module, SquaredDistances):
            self._step(node, "distance", without_hooks(module), inputs, True)
        elif isinstance(module, nn.LSTM | nn.MultiheadAttention):
            self._add_sequence(node, module)
        elif isinstance(module, RootedLinear) and module.bias is not None:
            made = RootedLinear(module.weight.detach(), module.bias.detach(), module.root.detach())
            self._step(node, "linear", made, inputs)
        elif isinstance(module, nn.Linear):
            weight, bias = self.norms.weights(node, module)
            self._step(node, "linear", linear(weight, bias), inputs)
        elif isinstance(module, DROPPED) or (isinstance(module, nn.Sequential) and not len(module)):
            self.position[node] = inputs[0]
        elif getattr(module, "return_indices", False):
            raise CompositeError(f"{name}: pooling with return_indices=True has no rule, nor has unpooling by them")
        elif (kind := kind_of_module(module)) is not None:
            non_negative = isinstance(module, NON_NEGATIVE) if kind == "pass" else self._keeps_sign(inputs)
            self._step(node, kind, without_hooks(module), inputs, non_negative)
        elif isinstance(module, nn.ConstantPad1d | nn.ConstantPad2d):
            if module.value != 0:
                raise CompositeError(
                    f"{name}: pads with {module.value}, which has no relevance to give back; pad with 0"
                )
            self._pad(node, tuple(module.padding), inputs)
        else:
            raise CompositeError(f"{name}: {type(module).__name__} has no rule")

    def _pad(self, node: fx.Node, padding: tuple[int, ...], inputs: tuple[int, ...]) -> None:
        self._step(node, "route", Call(F.pad, (Slot(0), padding), {}), inputs, self._keeps_sign(inputs))

    def _add_sequence(self, node: Any, module: nn.LSTM | nn.MultiheadAttention) -> None:
        name = str(node.target)
        if isinstance(module, nn.LSTM):
            if len(node.args) != 1 or node.kwargs:
                raise CompositeError(
                    f"{name}: LSTM with a state of its own to start from has no rule; start from zeros"
                )
            made: nn.Module = Recurrent(with_windows_first(module))
            if not module.batch_first:
                self._step(node, "route", time_and_windows_swapped(), self._inputs(node))
                self._step(node, "sequence", made, (len(self.steps),))
                self._step(node, "route", time_and_windows_swapped(), (len(self.steps),))
                return
        else:
            given = [key for key, value in node.kwargs.items() if value is not None and key in MASKS_OF_ATTENTION]
            own: Any = module
            alone = len(set(node.args)) == 1 and len(node.args) == 3 and not given
            if not alone or not own._qkv_same_embed_dim or not own.batch_first:
                add_masked_attention(self, node, module)
                return
            made = SelfAttention(module)
        self._step(node, "sequence", made, self._inputs(node))

    def _add_convolution(self, node: fx.Node, module: nn.Conv1d, inputs: tuple[int, ...]) -> None:
        weight, bias = self.norms.weights(node, module)
        padding = module.padding
        if module.padding_mode != "zeros":
            inputs, padding = pad_by_mode(self, node, module, inputs), (0,)
        if isinstance(padding, str):
            total = module.dilation[0] * (module.kernel_size[0] - 1) if padding == "same" else 0
            if total % 2:
                self._pad(node, (total // 2, total - total // 2), inputs)
                inputs, total = (len(self.steps),), 0
            padding = (total // 2,)
        self._step(node, "linear", convolution(module, weight, bias, padding), inputs)

    def _add_call(self, node: Any) -> None:
        if node.target is overwrite:
            self._add_overwritten(node, self._call(node))
            return
        if self._is_output_of_sequence(node) or add_call(self, node):
            return
        inputs, target, call = self._inputs(node), node.target, self._call(node)
        if target in CONCATENATE_CALLS:
            dim = node.kwargs.get("dim", node.args[1] if len(node.args) > 1 else 0)
            order = tuple(self.position[n] for n in node.args[0])
            note_constants(self, node, node.args[0])
            self._step(node, "concatenate", Concatenation(int(dim)), order, self._keeps_sign(order))
        elif (kind := kind_of_call(target)) is not None:
            # others than the first are sizes and positions
            non_negative = target in NON_NEGATIVE_CALLS if kind == "pass" else self._keeps_sign(inputs[:1])
            self._step(node, kind, call, inputs, non_negative)
        elif target in ADD_CALLS | SUBTRACT_CALLS and not node.kwargs:
            self._add_sum(node, target in SUBTRACT_CALLS)
        elif target in SCALE_CALLS and len(inputs) == 1:
            self._step(node, "pass", call, inputs)
        elif target is F.dropout:
            self.position[node] = inputs[0]
        elif node in self.statistics:
            add_held(self, node)
        else:
            raise CompositeError(f"{node.name}: {getattr(target, '__name__', target)} has no rule")

    def _is_output_of_sequence(self, node: Any) -> bool:
        """Whether a call takes apart what an LSTM or attention gives: (sequence, states or weights)."""
        source = node.args[0] if node.args else None
        if node.target is not operator.getitem or not isinstance(source, fx.Node) or source.op != "call_module":
            return False
        if not isinstance(self.modules[str(source.target)], nn.LSTM | nn.MultiheadAttention | nn.GRU | nn.RNN):
            return False
        if node.args[1] != 0 and node.users:
            raise CompositeError(
                f"{source.target}: only the output sequence has a rule, not states or attention weights; of an LSTM's "
                "or a GRU's last state take the sequence's last step instead"
            )
        self.position[node] = self.position[source]
        return True

    def _add_sum(self, node: Any, subtracts: bool) -> None:
        first, second = (summand(self, node, *pair) for pair in (node.args, node.args[::-1]))
        if all(isinstance(n, fx.Node) for n in node.args):
            for norm, other in (node.args, node.args[::-1]):
                step = self._only_read_here(norm)
                if step is not None and has_shift(step) and move_shift(step, self._layers_of(other)):
                    break
        if subtracts:
            kind: Kind = "shape" if second and self.steps[second - 1].kind == "shape" else "pass"
            self._step(node, kind, Call(operator.neg, (Slot(0),), {}), (second,))
            second = len(self.steps)
        self._step(node, "sum", Addition(), (first, second), self._keeps_sign((first, second)))

    def _add_overwritten(self, node: fx.Node, call: Call) -> None:
        base_and_value = node.args[:2]
        written = [n for n in base_and_value if isinstance(n, fx.Node) and self.is_signal(n)]
        if any(map(self.is_held, written)):
            if not all(map(self.is_held, written)):
                refuse_held(self, node)
            add_held(self, node)
            return
        note_constants(self, node, base_and_value)
        signs = [
            self._keeps_sign((self.position[value],)) if isinstance(value, fx.Node) else is_never_negative(value)
            for value in base_and_value
        ]
        self._step(node, "write", call, self._inputs(node), all(signs))

    def _layers_of(self, summand: fx.Node) -> list[Step | None]:
        """The steps that give a summand: one, or those of its concatenation; None where others read it, too."""
        parts: list[Any] = [summand]
        step = self._only_read_here(summand)
        if step is not None and isinstance(step.module, Concatenation) and step.module.dim == 1:
            parts = list(self._origin(summand).args[0])
        return [self._only_read_here(part) for part in parts]

    def _only_read_here(self, node: Any) -> Step | None:
        """The step of a value that one operation reads, directly or through modules without a step of their own."""
        if not isinstance(node, fx.Node) or self.position.get(node, 0) == 0:
            return None
        same = [n for n, position in self.position.items() if position == self.position[node]]
        readers = sum(len(n.users) for n in same)
        return self.steps[self.position[node] - 1] if readers == len(same) else None

    def _origin(self, node: Any) -> Any:
        """The node that a step was made of; dropout and folded batch norms after it have no step of their own."""
        while self.position[node.all_input_nodes[0]] == self.position[node]:
            node = node.all_input_nodes[0]
        return node

"""The canonical form of a network: one step per operation, each of a kind that LRP has a rule for.

The network is traced (torch.fx), never changed: batch norms are folded into the convolutions before
them (also through a concatenation) or become 1 x 1 depthwise convolutions, every call of a shared
module becomes a step of its own, and an operation without a rule is an error. LRP on the canonical
form then is LRP on the network, since both compute the same outputs.
"""

import contextlib
import copy
import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import fx, nn
from zennit.layer import Sum

from clusterwhy.errors import CompositeError
from clusterwhy.propagation.head_layers import MeanOfSmallest, RootedLinear, Scaled, SoftExtremum, SquaredDistances
from clusterwhy.propagation.sequence_rules import Recurrent, SelfAttention

# linear: has weights, the composite chooses its rule; norm: means and sums, shared by contribution;
# sum: residual additions; pass: element-wise, relevance passes; route: reshapes, slices and
# pooling by choice, where relevance goes where the value came from; distance: squared distances, shared
# by their parts; sequence: LSTM and attention, which share by rules of their own; shape: no tensor of the data
Kind = Literal["linear", "norm", "sum", "pass", "route", "distance", "sequence", "concatenate", "shape"]

PASS_MODULES = (
    *(nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.PReLU, nn.RReLU, nn.ELU, nn.SELU, nn.CELU, nn.GELU, nn.SiLU, nn.Mish),
    *(nn.Sigmoid, nn.Tanh, nn.Softplus, nn.Hardtanh, nn.Hardswish, nn.Hardsigmoid),
    Scaled,
)
NON_NEGATIVE = (nn.ReLU, nn.ReLU6, nn.Sigmoid, nn.Softplus, nn.Hardsigmoid)
DROPPED = (nn.Identity, nn.Dropout, nn.Dropout1d, nn.AlphaDropout)
NORM_MODULES = (nn.AvgPool1d, nn.AdaptiveAvgPool1d, Sum, MeanOfSmallest)
ROUTE_MODULES = (nn.MaxPool1d, nn.AdaptiveMaxPool1d, nn.Flatten, nn.Unflatten, SoftExtremum)
ACTIVATION_CALLS = {
    **{F.relu: nn.ReLU, torch.relu: nn.ReLU, "relu": nn.ReLU, "relu_": nn.ReLU, F.elu: nn.ELU, F.gelu: nn.GELU},
    **{F.silu: nn.SiLU, F.leaky_relu: nn.LeakyReLU, torch.sigmoid: nn.Sigmoid, "sigmoid": nn.Sigmoid},
    **{torch.tanh: nn.Tanh, "tanh": nn.Tanh, F.softplus: nn.Softplus},
}
NORM_CALLS = {torch.mean, "mean", torch.sum, "sum", F.avg_pool1d, F.adaptive_avg_pool1d}
ROUTE_CALLS = {
    *(operator.getitem, torch.flatten, torch.squeeze, torch.unsqueeze, torch.reshape, torch.transpose, torch.permute),
    *("flatten", "unflatten", "squeeze", "unsqueeze", "reshape", "view", "transpose", "permute", "contiguous"),
    *("amin", "amax", "clone", torch.amin, torch.amax, F.max_pool1d, F.adaptive_max_pool1d, torch.clone),
}
ADD_CALLS = {operator.add, torch.add, "add", "add_", operator.iadd}
SUBTRACT_CALLS = {operator.sub, torch.sub, "sub", operator.isub}
SCALE_CALLS = {operator.mul, torch.mul, "mul", operator.truediv, torch.div, "div", operator.neg, torch.neg, "neg"}


_map: Any = fx.node.map_aggregate  # its types know nothing of slots


class Call(nn.Module):
    """A function or method with its constant arguments, as a module that hooks can be put on."""

    def __init__(
        self, function: Callable[..., Any] | str, arguments: tuple[Any, ...], keywords: dict[str, Any]
    ) -> None:
        super().__init__()
        self.function, self.arguments, self.keywords = function, arguments, keywords

    def forward(self, *inputs: Any) -> Any:
        """Fill the inputs into their places and call."""
        filled = _map((self.arguments, self.keywords), lambda a: inputs[a.i] if _is_slot(a) else a)
        arguments, keywords = filled
        if isinstance(self.function, str):
            return getattr(arguments[0], self.function)(*arguments[1:], **keywords)
        return self.function(*arguments, **keywords)


@dataclass(frozen=True)
class _Slot:
    i: int


def _is_slot(value: object) -> bool:
    return isinstance(value, _Slot)


class Addition(nn.Module):
    """A residual addition: its summands stacked, so that a rule can share relevance among them."""

    def __init__(self) -> None:
        super().__init__()
        self.sum = Sum(dim=-1)

    def forward(self, *summands: torch.Tensor) -> torch.Tensor:
        total: torch.Tensor = self.sum(torch.stack(torch.broadcast_tensors(*summands), dim=-1))
        return total


class Concatenation(nn.Module):
    """torch.cat along a fixed axis."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, *parts: torch.Tensor) -> torch.Tensor:
        return torch.cat(parts, dim=self.dim)


@dataclass
class Step:
    """One operation.

    Attributes:
        name: where it stands in the network.
        kind: what LRP does with it.
        module: computes it.
        inputs: positions of its inputs; 0 is the network's input, i + 1 the output of step i.
        non_negative: its output never falls below 0.
        entrance: a linear step that reads the network's input, at most pooled or reshaped.
    """

    name: str
    kind: Kind
    module: nn.Module
    inputs: tuple[int, ...]
    non_negative: bool = False
    entrance: bool = False


class Canonical(nn.Module):
    """A network as a list of steps; computes what the network computes.

    Attributes:
        steps: in the order of computation.
        notes: what was folded, replaced or dropped.
    """

    def __init__(self, steps: list[Step], output: int, notes: tuple[str, ...]) -> None:
        super().__init__()
        self.steps, self.output, self.notes = steps, output, notes
        self.modules_in_order = nn.ModuleList(step.module for step in steps)
        last = {i: n for n, step in enumerate(steps) for i in step.inputs}
        self.free_after = [
            [i for i in set(step.inputs) if last[i] == n and i != output] for n, step in enumerate(steps)
        ]

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        """(window, channel, time) -> what the network gives."""
        values: list[Any] = [windows, *[None] * len(self.steps)]
        for n, step in enumerate(self.steps):
            values[n + 1] = step.module(*[values[i] for i in step.inputs])
            for i in self.free_after[n]:
                values[i] = None
        result: torch.Tensor = values[self.output]
        return result


def canonize(network: nn.Module, example: torch.Tensor, tolerance: float = 1e-5) -> Canonical:
    """The canonical form of a network in evaluation mode.

    Args:
        network: (window, channel, time) -> anything; it is not changed.
        example: two or more windows (window, channel, time), to compare the outputs on.
        tolerance: greatest accepted difference of outputs, as a share of their greatest size
            (1e-9 in float64).

    Raises:
        CompositeError: the network cannot be traced, has an operation that no rule covers, or the
            canonical form computes something else.
    """
    if network.training:
        raise CompositeError("the network is in training mode: call .eval() first, dropout and batch norm depend on it")
    if not example.is_floating_point() or example.dtype in (torch.float16, torch.bfloat16):
        raise CompositeError(f"expected float32 or float64 windows, got {example.dtype}: smaller types overflow in LRP")
    try:
        graph = _Tracer().trace(network)
    except Exception as error:  # fx raises whatever the traced code raises
        raise CompositeError(
            f"{type(network).__name__} cannot be traced ({type(error).__name__}: {error}): its forward decides by the "
            "values of tensors, or calls what torch.fx does not know; `canonizer: none` runs zennit's hooks on the "
            "network as it is, whose relevance may leak"
        ) from error
    canonical = _Builder(network, graph, example.ndim).build()
    difference, limit = _difference(network, canonical, example), 1e-9 if example.dtype == torch.float64 else tolerance
    if not difference <= limit and example.dtype == torch.float32:
        # an output that is a small difference of large values says little in float32
        with contextlib.suppress(CompositeError):
            canonize(copy.deepcopy(network).double(), example.double())
            return canonical
    if not difference <= limit:
        raise CompositeError(
            f"the canonical form of {type(network).__name__} differs from it by {difference:.1e} of its greatest "
            f"output (> {limit:.0e}): a hook, a parametrization or a changing state takes part in its forward"
        )
    return canonical


def _difference(network: nn.Module, canonical: nn.Module, example: torch.Tensor) -> float:
    """Greatest difference of the outputs, as a share of their greatest size."""
    try:
        with torch.no_grad():
            expected, found = network(example), canonical(example)
    except RuntimeError as error:
        raise CompositeError(f"the canonical form of {type(network).__name__} does not run: {error}") from error
    if not isinstance(expected, torch.Tensor) or expected.shape != found.shape:
        raise CompositeError(f"expected a network with one tensor as output, {type(network).__name__} gives another")
    return float((expected - found).abs().max() / expected.abs().max().clamp(min=1e-30))


LEAVES = (
    *(*PASS_MODULES, *NORM_MODULES, *DROPPED, *ROUTE_MODULES),
    *(nn.Conv1d, nn.Linear, nn.BatchNorm1d, SquaredDistances),
)


class _Tracer(fx.Tracer):
    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        known = isinstance(m, LEAVES)
        return known or super().is_leaf_module(m, module_qualified_name)


class _Builder:
    """Turns a traced graph into steps."""

    def __init__(self, network: nn.Module, graph: fx.Graph, ndim: int) -> None:
        self.modules = dict(network.named_modules())
        self.network, self.graph = network, graph
        self.steps: list[Step] = []
        self.position: dict[fx.Node, int] = {}
        self.notes: list[str] = []
        self.folded = self._foldable()

    def build(self) -> Canonical:
        faults: list[str] = []
        output = 0
        for node in self.graph.nodes:
            if node.op == "placeholder":
                if self.position:
                    if node.args or not node.users:  # an optional argument that nothing reads
                        continue
                    faults.append(f"{node.name}: a second input")
                self.position[node] = 0
            elif node.op == "output":
                if not isinstance(node.args[0], fx.Node):
                    faults.append("output: expected one tensor")
                else:
                    output = self.position.get(node.args[0], 0)
            else:
                try:
                    self._add(node)
                except CompositeError as error:
                    faults.append(str(error))
                    self.position[node] = 0
        if faults:
            raise CompositeError(
                "\n  - ".join([f"{type(self.network).__name__}: no rule for {len(faults)} operations", *faults])
            )
        self._mark_entrances()
        return Canonical(self.steps, output, tuple(self.notes))

    def _step(
        self, node: fx.Node, kind: Kind, module: nn.Module, inputs: tuple[int, ...], non_negative: bool = False
    ) -> None:
        name = str(node.target) if node.op == "call_module" else node.name
        self.steps.append(Step(name, kind, module.eval(), inputs, non_negative))
        self.position[node] = len(self.steps)

    def _keeps_sign(self, inputs: tuple[int, ...]) -> bool:
        kinds = [self.steps[i - 1] if i > 0 else None for i in inputs]
        return all(step is not None and (step.non_negative or step.kind == "shape") for step in kinds)

    def _inputs(self, node: fx.Node) -> tuple[int, ...]:
        return tuple(self.position[n] for n in node.all_input_nodes)

    def _add(self, node: fx.Node) -> None:
        if node.op == "call_module":
            self._add_module(node, self.modules[str(node.target)])
        elif node.op in ("call_function", "call_method"):
            self._add_call(node)
        else:
            raise CompositeError(f"{node.name}: parameter {node.target!r} used outside a layer")

    def _add_module(self, node: fx.Node, module: nn.Module) -> None:
        inputs = self._inputs(node)
        name = str(node.target)
        if isinstance(module, nn.BatchNorm1d):
            if node in self.folded:
                self.position[node] = inputs[0]
                return
            self.notes.append(f"{name}: batch norm became a 1 x 1 depthwise convolution")
            self._step(node, "linear", _BatchNormAsConvolution(*_scale_and_shift(module, name)), inputs)
        elif isinstance(module, nn.Conv1d):
            self._add_convolution(node, module, inputs)
        elif isinstance(module, SquaredDistances):
            self._step(node, "distance", _own(module), inputs, True)
        elif isinstance(module, nn.LSTM | nn.MultiheadAttention):
            self._add_sequence(node, module)
        elif isinstance(module, RootedLinear) and module.bias is not None:
            made = RootedLinear(module.weight.detach(), module.bias.detach(), module.root.detach())
            self._step(node, "linear", made, inputs)
        elif isinstance(module, nn.Linear):
            weight, bias = self._fold(node, module)
            self._step(node, "linear", _linear(weight, bias), inputs)
        elif isinstance(module, DROPPED) or (isinstance(module, nn.Sequential) and not len(module)):
            self.position[node] = inputs[0]
        elif isinstance(module, PASS_MODULES):
            self._step(node, "pass", _own(module), inputs, isinstance(module, NON_NEGATIVE))
        elif isinstance(module, NORM_MODULES):
            self._step(node, "norm", _own(module), inputs, self._keeps_sign(inputs))
        elif isinstance(module, ROUTE_MODULES):
            self._step(node, "route", _own(module), inputs, self._keeps_sign(inputs))
        elif isinstance(module, nn.ConstantPad1d | nn.ZeroPad1d):
            if module.value != 0:
                raise CompositeError(
                    f"{name}: pads with {module.value}, which has no relevance to give back; pad with 0"
                )
            call = Call(F.pad, (_Slot(0), tuple(module.padding)), {})
            self._step(node, "route", call, inputs, self._keeps_sign(inputs))
        else:
            raise CompositeError(f"{name}: {type(module).__name__} has no rule")

    def _add_sequence(self, node: Any, module: nn.LSTM | nn.MultiheadAttention) -> None:
        name = str(node.target)
        if isinstance(module, nn.LSTM):
            if len(node.args) != 1 or node.kwargs:
                raise CompositeError(
                    f"{name}: LSTM with a state of its own to start from has no rule; start from zeros"
                )
            made: nn.Module = Recurrent(module)
        else:
            given = [key for key, value in node.kwargs.items() if value is not None and not key.endswith("weights")]
            if len(set(node.args)) != 1 or len(node.args) != 3 or given:
                raise CompositeError(
                    f"{name}: expected attention(x, x, x), got {len(set(node.args))} sequences and "
                    f"{', '.join(given) or 'no masks'}; attention to another sequence and masks have no rule"
                )
            made = SelfAttention(module)
        self._step(node, "sequence", made, self._inputs(node))

    def _add_convolution(self, node: fx.Node, module: nn.Conv1d, inputs: tuple[int, ...]) -> None:
        if module.padding_mode != "zeros" and module.padding != (0,):
            raise CompositeError(f"{node.target}: padding mode {module.padding_mode!r} has no rule; use zeros")
        weight, bias = self._fold(node, module)
        padding = module.padding
        if isinstance(padding, str):
            total = module.dilation[0] * (module.kernel_size[0] - 1) if padding == "same" else 0
            if total % 2:
                call = Call(F.pad, (_Slot(0), (total // 2, total - total // 2)), {})
                self._step(node, "route", call, inputs, self._keeps_sign(inputs))
                inputs, total = (len(self.steps),), 0
            padding = (total // 2,)
        self._step(node, "linear", _convolution(module, weight, bias, padding), inputs)

    def _add_call(self, node: Any) -> None:
        if self._is_output_of_sequence(node):
            return
        inputs, target = self._inputs(node), node.target
        shapes = [i > 0 and self.steps[i - 1].kind == "shape" for i in inputs]
        slots = {n: _Slot(i) for i, n in enumerate(node.all_input_nodes)}
        filled = _map((node.args, dict(node.kwargs)), lambda a: slots.get(a, a) if isinstance(a, fx.Node) else a)
        call = Call(target, *filled)
        of_tensors = [i for i, shape in zip(inputs, shapes, strict=True) if not shape]
        if not of_tensors or target in ("size", "dim") or (target is getattr and node.args[1] in ("shape", "ndim")):
            self._step(node, "shape", call, inputs)
        elif target in (torch.cat, torch.concat):
            dim = node.kwargs.get("dim", node.args[1] if len(node.args) > 1 else 0)
            order = tuple(self.position[n] for n in node.args[0])
            self._step(node, "concatenate", Concatenation(int(dim)), order, self._keeps_sign(order))
        elif target in ACTIVATION_CALLS:
            kind = ACTIVATION_CALLS[target]
            self._step(node, "pass", call, inputs, kind in NON_NEGATIVE)
        elif target in NORM_CALLS:
            self._step(node, "norm", call, inputs, self._keeps_sign(inputs))
        elif target in ROUTE_CALLS:
            self._step(node, "route", call, inputs, self._keeps_sign(inputs))
        elif target in ADD_CALLS | SUBTRACT_CALLS and not node.kwargs:
            self._add_sum(node, target in SUBTRACT_CALLS)
        elif target in SCALE_CALLS and len(of_tensors) == 1 and len(inputs) == 1:
            self._step(node, "pass", call, inputs)
        elif target is F.dropout:
            self.position[node] = inputs[0]
        else:
            raise CompositeError(f"{node.name}: {getattr(target, '__name__', target)} has no rule")

    def _is_output_of_sequence(self, node: Any) -> bool:
        """Whether a call takes apart what an LSTM or attention gives: (sequence, states or weights)."""
        source = node.args[0] if node.args else None
        if node.target is not operator.getitem or not isinstance(source, fx.Node) or source.op != "call_module":
            return False
        if not isinstance(self.modules[str(source.target)], nn.LSTM | nn.MultiheadAttention):
            return False
        if node.args[1] != 0 and node.users:
            raise CompositeError(
                f"{source.target}: only the output sequence has a rule, not states or attention weights; of an LSTM's "
                "last state take the sequence's last step instead"
            )
        self.position[node] = self.position[source]
        return True

    def _add_sum(self, node: Any, subtracts: bool) -> None:
        if not all(isinstance(a, fx.Node) for a in node.args):
            raise CompositeError(f"{node.name}: adds a constant, whose share of the relevance would be lost unseen")
        self._move_shifts(node)
        first, second = (self.position[n] for n in node.args)
        if subtracts:
            self._step(node, "pass", Call(operator.neg, (_Slot(0),), {}), (second,))
            second = len(self.steps)
        self._step(node, "sum", Addition(), (first, second), self._keeps_sign((first, second)))

    def _move_shifts(self, node: Any) -> None:
        """Move the shift of a batch norm that is a summand to the convolutions of the other summand.

        A shift has no input to share relevance with: where the normalised value is 0, all that a sum
        gives it would be lost, even by rules that leave biases out.
        """
        for shifted, other in (node.args, node.args[::-1]):
            step = self._only_read_here(shifted)
            if step is None or not isinstance(step.module, _BatchNormAsConvolution) or step.module.bias is None:
                continue
            parts = [other]
            joined = self._only_read_here(other)
            if joined is not None and isinstance(joined.module, Concatenation) and joined.module.dim == 1:
                # a folded batch norm stands where the concatenation was
                source = other if other.op == "call_function" else other.args[0]
                parts = list(source.args[0])
            layers = [self._only_read_here(part) for part in parts]
            convolutions: list[Any] = [layer.module for layer in layers if layer is not None and layer.kind == "linear"]
            if len(convolutions) < len(parts) or not all(isinstance(module, nn.Conv1d) for module in convolutions):
                continue
            shift, first = step.module.bias.data, 0
            for module in convolutions:
                part = shift[first : first + module.out_channels]
                first += len(part)
                bias = part if module.bias is None else module.bias.data + part
                module.bias = nn.Parameter(bias.clone(), requires_grad=False)
            step.module.bias = None
            return

    def _only_read_here(self, node: Any) -> Step | None:
        """The step of a value that one operation reads."""
        if not isinstance(node, fx.Node) or len(node.users) != 1 or self.position.get(node, 0) == 0:
            return None
        return self.steps[self.position[node] - 1]

    def _foldable(self) -> dict[fx.Node, list[fx.Node]]:
        """Batch norms whose inputs are convolutions that nothing else reads, alone or concatenated."""
        found = {}
        for node in self.graph.nodes:
            if node.op != "call_module" or not isinstance(self.modules[node.target], nn.BatchNorm1d):
                continue
            source = node.args[0]
            parts = [source]
            if source.op == "call_function" and source.target in (torch.cat, torch.concat) and len(source.users) == 1:
                along = source.kwargs.get("dim", source.args[1] if len(source.args) > 1 else 0)
                parts = list(source.args[0]) if along in (1, -2) else []
            if parts and all(self._is_linear(part) and len(part.users) == 1 for part in parts):
                found[node] = parts
                self.notes.append(
                    f"{node.target}: batch norm folded into {', '.join(str(part.target) for part in parts)}"
                )
        return found

    def _is_linear(self, node: fx.Node) -> bool:
        module = self.modules.get(str(node.target)) if node.op == "call_module" else None
        return isinstance(module, nn.Conv1d | nn.Linear) and not isinstance(module, RootedLinear)

    def _fold(self, node: fx.Node, module: nn.Conv1d | nn.Linear) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Weight and bias of a linear layer with the batch norm behind it."""
        weight, bias = module.weight.detach(), None if module.bias is None else module.bias.detach()
        for norm, parts in self.folded.items():
            if node in parts:
                scale, shift = _scale_and_shift(self.modules[str(norm.target)], str(norm.target))
                widths = [len(self.modules[str(part.target)].weight) for part in parts]
                first = sum(widths[: parts.index(node)])
                part = slice(first, first + len(weight))
                bias = shift[part] if bias is None else bias * scale[part] + shift[part]
                weight = weight * scale[part].reshape(-1, *[1] * (weight.ndim - 1))
        return weight, bias

    def _mark_entrances(self) -> None:
        raw = {0}
        for n, step in enumerate(self.steps, start=1):
            reads = any(i in raw for i in step.inputs)
            if reads and step.kind == "linear":
                step.entrance = True
            elif reads and step.kind in ("route", "norm", "concatenate"):
                raw.add(n)


class _BatchNormAsConvolution(nn.Conv1d):
    """Scale and shift of each channel, for (window, channel) as for (window, channel, time)."""

    def __init__(self, scale: torch.Tensor, shift: torch.Tensor) -> None:
        super().__init__(len(scale), len(scale), 1, groups=len(scale), device="meta")
        self.weight = nn.Parameter(scale[:, None, None].clone(), requires_grad=False)
        self.bias = nn.Parameter(shift.clone(), requires_grad=False)

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        return super().forward(input) if input.ndim == 3 else super().forward(input[:, :, None])[:, :, 0]


def _scale_and_shift(norm: Any, name: str) -> tuple[torch.Tensor, torch.Tensor]:
    if norm.running_mean is None or norm.running_var is None:
        raise CompositeError(f"{name}: a batch norm without running statistics depends on the other windows of a batch")
    scale = (norm.running_var + norm.eps).rsqrt()
    shift = -norm.running_mean * scale
    if norm.affine:
        scale, shift = scale * norm.weight.detach(), shift * norm.weight.detach() + norm.bias.detach()
    return scale, shift


def _convolution(like: nn.Conv1d, weight: torch.Tensor, bias: torch.Tensor | None, padding: Any) -> nn.Conv1d:
    keys: Any = {"stride": like.stride, "padding": padding, "dilation": like.dilation, "groups": like.groups}
    kernel: Any = like.kernel_size
    made = nn.Conv1d(like.in_channels, like.out_channels, kernel, bias=bias is not None, device="meta", **keys)
    return _with_weights(made, weight, bias)


def _linear(weight: torch.Tensor, bias: torch.Tensor | None) -> nn.Linear:
    return _with_weights(nn.Linear(weight.shape[1], weight.shape[0], bias is not None, device="meta"), weight, bias)


def _with_weights(module: Any, weight: torch.Tensor, bias: torch.Tensor | None) -> Any:
    module.weight = nn.Parameter(weight, requires_grad=False)
    if bias is not None:
        module.bias = nn.Parameter(bias, requires_grad=False)
    return module


def _own(module: nn.Module) -> nn.Module:
    """A copy without the hooks of the original: each call of a shared module is a step of its own."""
    made: Any = module.__class__.__new__(module.__class__)
    made.__dict__.update(module.__dict__)
    for name in ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks"):
        made.__dict__[name] = type(module.__dict__[name])()
    if getattr(made, "inplace", False):
        made.inplace = False
    own: nn.Module = made
    return own

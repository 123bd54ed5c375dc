"""Parts of a network that go through complex numbers, such as long convolutions in the frequency domain, as one step.

A part from real values to real ones whose output doubles with its input, as a Fourier transform, a filter, its inverse
and amplitudes do, is shared by contribution: input times gradient, which is the epsilon rule of a linear part and holds
the phase of an amplitude fixed. It adds up as a whole, whereas real and imaginary parts on the way may cancel.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import fx, nn

from clusterwhy.propagation.composites import SequenceRule
from clusterwhy.propagation.graph_nodes import refuse
from clusterwhy.propagation.known_values import KnownValues
from clusterwhy.propagation.linearised import Linearised

# of what is missing, as a share of all parts
TOLERANCE = {torch.float32: 1e-3, torch.float64: 1e-7}


class Spectral(nn.Module):
    """A part of a network from real values, and constants, to real values; complex in between."""

    def __init__(self, part: fx.GraphModule, signals: Sequence[bool]) -> None:
        super().__init__()
        self.part, self.signals, self.is_linear = part, tuple(signals), False

    def forward(self, *inputs: Any) -> torch.Tensor:
        result: torch.Tensor = self.part(*inputs)
        return result


class SpectralStep(Linearised):
    """`Spectral`, by contribution."""

    def __init__(self, module: Spectral) -> None:
        super().__init__(module.signals)
        self.module = module

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.module(*inputs)
        return result

    def linear_form(
        self, inputs: Sequence[torch.Tensor], biases: Sequence[torch.Tensor], rule: SequenceRule
    ) -> torch.Tensor:
        return self(*inputs)


def join_complex_parts(graph: fx.Graph, network: nn.Module, known: KnownValues, data: set[fx.Node]) -> None:
    """Make each real value that is computed from complex ones a module of the real values behind these, in place.

    Args:
        graph: in plain spelling.
        network: a copy of our own, which gets the modules.
        known: values of the graph.
        data: nodes that depend on the windows.
    """
    if not any(_starts(node) for node in graph.nodes if node in data):
        return
    complex_nodes = {node for node in graph.nodes if node in data and _is_complex(known.constant(node))}
    for node in list(graph.nodes):
        if node in data and node not in complex_nodes and complex_nodes.intersection(node.all_input_nodes):
            _join(node, complex_nodes, network, known, data)
    for node in reversed(graph.nodes):
        if node in complex_nodes and not node.users:
            graph.erase_node(node)


def _starts(node: fx.Node) -> bool:
    """Whether a call may give complex values of real ones."""
    name = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", "")
    return node.op in ("call_function", "call_method") and ("fft" in name or "complex" in name)


def _is_complex(value: Any) -> bool:
    return isinstance(value, torch.Tensor) and value.is_complex()


def _join(
    node: fx.Node, complex_nodes: set[fx.Node], network: nn.Module, known: KnownValues, data: set[fx.Node]
) -> None:
    inside, waiting = {node}, [node]
    while waiting:
        new = [n for n in waiting.pop().all_input_nodes if n in complex_nodes and n not in inside]
        inside.update(new)
        waiting += new
    ordered = [n for n in node.graph.nodes if n in inside]
    outside = list(dict.fromkeys(source for n in ordered for source in n.all_input_nodes if source not in inside))
    made, twins = fx.Graph(), {}
    for source in outside:
        twins[source] = made.placeholder(source.name)
    for n in ordered:
        twins[n] = made.node_copy(n, twins.__getitem__)
    made.output(twins[node])
    module = Spectral(fx.GraphModule(network, made), [source in data for source in outside])
    if not _doubles(module, [known.constant(source) for source in outside]):
        refuse(
            node,
            f"goes through complex numbers ({', '.join(n.name for n in ordered[:5])}) in a way that does not double "
            "where the data do, which has no rule; gradients, occlusion and Shapley values need none",
        )
        return
    name = node.name
    while hasattr(network, name):
        name += "_"
    network.add_module(name, module)
    node.op, node.target, node.args, node.kwargs = "call_module", name, tuple(outside), {}


@dataclass(frozen=True)
class _Trial:
    """Random inputs of a part: how much of the output is missing in input times gradient, and the gradients."""

    missing: torch.Tensor
    size: torch.Tensor
    gradients: torch.Tensor


def _trial(module: Spectral, values: Sequence[Any], seed: int) -> _Trial:
    generator = torch.Generator().manual_seed(seed)
    own = [
        torch.randn(x.shape, generator=generator, dtype=x.dtype).to(x.device).requires_grad_() if is_data else x
        for x, is_data in zip(values, module.signals, strict=True)
    ]
    with torch.enable_grad():
        output = module(*own)
        weights = torch.randn(output.shape, generator=torch.Generator().manual_seed(0), dtype=output.dtype)
        total = (output * weights.to(output.device)).sum()
        leaves = [x for x, is_data in zip(own, module.signals, strict=True) if is_data]
        gradients = [gradient.flatten() for gradient in torch.autograd.grad(total, leaves)]
    parts = torch.cat([x.detach().flatten() * gradient for x, gradient in zip(leaves, gradients, strict=True)])
    return _Trial((total.detach() - parts.sum()).abs(), parts.abs().sum(), torch.cat(gradients))


def _doubles(module: Spectral, values: Sequence[Any]) -> bool:
    """Whether inputs times gradients add up to the output (Euler's theorem), on random numbers; notes `is_linear`."""
    first, second = (_trial(module, values, seed) for seed in (1, 2))
    tolerance = TOLERANCE.get(first.missing.dtype, 1e-3)
    apart = (first.gradients - second.gradients).abs().max()
    module.is_linear = bool(apart <= tolerance * first.gradients.abs().max())
    return bool(first.missing <= tolerance * first.size)

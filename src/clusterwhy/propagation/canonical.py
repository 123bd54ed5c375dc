"""The canonical form of a network: one step per operation, each of a kind that LRP has a rule for.

The network is traced (torch.fx), never changed: batch norms are folded into the convolutions before
them (also through a concatenation) or become 1 x 1 depthwise convolutions, every call of a shared
module becomes a step of its own, and an operation without a rule is an error. LRP on the canonical
form then is LRP on the network, since both compute the same outputs.
"""

import contextlib
import copy

import torch
from torch import fx, nn

from clusterwhy.errors import ClusterWhyError, CompositeError
from clusterwhy.propagation.constants import data_nodes
from clusterwhy.propagation.functional_layers import name_layers
from clusterwhy.propagation.graph_cleanup import plain_graph
from clusterwhy.propagation.known_values import KnownValues
from clusterwhy.propagation.per_window import difference, fault_of_batches, name_of, other_rows, probes
from clusterwhy.propagation.plain_network import plain_network
from clusterwhy.propagation.spectral import join_complex_parts
from clusterwhy.propagation.splitting import refuse_parts_of_windows
from clusterwhy.propagation.steps import Canonical
from clusterwhy.propagation.targets import PREFIX
from clusterwhy.propagation.tracing import Builder, Tracer


def canonize(network: nn.Module, example: torch.Tensor, tolerance: float = 1e-5) -> Canonical:
    """The canonical form of a network in evaluation mode.

    Args:
        network: (window, channel, time) -> anything; it is not changed. A canonical form is returned as it is.
        example: one or more windows (window, channel, time) on the device of the network; outputs are compared on
            them, with and without noise.
        tolerance: greatest accepted difference of outputs, as a share of their greatest size
            (1e-9 in float64).

    Raises:
        CompositeError: the network cannot be traced, has an operation that no rule covers, or the
            canonical form computes something else; or its output for a window depends on other windows.
    """
    if isinstance(network, Canonical):
        return network
    training = [
        name.removeprefix(PREFIX) or "itself" for name, module in network.named_modules() if _in_training(module)
    ]
    if network.training or training:
        where = f" ({', '.join(training)})" if training else ""
        raise CompositeError(
            f"the network is in training mode{where}: call .eval() first, dropout and batch norm depend on it"
        )
    if not example.is_floating_point() or example.dtype in (torch.float16, torch.bfloat16):
        raise CompositeError(f"expected float32 or float64 windows, got {example.dtype}: smaller types overflow in LRP")
    example = probes(example)
    network = plain_network(network)
    own = set(network._modules)
    try:
        graph = plain_graph(Tracer(example).trace(network), network)
        _name_what_has_no_module(graph, network, example)
    except ClusterWhyError:
        raise
    except Exception as error:  # fx raises whatever the traced code raises
        raise CompositeError(
            f"{type(network).__name__} cannot be traced ({type(error).__name__}: {error}): its forward decides by the "
            "values of tensors, or calls what torch.fx does not know; `canonizer: none` runs zennit's hooks on the "
            "network as it is, whose relevance may leak"
        ) from error
    canonical = Builder(network, graph, example).build()
    for name in network._modules.keys() - own:  # an `nn.Sequential` would call what was added to it
        del network._modules[name]
    canonical.window_shape = example.shape[1:]
    apart, limit = _difference(network, canonical, example), 1e-9 if example.dtype == torch.float64 else tolerance
    if apart > limit and example.dtype == torch.float32:
        # an output that is a small difference of large values says little in float32
        with contextlib.suppress(CompositeError):
            canonize(copy.deepcopy(network).double(), example.double())
            apart = 0.0
    if apart > limit:
        raise CompositeError(
            f"the canonical form of {type(network).__name__} differs from it by {apart:.1e} of its greatest "
            f"output (> {limit:.0e}): a hook, a parametrization or a changing state takes part in its forward"
        )
    if (fault := fault_of_batches(canonical, example, name_of(network))) is not None:
        raise CompositeError(fault)
    canonical.other_rows = other_rows(canonical, example)
    return canonical


def _name_what_has_no_module(graph: fx.Graph, network: nn.Module, example: torch.Tensor) -> None:
    """Make modules of layers that are called as functions and of parts that go through complex numbers, in place."""
    known, data = KnownValues(network, example), data_nodes(graph)
    refuse_parts_of_windows(graph, known)
    join_complex_parts(graph, network, known, data)
    name_layers(graph, network, known, data)


def _in_training(module: nn.Module) -> bool:
    """Whether a module that computes something else in training is in training mode."""
    kinds = nn.modules.dropout._DropoutNd, nn.modules.batchnorm._NormBase, nn.RNNBase, nn.MultiheadAttention, nn.RReLU
    return module.training and isinstance(module, kinds)


def _difference(network: nn.Module, canonical: nn.Module, example: torch.Tensor) -> float:
    """Greatest difference of the outputs, as a share of their greatest size."""
    try:
        with torch.no_grad():
            expected, found = network(example.clone()), canonical(example.clone())
    except RuntimeError as error:
        raise CompositeError(f"the canonical form of {type(network).__name__} does not run: {error}") from error
    if not isinstance(expected, torch.Tensor) or expected.shape != found.shape:
        raise CompositeError(f"expected a network with one tensor as output, {type(network).__name__} gives another")
    return difference(expected, found)

"""A traced graph without what its output does not depend on, and without arguments that are the default anyway."""

import operator
from typing import Any

import torch
from torch import fx, nn

from clusterwhy.propagation.graph_nodes import NAMED_LIKE_KEYWORDS, argument
from clusterwhy.propagation.spellings import respell, squeeze_within_windows

RECURRENT = (nn.LSTM, nn.GRU, nn.RNN)
ZEROS = (torch.zeros, torch.zeros_like, "new_zeros", "zero_")
STAY_ZERO = (
    *("to", "type", "type_as", "cuda", "cpu", "float", "double", "clone", "contiguous", "expand", "repeat"),
    *("unsqueeze", "squeeze", "reshape", "transpose", "permute", torch.unsqueeze, torch.transpose),
)
WRITES = (operator.setitem, operator.iadd, operator.isub, operator.imul, operator.itruediv)


def plain_graph(graph: fx.Graph, network: nn.Module) -> fx.Graph:
    """A traced graph, changed in place, of what its output depends on, in the plain spelling of each operation.

    Args:
        graph: of the network.
        network: holds its layers and constants.
    """
    respell(graph)
    _drop_default_arguments(graph, network)
    _drop_dead_code(graph)
    return graph


def _drop_default_arguments(graph: fx.Graph, network: nn.Module) -> None:
    """Take states of zeros from recurrent layers, and what is the default from attention, in place."""
    modules = dict(network.named_modules())
    for node in list(graph.nodes):
        module = modules.get(str(node.target)) if node.op == "call_module" else None
        if isinstance(module, RECURRENT):
            _drop_states(node, network)
            _read_last_states(node, module)
        elif isinstance(module, nn.MultiheadAttention):
            _drop_defaults_of_attention(node)


def _drop_dead_code(graph: fx.Graph) -> None:
    """Take out what nothing reads, unless it writes into what others read, in place."""
    for node in reversed(graph.nodes):
        if node.op not in ("placeholder", "output") and not node.users and not _writes(node):
            graph.erase_node(node)


def _writes(node: fx.Node) -> bool:
    method = node.target if node.op == "call_method" else getattr(node.target, "__name__", "")
    if node.target in NAMED_LIKE_KEYWORDS:
        return False
    in_place = str(method).endswith("_") and not str(method).endswith("__") and method != "requires_grad_"
    return in_place or node.target in WRITES or bool(node.kwargs.get("inplace")) or "out" in node.kwargs


def _drop_states(node: fx.Node, network: nn.Module) -> None:
    states = argument(node, 1, "hx")
    every = states if isinstance(states, tuple | list) else (states,)
    if all(state is None or _is_zero(state, network) for state in every):
        node.args, node.kwargs = (argument(node, 0, "input"),), {}


def _is_zero(value: Any, network: nn.Module) -> bool:
    if not isinstance(value, fx.Node):
        return False
    if value.op == "get_attr":
        *path, name = str(value.target).split(".")
        held = getattr(network.get_submodule(".".join(path)), name)
        return isinstance(held, torch.Tensor) and not bool(held.any())
    return value.target in ZEROS or (value.target in STAY_ZERO and _is_zero(value.args[0], network))


def _drop_defaults_of_attention(node: fx.Node) -> None:
    """Query, key and value by position; of the rest only masks that are given."""
    names = (
        "query",
        "key",
        "value",
        "key_padding_mask",
        "need_weights",
        "attn_mask",
        "average_attn_weights",
        "is_causal",
    )
    given = {**dict(zip(names, node.args, strict=False)), **node.kwargs}
    if all(name in given for name in names[:3]):
        node.args = tuple(given.pop(name) for name in names[:3])
        masks = ("key_padding_mask", "attn_mask", "is_causal")
        node.kwargs = {name: given[name] for name in masks if given.get(name) not in (None, False)}


def _read_last_states(node: fx.Node, module: Any) -> None:
    """Let who reads the last state of the last layer, `h_n[-1]`, read the last step of the output sequence."""
    states = [user for user in node.users if user.target is operator.getitem and user.args[1] == 1]
    if isinstance(module, nn.LSTM):
        states = [user for state in states for user in state.users if _is_item(user, 0)]
    for user in [user for state in states for user in state.users]:
        chosen = _chosen_state(user, module)
        if chosen is None:
            continue
        steps: Any = -1
        units = slice(None)
        if module.bidirectional:
            steps, units = ((-1, slice(0, module.hidden_size)), (0, slice(module.hidden_size, None)))[chosen]
        index = (slice(None), steps, units) if module.batch_first else (steps, slice(None), units)
        with node.graph.inserting_before(user):
            output = node.graph.call_function(operator.getitem, (node, 0))
            last = node.graph.call_function(operator.getitem, (output, index))
        user.replace_all_uses_with(last)


def _is_squeeze_of(node: fx.Node, axis: int) -> bool:
    return node.target in ("squeeze", torch.squeeze) and argument(node, 1, "dim") == axis


def _is_item(node: fx.Node, i: int) -> bool:
    return bool(node.target is operator.getitem and node.args[1] == i)


def _chosen_state(node: fx.Node, module: Any) -> int | None:
    """The direction of the last layer whose state a call takes out of (layer x direction, window, cell)."""
    n_directions = 2 if module.bidirectional else 1
    count, asked = module.num_layers * n_directions, None
    if node.target is operator.getitem:
        asked = node.args[1]
        if isinstance(asked, tuple) and all(part in (slice(None), Ellipsis) for part in asked[1:]):
            asked = asked[0]
    elif count == 1 and (node.target is squeeze_within_windows or _is_squeeze_of(node, 0)):
        asked = 0
    if not isinstance(asked, int) or not -count <= asked < count:
        return None
    direction = asked % count - (count - n_directions)
    return direction if direction >= 0 else None

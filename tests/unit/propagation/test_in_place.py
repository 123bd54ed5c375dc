"""Networks that overwrite values have the relevance of the same networks written out of place, by every method."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from clusterwhy import explain, list_methods
from clusterwhy.errors import CompositeError
from clusterwhy.propagation.canonical import canonize
from clusterwhy.propagation.composites import COMPOSITES
from clusterwhy.propagation.explainer import lrp

CHANNELS, TIME = 3, 12
Forward = Callable[[Any, torch.Tensor], torch.Tensor]


class Network(nn.Module):
    """Two convolutions and a dense layer, which a function connects."""

    def __init__(self, connect: Forward) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second = nn.Conv1d(CHANNELS, 4, 3, padding=1), nn.Conv1d(4, 4, 3, padding=1)
        self.last = nn.Linear(4, 2)
        self.connect = connect
        self.elu, self.relu = nn.ELU(inplace=True), nn.ReLU(inplace=True)
        self.new_relu, self.dropout = nn.ReLU(), nn.Dropout(inplace=True)
        self.register_buffer("seen", torch.zeros(4, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(self.connect(self, x).mean(dim=2))


def joined(*parts: torch.Tensor) -> torch.Tensor:
    return torch.cat(parts, dim=1)


def argument(n: Any, x: Any) -> Any:
    return n.second(F.leaky_relu(n.first(x), 0.1, inplace=True))


def argument_twin(n: Any, x: Any) -> Any:
    return n.second(F.leaky_relu(n.first(x), 0.1))


def function(n: Any, x: Any) -> Any:
    return n.second(F.elu_(n.first(x)))


def function_twin(n: Any, x: Any) -> Any:
    return n.second(F.elu(n.first(x)))


def module(n: Any, x: Any) -> Any:
    h = n.first(x)
    return n.second(n.elu(n.dropout(h))) + h  # h is what ELU gave


def module_twin(n: Any, x: Any) -> Any:
    h = F.elu(n.first(x))
    return n.second(h) + h


def ignored_result(n: Any, x: Any) -> Any:
    h = n.first(x)
    same = n.dropout(h)
    n.relu(same)
    return n.second(h)


def ignored_result_twin(n: Any, x: Any) -> Any:
    return n.second(n.new_relu(n.first(x)))


def operators(n: Any, x: Any) -> Any:
    h = n.first(x)
    other = h
    h *= 2.0
    h += n.second(h)
    return other + h.sigmoid_()  # both are the same


def operators_twin(n: Any, x: Any) -> Any:
    h = n.first(x) * 2.0
    h = torch.sigmoid(h + n.second(h))
    return h + h


def residual(n: Any, x: Any) -> Any:
    shortcut = n.first(x)
    h = n.second(n.new_relu(shortcut))
    h += shortcut
    return n.relu(h)


def residual_twin(n: Any, x: Any) -> Any:
    shortcut = n.first(x)
    return n.new_relu(n.second(n.new_relu(shortcut)) + shortcut)


def methods(n: Any, x: Any) -> Any:
    h = n.first(x)
    h.tanh_().mul_(3.0)
    return n.second(h).add_(h)


def methods_twin(n: Any, x: Any) -> Any:
    h = torch.tanh(n.first(x)) * 3.0
    return n.second(h) + h


def slices(n: Any, x: Any) -> Any:
    h = n.first(x)
    kept = n.second(h)
    h[:, 0] = kept[:, 1]
    h[:, 2:] += kept[:, :2]
    h[:, 1:3].relu_()
    return h + kept


def slices_twin(n: Any, x: Any) -> Any:
    h = n.first(x)
    kept = n.second(h)
    later = h[:, 2:] + kept[:, :2]
    return joined(kept[:, 1:2], F.relu(h[:, 1:2]), F.relu(later[:, :1]), later[:, 1:]) + kept


def views(n: Any, x: Any) -> Any:
    h = n.first(x)
    turned, halves = h.transpose(1, 2), h.unflatten(1, (2, 2))
    turned[:, 0] = turned[:, 1]
    halves.relu_()
    return n.second(h) + turned.transpose(1, 2)  # which sees the ReLU, too


def views_twin(n: Any, x: Any) -> Any:
    h = n.first(x)
    h = F.relu(torch.cat([h[:, :, 1:2], h[:, :, 1:]], dim=2))
    return n.second(h) + h


def copies(n: Any, x: Any) -> Any:
    h = n.first(x)
    apart = h.clone()
    apart.relu_()
    h.copy_(n.second(h))
    return h + apart


def copies_twin(n: Any, x: Any) -> Any:
    h = n.first(x)
    return n.second(h) + F.relu(h)


def own_input(n: Any, x: Any) -> Any:
    x.mul_(2.0)
    x[:, 1] = x[:, 0]
    return n.second(F.relu(n.first(x)))


def own_input_twin(n: Any, x: Any) -> Any:
    x = x * 2.0
    return n.second(F.relu(n.first(joined(x[:, :1], x[:, :1], x[:, 2:]))))


def put_together(n: Any, x: Any) -> Any:
    shifted = torch.zeros_like(x)
    shifted[:, :, 2:] = x[:, :, :-2]
    return n.second(F.silu(n.first(shifted), inplace=True))


def put_together_twin(n: Any, x: Any) -> Any:
    return n.second(F.silu(n.first(torch.cat([torch.zeros_like(x[:, :, :2]), x[:, :, :-2]], dim=2))))


TWINS = {
    "argument": (argument, argument_twin),
    "function": (function, function_twin),
    "module": (module, module_twin),
    "ignored result": (ignored_result, ignored_result_twin),
    "operators": (operators, operators_twin),
    "residual": (residual, residual_twin),
    "methods": (methods, methods_twin),
    "slices": (slices, slices_twin),
    "views": (views, views_twin),
    "copies": (copies, copies_twin),
    "own input": (own_input, own_input_twin),
    "put together": (put_together, put_together_twin),
}
# with the composite chosen by name they are the test before
METHODS = [name for name in list_methods() if not name.startswith("lrp_") and name != "attention_weights"]
QUICK: dict[str, dict[str, Any]] = {
    "smooth": {"n_samples": 2},
    "smoothgrad": {"samples": 2},
    "gradient_shap": {"samples": 2},
    "shapley_sampling": {"samples": 1, "segment": 6},
}


def twins(name: str) -> tuple[nn.Module, nn.Module]:
    """A network that overwrites, and the same out of place."""
    overwriting, twin = (Network(connect).double().eval() for connect in TWINS[name])
    return overwriting, twin


def assert_same(found: np.ndarray, expected: np.ndarray) -> None:
    largest = np.abs(expected).max()
    assert largest > 0
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12 * largest)


@pytest.fixture
def windows() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(4, CHANNELS, TIME))


@pytest.mark.parametrize("composite", COMPOSITES)
@pytest.mark.parametrize("name", TWINS)
def test_lrp_of_a_network_that_overwrites_is_that_of_its_twin(name: str, windows: np.ndarray, composite: str) -> None:
    before = windows.copy()
    found, expected = (lrp(network, windows, 0, composite) for network in twins(name))
    np.testing.assert_allclose(found.target, expected.target, rtol=1e-12)
    assert_same(found.values, expected.values)
    np.testing.assert_array_equal(windows, before)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", ["module", "operators", "slices", "own input"])
def test_every_method_gives_what_it_gives_of_the_twin(name: str, windows: np.ndarray, method: str) -> None:
    before, references = windows.copy(), windows[::-1] + 0.5
    found, expected = (
        explain(network, windows, method, 1, references, **QUICK.get(method, {})) for network in twins(name)
    )
    np.testing.assert_allclose(found.target, expected.target, rtol=1e-12)
    assert_same(found.values, expected.values)
    np.testing.assert_array_equal(windows, before)
    np.testing.assert_array_equal(references, before[::-1] + 0.5)


@pytest.mark.parametrize("name", ["function", "methods", "slices", "put together"])
def test_zennit_explains_the_same(name: str, windows: np.ndarray) -> None:
    overwriting, _ = twins(name)
    found, expected = (lrp(overwriting, windows, 0, "epsilon_gamma", engine=engine) for engine in ("fused", "zennit"))
    assert_same(found.values, expected.values)


def test_the_layer_whose_map_is_asked_for_is_read_before_it_is_overwritten(windows: np.ndarray) -> None:
    overwriting, twin = twins("module")
    found, expected = (explain(network, windows, "grad_cam", 0, layer="first") for network in (overwriting, twin))
    assert_same(found.values, expected.values)


def test_hooks_on_the_network_as_it_is_leave_the_windows_alone(windows: np.ndarray) -> None:
    before = windows.copy()
    overwriting, twin = twins("own input")
    found, expected = (lrp(network, windows, 0, "epsilon", canonizer="none") for network in (overwriting, twin))
    assert_same(found.values, expected.values)
    np.testing.assert_array_equal(windows, before)


def test_hooks_that_would_change_the_output_are_refused(windows: np.ndarray) -> None:
    overwriting, _ = twins("ignored result")
    with pytest.raises(CompositeError, match="ignores what a module with `inplace=True` returns"):
        lrp(overwriting, windows, 0, "epsilon", canonizer="none")


def counting(n: Any, x: Any) -> Any:
    n.seen.add_(x.mean())
    return n.second(n.first(x) + n.seen)


def perhaps_a_copy(n: Any, x: Any) -> Any:
    h = n.first(x)
    h.flatten(1).relu_()
    return n.second(h)


def into_out(n: Any, x: Any) -> Any:
    h = n.first(x)
    torch.add(h, h, out=h)
    return n.second(h)


def random(n: Any, x: Any) -> Any:
    h = n.first(x)
    h.normal_()
    return n.second(h)


@pytest.mark.parametrize(
    ("connect", "reason"),
    [
        (counting, "overwrites 'network.seen' of the network"),
        (perhaps_a_copy, r"flatten copies; write `\.clone\(\)` behind it"),
        (into_out, r"writes into `out=`; write `y = add\(...\)`"),
        (random, "normal_ overwrites its input, and nothing computes the same anew"),
    ],
)
def test_what_cannot_be_brought_out_of_place_is_refused(connect: Forward, reason: str, windows: np.ndarray) -> None:
    network = Network(connect).double().eval()
    with pytest.raises(CompositeError, match=reason):
        lrp(network, windows, 0)


def test_what_is_perhaps_a_copy_may_be_overwritten_where_nothing_else_is_read(windows: np.ndarray) -> None:
    def flat(n: Any, x: Any) -> Any:
        return F.relu(n.first(x).flatten(1), inplace=True).unflatten(1, (4, TIME))

    def flat_twin(n: Any, x: Any) -> Any:
        return F.relu(n.first(x))

    found, expected = (lrp(Network(connect).double().eval(), windows, 0) for connect in (flat, flat_twin))
    assert_same(found.values, expected.values)


def test_numbers_are_no_values_that_others_see_overwritten() -> None:
    def half(n: Any, x: Any) -> Any:
        length = x.shape[2]
        kept = length
        length -= 4
        return n.first(x)[:, :, length:kept]

    network = Network(half).double().eval()
    windows = torch.randn(2, CHANNELS, TIME, dtype=torch.float64)
    torch.testing.assert_close(canonize(network, windows)(windows), network(windows))


def test_tracing_leaves_nothing_on_the_network() -> None:
    def with_constants(n: Any, x: Any) -> Any:
        return n.first(x) + torch.arange(4.0)[:, None] * n.seen

    network = Network(with_constants).double().eval()
    before = set(vars(network))
    canonize(network, torch.randn(2, CHANNELS, TIME, dtype=torch.float64))
    assert set(vars(network)) == before

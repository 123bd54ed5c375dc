"""Networks whose weights are computed when they are called, or that something is wrapped around."""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, parametrize, prune, spectral_norm, weight_norm

from clusterwhy import concept_relevance, explain, lrp
from clusterwhy.errors import MethodError
from clusterwhy.propagation.plain_network import plain_network

METHODS = ("lrp_epsilon_plus", "lrp_epsilon_gamma", "difference", "gradient_x_input", "guided_backprop", "grad_cam")


class Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.lstm, self.dense = nn.Conv1d(3, 6, 5), nn.LSTM(6, 4, batch_first=True), nn.Linear(4, 2)

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.conv(windows)).permute(0, 2, 1)
        return self.dense(self.lstm(x)[0][:, -1])


class Doubled(nn.Module):
    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        return 2.0 * weight


def of_all(norm: Callable[..., Any]) -> Callable[[Network], None]:
    def put(network: Network) -> None:
        for layer in (network.conv, network.dense):
            norm(layer)
        norm(network.lstm, "weight_hh_l0")

    return put


def pruned(network: Network) -> None:
    for name in ("weight", "bias"):
        prune.l1_unstructured(network.conv, name, 0.4)
    prune.random_unstructured(network.conv, "weight", 0.2)  # two masks for one weight
    prune.l1_unstructured(network.lstm, "weight_ih_l0", 0.4)


COMPUTED = {
    "old weight norm": of_all(weight_norm),
    "weight norm": of_all(parametrizations.weight_norm),
    "old spectral norm": of_all(spectral_norm),
    "spectral norm": of_all(parametrizations.spectral_norm),
    "orthogonal": lambda network: parametrizations.orthogonal(network.dense),
    "own parametrization": lambda network: parametrize.register_parametrization(network.conv, "bias", Doubled()),
    "pruning": pruned,
}


def made(kind: str, seed: int) -> Network:
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.filterwarnings("ignore", r".*weight_norm.* is deprecated", FutureWarning)
        torch.manual_seed(seed)
        network = Network().double()
        COMPUTED[kind](network)
    return network.eval()


def plain_twin(network: Network) -> Network:
    """A plain network with the weights that a forward pass of the other one leaves."""
    twin = Network().double().eval()
    with torch.no_grad():
        network(torch.zeros(1, 3, 16).double())
        for layer in ("conv", "lstm", "dense"):
            for name, parameter in getattr(twin, layer).named_parameters():
                parameter.copy_(getattr(getattr(network, layer), name))
    return twin


def everything(network: nn.Module) -> dict[str, Any]:
    """All that a forward pass could change; weights by where they are and what they are."""
    found: dict[str, Any] = {}
    for name, module in network.named_modules():
        found[name] = type(module), module.training, sorted(module._forward_pre_hooks), sorted(module.__dict__)
        for key, value in {**module.__dict__, **module._parameters, **module._buffers}.items():
            if isinstance(value, torch.Tensor):
                found[f"{name}.{key}"] = id(value), value.data_ptr(), value._version, value.tolist()
    return found


@pytest.fixture
def windows(rng: np.random.Generator) -> np.ndarray:
    return rng.normal(size=(4, 3, 16))


@pytest.mark.parametrize("state", ["fresh", "loaded"])
@pytest.mark.parametrize("kind", COMPUTED)
def test_computed_weights_are_right_at_the_first_call_and_stay_as_they_are(
    kind: str, state: str, windows: np.ndarray
) -> None:
    network, references = made(kind, 0), windows[::-1] * 0.5
    if state == "loaded":
        network.load_state_dict(made(kind, 1).state_dict())
    before = everything(network)
    found = {method: explain(network, windows, method, 1, references) for method in METHODS}
    found["hooks"] = lrp(network, windows, 1, canonizer="none")  # type: ignore[assignment]
    assert everything(network) == before
    twin = plain_twin(network)
    expected = {method: explain(twin, windows, method, 1, references) for method in METHODS}
    expected["hooks"] = lrp(twin, windows, 1, canonizer="none")  # type: ignore[assignment]
    for method, relevance in found.items():
        np.testing.assert_allclose(relevance.target, expected[method].target, rtol=1e-12, err_msg=method)
        np.testing.assert_allclose(relevance.values, expected[method].values, rtol=1e-9, atol=1e-13, err_msg=method)


def test_concepts_of_computed_weights_are_right_at_the_first_call(windows: np.ndarray) -> None:
    network = made("old weight norm", 0)
    network.load_state_dict(made("old weight norm", 1).state_dict())
    found = concept_relevance(network, windows, 1, {"conv": [2]}).values
    np.testing.assert_allclose(found, concept_relevance(plain_twin(network), windows, 1, {"conv": [2]}).values)


def test_a_copy_shares_tensors_and_keeps_shared_layers_and_bound_methods() -> None:
    layer = nn.Linear(3, 3)
    network = nn.Sequential(layer, nn.ReLU(), layer)
    network.forward = network.forward  # type: ignore[method-assign]
    copied = plain_network(network)
    assert isinstance(copied, nn.Sequential) and copied[0] is copied[2] and copied[0] is not layer
    assert copied[0].weight is layer.weight and copied.forward.__self__ is copied  # type: ignore[attr-defined]


@pytest.mark.parametrize("inside", [False, True])
def test_data_parallel_is_the_network_inside(inside: bool, windows: np.ndarray) -> None:
    plain = nn.Sequential(nn.Conv1d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(4, 2))
    plain = plain.double().eval()
    wrapped = nn.Sequential(nn.DataParallel(plain[:4]), plain[4]).eval() if inside else nn.DataParallel(plain).eval()
    for method in METHODS:
        first, second = (explain(n, windows, method, 0, windows[:2]).values for n in (wrapped, plain))
        np.testing.assert_array_equal(first, second)


def two_inputs(network: nn.Module) -> nn.Module:
    class Two(nn.Module):
        def forward(self, windows: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
            return windows.mean(dim=2) * lengths

    return Two().eval()


def scripted(network: nn.Module) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return torch.jit.trace(nn.Conv1d(3, 2, 3), torch.zeros(2, 3, 16)).eval()


WRONG: dict[str, tuple[Callable[[nn.Module], Any], str]] = {
    "compiled": (
        lambda n: torch.compile(n),
        r"the network is compiled: pass .* torch\.compile \(`network\._orig_mod`\)",
    ),
    "compiled inside": (lambda n: nn.Sequential(torch.compile(n), nn.Identity()).eval(), "0 is compiled: pass"),
    "half": (lambda n: n.half(), r"weights are float16.*network\.float\(\)"),
    "scripted": (scripted, r"the network is TorchScript.*pass the network that went into torch\.jit\.script"),
    "scripted inside": (lambda n: nn.Sequential(scripted(n)).eval(), "0 is TorchScript"),
    "function": (lambda n: n.forward, r"torch\.nn\.Module, got method"),
    "lazy": (
        lambda n: nn.Sequential(nn.LazyConv1d(2, 3)).eval(),
        r"0\.weight.*: not initialised yet; run the network once",
    ),
    "two inputs": (two_inputs, r"Two\.forward\(windows.*cannot be called .*'lengths'.*: pass a module whose"),
}


@pytest.mark.parametrize("method", ["lrp_epsilon", "difference", "gradient", "occlusion", "crp", "grad_cam"])
@pytest.mark.parametrize("kind", WRONG)
def test_what_is_no_plain_network_is_refused_with_what_to_pass(kind: str, method: str, windows: np.ndarray) -> None:
    make, message = WRONG[kind]
    with pytest.raises(MethodError, match=message):
        explain(make(Network().eval()), windows, method, 0, windows[:2])

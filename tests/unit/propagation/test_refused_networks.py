"""What LRP cannot follow is refused with what to write instead, and is no fault where nothing reads it."""

import sys
import types
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from clusterwhy import explain, layer_graph, lrp
from clusterwhy.concepts.propagation import ConceptExplainer
from clusterwhy.errors import CompositeError, MethodError, ShapeError
from clusterwhy.propagation.composites import COMPOSITES
from clusterwhy.propagation.explainer import Explainer
from tests.unit.propagation.test_spellings import Middle, network_of

ENDS = torch.zeros(3), torch.ones(3)
REFUSED: dict[str, tuple[Middle, str]] = {
    "dropout that always drops": (
        lambda n, x: n.of_channels(F.dropout(x, 0.5).mean(2)),
        r"dropout drops in evaluation mode, too: give it `training=self\.training`",
    ),
    "dropout made in forward": (
        lambda n, x: n.of_channels(nn.Dropout(0.5)(x).mean(2)),
        r"Dropout made in forward is in training mode .* make it in __init__",
    ),
    "padding with a number": (
        lambda n, x: n.of_channels(F.pad(x, (1, 0), value=3.0).mean(2)),
        "pads with 3.0, which has no relevance to give back; pad with 0",
    ),
    "decision by values": (
        lambda n, x: n.of_channels(x.mean(2) if x.sum() > 0 else x.amax(2)),
        "forward cannot be traced where it decides by the values of windows",
    ),
    "loop over windows": (
        lambda n, x: torch.stack([n.of_channels(one.mean(1)) for one in x]),
        "decides by, or loops over, the number of windows; each window must be computed by itself",
    ),
    "decision by the number of windows": (
        lambda n, x: n.of_channels(x.mean(2) if len(x) > 2 else x.amax(2)),
        "decides by, or loops over, the number of windows",
    ),
    "windows taken apart": (
        lambda n, x: n.of_channels(torch.cat([part.mean(2) for part in x.chunk(1)], 0)),
        "chunk along axis 0 takes windows apart; give the axis of channels or time as `dim`",
    ),
    "several parts at once": (
        lambda n, x: n.of_channels(torch.cat(x.chunk(2, 1)[:1], 1).repeat(1, 2, 1).mean(2)),
        "takes several parts of chunk at once; take them one by one",
    ),
    "stack of what is not named": (
        lambda n, x: n.of_channels(torch.stack(x.chunk(2, 1), 2).mean((2, 3)).repeat(1, 2)),
        r"stacks parts that are not named; write torch\.stack\(\[a, b\], dim=1\)",
    ),
    "state of its own": (
        lambda n, x: n.of_cells(
            n.lstm(x.permute(0, 2, 1), (torch.ones_like(n.nothing.expand(1, len(x), 4)),) * 2)[0][:, -1]
        ),
        "state of its own to start from has no rule; start from zeros",
    ),
    "state of the first layer": (
        lambda n, x: n.of_cells(n.two_ways(x.permute(0, 2, 1))[1][0][0]),
        "only the output sequence has a rule, not states",
    ),
    "weights of attention": (
        lambda n, x: n.whole(n.attention(x.mT, x.mT, x.mT)[1].repeat(1, 1, 8).flatten(1)[:, : 8 * 16]),
        "only the output sequence has a rule, not states or attention weights",
    ),
}

# decided while forward runs, whatever reads its results
IN_PYTHON = ("dropout made in forward", "decision by values", "loop over windows", "decision by the number of windows")


@pytest.fixture
def windows(rng: np.random.Generator) -> np.ndarray:
    return rng.normal(size=(3, 3, 16))


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_rule_is_refused_where_the_target_reads_it(name: str, windows: np.ndarray) -> None:
    middle, message = REFUSED[name]
    for method in ("lrp_epsilon_plus", "difference", "guided_backprop"):
        # methods that run the network itself see first that windows are mixed
        with pytest.raises((CompositeError, MethodError), match=f"{message}|beside other windows"):
            explain(network_of(middle), windows, method, 1, windows)


@pytest.mark.parametrize("name", [name for name in REFUSED if name not in IN_PYTHON])
def test_what_has_no_rule_is_no_fault_where_nothing_reads_it(name: str, windows: np.ndarray) -> None:
    def two_outputs(n: Any, x: torch.Tensor) -> Any:
        return {"main": n.of_channels(x.mean(dim=2)), "other": REFUSED[name][0](n, x)}

    plain = network_of(lambda n, x: n.of_channels(x.mean(dim=2)))
    found = lrp(network_of(two_outputs), windows, lambda output: output["main"][:, 1], "epsilon")
    np.testing.assert_allclose(found.values, lrp(plain, windows, 1, "epsilon").values, rtol=1e-12, atol=1e-15)


def test_an_explainer_is_for_windows_of_one_shape(windows: np.ndarray) -> None:
    network, settings = network_of(lambda n, x: n.of_channels(x.mean(dim=2))), COMPOSITES["epsilon"]
    example, longer = torch.as_tensor(windows), np.concatenate([windows, windows], axis=2)
    explainer = Explainer(network, example, 1, settings, "auto", "auto", ENDS)
    concepts = ConceptExplainer(network, example, None, settings, ENDS)
    assert explainer.explain(windows, 2).values.shape == windows.shape
    with pytest.raises(ShapeError, match=r"\(3, 16\) channels and samples, as in the example, got \(3, 3, 32\)"):
        explainer.explain(longer, 2)
    with pytest.raises(ShapeError, match=r"\(3, 16\) channels and samples"):
        concepts.relevance(longer, {"conv": 1}, 1)


def test_rearrange_of_einops_is_a_reshape(windows: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    einops = types.ModuleType("einops")

    def rearrange(tensor: torch.Tensor, pattern: str) -> torch.Tensor:
        if not isinstance(tensor, torch.Tensor):
            raise RuntimeError(f"Tensor type unknown to einops {type(tensor)}")  # as einops answers
        assert pattern == "b c t -> b (c t)"
        return tensor.flatten(1)

    rearrange.__module__ = "einops.einops"
    einops.rearrange = rearrange  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "einops", einops)
    network = network_of(lambda n, x: n.whole(einops.rearrange(x, "b c t -> b (c t)")))
    plain = network_of(lambda n, x: n.whole(x.flatten(1)))
    for method in ("lrp_epsilon_plus", "difference", "gradient"):
        found, expected = (explain(one, windows, method, 1, windows[::-1] * 0.5) for one in (network, plain))
        np.testing.assert_allclose(found.values, expected.values, rtol=1e-12, atol=1e-15)


def test_average_pooling_by_keyword_has_its_receptive_field(windows: np.ndarray) -> None:
    network = network_of(lambda n, x: n.of_channels(F.avg_pool1d(x, kernel_size=4).amax(dim=2)))
    fields = {layer.name: layer.field for layer in layer_graph(network, torch.as_tensor(windows))}
    assert fields["conv"] == 5 and fields["avg_pool1d"] == 5 + 3


def test_a_module_made_in_forward_of_traced_sizes_is_traced_into(windows: np.ndarray) -> None:
    def padded(n: Any, x: torch.Tensor) -> torch.Tensor:
        return n.of_channels(nn.ConstantPad1d((x.shape[-1] // 4, 0), 0.0)(x).mean(dim=2))

    plain = network_of(lambda n, x: n.of_channels(F.pad(x, (4, 0)).mean(dim=2)))
    for method in ("lrp_epsilon_plus", "difference", "gradient"):
        found, expected = (explain(one, windows, method, 1, windows * 0.5) for one in (network_of(padded), plain))
        np.testing.assert_allclose(found.values, expected.values, rtol=1e-12, atol=1e-15)

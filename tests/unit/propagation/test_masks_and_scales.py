"""Statistics that scale or are features, masks, and what is left of a difference where they change."""

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from clusterwhy import explain, explain_difference, layer_graph, lrp
from clusterwhy.errors import CompositeError
from clusterwhy.propagation.composites import COMPOSITES
from tests.secants import epsilon_relevance
from tests.unit.propagation.test_spellings import CHANNELS, TIME, Middle, network_of
from tests.unit.propagation.test_written_out import averaged, filtered, folded_heads


@pytest.fixture
def windows(rng: np.random.Generator) -> np.ndarray:
    return rng.normal(size=(3, CHANNELS, TIME))


def spread(x: torch.Tensor) -> torch.Tensor:
    return x.std(dim=2, keepdim=True)


def test_a_spread_that_is_a_feature_is_held_fixed_where_it_also_scales(windows: np.ndarray) -> None:
    network = network_of(averaged(lambda x: (x / spread(x)).relu() + spread(x)))
    found = lrp(network, windows, 1, COMPOSITES["epsilon"].model_copy(update={"epsilon": 1e-12}))
    expected = epsilon_relevance(network, torch.as_tensor(windows), lambda output: output[:, 1]).numpy()
    np.testing.assert_allclose(found.values, expected, rtol=1e-6, atol=1e-9 * np.abs(expected).max())


def test_a_square_scales_in_both_spellings(windows: np.ndarray) -> None:
    by_root = averaged(lambda x: (x * torch.rsqrt((x * x).mean(1, keepdim=True) + 1e-5)).relu())
    by_power = averaged(lambda x: (x / (x**2).mean(1, keepdim=True).add(1e-5).sqrt()).relu())
    found, expected = (lrp(network_of(middle), windows, 1, "epsilon").values for middle in (by_root, by_power))
    np.testing.assert_allclose(found, expected, rtol=1e-9)


def over_power(x: torch.Tensor, held: bool) -> torch.Tensor:
    return x * torch.rsqrt((x.detach() if held else x).pow(2).mean(1, keepdim=True) + 1e-3)


@pytest.mark.parametrize("first", [lambda x: x * x, torch.sigmoid], ids=["square", "gate"])
def test_a_square_or_a_gate_takes_all_where_its_own_power_scales_it(first: Any, windows: np.ndarray) -> None:
    network = network_of(averaged(lambda x: over_power(first(x), False)))
    held = network_of(averaged(lambda x: over_power(first(x), True)))
    found = lrp(network, windows, 1, COMPOSITES["epsilon"].model_copy(update={"epsilon": 1e-12}))
    expected = epsilon_relevance(held, torch.as_tensor(windows), lambda output: output[:, 1]).numpy()
    np.testing.assert_allclose(found.values, expected, rtol=1e-6, atol=1e-9 * np.abs(expected).max())


NORMS: dict[str, Middle] = {
    "layer": averaged(lambda x: F.layer_norm(x, (TIME,))),
    "instance": averaged(lambda x: F.instance_norm(x).relu()),
    "group": averaged(lambda x: F.group_norm(x, 2).relu()),
    "root mean square": averaged(lambda x: x * torch.rsqrt(x.pow(2).mean(1, keepdim=True) + 1e-5)),
    "standardised": averaged(lambda x: ((x - x.mean(2, True)) / (x.std(2, keepdim=True) + 1e-5)).relu()),
    "weighted": lambda n, x: n.of_channels(torch.einsum("bct,bct,bct->bc", x, n.skip(x), x.sigmoid())),
}


@pytest.mark.parametrize("name", NORMS)
def test_differences_of_norms_and_products_are_exact_with_one_point(name: str, windows: np.ndarray) -> None:
    """From windows of zeros, too, where the scale of a norm is far from that of the window."""
    for references in (windows[::-1] * 0.3, windows * 0.0):
        found = explain_difference(network_of(NORMS[name]), windows, references[:, None], 1, n_path=1)
        np.testing.assert_allclose(found.values.sum((1, 2)), found.target, rtol=1e-9, atol=1e-12)


def test_what_is_added_to_a_scale_is_no_source(windows: np.ndarray) -> None:
    def standardised(n: Any, x: torch.Tensor) -> torch.Tensor:
        return n.of_channels((x / torch.sqrt(x.var(2, keepdim=True) + 1e-5)).relu().mean(2))

    assert not lrp(network_of(standardised), windows, 1).provenance["notes"]
    shifted = network_of(lambda n, x: n.of_channels(torch.sqrt(x.var(2) + 1e-5)))
    assert "add(1e-05): a constant, a source of its own" in lrp(shifted, windows, 1).provenance["notes"][0]


MASKED: dict[str, Middle] = {
    "a value that was missing": averaged(lambda x: with_zeros(x, x.isnan().any(dim=1, keepdim=True).expand_as(x))),
    "a choice": averaged(lambda x: torch.where(x > x.mean(2, keepdim=True), x, -x)),
    "a filling": averaged(lambda x: x.masked_fill(x.argmax(1, keepdim=True) > 3, 0.5)),
    "a Fourier filter": averaged(lambda x: filtered(x).relu()),
    "heads among the windows": folded_heads,
}


def with_zeros(x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    x = x * 1.0
    x[mask] = 0.0
    return x


@pytest.mark.parametrize("name", MASKED)
def test_layers_and_concepts_of_what_a_mask_chooses(name: str, windows: np.ndarray) -> None:
    network = network_of(MASKED[name])
    fields = {layer.name: layer.field for layer in layer_graph(network, torch.as_tensor(windows))}
    assert fields["conv"] == 5 and fields["of_channels"] == TIME
    assert np.abs(explain(network, windows, "crp(layer=conv)", 1).values).max() > 0


def test_what_masks_leave_of_a_difference_is_told(windows: np.ndarray) -> None:
    """Of x (x > 0) the mask takes nothing: what it makes of a change of sign is missing."""
    masked, plain = (network_of(averaged(f)) for f in (lambda x: x * (x > 0), F.relu))
    found, exact = (explain_difference(n, windows, -windows[:, None], 1) for n in (masked, plain))
    assert np.abs(found.gap).max() > 0.05
    assert "missing: " in found.provenance["notes"][-1] and "masks differ" in found.provenance["notes"][-1]
    np.testing.assert_allclose(exact.gap, 0.0, atol=1e-6)
    assert not exact.provenance["notes"]


@pytest.mark.parametrize("name", ["layer", "instance", "group", "root mean square", "standardised"])
def test_multipliers_of_a_small_difference_are_the_gradient(name: str, windows: np.ndarray) -> None:
    network, step = network_of(NORMS[name]), 1e-7 * windows[::-1]
    found = explain_difference(network, windows + step, (windows - step)[:, None], 1, n_path=1)
    x = torch.as_tensor(windows).requires_grad_()
    (gradient,) = torch.autograd.grad(network(x)[:, 1].sum(), x)
    np.testing.assert_allclose(found.values, gradient.numpy() * 2 * step, rtol=1e-5, atol=1e-15)


def test_forward_that_overwrites_a_buffer_leaves_the_network_as_it_is(windows: np.ndarray) -> None:
    def counts(n: Any, x: torch.Tensor) -> torch.Tensor:
        n.nothing += 1.0
        return n.of_channels(x.mean(dim=2) + n.nothing.sum())

    network = network_of(counts)
    with pytest.raises(CompositeError):
        lrp(network, windows, 1)
    assert float(network.nothing.abs().max()) == 0.0

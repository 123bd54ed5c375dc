"""Every method of explanation: its name, its promises, what it leaves behind, and another way to its numbers."""

import copy
import itertools
import re
from typing import Any

import captum.attr
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from clusterwhy import Relevance, describe_methods, explain, list_methods, method_of, plot_relevance
from clusterwhy.attribution.registry import ATTRIBUTORS
from clusterwhy.errors import CompositeError, MethodError, ShapeError
from clusterwhy.explanations.comparison import MethodSettings, compare

CHANNELS, TIME, CLASSES = 3, 24, 4
QUICK: dict[str, dict[str, Any]] = {
    "smooth": {"n_samples": 2},
    "smoothgrad": {"samples": 3},
    "vargrad": {"samples": 3},
    "smoothgrad_x_sign": {"samples": 3},
    "vargrad_x_sign": {"samples": 3},
    "gradient_shap": {"samples": 3},
    "shapley_sampling": {"samples": 2, "segment": 8},
    "occlusion": {"segment": 8},
}
# these draw random numbers batch by batch
IN_THE_ORDER_OF_BATCHES = {"smoothgrad", "vargrad", "gradient_shap", "shapley_sampling", "smooth"}
IN_THE_ORDER_OF_BATCHES |= {"smoothgrad_x_sign", "vargrad_x_sign"}


class Attending(nn.Module):
    """Convolutions with batch norm and a residual, attention, mean over time, classes: every method works on it."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm = nn.Conv1d(CHANNELS, 8, 5, padding=2), nn.BatchNorm1d(8)
        self.second = nn.Conv1d(8, 8, 3, padding=1)
        self.relu, self.pool = nn.ReLU(), nn.MaxPool1d(2)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.classes = nn.Linear(8, CLASSES)

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        x = self.relu(self.norm(self.first(windows)))
        x = self.pool(F.relu(self.second(x)) + x).permute(0, 2, 1)
        attended, _ = self.attention(x, x, x)
        return self.classes(attended.mean(dim=1))


@pytest.fixture
def network() -> nn.Module:
    torch.manual_seed(0)
    made = Attending().double()
    made.norm.running_mean.normal_(std=0.3)
    return made.eval()


@pytest.fixture
def windows(rng: np.random.Generator) -> np.ndarray:
    return rng.standard_normal((5, CHANNELS, TIME))


@pytest.fixture
def references(rng: np.random.Generator) -> np.ndarray:
    return rng.standard_normal((4, CHANNELS, TIME))


def run(name: str, network: nn.Module, windows: np.ndarray, references: np.ndarray, **more: Any) -> Relevance:
    return explain(network, windows, name, 1, references, **{**QUICK.get(name, {}), **more})


def state(network: nn.Module) -> dict[str, Any]:
    """Everything that a method could leave behind."""
    hooks = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    return {
        "tensors": {name: value.clone() for name, value in network.state_dict().items()},
        "gradients": {name: (p.grad is None, p.requires_grad) for name, p in network.named_parameters()},
        "modules": {
            name: (module.training, sorted(vars(module)), *(len(getattr(module, hook)) for hook in hooks))
            for name, module in network.named_modules()
        },
    }


def assert_untouched(network: nn.Module, before: dict[str, Any]) -> None:
    after = state(network)
    assert after["gradients"] == before["gradients"]
    assert after["modules"] == before["modules"]
    for name, value in before["tensors"].items():
        assert torch.equal(value, after["tensors"][name])


@pytest.mark.parametrize("name", list_methods())
def test_every_method_explains_repeats_and_leaves_nothing_behind(
    name: str, network: nn.Module, windows: np.ndarray, references: np.ndarray
) -> None:
    network.pool.training = True  # a module of its own mind keeps it
    before = state(network)
    first, again = (run(name, network, windows, references, seed=3) for _ in range(2))
    assert first.values.shape == windows.shape and first.values.dtype == windows.dtype
    assert np.isfinite(first.values).all() and np.abs(first.values).max() > 0
    np.testing.assert_array_equal(first.values, again.values)
    np.testing.assert_array_equal(first.target, again.target)
    assert first.provenance["method"].startswith(name)
    assert_untouched(network, before)


@pytest.mark.parametrize("name", sorted(set(list_methods()) - IN_THE_ORDER_OF_BATCHES))
def test_batches_do_not_change_what_is_found(
    name: str, network: nn.Module, windows: np.ndarray, references: np.ndarray
) -> None:
    whole, parts = (run(name, network, windows, references, batch_size=size) for size in (64, 2))
    np.testing.assert_allclose(parts.values, whole.values, rtol=1e-7, atol=1e-10)


def broken(value: torch.Tensor) -> torch.Tensor:
    raise RuntimeError("broken on purpose")


@pytest.mark.parametrize("name", list_methods())
def test_an_exception_leaves_nothing_behind(
    name: str, network: nn.Module, windows: np.ndarray, references: np.ndarray
) -> None:
    before = state(network)
    with pytest.raises((RuntimeError, CompositeError)):
        explain(network, windows, name, broken, references)
    handle = network.classes.register_forward_hook(lambda *_: broken(torch.zeros(1)))
    with pytest.raises((RuntimeError, CompositeError)):
        run(name, network, windows, references)
    handle.remove()
    assert_untouched(network, before)


@pytest.mark.parametrize("baseline", ["zero", "mean", "references"])
@pytest.mark.parametrize(
    ("name", "tolerance"), [("integrated_gradients", 2e-3), ("deep_lift", 2e-3), ("shapley_sampling", 1e-9)]
)
def test_complete_methods_add_up_to_the_difference_to_their_baseline(
    name: str, tolerance: float, baseline: str, network: nn.Module, windows: np.ndarray, references: np.ndarray
) -> None:
    found = run(
        name,
        network,
        windows,
        references,
        baseline=baseline,
        **({"steps": 200} if "steps" in vars(ATTRIBUTORS[name]) else {}),
    )
    x = torch.as_tensor(windows)
    ends = {"zero": [torch.zeros_like(x)], "mean": [x.mean(2, keepdim=True).expand_as(x)]}
    bases = ends.get(baseline) or [torch.as_tensor(r).expand_as(x) for r in references]
    with torch.no_grad():
        expected = network(x)[:, 1] - sum(network(base)[:, 1] for base in bases) / len(bases)
    np.testing.assert_allclose(found.target, expected.numpy(), rtol=1e-9, atol=1e-12)
    scale = np.abs(found.values).sum(axis=(1, 2)).max()
    assert np.abs(found.values.sum(axis=(1, 2)) - found.target).max() < tolerance * scale
    assert not np.isnan(found.bias_share).any()


def test_methods_that_are_not_complete_have_no_share_of_biases(
    network: nn.Module, windows: np.ndarray, references: np.ndarray
) -> None:
    promised = {name for name, one in ATTRIBUTORS.items() if one.has_own_rules and one.complete}
    assert promised == {"integrated_gradients", "deep_lift", "difference", "shapley_sampling"}
    assert np.isnan(run("gradient", network, windows, references).bias_share).all()


def target_of(network: nn.Module) -> Any:
    return lambda x: network(x)[:, 1]


def test_gradients_equal_captums(network: nn.Module, windows: np.ndarray, references: np.ndarray) -> None:
    x = torch.as_tensor(windows).requires_grad_()
    scalar = target_of(network)
    expected = {
        "gradient": captum.attr.Saliency(scalar).attribute(x, abs=False),
        "gradient_x_input": captum.attr.InputXGradient(scalar).attribute(x),
        "integrated_gradients": captum.attr.IntegratedGradients(scalar).attribute(x, n_steps=50),
    }
    for name, values in expected.items():
        found = run(name, network, windows, references).values
        np.testing.assert_allclose(found, values.detach().numpy(), rtol=1e-5, atol=1e-10)


def test_integrated_gradients_from_references_are_their_mean(
    network: nn.Module, windows: np.ndarray, references: np.ndarray
) -> None:
    x = torch.as_tensor(windows)
    method = captum.attr.IntegratedGradients(target_of(network))
    each = [method.attribute(x, torch.as_tensor(r)[None], n_steps=50).detach().numpy() for r in references]
    found = run("integrated_gradients", network, windows, references, baseline="references").values
    np.testing.assert_allclose(found, np.mean(each, axis=0), rtol=1e-5, atol=1e-10)


@pytest.mark.parametrize("layer", ["second", "first"])
def test_grad_cam_equals_captums(layer: str, network: nn.Module, windows: np.ndarray, references: np.ndarray) -> None:
    method = captum.attr.LayerGradCam(target_of(network), getattr(network, layer))
    coarse = method.attribute(torch.as_tensor(windows), relu_attributions=True).detach()
    drawn = captum.attr.LayerAttribution.interpolate(coarse, (TIME,), interpolate_mode="linear")
    found = run("grad_cam", network, windows, references, layer=layer)
    expected = drawn.expand(-1, CHANNELS, -1).numpy() / CHANNELS
    np.testing.assert_allclose(found.values, expected, rtol=1e-5, atol=1e-12)
    assert found.provenance["layer"].endswith(layer) and found.provenance["resolution_samples"] == 1


def test_grad_cam_takes_the_last_convolution_and_states_its_resolution(windows: np.ndarray) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv1d(CHANNELS, 4, 3, stride=2, padding=1), nn.ReLU(), nn.Conv1d(4, 4, 3, stride=3), nn.ReLU()
    )
    network = nn.Sequential(*network, nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(4, 2)).double().eval()
    found = explain(network, windows, "grad_cam", 0)
    assert found.provenance["layer"].endswith("2")
    assert found.provenance["resolution_samples"] == pytest.approx(TIME / 4)


def test_windows_without_any_relevance_are_told() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv1d(2, 3, 3), nn.ReLU(), nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(3, 1)
    ).eval()
    windows = np.random.default_rng(0).standard_normal((4, 2, 16)).astype(np.float32)
    with torch.no_grad():
        network[4].weight.fill_(-1.0)  # all maps speak against the target, of which Grad-CAM keeps nothing
    found = explain(network, windows, "grad_cam", 0, layer="1")
    assert not found.values.any()
    assert found.provenance["notes"] == [
        "relevance of 4 of 4 windows is 0 everywhere: at layer 'network.1' no sum of activations weighted by their "
        "mean gradients is above 0, and Grad-CAM keeps only what is (ReLU)"
    ]
    assert "notes" not in explain(network, windows, "gradient", 0).provenance
    with torch.no_grad():
        network[4].weight.fill_(0.0)
    (note,) = explain(network, windows, "grad_cam", 0, layer="1").provenance["notes"]
    assert note.endswith("is 0 everywhere: the target has a gradient of 0 at layer 'network.1'")
    with torch.no_grad():
        network[4].weight.fill_(1.0)
        network[0].bias.fill_(-100.0)
    (note,) = explain(network, windows, "grad_cam", 0, layer="1").provenance["notes"]
    assert note.endswith("is 0 everywhere: layer 'network.1' gives 0 everywhere")
    figure = plot_relevance(explain(network, windows, "grad_cam", 0, layer="1"))
    said = " ".join(text.get_text() for text in figure.axes[0].texts)
    assert " ".join(said.split()) == "0 everywhere: layer 'network.1' gives 0 everywhere"


@pytest.mark.parametrize(
    ("method", "captums"),
    [("guided_backprop", captum.attr.GuidedBackprop), ("deconvnet", captum.attr.Deconvolution)],
)
def test_gradients_through_rectifiers_equal_captums_where_every_relu_is_a_module(
    method: str, captums: type, windows: np.ndarray
) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv1d(CHANNELS, 6, 3), nn.ReLU(), nn.BatchNorm1d(6), nn.Conv1d(6, 6, 3), nn.ReLU())
    network = nn.Sequential(*network, nn.Flatten(), nn.Linear(6 * (TIME - 4), CLASSES)).double().eval()
    x = torch.as_tensor(windows).requires_grad_()
    with pytest.warns(UserWarning, match="Setting backward hooks"):
        expected = captums(copy.deepcopy(network)).attribute(x, target=1)
    np.testing.assert_allclose(explain(network, windows, method, 1).values, expected.detach().numpy(), atol=1e-12)


@pytest.mark.parametrize("method", ["guided_backprop", "deconvnet"])
@pytest.mark.parametrize("relu", [F.relu, lambda x: x.relu_()], ids=["function", "in place"])
def test_rectifiers_that_are_functions_are_found_too(method: str, relu: Any, windows: np.ndarray) -> None:
    torch.manual_seed(0)

    class Functional(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.last = nn.Conv1d(CHANNELS, 6, 3), nn.Linear(6, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.last(relu(self.first(x)).mean(dim=2))

    functional = Functional().double().eval()
    modules = nn.Sequential(functional.first, nn.ReLU(), nn.AdaptiveAvgPool1d(1), nn.Flatten(), functional.last).eval()
    found = [explain(network, windows, method, 0).values for network in (functional, modules)]
    np.testing.assert_allclose(found[0], found[1], atol=1e-12)
    assert not np.allclose(found[0], explain(functional, windows, "gradient", 0).values)


def test_shapley_values_of_few_players_are_the_mean_over_all_orders(
    network: nn.Module, windows: np.ndarray, references: np.ndarray
) -> None:
    one = windows[:1]
    with torch.no_grad():

        def value(present: tuple[int, ...]) -> float:
            kept = np.zeros_like(one)
            kept[:, list(present)] = one[:, list(present)]
            return float(network(torch.as_tensor(kept))[0, 1])

        exact = np.zeros(CHANNELS)
        orders = list(itertools.permutations(range(CHANNELS)))
        for order in orders:
            for n, player in enumerate(order):
                exact[player] += (value(order[: n + 1]) - value(order[:n])) / len(orders)
    found = run("shapley_sampling", network, one, references, segment=None, samples=300).values
    np.testing.assert_allclose(found.sum(axis=2)[0], exact, atol=0.1 * np.abs(exact).max())
    assert np.ptp(found, axis=2).max() == 0  # cells of one player share alike


@pytest.mark.parametrize("segment", [None, 5])
def test_occlusion_is_what_the_target_loses(
    segment: int | None, network: nn.Module, windows: np.ndarray, references: np.ndarray
) -> None:
    found = run("occlusion", network, windows, references, segment=segment).values
    size = segment or TIME
    with torch.no_grad():
        whole = network(torch.as_tensor(windows))[:, 1]
        for channel in range(CHANNELS):
            for first in range(0, TIME, size):
                without = torch.as_tensor(windows).clone()
                without[:, channel, first : first + size] = 0.0
                lost = (whole - network(without)[:, 1]).numpy()
                np.testing.assert_allclose(found[:, channel, first : first + size].sum(axis=1), lost, atol=1e-9)


def test_expected_gradients_add_up_in_the_mean(network: nn.Module, windows: np.ndarray, references: np.ndarray) -> None:
    exact = run("integrated_gradients", network, windows, references, steps=200).values
    found = run("gradient_shap", network, windows, references, samples=400).values
    assert np.abs(found - exact).max() < 0.15 * np.abs(exact).max()


def test_smoothgrad_without_noise_is_the_gradient(
    network: nn.Module, windows: np.ndarray, references: np.ndarray
) -> None:
    found = [run(name, network, windows, references).values for name in ("gradient", "smoothgrad(noise=0.0)")]
    np.testing.assert_allclose(found[0], found[1], rtol=1e-12, atol=1e-15)
    noisy = run("smoothgrad(noise=0.5)", network, windows, references).values
    assert not np.allclose(noisy, found[0])


def test_vargrad_is_the_variance_over_noisy_copies(
    network: nn.Module, windows: np.ndarray, references: np.ndarray
) -> None:
    found = run("vargrad(noise=0.2, samples=5)", network, windows, references, seed=7).values
    x, generator = torch.as_tensor(windows), torch.Generator().manual_seed(7)
    spread = 0.2 * (x.amax(dim=(1, 2)) - x.amin(dim=(1, 2)))[:, None, None]
    each = []
    for _ in range(5):
        copied = (x + spread * torch.randn(x.shape, generator=generator, dtype=x.dtype)).requires_grad_()
        each.append(torch.autograd.grad(network(copied)[:, 1].sum(), copied)[0].numpy())
    np.testing.assert_allclose(found, np.var(each, axis=0), rtol=1e-9, atol=1e-15)
    np.testing.assert_array_equal(run("vargrad(noise=0.0)", network, windows, references).values, 0.0)


def test_gradient_times_sign_solved_by_hand() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(3, 1, bias=False)).eval()
    with torch.no_grad():
        network[1].weight.copy_(torch.tensor([[2.0, -3.0, 5.0]]))
    window = np.array([[[0.1, -4.0, 0.0]]], dtype=np.float32)
    np.testing.assert_array_equal(explain(network, window, "gradient_x_sign", 0).values, [[[2.0, 3.0, 5.0]]])
    np.testing.assert_array_equal(
        explain(network, window, "gradient_x_sign(threshold=0.05)", 0).values, [[[2.0, 3.0, -5.0]]]
    )


@pytest.mark.parametrize("name", ["gradient", "smoothgrad", "vargrad", "guided_backprop", "deconvnet"])
@pytest.mark.parametrize("threshold", [0.0, 0.7])
def test_a_method_with_signs_is_the_method_times_the_sign_of_each_value(
    name: str, threshold: float, network: nn.Module, windows: np.ndarray, references: np.ndarray
) -> None:
    windows[0, 0, :3] = [0.0, threshold, -threshold]
    signs = np.where(windows - threshold >= 0, 1.0, -1.0)
    plain = run(name, network, windows, references, seed=5).values
    more = QUICK.get(name, {})
    found = run(f"{name}_x_sign", network, windows, references, threshold=threshold, seed=5, **more).values
    np.testing.assert_array_equal(found, plain * signs)


def test_deep_taylor_is_z_plus_behind_squared_weights() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 1)).double().eval()
    with torch.no_grad():
        network[3].bias.abs_().add_(1.0)  # of a positive target: there is nothing to share of others
    windows = np.random.default_rng(0).standard_normal((4, 2, 3))
    found = explain(network, windows, "lrp_deep_taylor", 0)
    with torch.no_grad():
        hidden = torch.relu(network[1](torch.as_tensor(windows).flatten(1)))
        parts = hidden * network[3].weight[0].clamp(min=0)
        shared = parts / parts.sum(dim=1, keepdim=True) * network(torch.as_tensor(windows))
        squares = network[1].weight.square()
        expected = shared @ (squares / squares.sum(dim=1, keepdim=True))
    np.testing.assert_allclose(found.values.reshape(4, 6), expected.numpy(), rtol=1e-3)
    assert (found.values >= 0).all() and np.abs(found.gap).max() < 1e-3


def test_the_table_of_methods_has_a_row_for_each() -> None:
    table = describe_methods()
    assert list(table.index) == list_methods()
    assert (table["what"].str.len() > 20).all() and (table["parameters"].str.len() > 0).all()
    needs = table.index[table["references"] == "needed"]
    assert list(needs) == ["contrast", "difference"]
    with pytest.raises(MethodError, match="references"):
        explain(nn.Flatten(), np.zeros((1, 2, 8)), "difference", 0)
    assert set(table.index[table["references"] == "possible"]) == {
        name for name, one in ATTRIBUTORS.items() if hasattr(one, "baseline") and name != "difference"
    }
    assert not table.loc["gradient", "adds_up"] and table.loc["integrated_gradients", "adds_up"]
    assert table.loc["lrp_epsilon", "adds_up"] and not table.loc["lrp_epsilon_sign", "adds_up"]
    assert not method_of("smooth(composite=epsilon_sign)").adds_up
    for name in table.index:
        assert str(method_of(f"{name}({table.loc[name, 'parameters']})").attributor)  # as they may stand behind it


def test_attention_weights_add_up_to_one_and_peak_where_all_look(windows: np.ndarray) -> None:
    network = Attending().double().eval()
    with torch.no_grad():
        # keys grow with the first feature: all moments look at the one where it is greatest
        for parameter in (network.attention.in_proj_weight, network.attention.in_proj_bias):
            parameter.zero_()
        network.attention.in_proj_bias[:8] = 1.0
        network.attention.in_proj_weight[8:16, 0] = 40.0
        x = network.relu(network.norm(network.first(torch.as_tensor(windows))))
        x = network.pool(F.relu(network.second(x)) + x)
    found = explain(network, windows, "attention_weights", 0)
    np.testing.assert_allclose(found.values.sum(axis=(1, 2)), 1.0)
    peak = found.values[:, 0].argmax(axis=1) // 2
    np.testing.assert_array_equal(peak, x[:, 0].argmax(dim=1).numpy())


def test_concepts_of_a_layer_add_up_to_lrp(network: nn.Module, windows: np.ndarray) -> None:
    whole = explain(network, windows, "lrp_epsilon_plus", 1).values
    each = [explain(network, windows, f"crp(layer=first, concepts=[{i}])", 1).values for i in range(8)]
    np.testing.assert_allclose(sum(each), whole, rtol=1e-6, atol=1e-12)
    last = explain(network, windows, "crp(composite=epsilon_gamma)", 1)
    assert last.provenance["layer"].endswith("second") and last.provenance["composite"]["convolution"] == "gamma"


def test_difference_and_deep_lift_are_one_method_with_another_baseline(
    network: nn.Module, windows: np.ndarray, references: np.ndarray
) -> None:
    for name, other in {
        "difference": "deep_lift(baseline=references)",
        "deep_lift": "difference(baseline=zero)",
    }.items():
        first, second = (run(one, network, windows, references) for one in (name, other))
        np.testing.assert_array_equal(first.values, second.values)
        np.testing.assert_array_equal(first.target, second.target)


def test_names_carry_parameters() -> None:
    by_name, beside = method_of("lrp_epsilon(epsilon=0.5)"), method_of("lrp_epsilon", epsilon=0.5)
    assert by_name.composite == beside.composite and by_name.composite.epsilon == 0.5
    smooth = method_of("smoothgrad(noise=0.3, samples=50)").attributor
    assert (smooth.noise, smooth.samples) == (0.3, 50)  # type: ignore[attr-defined]
    assert method_of("occlusion(baseline=mean, segment=None)").attributor.baseline == "mean"  # type: ignore[attr-defined]
    assert method_of("contrast(composite=epsilon_gamma)").composite.convolution == "gamma"
    assert method_of("lrp_epsilon", canonizer="none").canonizer == "none"


@pytest.mark.parametrize(
    ("name", "parameters", "message"),
    [
        ("smothgrad", {}, "near: smoothgrad"),
        ("shap", {}, "near: gradient_shap, shapley_sampling"),
        ("IG", {}, "near: integrated_gradients"),
        ("gradcam", {}, "near: grad_cam"),
        ("lrp_epsilonplus", {}, "near: lrp_epsilon_plus"),
        ("lrpsign_epsilon_0_5_std_x", {}, "near: lrp_epsilon_sign, lrp_epsilon_plus_sign)"),
        ("gradient_x_sign_mu_0_5", {}, "near: gradient_x_sign"),
        ("smoothgrad(nois=0.3)", {}, "near: noise"),
        ("smoothgrad", {"samples": 0}, "samples: "),
        ("lrp_epsilon", {"epsilom": 1.0}, "near: epsilon"),
        ("lrp_epsilon", {"name": "EpsilonPlus"}, "no parameter 'name'"),
        ("lrp_epsilon(gamma=0.1)", {}, "gamma"),
        ("gradient", {"canonizer": "auto"}, "no canonizer"),
        ("lrp_epsilon", {"canonizer": "best"}, "no canonizer 'best'"),
        ("contrast", {"composite": "epsilonplus"}, "near: epsilon_plus"),
        ("smoothgrad(noise=0.3)", {"noise": 0.1}, "twice"),
        ("smoothgrad(noise=__import__('os'))", {}, "no plain value"),
        ("smoothgrad(**{})", {}, "no plain value"),
        ("a.b(c=1)", {}, "expected a method"),
        ("smoothgrad(0.3)", {}, "expected a method"),
        ("; import os", {}, "expected a method"),
    ],
)
def test_unknown_names_and_parameters_are_refused_with_the_near_ones(
    name: str, parameters: dict[str, Any], message: str
) -> None:
    with pytest.raises(MethodError, match=re.escape(message)):
        method_of(name, **parameters)


def test_what_a_method_needs_is_named(network: nn.Module, windows: np.ndarray) -> None:
    plain = nn.Sequential(nn.Flatten(), nn.Linear(CHANNELS * TIME, 2)).double().eval()
    for name, message in {
        "attention_weights": "MultiheadAttention",
        "grad_cam": "convolution",
        "difference": "references",
        "contrast": "references",
        "integrated_gradients(baseline=references)": "references",
        "grad_cam(layer=nowhere)": "no layer 'nowhere'; there are",
    }.items():
        with pytest.raises(MethodError, match=message):
            explain(plain, windows, name, 0)
    with pytest.raises(ShapeError, match=r"expected a target \(window,\)"):
        explain(nn.Sequential(plain, nn.Unflatten(1, (2, 1))), windows, "gradient")
    with pytest.raises(ShapeError, match="expected windows"):
        explain(plain, windows[0], "gradient", 0)
    with pytest.raises(ShapeError, match="expected references"):
        explain(plain, windows, "difference", 0, windows[:, :2])
    windows[2, 0, 0] = 1e308
    with pytest.raises(MethodError, match="1 of 5 windows is not finite"):
        explain(plain, windows, "gradient_x_input", lambda output: output[:, 0] * 1e300)


def test_a_comparison_holds_what_each_method_finds_and_why_others_do_not(
    network: nn.Module, windows: np.ndarray, references: np.ndarray
) -> None:
    names = ("gradient_x_input", "integrated_gradients", "grad_cam(layer=nowhere)")
    how = {"windows_per_class": 3, "n_references": 4, "n_stretches": 4, "layer": None, "n_concept_windows": 1}
    settings = MethodSettings.model_validate({"names": names, **how})
    predicted = np.array([0, 0, 2, 2, 2])
    found = compare(network, windows, predicted, {0: references, 2: references}, settings, 0)
    assert list(found.relevance) == list(names[:2]) and "nowhere" in found.failures[names[2]]
    for unit in (0, 2):
        mine = predicted == unit
        own = explain(network, windows[mine], "gradient_x_input", unit).values
        np.testing.assert_allclose(found.relevance["gradient_x_input"][mine], own, rtol=1e-9, atol=1e-12)
    quality = found.quality.set_index(["method", "class"])
    assert set(quality.index.get_level_values(0)) == {*names[:2], "random", "z_score"}
    assert np.isnan(quality.loc[("gradient_x_input", 0), "gap"])  # promises no sum
    assert quality.loc[("integrated_gradients", 0), "gap"] < 0.05
    assert abs(quality.loc[("gradient_x_input", 0), "randomised"]) < 0.9
    np.testing.assert_allclose(np.diag(found.agreement), 1.0)
    with pytest.raises(ValueError, match="near: gradient"):
        MethodSettings.model_validate({"names": ("gradien",), **how})

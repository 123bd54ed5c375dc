"""Every method takes the same networks, windows, targets and modes, and refuses others with the same words."""

import contextlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from clusterwhy import concept_relevance, explain, explain_difference, lrp
from clusterwhy.attribution.registry import ATTRIBUTORS
from clusterwhy.errors import MethodError, ShapeError

QUICK = {"smooth": {"n_samples": 2}, "smoothgrad": {"samples": 2}, "gradient_shap": {"samples": 2}}
QUICK |= {"shapley_sampling": {"samples": 1, "segment": None}, "integrated_gradients": {"steps": 4}}
# of LRP one composite, since inputs do not depend on it
METHODS = ["lrp_epsilon_plus", *sorted(set(ATTRIBUTORS) - {"lrp", "attention_weights"})]
BY_GRADIENTS = ("gradient", "gradient_x_input", "smoothgrad", "integrated_gradients", "gradient_shap", "grad_cam")


class Network(nn.Module):
    """Convolution, mean over time, classes; `form` is how they are given."""

    def __init__(self, form: Callable[[torch.Tensor], Any] = lambda classes: classes) -> None:
        super().__init__()
        self.form = form
        self.conv, self.classes = nn.Conv1d(2, 6, 3), nn.Linear(6, 3)

    def forward(self, windows: torch.Tensor, mask: torch.Tensor | None = None, scale: float = 1.0) -> Any:
        x = torch.relu(self.conv(windows)) * scale
        if mask is not None:
            x = x * mask
        return self.form(self.classes(x.mean(dim=2)))


def network_of(form: Callable[[torch.Tensor], Any] = lambda classes: classes) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Network(form).double().eval()


def run(method: str, network: Any, windows: Any, target: Any = 1) -> Any:
    references = np.asarray(windows)[:2] * 0.5
    return explain(network, windows, method, target, references, **QUICK.get(method, {}))


def same(found: Any, expected: Any, **tolerance: float) -> None:
    np.testing.assert_allclose(found.values, expected.values, **({"rtol": 1e-9, "atol": 1e-14} | tolerance))
    np.testing.assert_allclose(found.target, expected.target, **({"rtol": 1e-9, "atol": 1e-14} | tolerance))
    assert np.abs(found.values).max() > 0


@pytest.fixture
def windows(rng: np.random.Generator) -> np.ndarray:
    return rng.normal(size=(3, 2, 12))


@pytest.mark.parametrize("method", METHODS)
def test_optional_arguments_keep_their_defaults(method: str, windows: np.ndarray) -> None:
    network = network_of()
    layers = network.conv, nn.ReLU(), nn.AdaptiveAvgPool1d(1), nn.Flatten(), network.classes
    same(run(method, network, windows), run(method, nn.Sequential(*layers).eval(), windows))


@pytest.mark.parametrize("method", METHODS)
def test_integers_of_any_kind_name_a_unit(method: str, windows: np.ndarray) -> None:
    network = network_of()
    expected = run(method, network, windows, 2)
    for target in (np.int64(2), np.uint8(2), np.array(2), torch.tensor(2), -1, lambda output: output[:, 2]):
        same(run(method, network, windows, target), expected)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("form", "target", "message"),
    [
        (lambda y: y, 3, r"expected a target from 0 to 2, a unit of the output, got 3"),
        (lambda y: y, np.int32(-4), r"expected a target from 0 to 2, a unit of the output, got -4"),
        (
            lambda y: y[..., None],
            None,
            r"expected a target \(window,\), got \(\d, 3, 1\): choose one scalar per window",
        ),
        (lambda y: y, "1", r"a target that is an int .* or None, got '1'"),
        (lambda y: y, 1.0, r"a target that is an int .* or None, got 1\.0"),
        (lambda y: y, True, r"a target that is an int .* or None, got True"),
        (lambda y: y, [0, 1, 2], r"a target that is an int .* or None, got \[0, 1, 2\]"),
        (lambda y: y, lambda y: y.argmax(dim=1), "a target that is a real number, got int64: choose a logit"),
        (lambda y: y[:, 0], 0, r"unit 0 of, got \(\d,\): .*leave `target` out"),
        (
            lambda y: {"logits": y, "p": y.exp()},
            0,
            r"a dict of 'logits', 'p': .*`target=lambda output: output\['logits'\]",
        ),
        (lambda y: {"logits": y, "p": y.exp()}, None, r"a dict of 'logits', 'p': choose by a function"),
        (lambda y: (y, y.exp()), 0, r"a tuple of 2: .*`target=lambda output: output\[0\]\[:, 0\]`"),
        (lambda y: (y, y.exp()), None, "a tuple of 2: choose by a function"),
        (lambda y: [y], lambda output: output, "a list of 1: choose by a function"),
    ],
)
def test_targets_that_do_not_fit_are_refused(
    form: Any, target: Any, message: str, method: str, windows: np.ndarray
) -> None:
    with pytest.raises(ShapeError, match=message):
        run(method, network_of(form), windows, target)


@pytest.mark.parametrize("method", METHODS)
def test_of_several_outputs_the_target_takes_one(method: str, windows: np.ndarray) -> None:
    expected = run(method, network_of(), windows, 1)
    outputs: list[tuple[Any, Any]] = [
        (lambda y: {"p": torch.fft.fft(y).abs(), "logits": y}, lambda output: output["logits"][:, 1]),
        (lambda y: (y, (y.sort(dim=1), y.exp())), lambda output: output[0][:, 1]),
        (lambda y: y[:, 1], None),
        (lambda y: y[:, 1:2].squeeze(), None),
    ]
    for form, target in outputs:
        same(run(method, network_of(form), windows, target), expected)


@pytest.mark.parametrize("method", METHODS)
def test_one_window_keeps_its_axis(method: str, windows: np.ndarray) -> None:
    found = run(method, network_of(lambda y: y[:, 1:2].squeeze()), windows[:1], None)
    same(found, run(method, network_of(), windows[:1]))
    assert found.target.shape == (1,)


@pytest.mark.parametrize("method", METHODS)
def test_windows_take_the_type_of_the_network(method: str, windows: np.ndarray) -> None:
    single = windows.astype(np.float32)
    found = run(method, network_of().float(), windows)
    assert found.values.dtype == found.target.dtype == np.float32
    same(found, run(method, network_of().float(), single))
    double = run(method, network_of(), single)
    assert double.values.dtype == double.target.dtype == np.float64
    same(double, run(method, network_of(), single.astype(np.float64)))


@pytest.mark.parametrize("method", ["lrp_epsilon_plus", "gradient", "difference", "occlusion"])
def test_windows_may_lie_in_memory_in_any_way(method: str, windows: np.ndarray) -> None:
    expected = run(method, network_of(), windows)
    read_only = windows.copy()
    read_only.flags.writeable = False
    backwards = windows[:, ::-1, ::-1].copy()[:, ::-1, ::-1]
    for kind in (windows.astype(">f8"), read_only, backwards, np.asfortranarray(windows), windows.tolist()):
        same(run(method, network_of(), kind), expected)


@contextlib.contextmanager
def inference() -> Any:
    with torch.inference_mode():
        yield


MODES: dict[str, Callable[[], Any]] = {
    "no_grad": torch.no_grad,
    "inference": inference,
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("method", METHODS)
def test_modes_around_the_call_change_nothing(method: str, mode: str, windows: np.ndarray) -> None:
    expected = run(method, network_of().float(), windows)
    with MODES[mode]():
        network, tensor = network_of().float(), torch.as_tensor(windows) * 1.0
        found = run(method, network, tensor)
        state = torch.is_grad_enabled(), torch.is_inference_mode_enabled(), torch.is_autocast_enabled("cpu")
    assert state == (mode == "autocast", mode == "inference", mode == "autocast")
    same(found, expected)


@pytest.mark.parametrize("mode", MODES)
def test_modes_around_other_entries_change_nothing(mode: str, windows: np.ndarray) -> None:
    entries: list[Callable[[Any, Any], Any]] = [
        lambda network, x: lrp(network, x, 1, "epsilon_gamma_box"),
        lambda network, x: lrp(network, x, 1, canonizer="none"),
        lambda network, x: explain_difference(network, x, x[:2] * 0.5, 1),
        lambda network, x: concept_relevance(network, x, 1, {"conv": [1, 2]}),
    ]
    for entry in entries:
        expected = entry(network_of(), torch.as_tensor(windows))
        with MODES[mode]():
            same(entry(network_of(), torch.as_tensor(windows) * 1.0), expected)


@pytest.mark.parametrize("method", BY_GRADIENTS)
def test_a_target_without_gradient_is_refused(method: str, windows: np.ndarray) -> None:
    with pytest.raises(MethodError, match=r"no gradient with respect to the windows: .*no_grad"):
        run(method, network_of(), windows, lambda output: output[:, 1].detach())


def test_windows_too_great_for_the_network_are_refused(windows: np.ndarray) -> None:
    windows[0, 0, 0] = 1e300
    with pytest.raises(ShapeError, match=r"values up to 1e\+300, too great for the float32 of the network: scale them"):
        run("gradient", network_of().float(), windows)

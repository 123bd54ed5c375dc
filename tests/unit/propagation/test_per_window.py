"""What is explained must be a function of each window: networks that mix windows, and layers that are not what they
seem, are refused; layouts whose first axis is not the window are explained one window at a time."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from clusterwhy import concept_relevance, explain, explain_difference, lrp
from clusterwhy.errors import CompositeError, ConceptError, MethodError
from clusterwhy.explanations.relevance_budget import relevance_budget
from clusterwhy.propagation.canonical import canonize
from clusterwhy.propagation.composites import COMPOSITES
from tests.unit.propagation.test_relevance import task_of


class Net(nn.Module):
    """Convolution and dense layer around a step that is given."""

    def __init__(self, step: Any, n_features: int = 4) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.relu, self.last = nn.Conv1d(2, 4, 3, padding=1), nn.ReLU(), nn.Linear(n_features, 2)
        self.step = step

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(self.step(self.relu(self.first(x))))


ENTRY_POINTS = {
    "lrp": lrp,
    "hooks": lambda network, windows, target: lrp(network, windows, target, canonizer="none"),
    "gradient": lambda network, windows, target: explain(network, windows, "gradient", target),
    "occlusion": lambda network, windows, target: explain(network, windows, "occlusion", target),
    "difference": lambda network, windows, target: explain_difference(network, windows, np.zeros((1, 2, 8)), target),
    "concepts": lambda network, windows, target: concept_relevance(network, windows, target, {"first": 1}),
}
MIXES = {
    "the mean of the batch is taken off": lambda h: (h - h.mean(dim=0, keepdim=True)).mean(dim=2),
    "windows are standardised together": lambda h: (h / h.std(dim=0, correction=0, keepdim=True).clamp(min=0.1)).mean(
        dim=2
    ),
    "windows are turned round": lambda h: h.flip(0).mean(dim=2),
    "windows are the time of attention": lambda h: (h.mean(2) @ h.mean(2).T).softmax(1) @ h.mean(2),
}


@pytest.fixture
def windows(rng: np.random.Generator) -> np.ndarray:
    return rng.normal(size=(5, 2, 8))


@pytest.mark.parametrize("entry", ENTRY_POINTS)
@pytest.mark.parametrize("mix", MIXES)
def test_networks_that_mix_windows_are_refused(entry: str, mix: str, windows: np.ndarray) -> None:
    with pytest.raises((CompositeError, MethodError), match=r"beside other windows|no rule for"):
        ENTRY_POINTS[entry](Net(MIXES[mix]).double().eval(), windows, 0)


class ByTheStrongestFrequency(nn.Module):
    """As TimesNet chooses its periods: by the mean spectrum of the batch, which most batches agree on."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        strongest = int(torch.fft.rfft(x, dim=2).abs().mean((0, 1))[1:].argmax())
        return x[:, :, :: strongest + 1].mean(dim=2)


def test_a_choice_by_the_mean_of_the_batch_that_most_batches_agree_on_is_refused(windows: np.ndarray) -> None:
    slow = np.sin(2 * np.pi * np.arange(8) / 8)
    with pytest.raises(MethodError, match="beside other windows"):
        explain(ByTheStrongestFrequency(), windows * 0.01 + slow, "gradient", 0)


@pytest.mark.parametrize("zeros", [False, True])
def test_a_sum_over_windows_that_has_a_rule_of_its_own_is_refused(zeros: bool, windows: np.ndarray) -> None:
    network = Net(lambda h: h.mean(dim=2) + h.sum(dim=0, keepdim=True).mean(dim=2)).double().eval()
    with pytest.raises(CompositeError, match="mixes, over the windows of a batch"):
        lrp(network, windows * (not zeros), 0)


def test_random_numbers_in_forward_are_refused(windows: np.ndarray) -> None:
    network = Net(lambda h: nn.functional.dropout(h, 0.5, training=True).mean(dim=2)).double().eval()
    with pytest.raises(MethodError, match="draws random numbers"):
        explain(network, windows, "gradient", 0)


class ChannelsApart(nn.Module):
    """Each channel goes through the same layers by itself, as in PatchTST; channels first or windows first."""

    def __init__(self, windows_first: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.windows_first = windows_first
        self.conv, self.relu, self.last = nn.Conv1d(1, 3, 3), nn.ReLU(), nn.Linear(3, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x if self.windows_first else x.transpose(0, 1)
        each = self.last(self.relu(self.conv(x.reshape(-1, 1, 8))).mean(dim=2))
        return each.reshape(-1, 2).sum(dim=1) if self.windows_first else each.reshape(2, -1).sum(dim=0)


@pytest.mark.parametrize("windows_first", [True, False])
@pytest.mark.parametrize("composite", ["epsilon", "epsilon_plus", "epsilon_gamma", "epsilon_alpha2_beta1"])
def test_channels_folded_into_the_first_axis_are_explained_as_each_channel_alone(
    windows_first: bool, composite: str, windows: np.ndarray
) -> None:
    network = ChannelsApart(windows_first).double().eval()
    one = nn.Sequential(network.conv, network.relu, nn.AdaptiveAvgPool1d(1), nn.Flatten(), network.last).eval()
    found = lrp(network, windows, composite=composite)
    alone = [lrp(one, windows[:, channel : channel + 1], 0, composite) for channel in range(2)]
    np.testing.assert_allclose(found.values, np.concatenate([each.values for each in alone], axis=1), atol=1e-9)
    absorbed = sum(each.bias_share * each.target for each in alone)
    np.testing.assert_allclose(found.bias_share * found.target, absorbed, atol=1e-6)


@pytest.mark.parametrize("windows_first", [True, False])
def test_folded_channels_in_the_budget_and_in_differences(windows_first: bool, windows: np.ndarray) -> None:
    network = ChannelsApart(windows_first).double().eval()
    assert canonize(network, torch.as_tensor(windows)).other_rows
    difference = explain_difference(network, windows, windows[:3] + 1.0)
    np.testing.assert_allclose(difference.gap, 0.0, atol=1e-9)
    task = replace(task_of(nn.Identity(), windows), network=network, composite=COMPOSITES["epsilon"])
    budget = relevance_budget(task, windows)
    target = network(torch.as_tensor(windows)).detach().abs().mean()
    found = lrp(network, windows, composite="epsilon")
    missing = (found.target - found.values.sum((1, 2))).mean() / float(target)
    np.testing.assert_allclose(budget["share"].sum(), missing, atol=1e-9)
    with pytest.raises(ConceptError, match="conv"):
        concept_relevance(network, windows, None, {"conv": 0})


class Causal(nn.Conv1d):
    def forward(self, x: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        return super().forward(nn.functional.pad(x, (2, 0)))[..., : x.shape[2]]


class Shifted(nn.ReLU):
    def forward(self, x: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        return super().forward(x) - 1.0


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (Causal(2, 4, 3, padding=1), "Causal is a Conv1d with a forward of its own.* an nn.Module that contains"),
        (nn.Sequential(nn.Conv1d(2, 4, 3, padding=1), Shifted()), "Shifted is a ReLU with a forward of its own"),
    ],
)
def test_subclasses_that_compute_something_else_are_refused(layer: Any, message: str, windows: np.ndarray) -> None:
    network = nn.Sequential(layer, nn.AdaptiveAvgPool1d(1), nn.Flatten()).double().eval()
    with pytest.raises(CompositeError, match=message):
        lrp(network, windows * 0.0, 0)


def test_subclasses_that_only_choose_arguments_are_not(windows: np.ndarray) -> None:
    class Wide(nn.Conv1d):
        def __init__(self) -> None:
            super().__init__(2, 4, 5)

    network = nn.Sequential(Wide(), nn.AdaptiveAvgPool1d(1), nn.Flatten()).double().eval()
    np.testing.assert_allclose(lrp(network, windows, 0, "epsilon").lost_share, 0.0, atol=1e-4)


def test_a_hook_that_zeros_would_hide_is_found(windows: np.ndarray) -> None:
    network = nn.Sequential(nn.Conv1d(2, 4, 3, bias=False), nn.AdaptiveAvgPool1d(1), nn.Flatten()).double().eval()
    network[0].register_forward_hook(lambda module, x, y: 2.0 * y)
    with pytest.raises(CompositeError, match="a hook"):
        lrp(network, windows * 0.0, 0)


def test_modules_left_in_training_mode_are_named_and_not_changed(windows: np.ndarray) -> None:
    network = nn.Sequential(nn.Conv1d(2, 4, 3), nn.Dropout(0.5), nn.AdaptiveAvgPool1d(1), nn.Flatten()).double().eval()
    network[1].train()
    with pytest.raises(CompositeError, match=r"in training mode \(1\): call .eval\(\) first"):
        lrp(network, windows, 0)
    assert network[1].training

    class Reader(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lstm = nn.LSTM(2, 3, batch_first=True)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.lstm(x.transpose(1, 2))[0][:, -1]

    reader = Reader().double().eval()
    reader.lstm.train()
    with pytest.raises(CompositeError, match=r"in training mode \(lstm\)"):
        lrp(reader, windows, 0)
    assert reader.lstm.training


def test_pooling_with_indices_is_refused(windows: np.ndarray) -> None:
    class Unpooled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.pool, self.back = nn.MaxPool1d(2, return_indices=True), nn.MaxUnpool1d(2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            pooled = self.pool(x)
            return self.back(pooled[0], pooled[1]).mean(dim=2)

    with pytest.raises(CompositeError, match="return_indices=True has no rule"):
        lrp(Unpooled().double().eval(), windows, 0)


@pytest.mark.parametrize("n_out", [6, 2])
def test_a_batch_norm_over_channels_after_a_dense_layer_over_time(n_out: int, windows: np.ndarray) -> None:
    torch.manual_seed(0)
    norm = nn.BatchNorm1d(2)
    nn.init.normal_(norm.running_mean)
    nn.init.uniform_(norm.running_var, 0.5, 2.0)
    network = (
        nn.Sequential(nn.Linear(8, n_out, bias=False), norm, nn.Flatten(), nn.Linear(2 * n_out, 1)).double().eval()
    )
    found = lrp(network, windows, 0, COMPOSITES["epsilon"].model_copy(update={"epsilon": 1e-12}))
    x = torch.as_tensor(windows).requires_grad_()
    (gradient,) = torch.autograd.grad(network(x).sum(), x)
    # of a network that is linear but for its biases, epsilon gives gradient x input
    np.testing.assert_allclose(found.values, (gradient * x).detach(), atol=1e-9)
    np.testing.assert_allclose(found.gap, found.bias_share, atol=1e-6)

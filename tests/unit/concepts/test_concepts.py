"""Concepts add up to the whole, paths beside a layer are told apart, fields are what gradients reach."""

import itertools
from typing import Any

import numpy as np
import pandas as pd
import pytest

torch = pytest.importorskip("torch")
import torch.nn.functional as F  # noqa: E402
from torch import nn  # noqa: E402
from tsai.models.InceptionTimePlus import InceptionTimePlus  # noqa: E402

from clusterwhy.concepts.propagation import ConceptExplainer, concept_explainer, concept_relevance  # noqa: E402
from clusterwhy.concepts.tables import (  # noqa: E402
    ConceptScores,
    concept_difference,
    concept_scores,
    concept_table,
    join,
    reference_windows,
)
from clusterwhy.errors import CompositeError, ConceptError, ShapeError  # noqa: E402
from clusterwhy.explanations.aggregation import time_bin_difference, time_bins, time_bins_of_width  # noqa: E402
from clusterwhy.explanations.target_heads import ClusterMembership  # noqa: E402
from clusterwhy.metrics.bootstrap import bootstrap_means  # noqa: E402
from clusterwhy.propagation.composites import COMPOSITES  # noqa: E402
from clusterwhy.propagation.explainer import lrp  # noqa: E402
from clusterwhy.propagation.layer_graph import Layer, layer_graph, layer_names  # noqa: E402
from clusterwhy.propagation.targets import Unit  # noqa: E402
from pipeline._explained import spread  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel:UserWarning")
CHANNELS, TIME, CLASSES = 3, 24, 4
PLAIN = COMPOSITES["epsilon_plus_norm"]


def plain_cnn() -> nn.Module:
    return nn.Sequential(
        nn.Conv1d(CHANNELS, 6, 5, stride=2, padding=2),
        nn.BatchNorm1d(6),
        nn.ReLU(),
        nn.MaxPool1d(2),
        nn.Conv1d(6, 8, 3, padding=2, dilation=2),
        nn.ReLU(),
        nn.AdaptiveAvgPool1d(1),
        nn.Flatten(),
        nn.Linear(8, CLASSES),
    )


class Residual(nn.Module):
    """Two residual blocks, one with a convolution on its shortcut, as in a ResNet; one ReLU serves all."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv1d(CHANNELS, 6, 5, padding=2), nn.Conv1d(6, 6, 3, padding=1)
        self.shortcut, self.norm = nn.Conv1d(CHANNELS, 6, 1), nn.BatchNorm1d(6)
        self.third = nn.Conv1d(6, 6, 3, padding=1)
        self.relu, self.pool, self.flatten = nn.ReLU(), nn.AdaptiveAvgPool1d(1), nn.Flatten()
        self.dense = nn.Linear(6, CLASSES)

    def forward(self, x: Any) -> Any:
        x = self.relu(self.norm(self.second(self.relu(self.first(x)))) + self.shortcut(x))
        x = self.relu(self.third(x) + x)
        return self.dense(self.flatten(self.pool(x)))


class Sequences(nn.Module):
    """A convolution, an LSTM, attention with a residual, the mean over time."""

    def __init__(self, bidirectional: bool, layers: int = 1) -> None:
        super().__init__()
        self.convolution = nn.Conv1d(CHANNELS, 4, 3, stride=2, padding=1)
        self.lstm = nn.LSTM(4, 3, layers, batch_first=True, bidirectional=bidirectional)
        width = 6 if bidirectional else 3
        self.attention = nn.MultiheadAttention(width, 3, batch_first=True)
        self.dense = nn.Linear(width, CLASSES)

    def forward(self, x: Any) -> Any:
        x, _ = self.lstm(torch.relu(self.convolution(x)).transpose(1, 2))
        mixed, _ = self.attention(x, x, x)
        return self.dense((x + mixed).mean(dim=1))


NETWORKS = {
    "plain": plain_cnn,
    "residual": Residual,
    "sequences": lambda: Sequences(True),
    "InceptionTimePlus": lambda: InceptionTimePlus(CHANNELS, CLASSES, seq_len=TIME, nf=2, depth=3),
}


def made(name: str) -> nn.Module:
    torch.manual_seed(0)
    network = NETWORKS[name]()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d):
            nn.init.normal_(module.running_mean)
            nn.init.uniform_(module.running_var, 0.5, 2.0)
            nn.init.normal_(module.bias, std=0.2)
    return network.double().eval()


@pytest.fixture(scope="module", params=NETWORKS)
def network(request: pytest.FixtureRequest) -> nn.Module:
    return made(request.param)


@pytest.fixture(scope="module")
def windows() -> Any:
    return torch.randn(5, CHANNELS, TIME, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def close(found: Any, expected: Any, tolerance: float = 1e-6) -> None:
    assert np.abs(found - expected).max() <= tolerance * np.abs(expected).max()


def test_concepts_of_a_layer_that_every_path_crosses_add_up_to_the_relevance(network: nn.Module, windows: Any) -> None:
    whole = lrp(network, windows, 1, PLAIN).values
    explainer, unit = concept_explainer(network, windows, 1, PLAIN)
    crossed = [layer for layer in layer_graph(network, windows) if layer.on_every_path]
    assert {layer.n_positions > 1 for layer in crossed} == {True, False}
    for layer in crossed:
        close(explainer.per_concept(windows, layer.name, range(layer.n_concepts), unit).sum(axis=0), whole)


@pytest.mark.parametrize(
    ("name", "composite"),
    [
        ("residual", "epsilon_gamma_box"),
        ("residual", "epsilon_alpha2_beta1_flat"),
        ("InceptionTimePlus", "epsilon_plus"),
        ("sequences", "epsilon_plus"),
    ],
)
def test_concepts_of_a_layer_beside_others_add_up_to_what_passes_through_it(
    windows: Any, name: str, composite: str
) -> None:
    network = made(name)
    explainer, unit = concept_explainer(network, windows, 2, composite)
    whole = lrp(network, windows, 2, composite).values
    beside = [layer for layer in layer_graph(network, windows) if not layer.on_every_path]
    for layer in beside[:: max(1, len(beside) // 8)]:
        found = explainer.per_concept(windows, layer.name, range(layer.n_concepts), unit).sum(axis=0)
        through = explainer.relevance(windows, {layer.name: range(layer.n_concepts)}, unit).values
        around = explainer.relevance(windows, {layer.name: []}, unit, exclude_parallel=False).values
        assert np.abs(around).max() > 0
        assert np.abs(found - through).max() <= 1e-6 * np.abs(whole).max()
        close(through + around, whole)


def test_both_branches_of_a_residual_are_all_that_there_is(windows: Any) -> None:
    network = made("residual")
    explainer, unit = concept_explainer(network, windows, 2, "epsilon_plus")
    branches = [explainer.relevance(windows, {name: range(6)}, unit).values for name in ("first", "shortcut")]
    close(sum(branches), lrp(network, windows, 2, "epsilon_plus").values)


def test_relevance_beside_a_layer_goes_on_unmasked_unless_it_is_excluded(windows: Any) -> None:
    network = made("residual")
    explainer, unit = concept_explainer(network, windows, 0, PLAIN)
    kept = explainer.relevance(windows, {"second": [1, 4]}, unit, exclude_parallel=False).values
    through = explainer.relevance(windows, {"second": [1, 4]}, unit).values
    beside = explainer.relevance(windows, {"shortcut": range(6)}, unit).values
    close(kept, through + beside)
    assert np.abs(through).max() > 0.01 * np.abs(beside).max()


def test_a_concept_of_a_convolution_is_its_own_share_by_hand() -> None:
    # y = 2 relu(x1) + 3 relu(x2) + relu(x1 + x2) at x = (1, 4): hidden 1, 4, 5; relevance 2, 12, 5
    network = nn.Sequential(nn.Flatten(), nn.Linear(2, 3, bias=False), nn.ReLU(), nn.Linear(3, 1, bias=False))
    network[1].weight = nn.Parameter(torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]))
    network[3].weight = nn.Parameter(torch.tensor([[2.0, 3.0, 1.0]]))
    found = concept_relevance(network.double().eval(), np.array([[[1.0], [4.0]]]), 0, {"1": 2}, "epsilon")
    np.testing.assert_allclose(found.values.ravel(), [1.0, 4.0], rtol=1e-5)
    np.testing.assert_allclose(found.arrived["1"], [[2.0, 12.0, 5.0]], rtol=1e-5)
    np.testing.assert_allclose(found.target, [19.0])


def test_conditions_of_several_layers_are_met_one_after_the_other(windows: Any) -> None:
    network = made("plain")
    unbiased = PLAIN.model_copy(update={"zero_bias": True})
    explainer, unit = concept_explainer(network, windows, 1, unbiased)
    found = explainer.relevance(windows, {"4": [2, 5], "0": 3}, unit)
    upper = explainer.per_concept(windows, "4", [2, 5], unit).sum(axis=0)
    lower = [explainer.relevance(windows, {"4": [2, 5], "0": [c]}, unit).values for c in range(6)]
    close(sum(lower), upper)
    close(found.values, lower[3])
    # what arrives at the lower layer is what passed the upper one, no more
    close(found.arrived["0"].sum(axis=1), found.arrived["4"][:, [2, 5]].sum(axis=1), 1e-4)


def test_each_window_has_its_own_conditions_and_its_own_class(windows: Any) -> None:
    network = made("residual")
    units = np.array([0, 1, 2, 3, 1])
    conditions = [{"third": 1}, {"second": [0, 2]}, {}, {"third": [5], "first": [1]}, {"shortcut": 3}]
    found = concept_relevance(network, windows, units, conditions, PLAIN)
    for i, (unit, condition) in enumerate(zip(units, conditions, strict=True)):
        alone = concept_relevance(network, windows[i : i + 1], int(unit), condition, PLAIN)
        np.testing.assert_allclose(found.values[i], alone.values[0], rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(found.target[i], alone.target[0])
        np.testing.assert_allclose(found.target[i], network(windows)[i, unit].item())
    close(found.values[2], lrp(network, windows[2:3], 2, PLAIN).values[0])


def test_heads_behind_a_network_are_targets_too(windows: Any) -> None:
    network = made("plain")
    rng = np.random.default_rng(0)
    head = ClusterMembership(rng.normal(size=(2, CLASSES)), rng.normal(size=(3, CLASSES))).double()
    found = concept_relevance(network, windows, head, {"4": range(8)}, PLAIN)
    close(found.values, lrp(network, windows, head, PLAIN).values)
    as_head = concept_relevance(network, windows, Unit(3), {"4": [1]}, PLAIN)
    close(as_head.values, concept_relevance(network, windows, 3, {"4": [1]}, PLAIN).values)
    assert set(layer_names(network, windows)) <= {layer.name for layer in layer_graph(network, windows, head)}


def test_a_network_is_left_as_it_was(windows: Any) -> None:
    network = made("InceptionTimePlus").requires_grad_(True)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    concept_relevance(network, windows, 0, {layer_names(network, windows)[0]: 0})
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    assert all(parameter.requires_grad for parameter in network.parameters())


def test_unknown_layers_concepts_and_paths_are_refused(windows: Any) -> None:
    network = made("residual")
    refused = [
        ({"thrid": 0}, ConceptError, "no layer 'thrid'; .*'third'"),
        ({"norm": 0}, ConceptError, "a batch norm is folded"),
        ({"third": 6}, ConceptError, r"has concepts 0 to 5, got \[6\]"),
        ({"third": -1}, ConceptError, r"has concepts 0 to 5, got \[-1\]"),
        ({"second": 0, "shortcut": 1}, ConceptError, "no path leads through both 'second' and 'shortcut'"),
        ([{"third": 0}], ShapeError, "or 5, one per window, got 1"),
    ]
    for conditions, error, message in refused:
        with pytest.raises(error, match=message):
            concept_relevance(network, windows, 0, conditions)
    concept_relevance(network, windows, 0, {"second": 0, "shortcut": 1}, exclude_parallel=False)
    for target, message in [(None, "choose one scalar"), (4, "expected units 0 to n - 1"), (-1, "expected units 0")]:
        with pytest.raises(ShapeError, match=message):
            concept_relevance(network, windows, target, {"third": 0})
    with pytest.raises(CompositeError, match="no composite 'lrp'"):
        concept_relevance(network, windows, 0, {"third": 0}, "lrp")
    with pytest.raises(CompositeError, match="not finite"):
        concept_relevance(network, torch.cat([windows, windows[:1].sign() * 1.7e308]), 0, {"third": 0})


class Varied(nn.Module):
    """Strides, dilations, pads, groups, pooling, slices, a transposition and a concatenation in time."""

    def __init__(self) -> None:
        super().__init__()
        self.wide = nn.Conv1d(CHANNELS, 4, 5, stride=2, padding=1, dilation=2)
        self.grouped = nn.Conv1d(4, 4, 3, padding="same", groups=2)
        self.even = nn.Conv1d(4, 4, 4, padding="same")
        self.far = nn.Conv1d(4, 2, 3, padding=4)
        self.mixed = nn.Linear(2, 3)
        self.dense = nn.Linear(6, CLASSES)

    def forward(self, x: Any) -> Any:
        x = self.wide(x)
        y = self.grouped(x) + self.even(x)
        y = torch.cat([y[:, :, 1:5], F.avg_pool1d(y, 3, 2, 1)], dim=2)
        y = self.far(y)
        y = self.mixed(y.transpose(1, 2)).permute(0, 2, 1)
        return self.dense(torch.cat([y[:, :, 2:].mean(-1), y.mean(dim=2)], dim=1))


class Recorder(nn.Module):
    """Gives what one module of a network gives."""

    def __init__(self, network: nn.Module, name: str) -> None:
        super().__init__()
        self.network, self.seen = network, []
        network.get_submodule(name).register_forward_hook(
            lambda module, x, y: self.seen.append(y[0] if isinstance(y, tuple) else y)
        )

    def forward(self, windows: Any) -> Any:
        self.seen.clear()
        self.network(windows)
        return self.seen[0]


def support(network: nn.Module, name: str, time_axis: int) -> tuple[Any, Any]:
    """First and last + 1 sample with a gradient, (concept, position), weights being positive."""
    recorder = Recorder(network, name)
    x = torch.rand(1, CHANNELS, TIME, dtype=torch.float64, requires_grad=True)
    values = recorder(x)[0]
    values = values.movedim(time_axis - 1, -1) if values.ndim == 2 else values[:, None]
    starts, stops = (np.zeros(values.shape, dtype=int) for _ in range(2))
    for place in itertools.product(*map(range, values.shape)):
        (gradient,) = torch.autograd.grad(values[place], x, retain_graph=True)
        reached = np.flatnonzero(gradient.abs().sum((0, 1)).numpy())
        if len(reached):
            starts[place], stops[place] = reached[0], reached[-1] + 1
    return starts, stops


@pytest.mark.parametrize(
    ("build", "names"),
    [
        (plain_cnn, {"0": 2, "4": 2, "6": 2, "8": 1}),
        (Residual, {"first": 2, "second": 2, "shortcut": 2, "third": 2}),
        (lambda: Sequences(False), {"convolution": 2, "lstm": 1, "attention": 1, "dense": 1}),
        (lambda: Sequences(True), {"lstm": 1}),
        (lambda: Sequences(True, 2), {"lstm": 1, "attention": 1}),
        (Varied, {"wide": 2, "grouped": 2, "even": 2, "far": 2, "mixed": 1, "dense": 1}),
    ],
)
def test_receptive_fields_are_where_gradients_are(build: Any, names: dict[str, int]) -> None:
    torch.manual_seed(0)
    network = build().double().eval()
    for module in network.modules():
        if isinstance(module, nn.Conv1d | nn.Linear):
            nn.init.uniform_(module.weight, 0.1, 1.0)
            nn.init.constant_(module.bias, 0.1)
    for module in network.modules():  # a maximum has the gradient of one input, a mean that of all
        for name, child in module.named_children():
            if isinstance(child, nn.MaxPool1d):
                setattr(module, name, nn.AvgPool1d(child.kernel_size, child.stride))
    places = ConceptExplainer(
        network, torch.rand(2, CHANNELS, TIME, dtype=torch.float64), None, PLAIN, (torch.zeros(3), torch.ones(3))
    ).layers
    for name, time_axis in names.items():
        starts, stops = support(network, name, time_axis)
        np.testing.assert_array_equal(places[name].starts, starts, err_msg=name)
        np.testing.assert_array_equal(places[name].stops, stops, err_msg=name)
        assert places[name].layer.field == (stops - starts).max()


def test_pooling_by_choice_sees_what_a_mean_would_see(windows: Any) -> None:
    box = torch.zeros(3), torch.ones(3)
    networks = [made("plain"), made("plain")]
    networks[1][3] = nn.AvgPool1d(2)
    first, second = (ConceptExplainer(one, windows, None, PLAIN, box).layers for one in networks)
    np.testing.assert_array_equal(first["4"].starts, second["4"].starts)
    np.testing.assert_array_equal(first["4"].stops, second["4"].stops)


def test_the_graph_tells_what_feeds_what(windows: Any) -> None:
    graph = {layer.name: layer for layer in layer_graph(made("residual"), windows)}
    assert graph["first"].inputs == graph["shortcut"].inputs == ("input",)
    assert graph["add"].inputs == ("second", "shortcut")
    assert graph["third"].inputs == ("relu#2",) and graph["add_1"].inputs == ("relu#2", "third")
    assert graph["second"].operation == "Conv1d" and not graph["second"].on_every_path
    assert graph["add"].on_every_path and graph["add"].operation == "Addition"
    assert (graph["third"].n_concepts, graph["third"].n_positions, graph["third"].field) == (6, TIME, 9)
    assert (graph["dense"].n_concepts, graph["dense"].n_positions, graph["dense"].field) == (CLASSES, 1, TIME)
    assert "norm" not in graph
    few = layer_graph(made("residual"), windows, only=["dense", "shortcut", "first"])
    assert [(layer.name, layer.inputs) for layer in few] == [
        ("first", ("input",)),
        ("shortcut", ("input",)),
        ("dense", ("first", "shortcut")),
    ]


def test_paths_are_counted_as_a_walk_over_all_of_them_would() -> None:
    network = made("InceptionTimePlus")
    graph = layer_graph(network, torch.randn(2, CHANNELS, TIME, dtype=torch.float64))
    feeds = {layer.name: layer.inputs for layer in graph}

    def paths(name: str) -> list[set[str]]:
        return [set()] if name == "input" else [{name} | path for source in feeds[name] for path in paths(source)]

    every = set.intersection(*paths(graph[-1].name))
    assert {layer.name for layer in graph if layer.on_every_path} == every
    assert len(every) < len(graph)


@pytest.fixture(scope="module")
def scores(windows: Any) -> ConceptScores:
    return concept_scores(made("plain"), windows, 1, ["0", "4"], PLAIN)["4"]


def test_scores_are_sums_and_maxima_over_time(windows: Any, scores: ConceptScores) -> None:
    network = made("plain")
    through = concept_explainer(network, windows, 1, PLAIN)[0]
    values = network[:5](windows).detach().numpy()
    np.testing.assert_allclose(scores.activation, values.max(axis=2))
    np.testing.assert_array_equal(scores.activation_position, values.argmax(axis=2))
    arrived = through.relevance(windows, {"4": 0}, 1).arrived["4"]
    np.testing.assert_allclose(scores.relevance, arrived)
    # what arrives there is what explains the rest of the network
    rest = lrp(network[5:].eval(), network[:5](windows).detach(), 1, PLAIN).values
    np.testing.assert_array_equal(scores.relevance_position, rest.argmax(axis=2))
    assert (scores.relevance_position != scores.activation_position).mean() > 0.2
    np.testing.assert_allclose(np.abs(scores.shares).sum(axis=1), 1.0)


class Beside(nn.Module):
    """Relevance that a ReLU passes on unchanged meets more relevance of what the ReLU was given."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.relu = nn.Conv1d(CHANNELS, 6, 3), nn.Conv1d(6, 6, 1), nn.ReLU()
        self.dense = nn.Linear(6, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.first(x)
        other = self.second(h)
        return self.dense((self.relu(h) + other).mean(dim=2))


def test_relevance_of_a_layer_is_what_arrived_there_and_not_what_arrived_beside_it_later(windows: Any) -> None:
    torch.manual_seed(0)
    network = Beside().double().eval()
    explainer, unit = concept_explainer(network, windows, 1, PLAIN)
    arrived = explainer.relevance(windows, {"relu": 0}, unit).arrived["relu"]
    np.testing.assert_allclose(concept_scores(network, windows, 1, ["relu"], PLAIN)["relu"].relevance, arrived)


def test_more_windows_than_go_through_at_a_time_change_nothing() -> None:
    many = torch.randn(70, CHANNELS, TIME, dtype=torch.float64)
    network = made("residual")
    whole = concept_scores(network, many, 2, ["second"], PLAIN)["second"]
    parts = [concept_scores(network, part, 2, ["second"], PLAIN)["second"] for part in many.split(20)]
    joined = join(parts)
    np.testing.assert_allclose(joined.relevance, whole.relevance)
    np.testing.assert_array_equal(joined.relevance_position, whole.relevance_position)
    np.testing.assert_array_equal(joined.activation_position, whole.activation_position)
    assert (whole.relevance_position != whole.activation_position).any()
    classes = np.random.default_rng(0).integers(CLASSES, size=70)
    each = concept_scores(network, many, classes, ["second"], PLAIN)["second"].relevance
    for which in range(CLASSES):
        mine = concept_scores(network, many[classes == which], which, ["second"], PLAIN)["second"].relevance
        np.testing.assert_allclose(each[classes == which], mine)
    close(
        concept_relevance(network, many, 2, {"second": [1]}, PLAIN).values[60:],
        concept_relevance(network, many[60:], 2, {"second": [1]}, PLAIN).values,
    )


def test_reference_windows_show_a_concept_where_it_is_greatest(windows: Any, scores: ConceptScores) -> None:
    network = made("plain")
    for concept in range(8):
        found = reference_windows(scores, concept, 3, "activation")
        assert [one.value for one in found] == sorted(scores.activation[:, concept], reverse=True)[:3]
        best = found[0]
        # nothing outside the receptive field changes the activation there, something inside does
        values = network[:5](windows).detach()
        assert values[best.window, concept, best.position].item() == pytest.approx(best.value)
        outside, inside = windows.clone(), windows.clone()
        outside[:, :, : best.start] = outside[:, :, best.stop :] = 9.0
        inside[:, :, best.start : best.stop] += torch.rand(best.stop - best.start)
        at = best.window, concept, best.position
        assert network[:5](outside)[at].item() == pytest.approx(best.value)
        assert network[:5](inside)[at].item() != pytest.approx(best.value)
    among = np.array([False, True, False, True, True])
    chosen = [one.window for one in reference_windows(scores, 2, 8, "relevance", among)]
    assert sorted(chosen) == [1, 3, 4]
    assert scores.shares[chosen, 2].tolist() == sorted(scores.shares[among, 2], reverse=True)


def test_the_table_ranks_concepts_within_group_and_layer(scores: ConceptScores) -> None:
    groups = np.array(["good", "bad", "good", "bad", "good"])
    table = concept_table([scores], groups, seed=0)
    assert len(table) == 2 * 8
    for group, own in table.groupby("group"):
        expected = scores.shares[groups == group].mean(axis=0)
        np.testing.assert_allclose(own["relevance"], expected)
        np.testing.assert_array_equal(
            own.sort_values("relevance_rank")["concept"], np.argsort(-expected, kind="stable")
        )
        assert (own["relevance_low"] <= own["relevance"]).all() and (own["relevance"] <= own["relevance_high"]).all()
        np.testing.assert_allclose(own["activation"], scores.activation[groups == group].mean(axis=0))
        assert own["n_windows"].unique().tolist() == [int((groups == group).sum())]
    with pytest.raises(ShapeError, match="one or more of the 5 windows"):
        concept_difference([scores], np.zeros(5, bool), np.ones(5, bool), seed=0)


def planted(rng: np.random.Generator) -> ConceptScores:
    """Two groups of 60 windows; concept 1 matters in the first only, 0 and 2 alike in both."""
    relevance = rng.normal(1.0, 0.2, (120, 3))
    relevance[60:, 1] -= 0.5
    nothing = np.zeros((120, 3), dtype=int)
    layer = Layer("layer", "Conv1d", 3, 1, ("input",), 1, True)
    return ConceptScores(layer, relevance, relevance, nothing, nothing, np.zeros((3, 1), int), np.ones((3, 1), int))


def test_the_difference_of_groups_finds_the_planted_concept(rng: np.random.Generator) -> None:
    scores = planted(rng)
    first = np.arange(120) < 60
    table = concept_difference([scores], first, ~first, seed=0)
    assert table["concept"].iloc[0] == 1 and table["difference"].iloc[0] > 0 and table["apart"].iloc[0]
    shares = scores.shares
    np.testing.assert_allclose(table["difference"].iloc[0], shares[first, 1].mean() - shares[~first, 1].mean())
    turned = concept_difference([scores], ~first, first, seed=0)
    np.testing.assert_allclose(turned["difference"], -table["difference"])
    # the same windows twice: nothing is apart
    same = concept_difference([scores], first, first, seed=0)
    assert not same["apart"].any()
    # normal theory gives the width of the interval for many windows
    error = np.sqrt(sum(shares[chosen, 1].var() / 60 for chosen in (first, ~first)))
    row = table.iloc[0]
    assert row["high"] - row["low"] == pytest.approx(2 * 1.96 * error, rel=0.15)


def test_bootstrap_means_are_means_of_windows_drawn_with_replacement(rng: np.random.Generator) -> None:
    values = rng.normal(size=(40, 2))
    draws = bootstrap_means(values, 0, 4000)
    np.testing.assert_allclose(draws.mean(axis=0), values.mean(axis=0), atol=0.02)
    np.testing.assert_allclose(draws.std(axis=0), values.std(axis=0) / np.sqrt(40), rtol=0.05)
    np.testing.assert_allclose(bootstrap_means(np.full((5, 1), 3.0), 0, 10), np.full((10, 1), 3.0))


def test_bins_of_any_width_cover_the_window_once(rng: np.random.Generator) -> None:
    relevance = rng.normal(size=(6, 2, 50))
    shares = relevance / np.abs(relevance).sum(axis=(1, 2), keepdims=True)
    for width in (1, 7, 25, 50, 80):
        table = time_bins_of_width(relevance, ("a", "b"), width, 0.1, seed=0)
        edges = [*range(0, 50, width), 50]
        assert len(table) == 2 * (len(edges) - 1)
        one = table[table["channel"] == "b"]
        np.testing.assert_allclose(one["start_s"], np.array(edges[:-1]) * 0.1)
        np.testing.assert_allclose(one["stop_s"], np.array(edges[1:]) * 0.1)
        expected = [shares[:, 1, start:stop].sum(axis=1).mean() for start, stop in itertools.pairwise(edges)]
        np.testing.assert_allclose(one["signed"], expected)
    pd.testing.assert_frame_equal(
        time_bins_of_width(relevance, ("a", "b"), 10, 0.1, seed=3), time_bins(relevance, ("a", "b"), 5, 0.1, seed=3)
    )
    with pytest.raises(ShapeError, match="one or more samples"):
        time_bins_of_width(relevance, ("a", "b"), 0, 0.1, seed=0)


def test_bins_of_time_that_set_two_groups_apart_are_found(rng: np.random.Generator) -> None:
    first, second = rng.random((20, 2, 30)), rng.random((30, 2, 30))
    second[:, 1, 10:20] += 3.0
    table = time_bin_difference(first, second, ("a", "b"), 10, 0.1, seed=0)
    groups = [time_bins_of_width(one, ("a", "b"), 10, 0.1, seed=0) for one in (first, second)]
    np.testing.assert_allclose(table["first"], groups[0]["signed"])
    np.testing.assert_allclose(table["difference"], groups[0]["signed"] - groups[1]["signed"])
    planted = table.query("channel == 'b' and start_s == 1.0").iloc[0]
    assert planted["apart"] and planted["high"] < 0 and planted["difference"] == table["difference"].min()
    turned = time_bin_difference(second, first, ("a", "b"), 10, 0.1, seed=0)
    np.testing.assert_allclose(turned["difference"], -table["difference"])
    assert not time_bin_difference(first, first, ("a", "b"), 10, 0.1, seed=0)["apart"].any()
    empty = time_bin_difference(first, np.zeros((3, 2, 30)), ("a", "b"), 10, 0.1, seed=0)
    assert empty["difference"].isna().all() and not empty["apart"].any()
    with pytest.raises(ShapeError, match="one or more samples"):
        time_bin_difference(first, second, ("a", "b"), 0, 0.1, seed=0)


def test_layers_are_spread_over_the_depth() -> None:
    assert spread(["a", "b"]) == ["a", "b"] and spread([]) == []
    assert spread([str(i) for i in range(16)]) == ["0", "3", "6", "9", "12", "15"]

"""Explanations of an InceptionTimePlus with arbitrary batch norms: conservation, targets, refusals, aggregation."""

import subprocess
import sys
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
import zennit  # noqa: E402
from torch import nn  # noqa: E402

from clusterwhy.attribution.base import AttributionTask  # noqa: E402
from clusterwhy.attribution.differences import DeepLift, explain_difference  # noqa: E402
from clusterwhy.attribution.lrp_variants import Contrast, Lrp, Smooth  # noqa: E402
from clusterwhy.encoders.inception_time import InceptionTime  # noqa: E402
from clusterwhy.encoders.masked import MaskedEncoder  # noqa: E402
from clusterwhy.errors import CompositeError, ConfigError, ShapeError  # noqa: E402
from clusterwhy.explanations.aggregation import (  # noqa: E402
    channel_contrast,
    channel_importance,
    member_agreement,
    shifted,
    shifts_to,
    time_bins,
    time_map,
)
from clusterwhy.explanations.members import MemberSelection  # noqa: E402
from clusterwhy.explanations.target_heads import ClusterMembership, EmbeddingSum, prototypes  # noqa: E402
from clusterwhy.explanations.targets import EmbeddingUnitTarget  # noqa: E402
from clusterwhy.metrics.channel_deletion import channel_deletion  # noqa: E402
from clusterwhy.metrics.z_scores import channel_z_scores  # noqa: E402
from clusterwhy.propagation.composites import COMPOSITES  # noqa: E402
from clusterwhy.propagation.explainer import lrp  # noqa: E402
from tests.conftest import ROOT  # noqa: E402


def made_encoder(depth: int) -> MaskedEncoder:
    with torch.random.fork_rng(devices=[]):  # what other tests draw does not depend on this
        torch.manual_seed(0)
        made = InceptionTime(n_filters=4, depth=depth, kernel_size=12, head_dropout=0.0).build(3, 32)
        for module in made.modules():
            if isinstance(module, nn.BatchNorm1d):
                nn.init.normal_(module.running_mean)
                nn.init.uniform_(module.running_var, 0.5, 2.0)
                nn.init.uniform_(module.weight, 0.5, 1.5)
                nn.init.normal_(module.bias, std=0.2)
    return made.double().eval()


@pytest.fixture
def encoder() -> MaskedEncoder:
    return made_encoder(6)


@pytest.fixture
def windows(rng: np.random.Generator) -> np.ndarray:
    return rng.normal(size=(5, 3, 32))


def test_rules_that_drop_the_bias_conserve_the_target(encoder: Any, windows: np.ndarray) -> None:
    composite = COMPOSITES["epsilon_without_bias"].model_copy(update={"residual": "norm", "epsilon": 1e-12})
    found = lrp(encoder, windows, EmbeddingSum(), composite)
    assert np.abs(found.gap).max() < 1e-4
    assert (found.bias_share == 0).all()


def test_with_biases_the_gap_is_what_they_absorbed(encoder: Any, windows: np.ndarray) -> None:
    changes = {"residual": "norm", "epsilon": 1e-12}
    found = lrp(encoder, windows, EmbeddingSum(), COMPOSITES["epsilon"].model_copy(update=changes))
    assert np.abs(found.gap).min() > 0.01
    np.testing.assert_allclose(found.gap, found.bias_share, atol=1e-4)
    plus = lrp(encoder, windows, EmbeddingSum(), "epsilon_plus")
    assert (plus.bias_share > 0).all() and (plus.lost_share > 0).all() and (plus.lost_share < 0.2).all()


def test_without_a_canonizer_residual_sums_multiply_relevance(encoder: Any, windows: np.ndarray) -> None:
    composite = COMPOSITES["epsilon_plus"].model_copy(update={"zero_bias": True, "residual": "none"})
    found = lrp(encoder, windows, EmbeddingSum(), composite, canonizer="none")
    assert np.abs(found.gap).min() > 0.5
    assert np.isnan(found.bias_share).all()


@pytest.mark.parametrize("canonizer", ["auto", "none"])
def test_zennit_composites_have_a_rule_for_our_sums(encoder: Any, windows: np.ndarray, canonizer: Any) -> None:
    found = lrp(encoder, windows, EmbeddingSum(), zennit.composites.EpsilonPlus(), canonizer=canonizer)
    expected = lrp(encoder, windows, zennit.layer.Sum(dim=1), zennit.composites.EpsilonPlus(), canonizer=canonizer)
    np.testing.assert_array_equal(found.values, expected.values)


@pytest.mark.parametrize("canonizer", ["auto", "none", "zennit_sequential"])
def test_the_network_is_bit_identical_afterwards(encoder: Any, windows: np.ndarray, canonizer: Any) -> None:
    before, state = encoder(torch.from_numpy(windows)), {k: v.clone() for k, v in encoder.state_dict().items()}
    lrp(encoder, windows, EmbeddingSum(), "epsilon_plus_flat", canonizer=canonizer)
    assert torch.equal(encoder(torch.from_numpy(windows)), before)
    assert all(torch.equal(state[k], v) for k, v in encoder.state_dict().items())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in encoder.modules())


def test_the_network_is_restored_after_an_exception(encoder: Any, windows: np.ndarray) -> None:
    def broken(embedding: Any) -> Any:
        if torch.is_grad_enabled():
            raise RuntimeError("broken head")
        return embedding.sum(1)

    before = encoder(torch.from_numpy(windows))
    with pytest.raises(CompositeError, match="broken head"):
        lrp(encoder, windows, broken, canonizer="none")
    assert torch.equal(encoder(torch.from_numpy(windows)), before)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in encoder.modules())


def test_batches_change_nothing_and_windows_keep_their_order(encoder: Any, windows: np.ndarray) -> None:
    whole = lrp(encoder, windows, EmbeddingSum())
    turned = lrp(encoder, windows[::-1].copy(), EmbeddingSum(), batch_size=2)
    np.testing.assert_allclose(turned.values[::-1], whole.values, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(turned.target[::-1], whole.target)


def test_an_integer_a_function_and_a_module_name_the_same_target(encoder: Any, windows: np.ndarray) -> None:
    pick = nn.Linear(16, 1, bias=False).double()
    pick.weight = nn.Parameter(torch.eye(16, dtype=torch.float64)[3:4])
    by_index, by_function = lrp(encoder, windows, 3), lrp(encoder, windows, lambda out: out[:, 3])
    by_module = lrp(encoder, windows, nn.Sequential(pick, nn.Flatten(0)))
    np.testing.assert_allclose(by_index.target, encoder(torch.from_numpy(windows))[:, 3].detach())
    np.testing.assert_allclose(by_function.values, by_index.values)
    np.testing.assert_allclose(by_module.values, by_index.values, rtol=1e-4, atol=1e-6)


def test_what_cannot_be_explained_is_refused_with_its_reason(encoder: Any, windows: np.ndarray) -> None:
    cases: list[tuple[Any, dict[str, Any], type[Exception], str]] = [
        (encoder, {}, ShapeError, r"expected a target \(window,\)"),
        (encoder, {"target": 0, "composite": "epsilon_pluss"}, CompositeError, "no composite 'epsilon_pluss'"),
        (made_encoder(3).train(), {"target": 0}, CompositeError, "training mode"),
        (encoder, {"target": 0, "canonizer": "none", "engine": "fused"}, CompositeError, "needs `canonizer: auto`"),
        (made_encoder(3).float(), {"target": 0, "windows": windows.astype(np.float16)}, CompositeError, "float16"),
        (encoder, {"target": 0, "windows": windows[0]}, ShapeError, "expected windows"),
    ]
    for network, keys, error, message in cases:
        with pytest.raises(error, match=message):
            lrp(network, **({"windows": windows} | keys))


def test_relevance_that_is_not_finite_is_an_error(encoder: Any, windows: np.ndarray) -> None:
    windows[4, 0, 0] = 1e308
    with pytest.raises(CompositeError, match="1 of 5 windows is not finite"):
        lrp(encoder, windows, EmbeddingSum())


def task_of(encoder: Any, references: np.ndarray) -> AttributionTask:
    network = nn.Sequential(encoder, EmbeddingSum()).eval()
    return AttributionTask(network, COMPOSITES["epsilon_plus"], "auto", (np.zeros(3), np.ones(3)), references)


def test_smooth_without_noise_is_lrp(encoder: Any, windows: np.ndarray) -> None:
    task = task_of(encoder, windows)
    plain = Lrp(batch_size=2).explain(task, windows, 0)
    still = Smooth(n_samples=3, noise_share=0.0, batch_size=2).explain(task, windows, 0)
    np.testing.assert_allclose(still.values, plain.values)
    np.testing.assert_allclose(still.bias_share, plain.bias_share)
    noisy = Smooth(n_samples=3, noise_share=0.1, batch_size=2).explain(task, windows, 0)
    assert not np.allclose(noisy.values, plain.values)


def test_contrast_is_relevance_less_what_is_usual_elsewhere(encoder: Any, windows: np.ndarray) -> None:
    elsewhere = np.random.default_rng(1).normal(size=(6, 3, 32))
    found = Contrast(n_references=4, batch_size=2).explain(task_of(encoder, elsewhere), windows, 0)
    own, usual = (lrp(encoder, x, EmbeddingSum()) for x in (windows, elsewhere[:4]))
    channels = own.values.sum(axis=2) - usual.values.sum(axis=2).mean(axis=0)
    np.testing.assert_allclose(found.values.sum(axis=2), channels)
    np.testing.assert_allclose(found.target, own.target - usual.target.mean())
    # what is left of the gap is what the biases absorbed more of, up to units without a positive part
    lost = own.lost_share * own.target - (usual.lost_share * usual.target).mean()
    np.testing.assert_allclose(found.lost_share * found.target, lost, atol=1e-9)


def test_windows_like_their_references_have_no_contrast(encoder: Any, windows: np.ndarray) -> None:
    same = np.repeat(windows[:1], 3, axis=0)
    for attributor in (
        Contrast(n_references=3, batch_size=2),
        DeepLift(baseline="references", n_references=3, batch_size=2),
    ):
        found = attributor.explain(task_of(encoder, same), same, 0)
        np.testing.assert_allclose(found.values.sum(axis=2), 0.0, atol=1e-9)
        np.testing.assert_allclose(found.target, 0.0, atol=1e-9)


def test_difference_takes_its_references_from_elsewhere(encoder: Any, windows: np.ndarray) -> None:
    elsewhere = np.random.default_rng(1).normal(size=(6, 3, 32))
    found = DeepLift(baseline="references", n_references=2, batch_size=2).explain(
        task_of(encoder, elsewhere), windows, 0
    )
    each = np.stack([elsewhere[:2]] * len(windows))
    np.testing.assert_allclose(found.values, explain_difference(encoder, windows, each, EmbeddingSum()).values)


def test_membership_of_two_clusters_solved_by_hand() -> None:
    head = ClusterMembership(np.array([[0.0, 0.0]]), np.array([[4.0, 0.0]]))
    # |z - (4, 0)|^2 - |z - 0|^2 = 16 - 8 x
    np.testing.assert_allclose(head(torch.tensor([[0.0, 9.0], [2.0, 1.0], [3.0, 0.0]])), [16.0, 0.0, -8.0])


def test_membership_is_positive_exactly_where_the_nearest_prototype_is_the_clusters(rng: np.random.Generator) -> None:
    own, others = rng.normal(size=(3, 5)), rng.normal(size=(7, 5))
    points = rng.normal(size=(200, 5))
    distance = lambda p: ((points[:, None] - p[None]) ** 2).sum(2).min(1)  # noqa: E731
    expected = distance(others) - distance(own)
    np.testing.assert_allclose(
        ClusterMembership(own, others)(torch.from_numpy(points).float()), expected, rtol=1e-4, atol=1e-4
    )


def test_prototypes_of_repeated_points_are_not_more_than_the_points() -> None:
    assert len(prototypes(np.zeros((10, 3)), 4, 0)) == 1


def test_replacing_the_channels_that_matter_first_falls_fastest(rng: np.random.Generator) -> None:
    # the target is 8 x channel 2 + 1 x channel 0 - 2, channel means: areas solved by hand below
    target = lambda batch: batch.mean(axis=2) @ np.array([1.0, 0.0, 8.0]) - 2.0  # noqa: E731
    windows, others = np.ones((4, 3, 10)), np.zeros((4, 3, 10))
    orders = {name: [np.tile(order, (4, 1))] for name, order in (("best", [2, 0, 1]), ("worst", [1, 0, 2]))}
    found = channel_deletion(target, windows, others, orders)
    # best: 1, 1/9, 0, 0; worst: 1, 1, 8/9, 0 at thirds
    assert found["best"].area == pytest.approx((0.5 + 1 / 9) / 3)
    assert found["worst"].area == pytest.approx((0.5 + 1 + 8 / 9) / 3)
    # without channel 2 the target is -1, without channel 1 it stays at 7
    assert (found["best"].flip_rate, found["worst"].flip_rate) == (1.0, 0.0)


def test_a_target_that_does_not_fall_has_no_area() -> None:
    order = {"a": [np.tile([0, 1, 2], (2, 1))]}
    found = channel_deletion(lambda b: -b.sum(axis=(1, 2)), np.ones((2, 3, 4)), np.zeros((2, 3, 4)), order)
    assert np.isnan(found["a"].area)


def test_shifted_copies_are_found_and_moved_back(rng: np.random.Generator) -> None:
    long = rng.normal(size=(2, 90))
    lags = np.array([0, 5, -7, 12])
    windows = np.stack([long[:, 20 - lag : 60 - lag] for lag in lags])
    np.testing.assert_array_equal(shifts_to(windows[0], windows, 20), lags)
    moved = shifted(windows, lags)
    for window in moved:
        kept = np.isfinite(window)
        np.testing.assert_array_equal(window[kept], windows[0][kept])
    blurred, sharp = np.abs(time_map(windows)), np.abs(time_map(moved))
    assert np.nanmax(sharp) > blurred.max()


def test_bins_add_up_to_the_channel_shares(rng: np.random.Generator) -> None:
    relevance = rng.normal(size=(12, 2, 30))
    bins = time_bins(relevance, ("p", "q"), 7, 0.1, 0)
    whole = channel_importance(relevance, ("p", "q"), 0).set_index("channel")["signed"]
    np.testing.assert_allclose(bins.groupby("channel")["signed"].sum(), whole)
    assert bins["stop_s"].max() == pytest.approx(3.0) and bins["start_s"].min() == 0.0


def test_agreement_and_contrast_tell_alike_from_unlike(rng: np.random.Generator) -> None:
    first, second = np.zeros((10, 2, 5)), np.zeros((10, 2, 5))
    first[:, 0], second[:, 1] = 1.0, 1.0
    assert member_agreement(first) == pytest.approx(1.0)
    assert member_agreement(np.concatenate([first, second])) < 0.8
    contrast = channel_contrast(first, second, 0)
    np.testing.assert_allclose(contrast["contrast"], [1.0, -1.0])
    noisy = channel_contrast(rng.normal(size=(50, 2, 5)), rng.normal(size=(50, 2, 5)), 0)
    assert (noisy["contrast_low"] < 0).all() and (noisy["contrast_high"] > 0).all()
    assert np.isnan(channel_contrast(first, first[:0], 0)["contrast"]).all()


def test_the_z_score_baseline_finds_the_channel_that_is_louder(rng: np.random.Generator) -> None:
    windows, rest = rng.normal(size=(5, 3, 50)), rng.normal(size=(40, 3, 50))
    windows[:, 1] *= 4
    assert (channel_z_scores(windows, rest).argmax(axis=1) == 1).all()


def test_channel_importance_keeps_signs_and_brackets_the_mean(rng: np.random.Generator) -> None:
    relevance = rng.normal(size=(30, 2, 8))
    relevance[:, 0] = np.abs(relevance[:, 0])
    table = channel_importance(relevance, ("p", "q"), 0).set_index("channel")
    shares = np.abs(relevance).sum(axis=2) / np.abs(relevance).sum(axis=(1, 2))[:, None]
    np.testing.assert_allclose(table["absolute"], shares.mean(axis=0))
    assert table.loc["p", "signed"] == pytest.approx(table.loc["p", "absolute"])
    assert (table["signed_low"] < table["signed"]).all() and (table["signed"] < table["signed_high"]).all()
    # opposite windows cancel in the signed map and not in the absolute share
    assert np.abs(time_map(np.concatenate([relevance, -relevance]))).max() < 1e-12


@pytest.mark.parametrize("rule", ["central", "strongest", "random"])
def test_chosen_members_belong_to_the_cluster(rule: Any, rng: np.random.Generator) -> None:
    embeddings, labels, strengths = rng.normal(size=(60, 4)), rng.integers(-1, 3, 60), rng.random(60)
    chosen = MemberSelection(rule=rule, count=7, alignment="none").choose(1, embeddings, labels, strengths, 0)
    assert len(set(chosen.tolist())) == 7 and (labels[chosen] == 1).all()
    if rule == "strongest":
        assert strengths[chosen].min() >= np.sort(strengths[labels == 1])[-7]


def test_the_public_names_are_there_and_cost_nothing_until_they_are_used() -> None:
    import clusterwhy

    assert {type(getattr(clusterwhy, name)).__name__ for name in clusterwhy.__all__} == {
        "dict",
        "function",
        "type",
    }
    with pytest.raises(AttributeError, match="no attribute 'explained'"):
        clusterwhy.explained  # noqa: B018
    check = "import sys, clusterwhy; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], env={"PYTHONPATH": str(ROOT / "src")}).returncode == 0


def test_an_embedding_unit_is_explained_or_named_as_missing(encoder: Any, windows: np.ndarray) -> None:
    embeddings = encoder(torch.from_numpy(windows)).detach().numpy()
    labels = np.array([0, 0, 1, 1, -1])
    networks, _ = EmbeddingUnitTarget(unit=3).networks(encoder, embeddings, labels, 0)
    assert list(networks) == [0, 1]
    found = lrp(networks[0], windows)
    np.testing.assert_allclose(found.target, embeddings[:, 3])
    n_features = embeddings.shape[1]
    with pytest.raises(ConfigError, match=f"embeddings have {n_features} features"):
        EmbeddingUnitTarget(unit=n_features).networks(encoder, embeddings, labels, 0)

"""Canonical form, membership head and conservation on an InceptionTimePlus with arbitrary batch norms."""

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402
from tsai.models.InceptionTimePlus import InceptionTimePlus  # noqa: E402

from clusterwhy.encoders.inception_time import InceptionTime  # noqa: E402
from clusterwhy.encoders.masked import MaskedEncoder  # noqa: E402
from clusterwhy.errors import CompositeError  # noqa: E402
from clusterwhy.relevance.aggregation import channel_importance, time_map  # noqa: E402
from clusterwhy.relevance.canonizers import FoldBatchNorm, ResidualSums, make_canonizers  # noqa: E402
from clusterwhy.relevance.choices import MemberSelection  # noqa: E402
from clusterwhy.relevance.composites import CompositeSettings  # noqa: E402
from clusterwhy.relevance.faithfulness import replacement_areas, statistics_z  # noqa: E402
from clusterwhy.relevance.propagation import Attributor  # noqa: E402
from clusterwhy.relevance.targets import ClusterMembership, EmbeddingSum, prototypes  # noqa: E402

ONCE = Attributor(kind="once", n_samples=1, noise_share=0.0, batch_size=4)


def made_encoder(depth: int) -> MaskedEncoder:
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


def composite(canonizers: list[Any], **changes: Any) -> Any:
    settings = {"name": "EpsilonPlus", "epsilon": 1e-9, "residual": "norm", "zero_bias": True} | changes
    low = torch.full((1, 3, 1), -4.0, dtype=torch.float64)
    return CompositeSettings.model_validate(settings).build(low, -low, canonizers)


def test_canonizing_changes_no_output_and_leaves_no_trace(encoder: MaskedEncoder, windows: np.ndarray) -> None:
    inputs = torch.from_numpy(windows)
    before, state = encoder(inputs), {k: v.clone() for k, v in encoder.state_dict().items()}
    instances = [i for canonizer in (FoldBatchNorm(), ResidualSums()) for i in canonizer.apply(encoder)]
    during = encoder(inputs)
    torch.testing.assert_close(during, before, rtol=1e-9, atol=1e-9)
    assert not torch.equal(during, before)
    for instance in reversed(instances):
        instance.remove()
    assert torch.equal(encoder(inputs), before)
    assert all(torch.equal(state[k], v) for k, v in encoder.state_dict().items())


@pytest.mark.parametrize("residual", ["norm", "norm_plus"])
def test_rules_that_drop_the_bias_conserve_the_target(windows: np.ndarray, residual: str) -> None:
    # one residual block: from the second on, a shortcut is a bare batch norm, whose shift is a bias share
    network = nn.Sequential(made_encoder(3), EmbeddingSum())
    rules = composite(make_canonizers("inception_time"), name="Epsilon", epsilon=1e-12, residual=residual)
    assert np.abs(ONCE.explain(network, rules, windows, 0).gap).max() < 1e-6


def test_without_a_canonizer_residual_sums_multiply_relevance(encoder: MaskedEncoder, windows: np.ndarray) -> None:
    network = nn.Sequential(encoder, EmbeddingSum())
    relevance = ONCE.explain(network, composite([], residual="none"), windows, 0)
    assert np.abs(relevance.gap).min() > 0.5


def test_the_network_is_restored_after_an_exception(encoder: MaskedEncoder, windows: np.ndarray) -> None:
    class Broken(nn.Module):
        def forward(self, embedding: Any) -> Any:
            if torch.is_grad_enabled():
                raise RuntimeError("broken head")
            return embedding.sum(1)

    before = encoder(torch.from_numpy(windows))
    with pytest.raises(ValueError, match="broken head"):
        ONCE.explain(nn.Sequential(encoder, Broken()), composite(make_canonizers("inception_time")), windows, 0)
    assert torch.equal(encoder(torch.from_numpy(windows)), before)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in encoder.modules())


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


def test_replacing_the_channels_that_matter_first_gives_the_smallest_area(rng: np.random.Generator) -> None:
    # the target is 8 x channel 2 + 1 x channel 0, channel means: areas solved by hand below
    target = lambda batch: batch.mean(axis=2) @ np.array([1.0, 0.0, 8.0])  # noqa: E731
    windows, others = np.ones((4, 3, 10)), np.zeros((4, 3, 10))
    orders = {name: [np.tile(order, (4, 1))] for name, order in (("best", [2, 0, 1]), ("worst", [1, 0, 2]))}
    areas = replacement_areas(target, windows, others, orders)
    # best: 1, 1/9, 0, 0; worst: 1, 1, 8/9, 0 at thirds
    assert areas["best"] == pytest.approx((0.5 + 1 / 9) / 3)
    assert areas["worst"] == pytest.approx((0.5 + 1 + 8 / 9) / 3)


def test_a_target_that_does_not_fall_has_no_area() -> None:
    areas = replacement_areas(lambda batch: -batch.sum(axis=(1, 2)), np.ones((2, 3, 4)), np.zeros((2, 3, 4)), {"a": []})
    assert np.isnan(areas["a"])


def test_the_z_score_baseline_finds_the_channel_that_is_louder(rng: np.random.Generator) -> None:
    windows, rest = rng.normal(size=(5, 3, 50)), rng.normal(size=(40, 3, 50))
    windows[:, 1] *= 4
    assert (statistics_z(windows, rest).argmax(axis=1) == 1).all()


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
    chosen = MemberSelection(rule=rule, count=7).choose(1, embeddings, labels, strengths, 0)
    assert len(set(chosen.tolist())) == 7 and (labels[chosen] == 1).all()
    if rule == "strongest":
        assert strengths[chosen].min() >= np.sort(strengths[labels == 1])[-7]


def test_a_network_that_the_canonizer_does_not_know_is_refused(windows: np.ndarray) -> None:
    plain = nn.Sequential(nn.Conv1d(3, 4, 3), nn.BatchNorm1d(4), nn.AdaptiveAvgPool1d(1), nn.Flatten(), EmbeddingSum())
    with pytest.raises(CompositeError, match="expected a network with tsai's InceptionBlockPlus"):
        ONCE.explain(plain.double().eval(), composite(make_canonizers("inception_time")), windows, 0)


def test_separable_convolutions_are_refused_and_the_network_is_left_as_it_was(windows: np.ndarray) -> None:
    backbone = InceptionTimePlus(3, 1, seq_len=32, nf=4, depth=3, ks=12, separable=True).backbone
    network = nn.Sequential(MaskedEncoder(backbone, 16, 3, 0.0), EmbeddingSum()).double().eval()
    before = network(torch.from_numpy(windows))
    with pytest.raises(CompositeError, match="no canonical form"):
        ONCE.explain(network, composite(make_canonizers("inception_time")), windows, 0)
    assert torch.equal(network(torch.from_numpy(windows)), before)


def test_relevance_that_is_not_finite_is_an_error(windows: np.ndarray) -> None:
    network = nn.Sequential(made_encoder(3), EmbeddingSum())
    windows[1, 0, 0] = np.inf
    with pytest.raises(CompositeError, match="1 of 5 windows is not finite"):
        ONCE.explain(network, composite(make_canonizers("inception_time")), windows, 0)

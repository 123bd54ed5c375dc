"""Canonical form, membership head and conservation on an InceptionTimePlus with arbitrary batch norms."""

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402

from clusterwhy.encoders.inception_time import InceptionTime  # noqa: E402
from clusterwhy.encoders.masked import MaskedEncoder  # noqa: E402
from clusterwhy.relevance.canonizers import FoldBatchNorm, ResidualSums, make_canonizers  # noqa: E402
from clusterwhy.relevance.composites import CompositeSettings  # noqa: E402
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

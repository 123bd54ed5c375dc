"""Target heads: values by hand or brute force, relevance by equation, zennit's hooks beside the engine."""

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402

from clusterwhy.explanations.target_heads import ClusterMembership, Distance  # noqa: E402
from clusterwhy.propagation.explainer import lrp  # noqa: E402
from clusterwhy.propagation.head_layers import MeanOfSmallest, SoftExtremum  # noqa: E402


@pytest.fixture
def points(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Prototypes of a cluster, of the others, and embeddings (window, feature, 1)."""
    return rng.normal(size=(3, 5)), rng.normal(size=(4, 5)), rng.normal(size=(20, 5, 1))


def on_embeddings(head: nn.Module) -> nn.Module:
    return nn.Sequential(nn.Flatten(), head).double().eval()


HEADS: dict[str, Any] = {
    "zero": lambda own, others: ClusterMembership(own, others),
    "midpoint": lambda own, others: ClusterMembership(own, others, "midpoint"),
    "soft": lambda own, others: ClusterMembership(own, others, "midpoint", 4.0),
    "distance": lambda own, others: Distance(others, 2),
}


@pytest.mark.parametrize("name", HEADS)
def test_the_engine_and_zennit_agree_on_heads(name: str, points: Any) -> None:
    network = on_embeddings(HEADS[name](*points[:2]))
    fused = lrp(network, points[2], composite="epsilon", engine="fused")
    by_zennit = lrp(network, points[2], composite="epsilon", engine="zennit")
    np.testing.assert_allclose(fused.values, by_zennit.values, rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(fused.target, network(torch.from_numpy(points[2])).detach())


@pytest.mark.parametrize("name", ["midpoint", "soft", "distance"])
def test_heads_with_a_root_on_the_boundary_conserve(name: str, points: Any) -> None:
    found = lrp(on_embeddings(HEADS[name](*points[:2])), points[2], composite="epsilon")
    # prototypes are stored in float32
    np.testing.assert_allclose(found.values.sum(axis=(1, 2)), found.target, rtol=1e-4, atol=1e-4)


def test_a_midpoint_root_shares_by_the_distance_to_the_boundary_solved_by_hand() -> None:
    # own (0, 0), other (4, 2), z = (1, 0): f = 13 - 1 ... |z - p|^2 = 9 + 4 = 13, |z|^2 = 1, f = 12
    # contributions 2 (own - other) (z - (2, 1)): -8 * -1 = 8 and -4 * -1 = 4
    head = ClusterMembership(np.array([[0.0, 0.0]]), np.array([[4.0, 2.0]]), "midpoint")
    found = lrp(on_embeddings(head), np.array([[[1.0], [0.0]]]), composite="epsilon")
    np.testing.assert_allclose(found.target, [12.0])
    np.testing.assert_allclose(found.values.ravel(), [8.0, 4.0], rtol=1e-5)
    np.testing.assert_allclose(found.bias_share, [0.0], atol=1e-6)


def test_distance_is_the_mean_squared_distance_to_the_nearest_shared_by_its_parts(points: Any) -> None:
    _, others, embeddings = points
    found = lrp(on_embeddings(Distance(others, 2)), embeddings, composite="epsilon")
    squares = (embeddings[:, None, :, 0] - others[None].astype(np.float32)) ** 2
    for window, parts in zip(range(len(embeddings)), squares, strict=True):
        nearest = parts[np.argsort(parts.sum(axis=1))[:2]]
        np.testing.assert_allclose(found.values[window, :, 0], nearest.mean(axis=0), rtol=1e-5, atol=1e-8)


def test_a_contrast_with_one_cluster_ignores_all_others(points: Any) -> None:
    own, others, embeddings = points
    alone, whole = (ClusterMembership(own, part).double() for part in (others[:1], others))
    z = torch.from_numpy(embeddings[:, :, 0])
    assert (whole(z) <= alone(z) + 1e-9).all()
    assert (whole(z) < alone(z)).any()


def test_soft_extrema_lie_between_mean_and_extremum_and_get_harder() -> None:
    values = torch.randn(30, 6, dtype=torch.float64)
    mean, hard = values.mean(1), values.amin(1)
    soft, harder = SoftExtremum(1, 2.0, -1)(values), SoftExtremum(1, 50.0, -1)(values)
    assert ((hard <= harder) & (harder <= soft) & (soft <= mean)).all()
    torch.testing.assert_close(harder, hard, atol=0.2, rtol=0)
    torch.testing.assert_close(MeanOfSmallest(1)(values), hard)

"""Relevance of differences: complete, solved by hand, and told from a slow path integral."""

import numpy as np
import pytest
import torch
from torch import nn
from tsai.models.InceptionTimePlus import InceptionTimePlus

from clusterwhy.attribution.differences import explain_difference
from clusterwhy.errors import ShapeError
from clusterwhy.explanations.target_heads import ClusterMembership, Distance


def _network(channels: int = 3) -> nn.Module:
    torch.manual_seed(0)
    network = InceptionTimePlus(channels, 5, seq_len=32, nf=4, depth=3).double().eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d):
            nn.init.normal_(module.running_mean)
            nn.init.uniform_(module.running_var, 0.5, 2.0)
            nn.init.normal_(module.bias)
    return network


def _data(n_references: int = 2) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.normal(size=(6, 3, 32)), rng.normal(size=(6, n_references, 3, 32))


def test_a_unit_solved_by_hand():
    # y = relu(2 a - b + 1): 0 at (0, 1), 3 at (2, 2); the secant is 3 / 3, of pre-activations 0 and 3
    network = nn.Sequential(nn.Flatten(), nn.Linear(2, 1), nn.ReLU()).double().eval()
    network[1].weight.data[:] = torch.tensor([[2.0, -1.0]])
    network[1].bias.data[:] = 1.0
    found = explain_difference(network, np.array([[[2.0], [2.0]]]), np.array([[[[0.0], [1.0]]]]), 0)
    assert found.target == pytest.approx([3.0])
    assert found.values[0, :, 0] == pytest.approx([4.0, -1.0])
    # at (0, 3) the unit is at rest, at a pre-activation of -2: the slope of the secant is 3 / 5
    resting = explain_difference(network, np.array([[[2.0], [2.0]]]), np.array([[[[0.0], [3.0]]]]), 0)
    assert resting.values[0, :, 0] == pytest.approx([4.0 * 0.6, 1.0 * 0.6])


@pytest.mark.parametrize("target", ["unit", "distance", "membership"])
def test_relevance_adds_up_to_the_difference(target: str):
    network = _network()
    windows, references = _data()
    points = np.random.default_rng(1).normal(size=(6, 5))
    heads = {
        "unit": 1,
        "distance": Distance(points, 1).double(),
        "membership": ClusterMembership(points[:2], points[2:]).double(),
    }
    before = {name: value.clone() for name, value in network.state_dict().items()}
    coarse, fine = (explain_difference(network, windows, references, heads[target], n_path=n) for n in (2, 256))
    leak = [np.abs(r.values.sum(axis=(1, 2)) - r.target).max() / np.abs(r.target).max() for r in (coarse, fine)]
    if target == "unit":  # max pooling is exact
        assert leak[0] < 1e-10
    else:  # what is missing is the step width on the lines at minima
        assert leak[1] < 0.02
        assert leak[1] <= leak[0]
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


@pytest.mark.parametrize(
    "pool",
    [
        nn.MaxPool1d(3, 1, 1),
        nn.MaxPool1d(2),
        nn.MaxPool1d(3, 2, 1, dilation=2),
        nn.MaxPool1d(4, 3, ceil_mode=True),
    ],
)
def test_maxima_are_path_integrals(pool: nn.Module):
    rng = np.random.default_rng(0)
    # zeros after an activation tie
    windows, references = (np.maximum(rng.normal(size=(4, 2, 20)), 0.0) for _ in range(2))
    network = nn.Sequential(pool, nn.Flatten(), nn.LazyLinear(1, dtype=torch.float64)).eval()
    x, base = torch.from_numpy(windows), torch.from_numpy(references)
    network(x)
    found = explain_difference(network, windows, references[:, None], 0)
    assert np.abs(found.gap).max() < 1e-10
    steps = ((torch.arange(2000) + 0.5) / 2000)[:, None, None, None]
    at = (base + steps * (x - base)).flatten(0, 1).requires_grad_()
    (gradient,) = torch.autograd.grad(network(at).sum(), at)
    total = (x - base) * gradient.unflatten(0, (2000, 4)).mean(dim=0)
    np.testing.assert_allclose(found.values, total.numpy(), atol=2e-3)


def test_without_maxima_it_is_exact():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv1d(3, 4, 5, padding=2), nn.GELU(), nn.Conv1d(4, 4, 3), nn.ReLU(), nn.Flatten())
    network = nn.Sequential(network, nn.Linear(120, 2)).double().eval()
    windows, references = _data()
    found = explain_difference(network, windows, references, 0)
    assert np.abs(found.gap).max() < 1e-9


class OverLength(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x / (x.pow(2).sum(dim=1, keepdim=True).sqrt() + 1e-3)


NORMS = {
    "layer norm": lambda: nn.LayerNorm(32),
    "group norm": lambda: nn.GroupNorm(1, 3),
    "instance norm": lambda: nn.InstanceNorm1d(3, affine=True),
    "root mean square": lambda: nn.RMSNorm(32),
    "quotient": OverLength,
}


def _normed(name: str) -> nn.Module:
    torch.manual_seed(0)
    made = nn.Sequential(NORMS[name](), nn.Flatten(), nn.Linear(96, 2)).double().eval()
    for parameter in made[0].parameters():
        nn.init.normal_(parameter)
    return made


@pytest.mark.parametrize("name", NORMS)
def test_norms_and_quotients_leave_no_rest(name: str):
    """Not even from zeros, where a norm changes all at once; and by no more than logarithms of its eps there."""
    windows, references = _data(n_references=1)
    references[0, 0] = 0.0
    references[1, 0] = windows[1] * (1.0 + 1e-12)
    references[2, 0] = -windows[2]
    references[3, 0] = 2.0 * windows[3]
    references[4, 0, :, :8] = windows[4, :, :8] = 0.0
    found = explain_difference(_normed(name), windows, references, 0, n_path=1)
    np.testing.assert_allclose(found.values.sum(axis=(1, 2)), found.target, rtol=1e-7, atol=1e-9)
    assert np.abs(found.values).max() < 20.0


@pytest.mark.parametrize("name", [name for name in NORMS if name != "quotient"])
def test_norms_have_their_mean_gradients_on_the_line(name: str):
    windows, references = (torch.as_tensor(part) for part in _data(n_references=1))
    references[1, 0] = windows[1] + 1e-9
    references[2, 0] = 0.5 * windows[2]
    network, x = _normed(name), (torch.arange(2000) + 0.5) / 2000
    found = explain_difference(network, windows, references, 0)
    run = windows - references[:, 0]
    at = (references[:, 0] + x[:, None, None, None] * run).flatten(0, 1).requires_grad_()
    (gradient,) = torch.autograd.grad(network(at)[:, 0].sum(), at)
    expected = run * gradient.unflatten(0, (2000, 6)).mean(dim=0)
    np.testing.assert_allclose(found.values, expected, rtol=1e-4, atol=1e-7)


def test_a_quotient_solved_by_hand():
    """x / b from (1, 2) to (3, 4): 3 / 4 - 1 / 2 = 1 / 4, of which x has 2 log(4 / 2) / 2 and b the rest."""

    class Quotient(nn.Module):
        def forward(self, windows: torch.Tensor) -> torch.Tensor:
            return windows[:, 0] / windows[:, 1].abs()

    found = explain_difference(Quotient().eval(), np.array([[[3.0], [4.0]]]), np.array([[[[1.0], [2.0]]]]), 0)
    assert found.target == pytest.approx([0.25])
    assert found.values[0, :, 0] == pytest.approx([np.log(2.0), 0.25 - np.log(2.0)])


def test_linear_networks_give_the_contributions():
    network = nn.Sequential(nn.Flatten(), nn.Linear(96, 2)).double().eval()
    windows, references = _data()
    weight = network[1].weight.detach().numpy()[1].reshape(3, 32)
    found = explain_difference(network, windows, references, 1)
    np.testing.assert_allclose(found.values, (windows - references.mean(axis=1)) * weight, rtol=1e-12)


def test_channels_that_do_not_differ_get_nothing():
    windows, references = _data()
    references[:, :, 1] = windows[:, None, 1]
    found = explain_difference(_network(), windows, references, 2)
    assert np.abs(found.values[:, 1]).max() == 0
    assert np.abs(found.values[:, 0]).max() > 0


def test_batches_change_nothing():
    windows, references = _data()
    one = explain_difference(_network(), windows, references, 2, batch_size=1)
    np.testing.assert_allclose(
        explain_difference(_network(), windows, references, 2).values, one.values, rtol=1e-9, atol=1e-12
    )


@pytest.mark.parametrize("shape", [(3, 32), (0, 3, 32), (6, 3, 31), (5, 1, 3, 32), (6, 0, 3, 32), (6, 1, 2, 32)])
def test_references_that_do_not_fit_are_named(shape: tuple[int, ...]):
    windows, _ = _data()
    with pytest.raises(ShapeError, match="references"):
        explain_difference(_network(), windows, np.zeros(shape), 0)


def test_a_target_of_several_units_is_refused():
    windows, references = _data()
    with pytest.raises(ShapeError, match="one scalar per window"):
        explain_difference(_network(), windows, references)


def test_sums_at_max_pooling_do_not_depend_on_the_order_of_threads():
    rng = np.random.default_rng(0)
    windows, references = rng.normal(size=(64, 8, 512)).astype(np.float32), rng.normal(size=(1, 8, 512))
    network = nn.Sequential(nn.MaxPool1d(3, 1, 1), nn.Conv1d(8, 1, 1), nn.AdaptiveAvgPool1d(1), nn.Flatten(0)).eval()
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        together = explain_difference(network, windows, references)
        torch.set_num_threads(1)
        alone = explain_difference(network, windows, references)
    finally:
        torch.set_num_threads(threads)
    assert together.values.tobytes() == alone.values.tobytes()

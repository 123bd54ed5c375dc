"""The detector without a network, against conditional Gaussians and plain loops."""

import numpy as np
import pytest
from sklearn.covariance import LedoitWolf

from clusterwhy.anomaly.base import DetectorInput, Scores
from clusterwhy.anomaly.detectors import MeanAbsoluteZ
from clusterwhy.anomaly.relation_and_shape import RelationAndShape, relation_errors
from clusterwhy.data.windows import windows_at

LENGTH = 16


def made_input(values: np.ndarray, n_train: int, seed: int = 0) -> DetectorInput:
    starts = np.arange(0, len(values) - LENGTH + 1, LENGTH // 2)
    nothing = np.zeros((len(starts), 2))
    train = np.arange(len(starts)) < n_train
    return DetectorInput(values.astype(np.float32), starts, LENGTH, train, nothing, nothing, None, seed)  # type: ignore[arg-type]


def scored(inputs: DetectorInput, **changes: float) -> Scores:
    found = RelationAndShape(**{"n_shapes": 4, "explained_share": 0.8, "quantile": 0.9} | changes).score(inputs)
    assert found.channels is not None
    np.testing.assert_allclose(found.windows, found.channels.mean(axis=1))
    return found


@pytest.fixture
def related(rng: np.random.Generator) -> np.ndarray:
    """Three channels that follow one hidden movement, and one of their own."""
    hidden = rng.normal(size=(400, 1))
    return np.hstack([hidden * [1.0, -1.0, 2.0], rng.normal(size=(400, 1))]) + 0.1 * rng.normal(size=(400, 4))


def test_errors_of_relation_are_those_of_conditional_gaussians(related: np.ndarray) -> None:
    inputs = made_input(related, 30)
    stop = int(inputs.starts[29]) + LENGTH
    model = LedoitWolf().fit(inputs.values[:stop].astype(np.float64))
    mean, covariance = model.location_, model.covariance_
    expected = np.zeros((len(inputs.starts), 4))
    for channel in range(4):
        others = [other for other in range(4) if other != channel]
        weights = np.linalg.solve(covariance[np.ix_(others, others)], covariance[others, channel])
        variance = covariance[channel, channel] - covariance[channel, others] @ weights
        predicted = mean[channel] + (inputs.values[:, others] - mean[others]) @ weights
        squared = (inputs.values[:, channel] - predicted) ** 2 / variance
        expected[:, channel] = [squared[start : start + LENGTH].max() for start in inputs.starts]
    found = relation_errors(windows_at(inputs.values, inputs.starts, LENGTH), scored(inputs).fitted)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_parts_are_logs_of_errors_over_their_quantile_in_training(related: np.ndarray) -> None:
    inputs = made_input(related, 30)
    found = scored(inputs)
    windows, shapes = windows_at(inputs.values, inputs.starts, LENGTH), found.fitted["shapes"]
    relation = relation_errors(windows, found.fitted)
    distances = np.array([[((window - shape) ** 2).mean(axis=1) for shape in shapes] for window in windows])
    own = np.array([one[one.mean(axis=1).argmin()] for one in distances[:30]])
    usual = np.quantile(own, 0.9, axis=0)
    nearest = np.array([min((np.log1p(d / usual) for d in one), key=np.mean) for one in distances])
    flat = windows.reshape(len(windows), -1)
    _, variances, axes = np.linalg.svd(flat[:30] - flat[:30].mean(axis=0), full_matrices=False)
    axes = axes[: int((np.cumsum(variances**2) / (variances**2).sum() < 0.8).sum()) + 1]
    centred = flat - flat[:30].mean(axis=0)
    left = ((centred - centred @ axes.T @ axes) ** 2).reshape(windows.shape).mean(axis=2)
    expected = nearest + sum(np.log1p(e / np.quantile(e[:30], 0.9, axis=0)) for e in (relation, left))
    np.testing.assert_allclose(found.channels, expected, rtol=1e-4)  # type: ignore[arg-type]


def test_a_broken_relation_within_the_usual_range_is_found_in_its_channel(related: np.ndarray) -> None:
    before = MeanAbsoluteZ().score(made_input(related, 30)).windows
    related[328:340, 2] *= -1.0  # as large as ever, against the others
    inputs = made_input(related, 30)
    found = scored(inputs)
    assert found.channels is not None
    worst = int(found.windows.argmax())
    assert 328 - LENGTH < inputs.starts[worst] < 340 and found.channels[worst].argmax() == 2
    np.testing.assert_array_equal(MeanAbsoluteZ().score(inputs).windows, before)


@pytest.mark.parametrize("n_channels", [1, 3])
def test_constant_channels_and_equal_windows_are_scored(n_channels: int, rng: np.random.Generator) -> None:
    values = np.zeros((200, n_channels))
    values[150:160, 0] = 1.0
    found = scored(made_input(values, 10))
    assert np.isfinite(found.windows).all() and (found.windows[:10] == 0).all()
    assert found.windows.argmax() in range(17, 20)
    values[:, 0] += rng.normal(size=200)
    assert np.isfinite(scored(made_input(values, 1)).windows).all()


def test_windows_that_are_fitted_are_drawn_where_there_are_more_than_the_sample(related: np.ndarray) -> None:
    inputs = made_input(related, 40)
    some, all_of_them = scored(inputs, sample=20), scored(inputs, sample=40)
    np.testing.assert_array_equal(some.windows, scored(inputs, sample=20).windows)
    assert not np.allclose(some.fitted["mean"], all_of_them.fitted["mean"])

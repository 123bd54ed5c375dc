"""Relevance per frequency equals that of explicit Fourier layers, adds up, and stays bounded near 0."""

import numpy as np
import pytest
import torch
from torch import nn

from clusterwhy import difference_by_frequency, explain, explain_difference, list_methods, relevance_by_frequency
from clusterwhy.attribution.frequencies import NEAR_ZERO
from clusterwhy.errors import ShapeError

CHANNELS, RATE = 2, 50.0


class FromCoefficients(nn.Module):
    """(window, channel, coefficient) -> (window, channel, time): cosines, then sines of all frequencies, both signs."""

    def __init__(self, length: int) -> None:
        super().__init__()
        turns = np.outer(np.arange(length), np.arange(length)) * 2.0 * np.pi / length
        self.inverse = nn.Linear(2 * length, length, bias=False).double()
        with torch.no_grad():
            self.inverse.weight.copy_(torch.from_numpy(np.hstack([np.cos(turns), -np.sin(turns)]) / length))

    def forward(self, coefficients: torch.Tensor) -> torch.Tensor:
        return self.inverse(coefficients)


def coefficients(x: np.ndarray) -> np.ndarray:
    """(window, channel, 2 x time) real parts, then imaginary parts."""
    found = np.fft.fft(x, axis=2)
    return np.concatenate([found.real, found.imag], axis=2)


def one_sided(values: np.ndarray) -> np.ndarray:
    """(window, channel, 2 x time) -> (window, channel, frequency): both parts and both signs together."""
    length = values.shape[2] // 2
    both = values[:, :, :length] + values[:, :, length:]
    found = both[:, :, : length // 2 + 1].copy()
    for k in range(1, (length + 1) // 2):
        found[:, :, k] += both[:, :, length - k]
    return found


def network_of(length: int) -> nn.Module:
    torch.manual_seed(0)
    made = nn.Sequential(
        nn.Conv1d(CHANNELS, 6, 5, padding=2), nn.ReLU(), nn.MaxPool1d(2), nn.Flatten(), nn.Linear(6 * (length // 2), 3)
    )
    return made.double().eval()


def windows_of(length: int, count: int = 3) -> np.ndarray:
    return np.random.default_rng(length).standard_normal((count, CHANNELS, length)) + 0.3


@pytest.mark.parametrize("length", [16, 17])
@pytest.mark.parametrize("method", ["gradient_x_input", "deep_lift", "lrp_epsilon(epsilon=1e-9)"])
def test_it_is_the_relevance_of_explicit_fourier_layers(method: str, length: int) -> None:
    network, windows = network_of(length), windows_of(length)
    cells = explain(network, windows, method, 1).values
    found = relevance_by_frequency(cells, windows, RATE, near_zero=0.0)
    explicit = explain(nn.Sequential(FromCoefficients(length), network).eval(), coefficients(windows), method, 1).values
    tolerance = 1e-5 if method.startswith("lrp") else 1e-9  # epsilon takes its part twice
    np.testing.assert_allclose(found.values, one_sided(explicit), atol=tolerance * np.abs(explicit).max())
    np.testing.assert_allclose(found.frequencies_hz, np.fft.rfftfreq(length, 1 / RATE))


def test_of_a_difference_it_is_the_difference_of_explicit_fourier_layers() -> None:
    network, windows, references = network_of(16), windows_of(16), windows_of(16, 4)[1:][::-1].copy()
    explicit = explain_difference(
        nn.Sequential(FromCoefficients(16), network).eval(), coefficients(windows), coefficients(references), 1
    ).values
    found = difference_by_frequency(network, windows, references, RATE, target=1)
    np.testing.assert_allclose(found.values, one_sided(explicit), atol=1e-9 * np.abs(explicit).max())
    of_cells = explain_difference(network, windows, references, 1).values.sum(axis=2)
    np.testing.assert_allclose(found.values.sum(axis=2), of_cells, atol=1e-9)
    own = np.stack([references] * 3)
    np.testing.assert_allclose(difference_by_frequency(network, windows, own, RATE, target=1).values, found.values)


@pytest.mark.parametrize("frame", [None, 8, 9, 24])
@pytest.mark.parametrize("near_zero", [0.0, NEAR_ZERO, 0.9])
def test_frequencies_of_a_channel_add_up_to_its_cells(frame: int | None, near_zero: float) -> None:
    windows = windows_of(24)
    windows[0, 1, 5:9] = 0.0
    windows[1, 0] = 0.0  # no power at all
    relevance = np.random.default_rng(1).standard_normal(windows.shape)
    found = relevance_by_frequency(relevance, windows, RATE, frame, near_zero)
    np.testing.assert_allclose(found.values.sum(axis=2), relevance.sum(axis=2), atol=1e-9)
    assert found.frames.shape[2:] == (len(found.times_s), len(found.frequencies_hz))
    assert found.shared[1, 0] == 1.0 and (found.shared <= 1.0).all()


@pytest.mark.parametrize("method", [name for name in list_methods() if name.startswith("lrp_")])
def test_every_rule_keeps_its_sum(method: str) -> None:
    network, windows = network_of(16), windows_of(16)
    cells = explain(network, windows, method, 1).values
    found = relevance_by_frequency(cells, windows, RATE)
    np.testing.assert_allclose(found.values.sum(axis=2), cells.sum(axis=2), atol=1e-9)


def test_a_tone_that_the_target_asks_for_has_the_relevance_and_a_louder_one_has_none() -> None:
    at = np.arange(50) / RATE
    asked, louder = np.sin(2 * np.pi * 5.0 * at), 3.0 * np.cos(2 * np.pi * 12.0 * at + 0.4)
    windows = np.stack([asked + louder, louder])[None]
    gradient = np.stack([asked, np.zeros(50)])[None]  # of the product with the tone of 5 Hz in channel 0
    found = relevance_by_frequency(gradient * windows, windows, RATE, near_zero=0.0)
    assert found.frequencies_hz[found.values[0, 0].argmax()] == 5.0
    np.testing.assert_allclose(found.values[0, 0].max(), 25.0)
    np.testing.assert_allclose(np.delete(found.values[0, 0], 5), 0.0, atol=1e-9)
    np.testing.assert_allclose(found.values[0, 1], 0.0)


def test_a_short_tone_is_found_in_its_own_time_and_frequency() -> None:
    at = np.arange(128) / RATE
    tone = np.where((at >= 1.28) & (at < 1.92), np.sin(2 * np.pi * 12.5 * at), 0.0)
    windows = np.stack([tone + 0.1 * np.random.default_rng(0).standard_normal(128)])[None]
    found = relevance_by_frequency(windows * tone, windows, RATE, frame=16)
    frame, frequency = np.unravel_index(found.frames[0, 0].argmax(), found.frames.shape[2:])
    assert 1.28 <= found.times_s[frame] <= 1.92
    assert found.frequencies_hz[frequency] == 12.5
    inside = (found.times_s > 1.1) & (found.times_s < 2.1)
    assert found.frames[0, 0, inside].sum() > 0.99 * found.frames.sum()


def test_relevance_on_values_near_0_does_not_blow_up() -> None:
    windows = windows_of(64, 1)
    windows[0, 0, 7] = 1e-12
    relevance = np.ones_like(windows)  # as of a `flat` rule: not in proportion to values
    found = relevance_by_frequency(relevance, windows, RATE)
    assert np.abs(found.values).sum() < 100 * np.abs(relevance).sum()
    assert np.abs(relevance_by_frequency(relevance, windows, RATE, near_zero=0.0).values).sum() > 1e9
    assert found.shared[0, 0] >= 1 / 64


def test_every_fault_of_the_input_is_listed() -> None:
    windows = windows_of(16)
    broken = windows.copy()
    broken[0, 0, 0] = np.nan
    with pytest.raises(ShapeError) as error:
        relevance_by_frequency(broken[:, :1], windows, -1.0, frame=17, near_zero=1.0)
    for part in ("of one shape", "relevance holds values that are not finite", "rate_hz is -1", "4 to 16", "near_zero"):
        assert part in str(error.value)

"""The detector of three errors is the sum of logs of errors that other detectors have."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from clusterwhy.anomaly.base import DetectorInput
from clusterwhy.anomaly.detectors import ClippedPredictionError, PcaError
from clusterwhy.anomaly.relation_and_prediction import RelationAndPrediction
from clusterwhy.anomaly.relation_and_shape import relation_errors
from clusterwhy.data.windows import windows_at
from clusterwhy.encoders.masked import MaskedEncoder

LENGTH = 16
OF_PREDICTION = {"n_parts": 3, "block": 2, "stretch": 4, "batch_size": 8}


@pytest.fixture
def inputs(rng: np.random.Generator) -> DetectorInput:
    """Three channels, two of which follow one movement; the first 30 windows are fitted on."""
    torch.manual_seed(0)
    hidden = rng.normal(size=(400, 1))
    values = np.hstack([hidden, -2.0 * hidden, rng.normal(size=(400, 1))]) + 0.1 * rng.normal(size=(400, 3))
    starts = np.arange(0, 400 - LENGTH + 1, LENGTH // 2)
    nothing = np.zeros((len(starts), 2))
    encoder = MaskedEncoder(nn.Sequential(nn.Conv1d(3, 4, 3, padding=1), nn.ReLU()), 4, 3, 0.0).eval()
    train = np.arange(len(starts)) < 30
    return DetectorInput(values.astype(np.float32), starts, LENGTH, train, nothing, nothing, lambda: encoder, 0)


def test_parts_are_logs_of_the_errors_of_three_detectors_over_their_quantile(inputs: DetectorInput) -> None:
    detector = RelationAndPrediction(explained_share=0.8, quantile=0.9, sample=5000, **OF_PREDICTION)
    found = detector.score(inputs)
    assert found.channels is not None
    worst: Any = ClippedPredictionError(quantile=0.9, clip=1e9, **OF_PREDICTION).score(inputs)
    errors = [
        relation_errors(windows_at(inputs.values, inputs.starts, LENGTH), found.fitted),
        worst.channels * worst.fitted["usual"],
        PcaError(explained_share=0.8, sample=5000).score(inputs).channels,
    ]
    expected = sum(np.log1p(one / np.quantile(one[:30], 0.9, axis=0)) for one in errors)
    np.testing.assert_allclose(found.channels, expected, rtol=1e-6)
    np.testing.assert_allclose(found.windows, found.channels.mean(axis=1))


def test_a_broken_relation_is_found_in_the_channels_that_it_is_between(inputs: DetectorInput) -> None:
    values = inputs.values.copy()
    values[320:336, 0] = values[320:336, 0][::-1]
    changed = DetectorInput(
        values, inputs.starts, LENGTH, inputs.train, *[inputs.embeddings] * 2, inputs.load_encoder, 0
    )
    found = RelationAndPrediction(explained_share=0.8, quantile=0.95, sample=5000, **OF_PREDICTION).score(changed)
    assert abs(found.windows.argmax() - 40) <= 1 and found.channels is not None
    assert found.channels[40].argmin() == 2

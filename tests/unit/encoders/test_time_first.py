"""The form of InceptionTime that training uses equals the network: predictions, gradients, running statistics."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from clusterwhy.encoders import time_first
from clusterwhy.encoders.dcae import Dcae
from clusterwhy.encoders.inception_time import InceptionTime
from clusterwhy.encoders.masked import MaskedEncoder
from clusterwhy.encoders.time_first import NeighbourMaximum, SpectralConvolution, training_prediction
from clusterwhy.encoders.training import MaskedPrediction

TOLERANCE = {torch.float64: 1e-10, torch.float32: 5e-5}
# n_channels, n_filters, depth, kernel_size, length: windows in one tile and in several, kernels longer than windows, a
# module without a bottleneck, shortcuts with and without a convolution, an end between two residual additions
SIZES = [(3, 8, 3, 20, 50), (6, 4, 6, 40, 128), (4, 4, 6, 40, 16), (1, 4, 7, 5, 600), (16, 4, 4, 9, 257)]
# in float32 where few numbers are added up: torch's batch norm for channels last does so one after the other
CASES = [(size, torch.float64) for size in SIZES] + [(size, torch.float32) for size in SIZES[:3]]


def encoder_of(n_channels: int, n_filters: int, depth: int, kernel_size: int, dropout: float = 0.0) -> MaskedEncoder:
    torch.manual_seed(1)
    settings = InceptionTime(n_filters=n_filters, depth=depth, kernel_size=kernel_size, head_dropout=dropout)
    return settings.build(n_channels, 32)


@pytest.mark.parametrize(("size", "dtype"), CASES, ids=str)
def test_predictions_gradients_and_running_statistics_are_those_of_the_network(
    size: tuple[int, int, int, int, int], dtype: torch.dtype
) -> None:
    *sizes, length = size
    torch.manual_seed(0)
    windows = (2.0 * torch.randn(5, size[0], length) + 1.0).to(dtype)
    found = []
    for form in (lambda made: made.predict, lambda made: training_prediction(made, length)):
        encoder = encoder_of(*sizes).to(dtype).train()
        predict = form(encoder)
        predicted = predict(windows)
        (predicted * torch.linspace(-1.0, 1.0, length, dtype=dtype)).square().mean().backward()
        tensors = {name: parameter.grad for name, parameter in encoder.named_parameters()}
        tensors |= {name: value.clone() for name, value in encoder.named_buffers()} | {"predicted": predicted.detach()}
        with torch.inference_mode():
            tensors["in evaluation mode"] = predict(windows) if encoder.eval() else None
        found.append(tensors)
    expected, tensors = found
    assert list(tensors) == list(expected)
    for name, value in expected.items():
        # gradients that are 0 but for rounding, such as those of a scale before batch norm, on the scale of the others
        scale = max(float(value.double().abs().max()), 1e-3)
        torch.testing.assert_close(tensors[name], value, rtol=0.0, atol=TOLERANCE[dtype] * scale, msg=name)


@pytest.mark.parametrize(("length", "size"), [(1, 1), (7, 3), (5, 21), (40, 9), (41, 9), (64, 33), (200, 39)])
def test_a_convolution_through_spectra_is_a_convolution(
    monkeypatch: pytest.MonkeyPatch, length: int, size: int
) -> None:
    maps = torch.randn(length, 2, 3, dtype=torch.float64, requires_grad=True)
    kernels = torch.randn(4, 3, size, dtype=torch.float64, requires_grad=True)
    expected = F.conv1d(maps.permute(1, 2, 0), kernels, padding=size // 2).permute(2, 0, 1)
    weights = torch.randn_like(expected)
    gradients = torch.autograd.grad((expected * weights).sum(), (maps, kernels))
    for longest in (10, 256):  # several tiles, and one
        monkeypatch.setattr(time_first, "LONGEST_TILE", longest)
        found = SpectralConvolution(length, size, torch.float64)(maps, kernels)
        torch.testing.assert_close(found, expected, rtol=1e-11, atol=1e-11)
        by_spectra = torch.autograd.grad((found * weights).sum(), (maps, kernels))
        torch.testing.assert_close(by_spectra, gradients, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("length", [1, 2, 3, 20])
def test_the_maximum_of_neighbours_is_max_pooling_and_the_first_of_equal_values_gets_the_gradient(length: int) -> None:
    maps = torch.randint(0, 3, (length, 50, 2)).double().requires_grad_()
    expected = F.max_pool1d(maps.permute(1, 2, 0), 3, 1, 1).permute(2, 0, 1)
    found = NeighbourMaximum.apply(maps)
    assert torch.equal(found, expected)
    weights = torch.randint(1, 100, maps.shape).double()
    gradients = [torch.autograd.grad((value * weights).sum(), maps)[0] for value in (found, expected)]
    assert torch.equal(*gradients)


def test_dropout_zeroes_its_share_and_keeps_the_mean() -> None:
    torch.manual_seed(0)
    maps = torch.ones(100, 50, 40)
    found = time_first._dropped(maps, nn.Dropout(0.3))
    assert sorted(found.unique().tolist()) == pytest.approx([0.0, 1 / 0.7])
    assert float((found == 0.0).double().mean()) == pytest.approx(0.3, abs=0.005)
    assert torch.equal(time_first._dropped(maps, nn.Dropout(0.3).eval()), maps)


def test_networks_of_other_kinds_predict_by_themselves() -> None:
    encoder = Dcae(delta=4, n_filters=[4], kernel_sizes=[5], pools=[2], output_kernel=3).build(2, 16)
    assert training_prediction(encoder, 16) == encoder.predict


def test_a_training_by_either_form_has_the_same_losses(monkeypatch: pytest.MonkeyPatch) -> None:
    fit = MaskedPrediction(
        **{"n_steps": 6, "batch_size": 8, "learning_rate": 1e-3, "weight_decay": 1e-2, "mask_share": 0.4},
        **{"mask_length": 3.0, "same_mask_for_channels": False, "validation_share": 0.2, "n_reports": 6},
        **{"validation_windows": 8, "flat_gain": None},
    )
    values = np.random.default_rng(0).normal(size=(400, 3)).astype(np.float32)

    def losses() -> np.ndarray:
        encoder = encoder_of(3, 4, 3, 20)
        history = fit.train(encoder, values, np.arange(0, 350, 10), 40, 7, lambda row: None)
        return history[["train_loss", "validation_loss"]].to_numpy()

    found = losses()
    form: Callable[..., object] = lambda encoder, length: encoder.predict  # noqa: E731
    monkeypatch.setattr(time_first, "training_prediction", form)
    np.testing.assert_allclose(found, losses(), rtol=1e-4)

"""Layers, activations and statistics that a network writes out have the relevance of the module or of what they are."""

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from clusterwhy import explain, lrp
from clusterwhy.errors import CompositeError
from clusterwhy.propagation.composites import COMPOSITES
from tests.unit.propagation.test_spellings import CHANNELS, TIME, Middle, network_of, same_relevance

# x - mean is a sum of convolutions, which the other composites share by positive parts
BY_RULES = (
    *("lrp_epsilon(epsilon=1e-12)", "lrp_epsilon_plus_norm(epsilon=1e-12)"),
    "lrp_epsilon_gamma(residual=norm,epsilon=1e-12)",
)


@pytest.fixture
def windows(rng: np.random.Generator) -> np.ndarray:
    return rng.normal(size=(3, CHANNELS, TIME))


def averaged(function: Any) -> Middle:
    return lambda n, x: n.of_channels(function(x).mean(dim=2))


def spread(n: Any, x: torch.Tensor) -> torch.Tensor:
    centred = x - x.mean(dim=2, keepdim=True)
    return n.of_channels(((centred * centred).sum(dim=2) / (TIME - 1)).sqrt())


def length(x: torch.Tensor) -> torch.Tensor:
    return (x * x).sum(dim=1, keepdim=True).sqrt()


def folded_heads(n: Any, x: torch.Tensor) -> torch.Tensor:
    """Heads in the axis of windows, as in the Set Transformer."""
    x = torch.cat(n.skip(x).chunk(2, dim=1), dim=0)
    return n.of_channels(torch.cat(F.relu(x).chunk(2, dim=0), dim=1).mean(dim=2))


KERNEL = torch.linspace(1.0, -0.5, TIME, dtype=torch.float64).cos()
LAGS = (torch.arange(TIME)[:, None] - torch.arange(TIME)[None]) % TIME


def filtered(x: torch.Tensor) -> torch.Tensor:
    """A circular convolution in the frequency domain, as in S4D and Fourier neural operators."""
    return torch.fft.irfft(torch.fft.rfft(x) * torch.fft.rfft(KERNEL), n=x.size(-1))


# the plain form, then the one that is written out
TWINS: dict[str, tuple[Middle, Middle]] = {
    "convolution": (
        lambda n, x: n.of_channels(F.relu(n.skip(x)).mean(2)),
        lambda n, x: n.of_channels(F.relu(F.conv1d(x, n.skip.weight * 1.0, n.skip.bias, padding=1)).mean(2)),
    ),
    "dense layer": (
        lambda n, x: n.whole(x.flatten(1)),
        lambda n, x: F.linear(x.flatten(1), n.whole.weight, bias=n.whole.bias),
    ),
    "pooling": (averaged(nn.MaxPool1d(3, 2)), averaged(lambda x: F.max_pool1d(x, 3, stride=2))),
    "pooling of a traced size": (
        lambda n, x: n.of_channels(nn.MaxPool1d(TIME)(x)[:, :, 0]),
        lambda n, x: n.of_channels(F.max_pool1d(x, kernel_size=x.size(2)).squeeze(2)),
    ),
    "layer norm": (
        averaged(nn.LayerNorm(TIME, elementwise_affine=False, dtype=torch.float64)),
        averaged(lambda x: F.layer_norm(x, (x.shape[-1],))),
    ),
    "circular padding": (
        lambda n, x: n.of_channels(n.valid(F.pad(x, (1, 1), mode="circular")).mean(2)),
        lambda n, x: n.of_channels(circular(n)(x).mean(2)),
    ),
    "heads among the windows": (lambda n, x: n.of_channels(F.relu(n.skip(x)).mean(dim=2)), folded_heads),
    "einsum": (
        lambda n, x: n.of_channels((torch.softmax(x @ x.mT, -1) @ n.skip(x)).mean(2)),
        lambda n, x: n.of_channels(
            torch.einsum("bij,bjt->bit", torch.einsum("bit, bjt -> bij", x, x).softmax(-1), n.skip(x)).mean(2)
        ),
    ),
    "filter": (averaged(lambda x: F.linear(x, KERNEL[LAGS]).relu()), averaged(lambda x: filtered(x).relu())),
    "mixing by Fourier": (
        averaged(lambda x: F.linear(x, torch.cos(2 * torch.pi / TIME * LAGS[:, :1].double() * LAGS[:, 0])).relu()),
        averaged(lambda x: torch.fft.fft(x, dim=-1).real.relu()),
    ),
    "power of frequencies": (
        averaged(lambda x: torch.fft.rfft(x).abs() ** 2),
        averaged(lambda x: torch.fft.rfft(x).abs().square()),
    ),
    "square": (averaged(lambda x: x * x), averaged(lambda x: x**2)),
    "square by name": (averaged(lambda x: x * x), averaged(torch.square)),
    "norm as a feature": (
        lambda n, x: n.of_channels(length(x.mT)[:, 0]),
        lambda n, x: n.of_channels(torch.linalg.vector_norm(x, dim=2)),
    ),
    "unit length": (averaged(lambda x: x / length(x)), averaged(F.normalize)),
    "bounds": (averaged(nn.Hardtanh(-0.5, 0.5)), averaged(lambda x: x.clip(min=-0.5).clamp_max(0.5))),
    "sizes one by one": (
        lambda n, x: n.of_cells(n.lstm(x.mT)[0][:, -1] + torch.zeros((x.size(0), 4))),
        lambda n, x: n.of_cells(n.lstm(x.mT)[0][:, -1] + torch.zeros(x.size(0), 4)),
    ),
    "a buffer as large as the data": (
        lambda n, x: n.of_cells(n.lstm(x.mT)[0][:, -1] + n.nothing[0]),
        lambda n, x: n.of_cells(n.lstm(x.mT)[0][:, -1] + n.nothing[0].expand(x.size(0), 4)),
    ),
}
# by their rules the same; their gradients and secants are those of other functions
BY_RULE: dict[str, tuple[Middle, Middle]] = {
    "deviation as a feature": (spread, lambda n, x: n.of_channels(x.std(dim=2))),
    "variance as a feature": (
        lambda n, x: n.of_channels((x - x.mean(2, keepdim=True)).square().mean(2)),
        lambda n, x: n.of_channels(torch.var(x, dim=2, unbiased=False)),
    ),
    "GELU": (averaged(F.gelu), averaged(lambda x: x * 0.5 * (1.0 + torch.erf(x / 2**0.5)))),
    "GELU by tanh": (
        averaged(lambda x: F.gelu(x, approximate="tanh")),
        averaged(lambda x: 0.5 * x * (1 + torch.tanh((2 / torch.pi) ** 0.5 * (x + 0.044715 * torch.pow(x, 3))))),
    ),
    "power of frequencies": (
        averaged(lambda x: torch.fft.rfft(x).abs() ** 2),
        averaged(lambda x: torch.fft.rfft(x).real ** 2 + torch.view_as_real(torch.fft.rfft(x))[..., 1] ** 2),
    ),
    "SiLU": (averaged(F.silu), averaged(lambda x: x * (1.0 / (1.0 + torch.exp(-x))))),
    "ReLU by a mask": (averaged(F.relu), averaged(lambda x: x * (x > 0))),
    "ReLU by two masks": (averaged(F.relu), averaged(lambda x: x * ((x > 0) & ~(x < -1)).to(x.dtype))),
    "ReLU by a choice": (averaged(F.relu), averaged(lambda x: torch.where(x > 0, x, 0.0))),
    "ReLU by filling": (averaged(F.relu), averaged(lambda x: x.masked_fill(x < 0, 0.0))),
    "ReLU by writing": (averaged(F.relu), averaged(lambda x: written(x))),
    "leaky ReLU": (averaged(lambda x: F.leaky_relu(x, 0.1)), averaged(lambda x: torch.where(x > 0, x, 0.1 * x))),
    "a signed square": (averaged(lambda x: x * x.abs()), averaged(lambda x: x.sign() * x**2)),
    "norm by hand": (
        averaged(lambda x: F.layer_norm(x, (TIME,), eps=0.0).relu()),
        averaged(lambda x: ((x - x.mean(-1, True)) * torch.rsqrt(x.var(-1, unbiased=False, keepdim=True))).relu()),
    ),
}


def circular(n: Any) -> nn.Module:
    made = nn.Conv1d(8, 8, 3, padding=1, padding_mode="circular")
    made.load_state_dict(n.valid.state_dict())
    return made.double().eval()


def written(x: torch.Tensor) -> torch.Tensor:
    x = x.clone()
    x[x < 0] = 0
    return x


@pytest.mark.parametrize("name", TWINS)
def test_what_is_written_out_has_the_relevance_of_the_plain_form(name: str, windows: np.ndarray) -> None:
    plain, other = map(network_of, TWINS[name])
    same_relevance(other, plain, windows)


@pytest.mark.parametrize("name", BY_RULE)
def test_what_is_written_out_has_the_same_rule(name: str, windows: np.ndarray) -> None:
    plain, other = map(network_of, BY_RULE[name])
    for method in BY_RULES:
        found, expected = (explain(n, windows, method, 1).values for n in (other, plain))
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-9 * np.abs(expected).max(), err_msg=method)


def test_of_a_log_probability_each_logit_has_its_first_order_part(windows: np.ndarray) -> None:
    """x_i (1[i = 1] - p_i) of the logits x; what is missing is the entropy-like rest of log p, told as a loss."""
    logits = network_of(lambda n, x: n.of_channels(x.mean(2)))
    probabilities = network_of(lambda n, x: F.log_softmax(n.of_channels(x.mean(2)), dim=-1))
    settings = COMPOSITES["epsilon"].model_copy(update={"epsilon": 1e-12})
    found = lrp(probabilities, windows, 1, settings)
    x = logits(torch.as_tensor(windows)).detach().numpy()
    p = np.exp(x - x.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    parts = [lrp(logits, windows, i, settings).values * (float(i == 1) - p[:, i])[:, None, None] for i in range(4)]
    np.testing.assert_allclose(found.values, sum(parts), rtol=1e-7, atol=1e-10)
    expected = 1.0 - (x * (np.eye(4)[1] - p)).sum(1) / found.target
    np.testing.assert_allclose(found.lost_share, expected, atol=1e-6)
    assert "a softmax or its logarithm" in found.provenance["notes"][-1]


@pytest.mark.parametrize(
    ("middle", "message"),
    [
        (averaged(lambda x: (x > 0).to(x.dtype)), "a choice or a statistic of the window that has no rule"),
        (lambda n, x: n.of_channels(x[:, :, x.mean((0, 1)).argmax()]), "a choice or a statistic of the window"),
        (averaged(lambda x: (torch.fft.rfft(x) * torch.fft.rfft(x).conj()).real), "does not double where the data do"),
        (lambda n, x: n.of_channels(F.conv1d(x, x[0, :, None, :3].expand(8, 8, 3)).mean(2)), "computed from the data"),
    ],
)
def test_what_chooses_is_no_feature(middle: Middle, message: str, windows: np.ndarray) -> None:
    with pytest.raises(CompositeError, match=message):
        lrp(network_of(middle), windows, 1)

"""Networks that compute the same in other spellings have the same relevance as the plain one, by every method."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.autograd import Variable

from clusterwhy import explain, layer_graph

METHODS = (
    *("lrp_epsilon", "lrp_epsilon_plus", "lrp_epsilon_alpha2_beta1", "lrp_epsilon_gamma_box", "smooth(n_samples=2)"),
    *("difference", "deep_lift", "gradient_x_input", "guided_backprop", "integrated_gradients(steps=5)", "crp"),
)
CHANNELS, TIME = 3, 16
Middle = Callable[[Any, torch.Tensor], torch.Tensor]


class Network(nn.Module):
    """Convolution, something in the middle, classes."""

    def __init__(self, middle: Middle) -> None:
        super().__init__()
        self.middle = middle
        self.conv, self.skip = nn.Conv1d(CHANNELS, 8, 5, padding=2), nn.Conv1d(8, 8, 3, padding=1)
        self.valid = nn.Conv1d(8, 8, 3)
        self.valid.load_state_dict(self.skip.state_dict())
        self.lstm = nn.LSTM(8, 4, batch_first=True)
        self.two_ways = nn.LSTM(8, 4, num_layers=2, bidirectional=True, batch_first=True)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.whole, self.of_channels, self.of_cells = nn.Linear(8 * TIME, 4), nn.Linear(8, 4), nn.Linear(4, 4)
        self.register_buffer("nothing", torch.zeros(1, 1, 4))

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        return self.middle(self, F.leaky_relu(self.conv(windows)))


def network_of(middle: Middle) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        made = Network(middle).double().eval()
    return made


@pytest.fixture
def windows(rng: np.random.Generator) -> np.ndarray:
    return rng.normal(size=(3, CHANNELS, TIME))


def same_relevance(network: Any, plain: Any, windows: np.ndarray, target: Any = 1, plain_target: Any = 1) -> None:
    references = windows[::-1].copy() * 0.5
    for method in METHODS:
        found = explain(network, windows, method, target, references)
        expected = explain(plain, windows, method, plain_target, references)
        np.testing.assert_allclose(found.values, expected.values, rtol=1e-9, atol=1e-12, err_msg=method)
        np.testing.assert_allclose(found.target, expected.target, rtol=1e-12, err_msg=method)
        assert np.abs(found.values).max() > 0


def halves(n: Any, x: torch.Tensor) -> torch.Tensor:
    return n.of_channels(torch.cat([x[:, 4:], x[:, :4]], dim=1).mean(dim=2))


def thirds(n: Any, x: torch.Tensor) -> torch.Tensor:
    return n.of_channels(torch.cat([x[:, 6:], x[:, 3:6], x[:, :3]], dim=1).mean(dim=2))


def flat(n: Any, x: torch.Tensor) -> torch.Tensor:
    return n.whole(x.flatten(1))


def averaged(n: Any, x: torch.Tensor) -> torch.Tensor:
    return n.of_channels(x.mean(dim=2))


def greatest(n: Any, x: torch.Tensor) -> torch.Tensor:
    return n.of_channels(x.amax(dim=2))


def residual(n: Any, x: torch.Tensor) -> torch.Tensor:
    return n.of_channels((F.relu(n.skip(x)) + x).mean(dim=2))


def attended(n: Any, x: torch.Tensor) -> torch.Tensor:
    x = x.permute(0, 2, 1)
    return n.of_channels(n.attention(x, x, x)[0].mean(dim=1))


def recurrent(n: Any, x: torch.Tensor) -> torch.Tensor:
    return n.of_cells(n.lstm(x.permute(0, 2, 1))[0][:, -1])


def both_ways(n: Any, x: torch.Tensor) -> torch.Tensor:
    out = n.two_ways(x.permute(0, 2, 1))[0]
    return n.of_channels(torch.cat([out[:, -1, :4], out[:, 0, 4:]], dim=1))


def reflected(n: Any, x: torch.Tensor) -> torch.Tensor:
    return n.of_channels(F.max_pool1d(torch.cat([x[:, :, 2:3], x[:, :, 1:2], x], dim=2), 6).mean(dim=2))


def twice(n: Any, x: torch.Tensor) -> torch.Tensor:
    return n.of_channels(torch.cat([x, x], dim=2).mean(dim=2))


def unpacked(n: Any, x: torch.Tensor) -> torch.Tensor:
    first, second = x.chunk(2, dim=1)
    return n.of_channels(torch.cat(tensors=(second, first), axis=1).mean(axis=2))


def in_a_loop(n: Any, x: torch.Tensor) -> torch.Tensor:
    parts = [part * 1.0 for part in torch.chunk(x, 2, 1)]
    return n.of_channels(torch.cat(parts[::-1], 1).mean(2))


def in_two_axes(n: Any, x: torch.Tensor) -> torch.Tensor:
    second, first = x.unflatten(1, (2, 4)).flip(1).unbind(1)
    return n.of_channels(torch.cat([second, first], 1).mean(2))


def by_shape(n: Any, x: torch.Tensor) -> torch.Tensor:
    assert len(x.shape) == 3 and x.dim() == 3 and x.size(1) == 8
    if x.ndim == 2 or x.shape[-1] % 2:
        return x
    return n.whole(x.reshape(-1, int(x.size(1)) * x.shape[2]))


def step_by_step(n: Any, x: torch.Tensor) -> torch.Tensor:
    steps = [n.of_channels(x[:, :, t]) for t in range(x.size(2))]
    return torch.stack(steps, dim=1).mean(dim=1)


def over_steps(n: Any, x: torch.Tensor) -> torch.Tensor:
    steps = [n.of_channels(step) for step in x.permute(2, 0, 1)]
    return torch.stack(steps, dim=2).mean(dim=2)


def dense_over_time(n: Any, x: torch.Tensor) -> torch.Tensor:
    return n.of_channels(x.transpose(1, 2)).mean(dim=1)


def states_unused(n: Any, x: torch.Tensor) -> torch.Tensor:
    out, (h, c) = n.lstm(x.permute(0, 2, 1))
    unused = torch.fft.rfft(h * c).abs().argsort() + torch.linalg.det(x[:, :, :8].bmm(x[:, :, :8])).sum()
    del unused
    return n.of_cells(out[:, -1])


def old_style(n: Any, x: torch.Tensor) -> torch.Tensor:
    h0 = Variable(torch.zeros(1, x.size(0), 4, dtype=torch.float64)).to(x.device)
    c0 = n.of_cells.weight.new_zeros(1, len(x), 4).requires_grad_().detach()
    return n.of_cells(n.lstm(x.permute(0, 2, 1), (h0, c0))[0][:, -1, :])


def by_buffer(n: Any, x: torch.Tensor) -> torch.Tensor:
    h0 = n.nothing.expand(-1, x.shape[0], -1).contiguous()
    return n.of_cells(n.lstm(input=x.permute(0, 2, 1), hx=(h0, torch.zeros_like(h0)))[0][:, -1])


def last_state(n: Any, x: torch.Tensor) -> torch.Tensor:
    _, (h, _) = n.lstm(x.permute(0, 2, 1))
    return n.of_cells(h[-1])


def last_states(n: Any, x: torch.Tensor) -> torch.Tensor:
    _, (h, _) = n.two_ways(x.permute(0, 2, 1))
    return n.of_channels(torch.cat((h[-2, :, :], h[-1, :, :]), dim=1))


def asked_by_name(n: Any, x: torch.Tensor) -> torch.Tensor:
    x = x.permute(0, 2, 1)
    keys = {"key_padding_mask": None, "attn_mask": None, "average_attn_weights": True, "is_causal": False}
    attention, weights = n.attention(query=x, key=x, value=x, need_weights=True, **keys)
    assert weights is not None
    return n.of_channels(attention.mean(dim=1))


TWINS: dict[str, tuple[Middle, Middle]] = {
    "view": (flat, lambda n, x: n.whole(x.view(x.size(0), -1))),
    "view of len": (flat, lambda n, x: n.whole(x.view(len(x), 8 * TIME))),
    "view as": (flat, lambda n, x: n.whole(x.view_as(x).reshape_as(x).flatten(start_dim=1))),
    "ravel": (flat, lambda n, x: n.whole(x.unflatten(1, (2, 4)).flatten(1, 2).reshape(x.shape[0], -1))),
    "chunk": (halves, unpacked),
    "chunk in a loop": (halves, in_a_loop),
    "unbind": (halves, in_two_axes),
    "split": (thirds, lambda n, x: n.of_channels(torch.cat(list(x.split([3, 3, 2], 1))[::-1], 1).mean(2))),
    "split in equal parts": (thirds, lambda n, x: n.of_channels(torch.concat([*reversed(pieces(x))], -2).mean(-1))),
    "tensor_split": (thirds, lambda n, x: n.of_channels(torch.cat([*x.tensor_split((3, 6), 1)][::-1], 1).mean(2))),
    "split in a loop": (thirds, lambda n, x: n.of_channels(torch.cat(list(x.split(3, 1))[::-1], 1).mean(2))),
    "decisions by shape": (flat, by_shape),
    "loop over time": (dense_over_time, step_by_step),
    "loop over steps": (dense_over_time, over_steps),
    "made in forward": (residual, lambda n, x: n.of_channels((nn.ReLU()(n.skip(x)) + x).mean(2))),
    "join of a chunk": (averaged, lambda n, x: n.of_channels(torch.cat(x.chunk(4, dim=1), dim=1).mean(2))),
    "roll": (halves, lambda n, x: n.of_channels(x.roll(4, 1).mean(2))),
    "narrow": (halves, lambda n, x: n.of_channels(torch.hstack((x.narrow(1, 4, 4), x.narrow(1, 0, 4))).mean(2))),
    "swapaxes": (averaged, lambda n, x: n.of_channels(x.swapaxes(1, 2).mT.movedim(2, 1).mean(dim=1))),
    "squeeze": (averaged, lambda n, x: n.of_channels(F.adaptive_avg_pool1d(x, 1).squeeze())),
    "names": (averaged, lambda n, x: n.of_channels(torch.mean(input=x, axis=-1, keepdims=True).squeeze(dim=-1))),
    "types": (averaged, lambda n, x: n.of_channels(x.to(x.device).double().type_as(x).clone().mean(dim=2))),
    "functional dropout": (
        averaged,
        lambda n, x: n.of_channels(F.dropout1d(F.dropout(x, 0.5, n.training), training=False).mean(2)),
    ),
    "zero": (averaged, lambda n, x: n.of_channels(sum([x]).mean(dim=2) - 0)),
    "max": (greatest, lambda n, x: n.of_channels(x.max(dim=2)[0])),
    "max with names": (greatest, lambda n, x: n.of_channels(torch.max(x, dim=-1, keepdim=True).values.squeeze(-1))),
    "max unpacked": (greatest, lambda n, x: n.of_channels(next(iter(two(x.max(2)))))),
    "sum": (residual, lambda n, x: n.of_channels(torch.add(input=n.skip(x).clamp(min=0), other=x, alpha=1).mean(2))),
    "sum of a list": (residual, lambda n, x: n.of_channels(sum([n.skip(x).relu(), x]).mean(2))),
    "stack": (twice, lambda n, x: n.of_channels(torch.stack([x, x], dim=2).flatten(2).mean(dim=2))),
    "repeat": (twice, lambda n, x: n.of_channels(x.repeat(1, 1, 2).mean(dim=2))),
    "padding": (residual, lambda n, x: n.of_channels((F.relu(n.valid(F.pad(x, (1, 1), "constant", 0))) + x).mean(2))),
    "reflection": (reflected, lambda n, x: n.of_channels(F.max_pool1d(F.pad(x, [2, 0], mode="reflect"), 6).mean(2))),
    "attention by names": (attended, asked_by_name),
    "attention by position": (attended, lambda n, x: by_position(n, x.permute(0, 2, 1))),
    "states that nothing reads": (recurrent, states_unused),
    "states of zeros": (recurrent, old_style),
    "states of a buffer": (recurrent, by_buffer),
    "state None": (recurrent, lambda n, x: n.of_cells(n.lstm(x.permute(0, 2, 1), None)[0][:, -1])),
    "last state": (recurrent, last_state),
    "last states of two ways": (both_ways, last_states),
}


def pieces(x: torch.Tensor) -> Any:
    first, second, third = x.split(3, dim=1)
    return first, second, third


def two(x: Any) -> Any:
    first, second = x
    return first, second


def by_position(n: Any, x: torch.Tensor) -> torch.Tensor:
    attention, _ = n.attention(x, x, x, None, False)
    return n.of_channels(attention.mean(dim=1))


@pytest.mark.parametrize("name", TWINS)
def test_another_spelling_has_the_same_relevance(name: str, windows: np.ndarray) -> None:
    plain, other = map(network_of, TWINS[name])
    same_relevance(other, plain, windows)
    fields = [
        [(layer.n_concepts, layer.field) for layer in layer_graph(n, torch.as_tensor(windows))] for n in (plain, other)
    ]
    assert fields[0][0] == fields[1][0] and fields[0][-1] == fields[1][-1]

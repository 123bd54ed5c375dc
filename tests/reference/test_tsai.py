"""Our InceptionTime and our masks equal tsai's InceptionTimePlus and MVP: weights, outputs, random draws."""

import random
from typing import get_args

import numpy as np
import pytest
import torch
from tsai.callback.MVP import create_mask
from tsai.models.InceptionTimePlus import InceptionTimePlus

from clusterwhy.encoders.inception_time import InceptionTime
from clusterwhy.encoders.masked import MaskedEncoder
from clusterwhy.encoders.masks import future_mask, stretch_mask
from clusterwhy.explanations.target_heads import EmbeddingSum
from clusterwhy.propagation.canonical import canonize
from clusterwhy.propagation.canonizer import CanonizerName
from clusterwhy.propagation.explainer import lrp

# n_channels, n_filters, depth, kernel_size: one channel, a bottleneck that is left out (first module: as many channels
# as filters), a shortcut without a convolution (four times as many), an end between two residual additions
SIZES = [(3, 8, 3, 20), (1, 4, 7, 5), (4, 4, 6, 40), (16, 4, 4, 4), (5, 1, 3, 9)]


def seed(value: int) -> None:
    random.seed(value)
    torch.manual_seed(value)


def by_tsai(n_channels: int, n_filters: int, depth: int, kernel_size: int) -> MaskedEncoder:
    network = InceptionTimePlus(n_channels, 1, seq_len=32, nf=n_filters, depth=depth, ks=kernel_size)
    return MaskedEncoder(network.backbone, 4 * n_filters, n_channels, 0.1)


def ours(n_channels: int, n_filters: int, depth: int, kernel_size: int) -> MaskedEncoder:
    return InceptionTime(n_filters=n_filters, depth=depth, kernel_size=kernel_size, head_dropout=0.1).build(
        n_channels, 32
    )


@pytest.mark.parametrize("size", SIZES)
def test_a_seed_gives_the_weights_that_tsai_gives_in_the_same_order(size: tuple[int, int, int, int]) -> None:
    seed(3)
    expected = by_tsai(*size).state_dict()
    seed(3)
    found = ours(*size).state_dict()
    assert list(found) == list(expected)
    assert all(torch.equal(found[name], expected[name]) for name in expected)


@pytest.mark.parametrize("size", SIZES)
def test_state_dicts_load_both_ways_and_outputs_are_equal(size: tuple[int, int, int, int]) -> None:
    windows = torch.randn(4, size[0], 32, dtype=torch.float64)
    for receiver, giver in ((ours, by_tsai), (by_tsai, ours)):
        given, received = giver(*size).double(), receiver(*size).double()
        with torch.no_grad():
            for parameter in given.parameters():
                parameter.normal_()
            for _ in range(3):  # running means and variances that are not their initial ones
                given(2.0 * windows + 1.0)
        received.load_state_dict(given.state_dict(), strict=True)
        torch.testing.assert_close(received.eval()(windows), given.eval()(windows), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("canonizer", get_args(CanonizerName))
def test_lrp_gives_both_networks_the_same_relevance_by_the_same_steps(canonizer: CanonizerName) -> None:
    windows = np.random.default_rng(0).normal(size=(3, 3, 32))
    found, steps = [], []
    for made in (by_tsai, ours):
        seed(0)
        encoder = made(3, 4, 6, 20).double()
        for _ in range(3):
            encoder(2.0 * torch.from_numpy(windows) + 1.0)
        found.append(lrp(encoder.eval(), windows, EmbeddingSum(), "epsilon_plus_flat", canonizer))
        canonical = canonize(encoder, torch.from_numpy(windows))
        steps.append([(step.name, step.kind, step.inputs) for step in canonical.steps])
    np.testing.assert_array_equal(found[0].values, found[1].values)
    assert steps[0] == steps[1]


def test_training_steps_leave_the_weights_that_they_leave_in_tsais_network() -> None:
    windows = torch.randn(8, 3, 32)
    trained = []
    for made in (by_tsai, ours):
        seed(0)
        encoder = made(3, 4, 6, 20).train()
        optimiser = torch.optim.AdamW(encoder.parameters(), 1e-2)
        for step in range(3):
            # tsai's network draws from Python's generator, too, to skip modules, which is off by default
            random.seed(step)
            # dropout of a step depends on what the steps before it have drawn
            mask = create_mask(windows, r=0.4, lm=3)
            optimiser.zero_grad()
            ((encoder.predict(windows.masked_fill(mask, 0.0)) - windows)[mask] ** 2).mean().backward()
            optimiser.step()
        trained.append(encoder.state_dict())
    assert all(torch.equal(trained[0][name], trained[1][name]) for name in trained[0])
    assert np.isfinite(trained[0]["predictor.1.weight"].numpy()).all()


@pytest.mark.parametrize("same_for_channels", [False, True])
@pytest.mark.parametrize("share", [0.05, 0.15, 0.4, 0.99])
@pytest.mark.parametrize("mean_length", [1.0, 3.0, 25.0])
@pytest.mark.parametrize("shape", [(32, 3, 64), (8, 38, 150)])
def test_a_seed_gives_the_masks_that_tsai_gives(
    shape: tuple[int, int, int], mean_length: float, share: float, same_for_channels: bool
) -> None:
    found, expected = [], []
    for masks, draw in (
        (found, lambda: stretch_mask(shape, share, mean_length, same_for_channels)),
        (expected, lambda: create_mask(torch.zeros(shape), r=share, lm=mean_length, sync=same_for_channels)),
    ):
        seed(1)
        masks += [draw() for _ in range(5)] + [torch.tensor(random.random()), torch.rand(1)]
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


@pytest.mark.parametrize("share", [0.15, 0.4])
def test_a_seed_gives_the_ends_that_tsai_hides(share: float) -> None:
    found, expected = [], []
    for masks, draw in (
        (found, lambda: future_mask((32, 3, 64), share, same_for_channels=False)),
        (expected, lambda: create_mask(torch.zeros(32, 3, 64), r=share, subsequence_mask=False, future_mask=True)),
    ):
        seed(1)
        masks += [draw() for _ in range(5)] + [torch.rand(1)]
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


def test_masks_hide_the_asked_share_in_stretches_of_the_asked_length() -> None:
    seed(0)
    hidden = torch.stack([stretch_mask((500, 4, 64), 0.3, 4.0, False) for _ in range(10)]).flatten(1).int()
    assert float(hidden.float().mean()) == pytest.approx(0.3, abs=0.01)
    assert float(hidden.sum() / (hidden.diff(dim=1) == 1).sum()) == pytest.approx(4.0, abs=0.1)


def test_one_short_window_gets_a_mask() -> None:
    # tsai's `create_mask` fails on some draws where one pair of stretches covers the batch
    seed(0)
    masks = [stretch_mask((1, 1, 2), 0.3, 4.0, False) for _ in range(200)]
    assert {mask.shape for mask in masks} == {(1, 1, 2)}
    assert {tuple(mask.flatten().tolist()) for mask in masks} == {(a, b) for a in (True, False) for b in (True, False)}

"""MiniRocket: shares of time as in the paper, thresholds of training windows alone, exact differences."""

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from tsai.models.MINIROCKET_Pytorch import MiniRocketFeatures

from clusterwhy import explain, explain_difference
from clusterwhy.anomaly.base import DetectorInput
from clusterwhy.anomaly.detectors import ClippedPredictionError, MaskedPredictionError
from clusterwhy.data.windows import windows_at
from clusterwhy.encoders.masked import embed
from clusterwhy.encoders.mini_rocket import Heaviside, MiniRocket, MiniRocketNetwork, dilations, thresholds_between
from clusterwhy.encoders.storage import load_encoder, save_encoder
from clusterwhy.encoders.training import MaskedPrediction
from clusterwhy.errors import ArtifactError, ConfigError, MethodError
from clusterwhy.explanations.target_heads import EmbeddingSum
from clusterwhy.explanations.targets import MembershipTarget, ReconstructionTarget

CHANNELS, LENGTH, PER_KERNEL = 3, 65, 4
STARTS = np.arange(0, 900, 15)
TARGET = {"_target_": "clusterwhy.encoders.mini_rocket.MiniRocket", "per_kernel": PER_KERNEL}


@pytest.fixture
def values(rng: np.random.Generator) -> np.ndarray:
    """(time, channel): noise, then a wave."""
    found = rng.normal(size=(1000, CHANNELS))
    found[500:] += 3.0 * np.sin(np.arange(500) / 4.0)[:, None]
    return found.astype(np.float32)


def built(values: np.ndarray, seed: int = 0, per_kernel: int = PER_KERNEL) -> MiniRocketNetwork:
    torch.manual_seed(seed)
    settings = MiniRocket(per_kernel=per_kernel)
    encoder = settings.build(values.shape[1], LENGTH)
    settings.fit(encoder, values, STARTS, LENGTH, seed)
    return encoder.eval()  # type: ignore[return-value]


def test_features_are_the_shares_of_time_above_a_threshold(values: np.ndarray) -> None:
    encoder = built(values)
    window = values[510 : 510 + LENGTH].astype(np.float64)
    found = encoder.double()(torch.from_numpy(window.T[None].copy()))[0].numpy()
    high, expected = list(combinations(range(9), 3)), []
    for i, (dilation, count) in enumerate(dilations(LENGTH, PER_KERNEL)):
        for part, padded in ((0, True), (1, False)):
            convolution = encoder.parts[2 * i + part][0]
            first = i % 2 if padded else 1 - i % 2
            for row in range(len(convolution.weight)):
                kernel = high[first + 2 * (row // count)]
                channels = [c for c in range(CHANNELS) if convolution.weight[row, c].any()]
                assert channels
                signal = window[:, channels].sum(axis=1)
                half = 4 * dilation
                signal = np.pad(signal, half) if padded else signal
                above = [
                    sum((2.0 if j in kernel else -1.0) * signal[t + j * dilation] for j in range(9))
                    > -float(convolution.bias[row])
                    for t in range(len(signal) - 2 * half)
                ]
                expected.append(np.mean(above))
    assert len(found) == 84 * PER_KERNEL == len(expected)
    np.testing.assert_allclose(found, expected, atol=1e-12)


@pytest.mark.parametrize(("n_channels", "per_kernel"), [(1, 6), (12, 40)])
def test_features_equal_those_of_tsai_with_the_same_channels_and_thresholds(n_channels: int, per_kernel: int) -> None:
    torch.manual_seed(0)
    ours = MiniRocket(per_kernel=per_kernel).build(n_channels, 100)
    theirs = MiniRocketFeatures(n_channels, 100, 84 * per_kernel, random_state=0)
    assert dilations(100, per_kernel) == list(zip(theirs.dilations, theirs.num_features_per_dilation, strict=True))
    for i, (_, count) in enumerate(dilations(100, per_kernel)):
        channels, thresholds = torch.zeros(1, n_channels, 84, 1), torch.zeros(84, count)
        for part, first in ((0, i % 2), (1, 1 - i % 2)):
            convolution = ours.parts[2 * i + part][0]  # type: ignore[index, union-attr]
            channels[0, :, first::2, 0] = convolution.weight[::count].abs().amax(dim=2).gt(0).float().T
            thresholds[first::2] = -convolution.bias.unflatten(0, (-1, count))
        setattr(theirs, f"biases_{i}", thresholds)
        if n_channels > 1:
            setattr(theirs, f"channel_combinations_{i}", channels)
    theirs.prefit = torch.tensor([True])
    windows = torch.randn(5, n_channels, 100)
    torch.testing.assert_close(ours(windows), theirs(windows), rtol=0.0, atol=1e-6)


def test_kernels_add_up_few_channels_and_all_channels_are_used() -> None:
    torch.manual_seed(0)
    encoder = MiniRocket(per_kernel=4).build(30, LENGTH)
    weights = torch.cat([part[0].weight for part in encoder.parts])  # type: ignore[index, union-attr]
    used = weights.abs().sum(dim=2) > 0
    assert used.sum(dim=1).min() == 1 and used.sum(dim=1).max() == 9 and used.any(dim=0).all()
    assert not weights.sum(dim=2).any()  # the mean of a channel counts for nothing


def test_thresholds_lie_between_the_values_of_training_windows(values: np.ndarray) -> None:
    by_hand = thresholds_between(torch.tensor([1.0, 0.0, 0.0, 1.00001, 0.0]), torch.tensor([0.0, 0.5, 0.6, 0.8]))
    torch.testing.assert_close(by_hand, torch.tensor([0.5, 0.5, 0.5, 1.0001]))
    quantiles = torch.linspace(0.0, 0.99, 50, dtype=torch.float64)
    found = thresholds_between(torch.from_numpy(values[:100, 0]), quantiles)
    above = (values[:100, 0] > found.numpy()[:, None]).mean(axis=1)
    np.testing.assert_allclose(above, 1.0 - quantiles.numpy(), atol=0.011)


def test_a_machine_at_rest_has_one_embedding_at_whatever_level(rng: np.random.Generator) -> None:
    # a kernel of a constant is 0, but for rounding
    values = np.repeat(rng.normal(size=(10, CHANNELS)).astype(np.float32), 100, axis=0)
    encoder = MiniRocket(per_kernel=PER_KERNEL).build(CHANNELS, LENGTH)
    MiniRocket(per_kernel=PER_KERNEL).fit(encoder, values, np.arange(0, 935, 7), LENGTH, 0)
    levels = rng.normal(size=(8, CHANNELS, 1)).astype(np.float32).repeat(LENGTH, axis=2)
    for part in encoder.parts:  # type: ignore[union-attr]
        if part[0].padding == (0,):
            shares = part(torch.from_numpy(levels))
            assert torch.equal(shares, shares[:1].expand_as(shares)) and set(shares.unique().tolist()) <= {0.0, 1.0}


def test_thresholds_come_from_training_windows_and_the_seed_alone(values: np.ndarray) -> None:
    first, other = built(values).state_dict(), built(values, seed=1).state_dict()
    changed = values.copy()
    changed[STARTS[-1] + LENGTH :] = 100.0
    assert all(torch.equal(one, first[name]) for name, one in built(changed).state_dict().items())
    assert not all(torch.equal(one, first[name]) for name, one in other.items())
    assert not any(one.requires_grad for one in built(values).parameters())
    # of data with two parts, half of a training window is above half of its thresholds
    means = embed(built(values), values, STARTS, LENGTH, 16).mean()
    assert 0.4 < means < 0.6


def test_before_it_has_seen_windows_thresholds_are_those_of_white_noise() -> None:
    torch.manual_seed(0)
    encoder = MiniRocket(per_kernel=PER_KERNEL).build(CHANNELS, LENGTH)
    shares = encoder(torch.randn(4000, CHANNELS, LENGTH)).mean(dim=0)
    quantiles = torch.cat([own.flatten() for own in encoder.quantiles])  # type: ignore[union-attr]
    unpadded = torch.cat([torch.full((own.numel(),), i % 2) for i, own in enumerate(encoder.quantiles)]) == 1  # type: ignore[arg-type]
    torch.testing.assert_close(shares[unpadded], 1.0 - quantiles[unpadded].float(), rtol=0.0, atol=0.03)


def test_a_stored_encoder_gives_the_same_embeddings(values: np.ndarray, tmp_path: Path) -> None:
    encoder = built(values, seed=3)
    save_encoder(tmp_path, encoder, TARGET, CHANNELS, LENGTH)  # type: ignore[arg-type]
    again = load_encoder(tmp_path)
    expected = embed(encoder, values, STARTS, LENGTH, 7)  # type: ignore[arg-type]
    np.testing.assert_array_equal(embed(again, values, STARTS, LENGTH, 16), expected)
    before = embed(load_encoder(tmp_path, trained=False), values, STARTS, LENGTH, 16)
    assert before.shape == expected.shape and np.abs(before - expected).max() > 0.1
    save_encoder(tmp_path, encoder, TARGET | {"per_kernel": 5}, CHANNELS, LENGTH)  # type: ignore[arg-type]
    with pytest.raises(ArtifactError, match="does not fit"):
        load_encoder(tmp_path)


def test_windows_shorter_than_a_kernel_are_refused() -> None:
    assert MiniRocket(per_kernel=2).build(1, 9)(torch.zeros(1, 1, 9)).shape == (1, 168)
    with pytest.raises(ConfigError, match="windows of 9 samples or more, got 8"):
        MiniRocket(per_kernel=2).build(1, 8)


@pytest.mark.parametrize(("dtype", "atol"), [(np.float64, 1e-9), (np.float32, 1e-3)])
def test_relevance_of_differences_adds_up_to_the_difference_of_membership(
    values: np.ndarray, dtype: type, atol: float
) -> None:
    encoder = built(values)
    embeddings = embed(encoder, values, STARTS, LENGTH, 16)  # type: ignore[arg-type]
    labels = np.where(STARTS + LENGTH <= 500, 0, np.where(STARTS >= 500, 1, -1))
    # one prototype of each: of several, the nearest is found at points of the line (`n_path`), whatever the encoder
    target = MembershipTarget(n_prototypes=1, against="all", root="midpoint", sharpness=None)
    networks, _ = target.networks(encoder, embeddings, labels, 0)  # type: ignore[arg-type]
    windows = windows_at(values, STARTS, LENGTH).astype(dtype)
    network = networks[1].to(torch.from_numpy(windows).dtype)
    mine, others = windows[labels == 1][:8], windows[labels == 0][:4]
    found = explain_difference(network, mine, others)
    with torch.no_grad():
        outputs = [network(torch.from_numpy(part)).flatten().numpy() for part in (mine, others)]
    np.testing.assert_allclose(found.target, outputs[0] - outputs[1].mean(), rtol=1e-4)
    assert (found.target > 1.0).all() and np.abs(found.values).sum() > 0
    np.testing.assert_allclose(found.values.sum(axis=(1, 2), dtype=np.float64), found.target, atol=atol, rtol=atol)


def test_the_step_shares_what_it_rises_by_the_way_that_led_above_it() -> None:
    network = nn.Sequential(nn.Conv1d(2, 1, 1), Heaviside(), nn.AdaptiveAvgPool1d(1), nn.Flatten(0)).double().eval()
    network[0].weight.data = torch.tensor([[[1.0], [2.0]]], dtype=torch.float64)
    network[0].bias.data = torch.tensor([-1.0], dtype=torch.float64)
    # from -1 to 3, from 1 to -1, and two that do not cross
    window = np.array([[[2.0, 0.0, 0.5, 5.0], [1.0, 0.0, 0.0, 1.0]]])
    reference = np.array([[[0.0, 0.0, 0.0, 2.0], [0.0, 1.0, 0.0, 1.0]]])
    found = explain_difference(network, window, reference)
    expected = np.array([[[2.0 / 4.0, 0.0, 0.0, 0.0], [2.0 / 4.0, -1.0, 0.0, 0.0]]]) / 4.0
    np.testing.assert_allclose(found.values, expected, atol=1e-12)
    # a crossing that is rounding alone would divide by it
    found = explain_difference(network, np.array([[[6.0], [-2.5 + 1e-12]]]), np.array([[[1.0], [0.0]]]))
    assert found.target == 1.0 and not found.values.any()


def test_gradients_say_why_they_cannot_explain_it(values: np.ndarray) -> None:
    windows = windows_at(values, STARTS[:4], LENGTH)
    for method in ("gradient", "gradient_x_input", "integrated_gradients", "guided_backprop", "grad_cam"):
        with pytest.raises(MethodError, match="gradient of a count is 0 everywhere: choose `difference`"):
            explain(built(values), windows, method, EmbeddingSum(), windows)
    for method in ("lrp_epsilon_plus", "difference", "occlusion"):
        found = explain(built(values), windows, method, EmbeddingSum(), windows_at(values, STARTS[-4:], LENGTH))
        assert np.abs(found.values).sum() > 0


def test_what_needs_predictions_says_what_to_do(values: np.ndarray) -> None:
    encoder = built(values)
    training = MaskedPrediction(
        n_steps=2, batch_size=4, learning_rate=1e-3, weight_decay=0.0, mask_share=0.4, mask_length=3.0,
        same_mask_for_channels=False, validation_share=0.1, validation_windows=8, n_reports=1, flat_gain=None,
    )  # fmt: skip
    with pytest.raises(ConfigError, match=r"MiniRocketNetwork has no method `predict`: set `train: none`"):
        training.train(encoder, values, STARTS, LENGTH, 0, lambda row: None)  # type: ignore[arg-type]
    inputs = DetectorInput(
        values, STARTS, LENGTH, np.ones(len(STARTS), bool), np.zeros((len(STARTS), 2)), np.zeros((len(STARTS), 2)),
        lambda: encoder, 0,  # type: ignore[arg-type, return-value]
    )  # fmt: skip
    for detector in (
        MaskedPredictionError(n_parts=2, block=4, batch_size=8),
        ClippedPredictionError(n_parts=2, block=4, stretch=8, quantile=0.9, clip=3.0, batch_size=8),
    ):
        with pytest.raises(ConfigError, match="choose `detector: nearest_neighbours`"):
            detector.score(inputs)
    with pytest.raises(ConfigError, match="choose another target"):
        ReconstructionTarget().networks(encoder, np.zeros((4, 2)), np.array([0, 0, 1, 1]), 0)  # type: ignore[arg-type]

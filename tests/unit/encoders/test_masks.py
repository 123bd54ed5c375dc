"""Masks of the end of each window: what they hide, and that an encoder learns to forecast."""

from typing import Any

import numpy as np
import pytest
import torch
import yaml

from clusterwhy.compute.seeding import seed_torch
from clusterwhy.config import build_settings
from clusterwhy.encoders.inception_time import InceptionTime
from clusterwhy.encoders.masks import future_mask
from clusterwhy.encoders.training import MaskedPrediction
from clusterwhy.errors import ConfigError
from tests.conftest import ROOT


def option(name: str, **changed: Any) -> MaskedPrediction:
    values = yaml.safe_load((ROOT / "conf" / "train" / f"{name}.yaml").read_text())
    made: MaskedPrediction = build_settings({"train": values | changed})["train"]
    return made


@pytest.mark.parametrize(
    ("length", "share", "n_hidden"), [(10, 0.2, 2), (128, 0.4, 51), (10, 0.01, 1), (10, 0.99, 9), (2, 0.5, 1)]
)
def test_exactly_the_last_share_of_every_channel_is_hidden(length: int, share: float, n_hidden: int) -> None:
    mask = future_mask((5, 3, length), share, same_for_channels=True)
    expected = torch.arange(length) >= length - n_hidden
    assert torch.equal(mask, expected.expand(5, 3, length))


def test_channels_end_at_times_of_their_own_with_the_share_on_average() -> None:
    torch.manual_seed(0)
    mask = future_mask((200, 4, 50), 0.3, same_for_channels=False)
    assert not (mask.int().diff(dim=2) < 0).any() and mask[..., -1].all() and not mask[..., 0].any()
    assert float(mask.float().mean()) == pytest.approx(0.3, abs=0.01)
    n_hidden = mask.sum(dim=2)
    assert (n_hidden != n_hidden[:, :1]).any(dim=1).float().mean() > 0.9


def test_settings_of_earlier_studies_hide_stretches() -> None:
    now = option("masked_prediction")
    assert MaskedPrediction.model_validate(now.model_dump(by_alias=True, exclude={"mask"})) == now


@pytest.mark.parametrize(("name", "mask"), [("forecast", "stretches"), ("quick", "future")])
def test_stretches_have_a_length_and_the_end_has_none(name: str, mask: str) -> None:
    with pytest.raises(ConfigError, match=f"`mask_length: null`.*got `mask: {mask}`"):
        option(name, mask=mask)


@pytest.mark.parametrize("same_for_channels", [True, False])
def test_an_encoder_learns_to_forecast(same_for_channels: bool) -> None:
    fit = option("forecast", n_steps=40, batch_size=16, n_reports=4, same_mask_for_channels=same_for_channels)
    values = np.sin(np.arange(300)[:, None] / [5.0, 3.0]).astype(np.float32)
    seed_torch(0)
    encoder = InceptionTime(n_filters=4, depth=3, kernel_size=20, head_dropout=0.0).build(2, 30)
    history = fit.train(encoder, values, np.arange(0, 270, 3), 30, 0, lambda row: None)
    assert history["validation_loss"].iloc[-1] < 0.5 * history["validation_loss"].iloc[0]
    window = torch.from_numpy(values[:30].T[None])
    hidden = future_mask(window.shape, fit.mask_share, same_for_channels=True)
    with torch.inference_mode():
        errors = (encoder.predict(window.masked_fill(hidden, 0.0)) - window)[hidden]
    assert errors.square().mean() < 0.5 * window[hidden].square().mean()

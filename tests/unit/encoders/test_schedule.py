"""Learning rates rise and fall once, and fall to 0 soon after the validation loss is flat."""

import numpy as np
import pytest
import torch

from clusterwhy.compute.seeding import seed_torch
from clusterwhy.encoders.inception_time import InceptionTime
from clusterwhy.encoders.schedule import OneCycle
from clusterwhy.encoders.training import MaskedPrediction


def history_of(losses: list[float], every: int = 10) -> list[dict[str, float]]:
    return [{"step": every * (n + 1), "validation_loss": loss} for n, loss in enumerate(losses)]


@pytest.mark.parametrize("n_steps", [10, 37, 300])
def test_rates_of_a_training_to_its_end_are_those_of_torch(n_steps: int) -> None:
    optimiser = torch.optim.SGD([torch.zeros(1)], 1.0)
    torchs = torch.optim.lr_scheduler.OneCycleLR(optimiser, 0.5, total_steps=n_steps)
    schedule = OneCycle(0.5, n_steps, None)
    for step in range(1, n_steps + 1):
        assert schedule.rate(step, None) == pytest.approx(torchs.get_last_lr()[0], abs=1e-5)
        optimiser.step()
        if step < n_steps:
            torchs.step()


def test_once_the_loss_is_flat_the_rate_falls_to_zero_in_a_quarter_of_the_steps_taken() -> None:
    schedule = OneCycle(0.5, 300, 0.03)
    assert schedule.end(120) == 150
    rates = [schedule.rate(step, 120) for step in range(1, 151)]
    assert rates[:120] == [schedule.rate(step, None) for step in range(1, 121)]
    assert np.all(np.diff(rates[119:]) < 0.0) and rates[-1] == pytest.approx(0.0, abs=1e-12)
    # no room for a quarter
    assert schedule.end(280) == schedule.end(None) == 300


def test_a_loss_is_flat_where_the_last_third_of_the_steps_gained_less_than_asked() -> None:
    falling = [0.9**n for n in range(30)]
    assert OneCycle(0.5, 300, 0.03).flat_at(history_of(falling)) is None
    # lowest at step 100; what was lowest at two thirds of the steps is it from step 150 on
    flat = [*falling[:10], *[falling[9]] * 20]
    assert OneCycle(0.5, 300, 0.03).flat_at(history_of(flat)) == 150
    # to step 140, 1 - 0.9 is gained; to step 120, 1 - 0.9 ** 2
    for gain, step in ((0.12, 140), (0.2, 120)):
        assert OneCycle(0.5, 300, gain).flat_at(history_of(flat)) == step
    assert OneCycle(0.5, 300, None).flat_at(history_of(flat)) is None


def test_a_loss_of_zero_is_flat_as_soon_as_the_rate_has_risen() -> None:
    assert OneCycle(0.5, 300, 0.0).flat_at(history_of([0.0] * 30)) == 100


def test_where_a_loss_is_flat_does_not_depend_on_what_comes_later() -> None:
    rng = np.random.default_rng(0)
    schedule = OneCycle(0.5, 300, 0.1)
    for _ in range(50):
        history = history_of(np.exp(-np.arange(30) / 5 + rng.normal(0.0, 0.2, 30)).clip(0.1).tolist())
        flat = schedule.flat_at(history)
        assert flat is not None
        assert [schedule.flat_at(history[: n + 1]) for n in range(30)] == [
            flat if row["step"] >= flat else None for row in history
        ]


@pytest.mark.parametrize("learnable", [True, False])
def test_a_training_ends_early_where_there_is_nothing_to_learn(learnable: bool, rng: np.random.Generator) -> None:
    fit = MaskedPrediction(
        **{"n_steps": 60, "batch_size": 8, "learning_rate": 1e-2, "weight_decay": 0.0, "mask_share": 0.4},
        **{"mask_length": 3.0, "same_mask_for_channels": False, "validation_share": 0.2, "n_reports": 20},
        **{"validation_windows": 8, "flat_gain": 0.03},
    )
    noise, waves = rng.normal(size=(200, 2)), np.sin(np.arange(200)[:, None] / [9.0, 5.0])
    values = (waves if learnable else noise).astype(np.float32)
    seed_torch(0)
    encoder = InceptionTime(n_filters=4, depth=3, kernel_size=8, head_dropout=0.0).build(2, 20)
    history = fit.train(encoder, values, np.arange(0, 180, 5), 20, 0, lambda row: None)
    assert bool(history["step"].iloc[-1] == 60) == learnable

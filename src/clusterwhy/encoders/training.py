"""Masked value prediction: hide stretches of each channel, or the end of each window, and learn to predict them.

After Zerveas et al. 2021 (arXiv 2010.02803): the loss is the error of hidden values alone.
"""

import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

import numpy as np
import pandas as pd
from pydantic import Field, model_validator

from clusterwhy.data.windows import windows_at
from clusterwhy.encoders.schedule import OneCycle
from clusterwhy.encoders.starting import TrainingSettings
from clusterwhy.types import FloatArray, IntArray

if TYPE_CHECKING:
    import torch

    from clusterwhy.encoders.masked import MaskedEncoder
    from clusterwhy.encoders.time_first import Prediction

log = logging.getLogger(__name__)


class NoTraining(TrainingSettings):
    """The encoder stays as it is: built, with weights that the user has, or another study's."""

    def train(
        self,
        encoder: "MaskedEncoder",
        values: FloatArray,
        starts: IntArray,
        length: int,
        seed: int,
        report: Callable[[dict[str, float]], None],
        resume: Path | None = None,
    ) -> pd.DataFrame:
        """A history without rows."""
        encoder.eval()
        kinds = {"step": "int64", "train_loss": "float64", "validation_loss": "float64"}
        return pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in kinds.items()})


class MaskedPrediction(TrainingSettings):
    """How an encoder is trained; a step is one batch.

    Args:
        learning_rate: the highest one, see `OneCycle`.
        mask: what is hidden: stretches anywhere, or the end of each window, as of a forecast.
        mask_share: of values that are hidden.
        mask_length: mean length of a hidden stretch, samples; None for `mask: future`.
        same_mask_for_channels: hide the same samples of all channels of a window.
        validation_share: of windows that are held out.
        validation_windows: at most so many of those are predicted for a report.
        n_reports: rows of the history in `n_steps`.
        flat_gain: training ends early once the validation loss is flat, see `OneCycle`.
    """

    n_steps: int = Field(ge=1)
    batch_size: int = Field(ge=2)
    learning_rate: float = Field(gt=0.0)
    weight_decay: float = Field(ge=0.0)
    mask: Literal["stretches", "future"] = "stretches"  # studies that were made before do not have it
    mask_share: float = Field(gt=0.0, lt=1.0)
    mask_length: float | None = Field(ge=1.0)
    same_mask_for_channels: bool
    validation_share: float = Field(gt=0.0, lt=0.5)
    validation_windows: int = Field(ge=1)
    n_reports: int = Field(ge=1)
    flat_gain: float | None = Field(ge=0.0, lt=1.0)

    @model_validator(mode="after")
    def _length_of_stretches(self) -> Self:
        if (self.mask == "stretches") != (self.mask_length is not None):
            raise ValueError(
                "mask_length: `mask: stretches` needs the mean length of a stretch in samples, `mask: future` has no "
                f"stretches (`mask_length: null`); got `mask: {self.mask}` and `mask_length: {self.mask_length}`"
            )
        return self

    def train(
        self,
        encoder: "MaskedEncoder",
        values: FloatArray,
        starts: IntArray,
        length: int,
        seed: int,
        report: Callable[[dict[str, float]], None],
        resume: Path | None = None,
    ) -> pd.DataFrame:
        """Train in place.

        Args:
            values: (time, channel), scaled.
            starts: first sample of each training window.
            report: called with each row of the history as it is made.
            resume: a file that keeps the state after each row. An interrupted training resumes from it and ends with
                the same weights, bit for bit. None: no state is kept.

        Returns:
            History with `step`, `train_loss` (mean since the row before) and `validation_loss`:
            mean squared error of hidden values, in units of the scaled channels squared.

        Raises:
            ConfigError: the encoder does not predict values.
        """
        import torch

        from clusterwhy.compute.progress import progress
        from clusterwhy.compute.seeding import seed_torch
        from clusterwhy.encoders.masked import best_device, check_predicts
        from clusterwhy.encoders.time_first import training_prediction
        from clusterwhy.encoders.training_state import TrainingState, fingerprint

        check_predicts(encoder, "train", "set `train: none`, which leaves it as it is, or give it a method `predict`")
        seed_torch(seed)
        rng = np.random.default_rng(seed)
        order = rng.permutation(starts)
        n_held_out = max(1, round(self.validation_share * len(starts)))
        held_out, kept = order[:n_held_out], order[n_held_out:]
        if not len(kept):
            kept = held_out
        device = best_device()
        encoder.to(device).train()
        predict = training_prediction(encoder, length)
        held_out_windows = torch.from_numpy(windows_at(values, held_out[: self.validation_windows], length))
        held_out_mask = self._mask(held_out_windows)
        optimiser = torch.optim.AdamW(
            encoder.parameters(), self.learning_rate, weight_decay=self.weight_decay, fused=True
        )
        schedule = OneCycle(self.learning_rate, self.n_steps, self.flat_gain)
        report_at = set(np.linspace(1, self.n_steps, min(self.n_reports, self.n_steps), dtype=int).tolist())
        state = TrainingState(encoder, optimiser, rng=rng)
        made_for = fingerprint(self, seed, encoder, (values, starts)) if resume is not None else ""
        if resume is not None and state.restore(resume, made_for):
            log.info("training resumes after step %.0f", state.history[-1]["step"])
        step = int(state.history[-1]["step"]) if state.history else 0
        flat = schedule.flat_at(state.history)
        losses, began = [], time.monotonic()
        bar = progress(desc="train", unit="step", initial=step, total=self.n_steps)
        while step < (end := schedule.end(flat)):
            step += 1
            for group in optimiser.param_groups:
                group["lr"] = schedule.rate(step, flat)
            batch = torch.from_numpy(windows_at(values, rng.choice(kept, self.batch_size), length))
            mask = self._mask(batch).to(device)
            loss = _squared_errors(predict, batch.to(device), mask) / mask.sum()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            losses.append(loss.detach())
            bar.update()
            if step in report_at or step == end:
                encoder.eval()
                validation = self._validation_loss(predict, held_out_windows, held_out_mask, device)
                encoder.train()
                train_loss = torch.stack(losses).mean().item()
                row = {"step": step, "train_loss": train_loss, "validation_loss": validation}
                state.history.append(row)
                losses = []
                if resume is not None:
                    state.save(resume, made_for)
                report(row | {"elapsed_s": time.monotonic() - began})
                if flat is None and (flat := schedule.flat_at(state.history)) is not None:
                    bar.total = schedule.end(flat)
                    log.info("validation loss flat at step %d: training ends at step %d", flat, bar.total)
        bar.close()
        encoder.eval()
        return pd.DataFrame(state.history)

    def _mask(self, windows: "torch.Tensor") -> "torch.Tensor":
        from clusterwhy.encoders.masks import future_mask, stretch_mask

        if self.mask_length is None:
            return future_mask(windows.shape, self.mask_share, self.same_mask_for_channels)
        return stretch_mask(windows.shape, self.mask_share, self.mask_length, self.same_mask_for_channels)

    def _validation_loss(
        self, predict: "Prediction", windows: "torch.Tensor", mask: "torch.Tensor", device: "torch.device"
    ) -> float:
        import torch

        with torch.inference_mode():
            sums = [
                _squared_errors(predict, batch.to(device), hidden.to(device))
                for batch, hidden in zip(windows.split(self.batch_size), mask.split(self.batch_size), strict=True)
            ]
        return (torch.stack(sums).sum().cpu() / mask.sum()).item()


def _squared_errors(predict: "Prediction", windows: "torch.Tensor", mask: "torch.Tensor") -> "torch.Tensor":
    """Sum over hidden values."""
    errors = predict(windows.masked_fill(mask, 0.0)) - windows
    return errors.masked_fill(~mask, 0.0).square().sum()

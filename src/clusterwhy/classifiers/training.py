"""Train a classifier on labelled windows: class weights, a schedule, early stopping, and a state to resume from."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch
from pydantic import Field
from torch import nn

from clusterwhy.classifiers.base import Classifier
from clusterwhy.compute.progress import progress
from clusterwhy.compute.seeding import seed_torch
from clusterwhy.config import Settings
from clusterwhy.data.windows import windows_at
from clusterwhy.encoders.masked import best_device
from clusterwhy.encoders.training_state import TrainingState, fingerprint
from clusterwhy.errors import ShapeError, TrainingError
from clusterwhy.types import FloatArray, IntArray

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LabelledWindows:
    """Windows of a series, cut out when they are needed.

    Attributes:
        values: (time, channel), scaled.
        starts: (window,) first sample of each.
        labels: (window,) class codes.
        length: samples in one window.
    """

    values: FloatArray
    starts: IntArray
    labels: IntArray
    length: int

    def __len__(self) -> int:
        return len(self.starts)

    def windows(self, rows: IntArray | slice) -> torch.Tensor:
        """(window, channel, time) float32 of the chosen rows."""
        return torch.from_numpy(windows_at(self.values, self.starts[rows], self.length)).float()


class ClassifierTraining(Settings):
    """How a classifier is trained; cross-entropy, AdamW.

    Args:
        class_weights: balanced: every class has the same total weight, however many windows it has.
        noise: standard deviation of normal noise on each training value, in units of the scaled channels.
        scale_spread: each channel of a training window is multiplied by exp(normal with this deviation), so that the
            network does not learn the strength of the people or machines of the training groups (Um et al. 2017).
        patience: training ends after so many epochs without a lower validation loss, and keeps the best weights. None:
            training runs to the end of its schedule and keeps the last weights, for validation parts of so few groups
            that their loss says little about others.
    """

    n_epochs: int = Field(ge=1)
    batch_size: int = Field(ge=2)
    learning_rate: float = Field(gt=0.0)
    weight_decay: float = Field(ge=0.0)
    schedule: Literal["one_cycle", "cosine"]
    class_weights: Literal["balanced", "equal"]
    label_smoothing: float = Field(ge=0.0, lt=1.0)
    noise: float = Field(ge=0.0)
    scale_spread: float = Field(ge=0.0)
    patience: int | None = Field(ge=1)

    def train(
        self,
        network: Classifier,
        data: tuple[LabelledWindows, LabelledWindows],
        seed: int,
        report: Callable[[dict[str, float]], None],
        resume: Path | None = None,
    ) -> pd.DataFrame:
        """Train in place. The network is left in evaluation mode with the weights of `kept_epoch`.

        Args:
            data: training and validation windows.
            report: called with each row of the history as it is made.
            resume: a file that keeps the state after each epoch. An interrupted training resumes from it and ends with
                the same weights, bit for bit. A state of other settings, seeds or windows is not used. None: no state
                is kept.

        Returns:
            History with `epoch`, `learning_rate`, `train_loss`, `train_accuracy` (while it learned, with dropout),
            `validation_loss` and `validation_accuracy`; losses are cross-entropies in nats, weighted as in training.

        Raises:
            ShapeError: labels that the network has no class for.
            TrainingError: the loss is not finite.
        """
        train, validation = data
        seed_torch(seed)
        network.to(best_device()).train()
        loss = self._loss(train.labels, network.n_classes)
        state = self._start(network, -(-len(train) // self.batch_size))
        read = [array for part in data for array in (part.values, part.starts, part.labels)]
        made_for = fingerprint(self, seed, network, read)
        if resume is not None and state.restore(resume, made_for):
            log.info("training resumes after epoch %d", state.epoch)
        bar = progress(total=self.n_epochs, initial=state.epoch, desc="train", unit="epoch")
        began = time.monotonic()
        while state.epoch < self.n_epochs and (self.patience is None or state.epochs_since_best < self.patience):
            row = self._epoch(state, loss, train, seed) | self._validation(network, loss, validation)
            if not np.isfinite(row["validation_loss"]):
                raise TrainingError(
                    f"the validation loss of epoch {row['epoch']:.0f} is {row['validation_loss']}: lower "
                    f"`classifier_training.learning_rate` ({self.learning_rate:g}), or look for windows with "
                    "values that are not finite"
                )
            state.note(row)
            if resume is not None:
                state.save(resume, made_for)
            report(row | {"elapsed_s": time.monotonic() - began})
            bar.update()
            bar.set_postfix_str(f"loss {row['train_loss']:.3f}, validation {row['validation_loss']:.3f}")
        bar.close()
        if self.patience is not None:
            network.load_state_dict(state.best)
        network.eval()
        return pd.DataFrame(state.history)

    def kept_epoch(self, history: pd.DataFrame) -> int:
        """The epoch whose weights `train` kept."""
        row = -1 if self.patience is None else history["validation_loss"].to_numpy().argmin()
        return int(history["epoch"].to_numpy()[row])

    def _loss(self, labels: IntArray, n_classes: int) -> nn.CrossEntropyLoss:
        if labels.min() < 0 or labels.max() >= n_classes:
            raise ShapeError(f"expected labels 0 to {n_classes - 1}, got {labels.min()} to {labels.max()}")
        counts = np.bincount(labels, minlength=n_classes)
        # as scikit-learn's "balanced": weights of the training windows have mean 1
        balanced = len(labels) / (n_classes * np.maximum(counts, 1))
        weights = torch.tensor(balanced if self.class_weights == "balanced" else np.ones(n_classes)).float()
        return nn.CrossEntropyLoss(weights.to(best_device()), label_smoothing=self.label_smoothing)

    def _start(self, network: Classifier, n_batches: int) -> TrainingState:
        optimiser = torch.optim.AdamW(network.parameters(), self.learning_rate, weight_decay=self.weight_decay)
        n_steps = self.n_epochs * n_batches
        schedule: Any = (
            torch.optim.lr_scheduler.OneCycleLR(optimiser, self.learning_rate, total_steps=n_steps)
            if self.schedule == "one_cycle"
            else torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, n_steps)
        )
        return TrainingState(network, optimiser, schedule)

    def _epoch(
        self, state: TrainingState, loss: nn.CrossEntropyLoss, train: LabelledWindows, seed: int
    ) -> dict[str, float]:
        device = best_device()
        network = state.network.train()
        # what is drawn depends on seed and epoch alone, so that it need not be stored
        rng = np.random.default_rng([seed, state.epoch])
        order = rng.permutation(len(train))
        rate = float(state.optimiser.param_groups[0]["lr"])
        losses, right = [], 0
        # even parts: batch norm cannot work on a last batch of one window
        for rows in np.array_split(order, -(-len(train) // self.batch_size)):
            labels = torch.from_numpy(train.labels[rows]).to(device)
            logits = network(self._varied(train.windows(rows), rng).to(device))
            value = loss(logits, labels)
            state.optimiser.zero_grad()
            value.backward()
            state.optimiser.step()
            state.schedule.step()
            losses.append(value.item() * len(rows))
            right += int((logits.argmax(dim=1) == labels).sum())
        return {
            "epoch": state.epoch + 1,
            "learning_rate": rate,
            "train_loss": sum(losses) / len(train),
            "train_accuracy": right / len(train),
        }

    def _varied(self, windows: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
        factors = np.exp(self.scale_spread * rng.normal(size=(*windows.shape[:2], 1)))
        noise = self.noise * rng.normal(size=windows.shape)
        return windows * torch.from_numpy(factors).float() + torch.from_numpy(noise).float()

    def _validation(self, network: Classifier, loss: nn.CrossEntropyLoss, data: LabelledWindows) -> dict[str, float]:
        logits = torch.from_numpy(logits_of(network, data, self.batch_size))
        network.train()
        labels = torch.from_numpy(data.labels)
        value = loss(logits.to(best_device()), labels.to(best_device()))
        accuracy = float((logits.argmax(dim=1) == labels).double().mean())
        return {"validation_loss": value.item(), "validation_accuracy": accuracy}


def logits_of(network: Classifier, data: LabelledWindows, batch_size: int) -> FloatArray:
    """(window, class) float32 logits in evaluation mode."""
    return _batched(network, network.forward, data, batch_size)


def features_of(network: Classifier, data: LabelledWindows, batch_size: int) -> FloatArray:
    """(window, feature) float32: the embedding of each window in evaluation mode."""
    return _batched(network, network.features, data, batch_size)


@torch.inference_mode()
def _batched(
    network: Classifier, function: Callable[[torch.Tensor], torch.Tensor], data: LabelledWindows, batch_size: int
) -> FloatArray:
    device = best_device()
    network.to(device).eval()
    parts = [
        function(data.windows(slice(first, first + batch_size)).to(device)).cpu().numpy()
        for first in range(0, len(data), batch_size)
    ]
    return np.concatenate(parts)

"""Classifiers on disk: weights as safetensors, everything else that a prediction needs as JSON."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
from pydantic import Field, ValidationError, model_validator

from clusterwhy.artifacts.names import name_faults
from clusterwhy.artifacts.store import read_json, write_bytes, write_json
from clusterwhy.classifiers.base import Classifier, ClassifierSettings
from clusterwhy.config import Settings, build_settings
from clusterwhy.data.scaling import standardised
from clusterwhy.encoders.storage import MOST_CHANNELS, MOST_STEPS, load_weights
from clusterwhy.errors import ArtifactError, ConfigError, ShapeError
from clusterwhy.types import FloatArray


class ClassifierCard(Settings):
    """Description of a stored classifier.

    Attributes:
        network: settings, as in `conf/classifier`.
        length: samples in one window.
        centre: of each channel, in its unit; subtracted before the network.
        scale: of each channel, in its unit; what the difference is divided by.
        temperature: logits are divided by it before the softmax, so that probabilities are calibrated
            (Guo et al. 2017).
    """

    network: dict[str, Any]
    classes: tuple[str, ...] = Field(min_length=2)
    channels: tuple[str, ...] = Field(min_length=1, max_length=MOST_CHANNELS)
    units: tuple[str, ...]
    length: int = Field(ge=2, le=MOST_STEPS)
    rate_hz: float = Field(gt=0.0)
    centre: tuple[float, ...]
    scale: tuple[float, ...]
    temperature: float = Field(gt=0.0)

    @model_validator(mode="after")
    def _names_and_numbers_of_each_channel(self) -> Self:
        if {len(self.units), len(self.centre), len(self.scale)} != {len(self.channels)}:
            raise ValueError(f"units, centre and scale need one entry for each of {len(self.channels)} channels")
        for kind, names in (("class", self.classes), ("channel", self.channels), ("unit", self.units)):
            if wrong := name_faults(kind, names):
                raise ValueError(wrong)
        return self


@dataclass(frozen=True)
class Prediction:
    """Class probabilities of windows.

    Attributes:
        probabilities: (window, class), rows sum to 1.
        classes: names of the classes.
    """

    probabilities: FloatArray
    classes: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """(window,) the most probable class."""
        return tuple(self.classes[i] for i in self.probabilities.argmax(axis=1))

    def table(self) -> pd.DataFrame:
        """`window`, `predicted`, and `probability_<class>` of each class."""
        table = pd.DataFrame({"window": np.arange(len(self.probabilities)), "predicted": self.names})
        for i, name in enumerate(self.classes):
            table[f"probability_{name}"] = self.probabilities[:, i]
        return table


@dataclass(frozen=True)
class TrainedClassifier:
    """A network in evaluation mode and its card."""

    network: Classifier
    card: ClassifierCard

    def predict(self, windows: FloatArray, batch_size: int = 256) -> Prediction:
        """Class probabilities of windows.

        Args:
            windows: (window, channel, time) as recorded, in the units of the card.

        Raises:
            ShapeError: not the card's channels and length, or values that are not finite.
        """
        import torch

        from clusterwhy.encoders.masked import best_device

        expected = (len(self.card.channels), self.card.length)
        if windows.ndim != 3 or windows.shape[1:] != expected or not len(windows):
            names = ", ".join(self.card.channels)
            raise ShapeError(
                f"expected windows (window >= 1, channel {expected[0]}, time {expected[1]}) with channels {names} at "
                f"{self.card.rate_hz:g} Hz, got {windows.shape}"
            )
        if not np.isfinite(windows).all():
            raise ShapeError(f"{int((~np.isfinite(windows)).sum())} values of the windows are not finite")
        centre, scale = (np.array(part)[:, None] for part in (self.card.centre, self.card.scale))
        device = best_device()
        network, logits = self.network.to(device), []
        with torch.inference_mode():
            for first in range(0, len(windows), batch_size):
                batch = standardised(windows[first : first + batch_size], centre, scale).astype(np.float32)
                logits.append(network(torch.from_numpy(batch).to(device)).double().cpu())
        probabilities = torch.softmax(torch.cat(logits) / self.card.temperature, dim=1).numpy()
        return Prediction(probabilities, self.card.classes)


def save_classifier(folder: Path, network: Classifier, card: ClassifierCard) -> None:
    """Write `classifier.safetensors` and `classifier.json`."""
    from safetensors.torch import save

    weights = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in network.state_dict().items()}
    write_bytes(folder / "classifier.safetensors", save(weights))
    write_json(folder / "classifier.json", card.model_dump(mode="json"))


def load_classifier(folder: Path) -> TrainedClassifier:
    """The stored classifier, in evaluation mode.

    Raises:
        ArtifactError: a file is missing or damaged, or the weights do not fit the network.
    """
    import torch

    path = folder / "classifier.json"
    try:
        card = ClassifierCard.model_validate(read_json(path))
        settings = build_settings({"network": card.network})["network"]
    except (ValidationError, ConfigError, ValueError) as error:
        if isinstance(error, ArtifactError):
            raise
        raise ArtifactError(f"{path} does not describe a classifier: {error}") from error
    if not isinstance(settings, ClassifierSettings):
        raise ArtifactError(f"{path} does not describe a classifier: `network` is {card.network.get('_target_')!r}")
    with torch.random.fork_rng(devices=[]):
        network = settings.build(len(card.channels), card.length, len(card.classes))
    load_weights(network, folder / "classifier.safetensors", path)
    return TrainedClassifier(network.eval(), card)


def predict(folder: Path, windows: FloatArray) -> Prediction:
    """Class probabilities of windows (window, channel, time) as recorded, from a checkpoint alone.

    Raises:
        ArtifactError: `folder` holds no complete checkpoint.
        ShapeError: windows are not what the classifier was trained on.
    """
    return load_classifier(folder).predict(windows)

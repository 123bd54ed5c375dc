"""Starting weights: those of another study's encoders, in a folder that `dvc repro` watches."""

import hashlib
import logging
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from pydantic import Field, field_validator

from clusterwhy.config import Settings, build_settings
from clusterwhy.data.storage import Prepared
from clusterwhy.encoders.base import EncoderSettings
from clusterwhy.errors import ConfigError

log = logging.getLogger(__name__)
FOLDER, CARD, WEIGHTS = "networks", "encoder.json", "encoder.safetensors"
RATE_TOLERANCE = 0.01  # as of a recording that a study is applied to
# of encoders: where weights were read from, which the starting weights have in them already
ORIGIN = {"weights"}


class TrainingSettings(Settings):
    """A choice of `conf/train`.

    Attributes:
        start: `from` in YAML: a copy of the folder `artifacts/train` of another study, below networks/, whose encoders
            the encoders of this one start as, each as the one of the same number; null: as they are built.
    """

    start: str | None = Field(default=None, alias="from")

    @field_validator("start")
    @classmethod
    def _watched(cls, path: str | None) -> str | None:
        parts = PurePosixPath(path or "").parts
        if path is not None and (len(parts) < 2 or parts[0] != FOLDER or ".." in parts):
            raise ValueError(
                f"expected a folder {FOLDER}/<name>, a copy of another study's artifacts/train: "
                "`dvc repro` notices changes only there"
            )
        return path


def check_start(folder: Path, config: dict[str, Any], data: Prepared, count: int) -> None:
    """Refuse to start from encoders that are not networks of the same kind for the same channels.

    Args:
        folder: with the encoders to start from.
        config: of the encoder, as in `conf/encoder`.
        data: what the encoders of this study are trained on.
        count: of these encoders.

    Raises:
        ConfigError: lists every difference, or says that there are too few encoders.
        ArtifactError: a file of the folder is damaged.
    """
    from clusterwhy.encoders.storage import encoder_folder

    folders = [encoder_folder(folder, which) for which in range(count)]
    there = [one for one in folders if (one / CARD).is_file() and (one / WEIGHTS).is_file()]
    if not there:
        how = "copy the folder artifacts/train of the other study there"
        raise ConfigError("train", [f"from: no {CARD} and {WEIGHTS} in {folder}: {how}"])
    faults = []
    if len(there) < count:
        faults.append(f"it has {len(there)} of the {count} encoders that start from it: set `encoders: {len(there)}`")
    for one in there:
        faults += [fault for fault in _differences(one, config, data) if fault not in faults]
    if faults:
        raise ConfigError(f"train.from: {folder} does not fit this study", faults)


def load_start(encoder: Any, folder: Path) -> dict[str, str]:
    """Give a built encoder the weights of a stored one, read as plain numbers; where they are from, for its card.

    Raises:
        ArtifactError: they do not fit, or are not finite.
    """
    from clusterwhy.encoders.storage import load_weights

    path = folder / WEIGHTS
    load_weights(encoder, path, folder / CARD)
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    log.info("the encoder starts as that of %s (SHA-256 %s...)", folder, sha256[:12])
    return {"from": folder.as_posix(), "sha256": sha256}


def _differences(folder: Path, config: dict[str, Any], data: Prepared) -> Iterator[str]:
    """What keeps a stored encoder from being the start of one with these settings, for these windows."""
    from clusterwhy.encoders.storage import stored_settings

    (theirs, card), own = stored_settings(folder), build_settings({"encoder": config})["encoder"]
    if not own.has_weights:
        yield f"{type(own).__name__} has no weights: choose another `encoder`"
    elif type(theirs) is not type(own):
        yield f"encoder: {type(theirs).__name__} there, {type(own).__name__} here"
    else:
        noted: EncoderSettings = build_settings({"encoder": own.stored(config)})["encoder"]
        for name in sorted(set(type(own).model_fields) - ORIGIN):
            if getattr(theirs, name) != getattr(noted, name):
                yield f"encoder.{name}: {getattr(theirs, name)} there, {getattr(noted, name)} here"
    yield from _channel_differences(card.channels, card.n_channels, data.channels)
    if card.length != data.length and own.has_weights and _needs_length(own, data, card.length):
        yield f"window: {card.length} samples there, {data.length} here, and this network needs as many"
    rate_hz = data.card.rate_hz
    if card.rate_hz is not None and abs(card.rate_hz - rate_hz) > RATE_TOLERANCE * rate_hz:
        yield f"sampling rate: {card.rate_hz:g} Hz there, {rate_hz:g} Hz here, and kernels count samples"


def _needs_length(settings: EncoderSettings, data: Prepared, other: int) -> bool:
    """Whether the network is another one for windows of another length."""
    import torch

    if settings.of_one_length:
        return True
    with torch.device("meta"):
        built = [settings.build(len(data.channels), length).state_dict() for length in (data.length, other)]
    own, there = ({name: tensor.shape for name, tensor in weights.items()} for weights in built)
    return own != there


def _channel_differences(theirs: list[str] | None, count: int, own: tuple[str, ...]) -> Iterator[str]:
    if theirs is None:
        log.warning("the encoder to start from has no names of channels: only their number is compared")
        theirs = list(own) if count == len(own) else []
    if count != len(own):
        yield f"channels: {count} there, {len(own)} here"
    if missing := [name for name in theirs if name not in own]:
        yield f"channels only there: {', '.join(missing)}"
    if added := [name for name in own if theirs and name not in theirs]:
        yield f"channels only here: {', '.join(added)}"
    if not missing and not added and theirs and theirs != list(own):
        yield f"order of channels: {', '.join(theirs)} there, {', '.join(own)} here"

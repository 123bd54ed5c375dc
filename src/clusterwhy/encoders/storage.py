"""Encoders on disk: weights as safetensors, settings that build the network as JSON."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field, ValidationError

from clusterwhy.artifacts.store import read_json, write_bytes, write_json
from clusterwhy.config import Settings, build_settings
from clusterwhy.encoders.base import EncoderSettings
from clusterwhy.encoders.masked import MaskedEncoder
from clusterwhy.errors import ArtifactError, ConfigError

if TYPE_CHECKING:
    from torch import nn

# a damaged file must not ask for a network that fills the memory
MOST_CHANNELS, MOST_STEPS = 100_000, 10_000_000

REPLICATE = "replicate_"  # and its number, from 1


class EncoderCard(Settings):
    """Description of a stored encoder.

    Attributes:
        encoder: its settings, as in `conf/encoder`.
        n_channels, length: shape of its windows.
        channels: their names; None in one of an earlier version.
        rate_hz: samples per second of the windows; None likewise.
        start: the encoder that it started as (`from`), and the SHA-256 of that one's weights; None: as it was built.
    """

    encoder: dict[str, Any]
    n_channels: int = Field(ge=1, le=MOST_CHANNELS)
    length: int = Field(ge=2, le=MOST_STEPS)
    channels: list[str] | None = None
    rate_hz: float | None = Field(default=None, gt=0.0)
    start: dict[str, str] | None = None


def load_weights(network: "nn.Module", weights: Path, card: Path) -> None:
    """Load stored weights into a network.

    Raises:
        ArtifactError: not a safetensors file, weights of another network, or weights that are not finite.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        found = load_file(weights)
        network.load_state_dict(found)
    except (SafetensorError, RuntimeError, OSError) as error:
        raise ArtifactError(f"{weights} does not fit {card}: {error}") from error
    if strange := [name for name, tensor in found.items() if not tensor.isfinite().all()]:
        raise ArtifactError(f"{weights}: weights that are not finite: {', '.join(strange[:5])}")


def save_encoder(
    folder: Path, encoder: MaskedEncoder, config: dict[str, Any], n_channels: int, length: int, **noted: Any
) -> None:
    """Write `encoder.safetensors` and `encoder.json`.

    Args:
        noted: further entries of the `EncoderCard`.
    """
    from safetensors.torch import save

    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in encoder.state_dict().items()}
    write_bytes(folder / "encoder.safetensors", save(weights))
    write_json(folder / "encoder.json", {"encoder": config, "n_channels": n_channels, "length": length} | noted)


def encoder_folder(folder: Path, which: int) -> Path:
    """Of a stage `train`: of the first encoder (0), or of a replicate."""
    return folder / f"{REPLICATE}{which}" if which else folder


def replicate_folders(folder: Path) -> list[Path]:
    """The folders of a stage `train` that hold the encoders of further seeds, in their order."""
    return sorted(folder.glob(f"{REPLICATE}*"), key=lambda path: int(path.name.removeprefix(REPLICATE)))


def stored_settings(folder: Path) -> tuple[EncoderSettings, EncoderCard]:
    """What a stored encoder is built from.

    Raises:
        ArtifactError: the JSON does not describe an encoder.
    """
    path = folder / "encoder.json"
    try:
        card = EncoderCard.model_validate(read_json(path))
        settings = build_settings({"encoder": card.encoder})["encoder"]
    except (ValidationError, ConfigError) as error:
        raise ArtifactError(f"{path} does not describe an encoder: {error}") from error
    if not isinstance(settings, EncoderSettings):
        raise ArtifactError(f"{path} does not describe an encoder: `encoder` is {card.encoder.get('_target_')!r}")
    if fault := settings.stored_fault:
        raise ArtifactError(f"{path} does not describe an encoder: {fault}")
    return settings, card


def load_encoder(folder: Path, trained: bool = True) -> MaskedEncoder:
    """The stored encoder in evaluation mode; with `trained=False` the same network before training (seed 0).

    Raises:
        ArtifactError: the weights do not fit the network that the JSON describes.
    """
    import torch

    settings, card = stored_settings(folder)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        encoder = settings.build(card.n_channels, card.length)
    if trained:
        load_weights(encoder, folder / "encoder.safetensors", folder / "encoder.json")
    return encoder.eval()

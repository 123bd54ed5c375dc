"""Encoders on disk: safetensors for the weights, JSON for what builds the network."""

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

MOST_CHANNELS, MOST_STEPS = 100_000, 10_000_000  # of a network that is built because a file says so


class EncoderCard(Settings):
    """What an encoder was made of and for: a choice of `conf/encoder` with its `_target_`, and its windows."""

    encoder: dict[str, Any]
    n_channels: int = Field(ge=1, le=MOST_CHANNELS)
    length: int = Field(ge=2, le=MOST_STEPS)


def load_weights(network: "nn.Module", weights: Path, card: Path) -> None:
    """Put stored weights into a network.

    Raises:
        ArtifactError: no safetensors file, other weights than the network of the card has, or no finite ones.
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


def save_encoder(folder: Path, encoder: MaskedEncoder, config: dict[str, Any], n_channels: int, length: int) -> None:
    """Write `encoder.safetensors` and `encoder.json`."""
    from safetensors.torch import save

    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in encoder.state_dict().items()}
    write_bytes(folder / "encoder.safetensors", save(weights))
    write_json(folder / "encoder.json", {"encoder": config, "n_channels": n_channels, "length": length})


def load_encoder(folder: Path, trained: bool = True) -> MaskedEncoder:
    """The stored encoder in evaluation mode; with `trained=False` its untrained twin (seed 0).

    Raises:
        ArtifactError: the weights do not fit the network that the JSON describes.
    """
    import torch

    path = folder / "encoder.json"
    try:
        card = EncoderCard.model_validate(read_json(path))
        settings = build_settings({"encoder": card.encoder})["encoder"]
    except (ValidationError, ConfigError) as error:
        raise ArtifactError(f"{path} describes no encoder: {error}") from error
    if not isinstance(settings, EncoderSettings):
        raise ArtifactError(f"{path} describes no encoder: `encoder` is {card.encoder.get('_target_')!r}")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        encoder = settings.build(card.n_channels, card.length)
    if trained:
        load_weights(encoder, folder / "encoder.safetensors", folder / "encoder.json")
    return encoder.eval()

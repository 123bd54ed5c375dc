"""Encoders on disk: safetensors for the weights, JSON for what builds the network."""

from pathlib import Path
from typing import Any

from clusterwhy.artifacts import read_json, write_bytes, write_json
from clusterwhy.config import build_settings
from clusterwhy.encoders.base import EncoderSettings
from clusterwhy.encoders.masked import MaskedEncoder
from clusterwhy.errors import ArtifactError


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
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    description = read_json(folder / "encoder.json")
    settings = build_settings({"encoder": description["encoder"]})["encoder"]
    if not isinstance(settings, EncoderSettings):
        raise ArtifactError(f"{folder / 'encoder.json'} describes no encoder")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        encoder = settings.build(description["n_channels"], description["length"])
    if trained:
        path = folder / "encoder.safetensors"
        try:
            encoder.load_state_dict(load_file(path))
        except (SafetensorError, RuntimeError, OSError) as error:
            raise ArtifactError(f"{path} does not fit {folder / 'encoder.json'}: {error}") from error
    return encoder.eval()

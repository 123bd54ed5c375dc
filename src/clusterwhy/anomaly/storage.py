"""What a detector has learned, on disk: `detector.safetensors`."""

from pathlib import Path

import numpy as np

from clusterwhy.anomaly.base import Fitted
from clusterwhy.artifacts.store import write_bytes
from clusterwhy.errors import ArtifactError

NAME = "detector.safetensors"


def save_fitted(folder: Path, fitted: Fitted) -> None:
    """Write what a detector has learned (`Scores.fitted`)."""
    from safetensors.numpy import save

    write_bytes(folder / NAME, save({name: np.ascontiguousarray(values) for name, values in fitted.items()}))


def load_fitted(folder: Path) -> Fitted:
    """What a detector has learned, from the artifacts of the stage `score`.

    Raises:
        ArtifactError: there is no such file, it is no safetensors file, or its values are not finite.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    path = folder / NAME
    if not path.is_file():
        raise ArtifactError(f"no artifact {path}: run the stage that writes it (`dvc repro`)")
    try:
        fitted = load_file(path)
    except (SafetensorError, OSError) as error:
        raise ArtifactError(f"{path} is not a safetensors file: {error}") from error
    if strange := [name for name, values in fitted.items() if not np.isfinite(values).all()]:
        raise ArtifactError(f"{path}: values that are not finite: {', '.join(strange)}")
    return fitted

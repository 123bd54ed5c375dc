"""What a stage needs of memory and disk, estimated from what it is given before it begins."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from clusterwhy.compute.resources import require

# Bytes that imports take: plain, with torch and tsai, with umap and numba. As measured on Linux, rounded up.
PLAIN, TORCH, PROJECTION = 300e6, 1000e6, 500e6
ADVICE = (
    "a longer stride or fewer channels make less of it (conf/window, `channels` of the dataset), or another machine"
)
BATCH = 256
FILTERS = 128  # activations of a window's layers, per step, that are there at once, in channels


def estimated_needs(stage: str, sizes: Mapping[str, Any], file_bytes: float) -> tuple[float, float]:
    """Bytes of memory and of disk; rough, meant to tell what fits from what does not.

    Args:
        sizes: of the axes of the artifacts that the stage reads.
        file_bytes: size of the dataset's file, 0 for one without.
    """
    samples, channels, windows, steps, features = (
        float(sizes.get(axis, 0)) for axis in ("sample", "channel", "window", "step", "feature")
    )
    series = samples * channels * 8
    # a file's text, its table, its numbers; twice as numbers on the disk
    reading = PLAIN + 8 * file_bytes, 3 * file_bytes
    batch = BATCH * steps * (channels + FILTERS) * 4 * 4
    embeddings = windows * features * 4
    table: dict[str, tuple[float, float]] = {
        "prepare": reading,
        # a tenth of the windows is validated at once
        "train": (TORCH + batch + 0.1 * windows * steps * (channels + FILTERS) * 4, 50e6),
        "embed": (TORCH + batch, 2 * embeddings + windows * 8),
        "project": (PROJECTION + 4 * embeddings + windows * 600, windows * 60),
        "cluster": (PLAIN + 4 * embeddings + windows * 300, windows * 100),
        "score": (TORCH + batch + 2 * embeddings + windows * (channels + 8) * 16, windows * (channels + 8) * 8),
        "explain": (TORCH + 8 * batch + 2 * embeddings, 2 * batch),
        # labels are compared with clusters of raw windows, in double precision
        "evaluate": (TORCH + PROJECTION + 8 * batch + 2 * embeddings + windows * steps * channels * 12, 20e6),
        "report": (PLAIN + PROJECTION + 2 * series + windows * 400, series + windows * 400 + 20e6),
        "classify": (TORCH + 8 * file_bytes + 2e9, 3 * file_bytes + 50e6),
        "attribute": (TORCH + PROJECTION + 16 * batch, 100e6),
    }
    return table.get(stage, (0.0, 0.0))


def check_resources(stage: str, sizes: Mapping[str, Any], settings: Mapping[str, Any], folder: Path) -> None:
    """Refuse a stage that would not fit.

    Raises:
        ResourceError: says what it needs and what is left.
    """
    path = Path(str(getattr(settings.get("dataset"), "path", None) or "")).expanduser()
    file_bytes = float(path.stat().st_size) if path.is_file() else 0.0
    memory, disk = estimated_needs(stage, sizes, file_bytes)
    require(f"the stage `{stage}`", memory, disk, folder, ADVICE)

"""Estimates memory and disk space of a stage from the sizes of its inputs, before it starts."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from clusterwhy.compute.resources import require

# bytes of the imported packages: base, with torch and tsai, with umap and numba; measured on Linux, rounded up
PLAIN, TORCH, PROJECTION = 300e6, 1000e6, 500e6
ADVICE = "use a longer stride (conf/window), fewer `channels` of the dataset, or a larger machine"
BATCH = 256
FILTERS = 128  # activations per time step that are alive at once, in channels


def estimated_needs(stage: str, sizes: Mapping[str, Any], file_bytes: float) -> tuple[float, float]:
    """Bytes of memory and of disk, as rough upper estimates.

    Args:
        sizes: axis name -> size, of the input artifacts; `clustered` windows at most are clustered again by `evaluate`,
            and `explained` ones are explained by `explain_windows`.
        file_bytes: size of the dataset's file; 0 without one.
    """
    samples, channels, windows, steps, features = (
        float(sizes.get(axis, 0)) for axis in ("sample", "channel", "window", "step", "feature")
    )
    clustered = min(windows, float(sizes.get("clustered", windows)))
    explained = min(windows, float(sizes.get("explained", windows))) * steps * channels
    series = samples * channels * 8
    # in memory: text, table and numbers of the file; on disk: raw and scaled numbers
    reading = PLAIN + 8 * file_bytes, 3 * file_bytes
    batch = BATCH * steps * (channels + FILTERS) * 4 * 4
    embeddings = windows * features * 4
    table: dict[str, tuple[float, float]] = {
        "prepare": reading,
        # a tenth of the windows is kept for validation, with masks
        "train": (TORCH + batch + 0.1 * windows * steps * channels * 5, 50e6),
        "embed": (TORCH + batch, 2 * embeddings + windows * 8),
        "project": (PROJECTION + 4 * embeddings + windows * 600, windows * 60),
        "cluster": (PLAIN + 4 * embeddings + windows * 300, windows * 100),
        "score": (TORCH + batch + 2 * embeddings + windows * (channels + 8) * 16, windows * (channels + 8) * 8),
        "explain": (TORCH + 8 * batch + 2 * embeddings, 2 * batch),
        # their values, and relevance in levels before and after parts are put in order
        "explain_windows": (TORCH + 8 * batch + 2 * embeddings + explained * 6, explained + windows * channels * 4),
        # for comparison, raw windows are clustered in double precision
        "evaluate": (TORCH + PROJECTION + 8 * batch + 2 * embeddings + clustered * steps * channels * 12, 20e6),
        "report": (PLAIN + PROJECTION + 2 * series + windows * 400, series + windows * 400 + 20e6),
        "classify": (TORCH + 8 * file_bytes + 2e9, 3 * file_bytes + 50e6),
        # of the new recording only its file is known; embeddings are those of the study
        "apply": (TORCH + PROJECTION + 8 * batch + 4 * embeddings + 8 * file_bytes, 5 * file_bytes + 50e6),
        "attribute": (TORCH + PROJECTION + 16 * batch, 100e6),
    }
    return table.get(stage, (0.0, 0.0))


def check_resources(stage: str, sizes: Mapping[str, Any], settings: Mapping[str, Any], folder: Path) -> None:
    """Refuse a stage that exceeds the available memory or disk space.

    Raises:
        ResourceError: states what it needs and what is available.
    """
    path = Path(str(getattr(settings.get("dataset"), "path", None) or "")).expanduser()
    file_bytes = float(path.stat().st_size) if path.is_file() else 0.0
    if (evaluation := settings.get("evaluation")) is not None:
        sizes = {**sizes, "clustered": evaluation.n_clustered}
    if (coverage := settings.get("coverage")) is not None:
        sizes = {**sizes, "explained": coverage.max_windows}
    memory, disk = estimated_needs(stage, sizes, file_bytes)
    require(f"the stage `{stage}`", memory, disk, folder, ADVICE)

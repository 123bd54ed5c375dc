"""Estimates memory and disk space of a stage from the sizes of its inputs, before it starts."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from clusterwhy.artifacts.store import read_json
from clusterwhy.compute.resources import require
from clusterwhy.errors import ArtifactError, DataError

# bytes of the imported packages, and of what does not depend on the data; measured on Linux (benchmarks/resources.py)
TABLES, TORCH, FIGURES, CLUSTERING, PLACING = 235e6, 920e6, 425e6, 315e6, 450e6
LOOPS = 140e6  # numba, and the loops that it has compiled; 60e6 more in a fresh environment
DISTANCES = 64 * 2**20  # of windows at a time
ADVICE = "use a longer stride (conf/window), fewer `channels` of the dataset, or a larger machine"
BATCH = 256
FILTERS = 128  # activations per time step that are alive at once, in channels
MOST_DRAWN, MOST_PATTERNS = 8, 12  # anomalies with a picture (report/study_results.py, which imports too much)
HEAD = 1 << 16  # bytes of a text file whose cells are counted
PREDICTOR, ROCKET = "predictor.1.weight", re.compile(r"parts\.\d+\.0\.bias")
STEPS, STATISTICS = "steps.weight", 3  # of the encoder of statistics, and its features of each channel
GZIP = b"\x1f\x8b"
UNPACKED = 5.0  # times the size of a gzip file


def estimated_needs(stage: str, sizes: Mapping[str, Any]) -> tuple[float, float]:
    """Bytes of memory, in one process, and of disk, as estimates from above.

    Args:
        sizes: axis name -> size, of the input artifacts; `found`, the number of clusters; of a file `cell`, its
            numbers, and `reading`, bytes of memory to read it; `encoder`, the number of encoders, and `weight`, of
            weights of one; `member`, explained windows of each cluster; `clustered`, windows that `evaluate` clusters
            again; `explained`, windows that are to be explained one by one, and `explained_window`, that were;
            `fitted`, windows that principal components are fitted on.
    """
    samples, channels, windows, steps, features = (
        float(sizes.get(axis, 0)) for axis in ("sample", "channel", "window", "step", "feature")
    )
    encoders, clusters, members, anomalies = (
        float(sizes.get(name, otherwise))
        for name, otherwise in (("encoder", 1), ("found", 8), ("member", 32), ("anomaly", 8))
    )
    cells, values, window = float(sizes.get("cell", 0)), samples * channels, steps * channels
    clustered = min(windows, float(sizes.get("clustered", windows)))
    explained = min(windows, float(sizes.get("explained_window", sizes.get("explained", windows)))) * window
    batch = BATCH * steps * (channels + FILTERS) * 16
    embeddings, distances = windows * features * 4, min(DISTANCES, 8 * min(windows, 5000) ** 2)
    held_out = min(1024, 0.1 * windows) * window
    fitted = min(windows, float(sizes.get("fitted", 5000)))
    explaining = TORCH + 220e6 + 1.5 * batch + distances + 4 * values + 2 * embeddings
    pictures = (float(sizes.get("cluster", 0)) + min(anomalies, MOST_DRAWN + MOST_PATTERNS)) * (3e5 + 1e4 * channels)
    shown = windows * 55 + 100 * min(windows, 20_000) + 5.4 * min(windows * channels, 4e6)
    table: dict[str, tuple[float, float]] = {
        "prepare": (TABLES + 35e6 + float(sizes.get("reading", 0)), 13 * cells + 5e3),
        "train": (
            TORCH + 200e6 + 4 * batch + 4 * values + 40 * held_out,
            encoders * (4.2 * sizes.get("weight", 0) + 5e3) + 4e3,
        ),
        "embed": (
            TORCH + 1.5 * batch + 400 * windows + 0.5 * values,
            windows * (4 * features * (encoders + 1) + 8) * 1.02 + 5e3,
        ),
        "project": (PLACING + 25 * min(windows, 3000) ** 2 + 4 * embeddings, windows * 41 + 1.5e3),
        "cluster": (
            CLUSTERING + 27e3 * min(windows, 3000) + distances + 3 * embeddings + 300 * windows,
            17.5 * windows + 29 * min(windows, 1e4) + 9e3,
        ),
        "score": (
            TORCH + 90e6 + batch + 22 * fitted * window + 14 * min(fitted, window) * window + 80 * windows * channels,
            (8 * samples + windows * (8 * channels + 42)) * 1.05 + 6e3,
        ),
        "explain": (
            explaining + LOOPS + 40 * window * anomalies,
            4.2 * window * (clusters * (members + 1) + anomalies) + channels * (1680 * clusters + 90 * anomalies) + 2e4,
        ),
        # their values, relevance in levels before and after its parts are put in order, and what is freed in pieces
        "explain_windows": (explaining + 45 * explained, explained + windows * (4 * channels + 90) + 20e3),
        # for comparison, raw windows with labels are clustered in double precision
        "evaluate": (explaining + 130e6 + 0.5 * batch + clustered * (24e3 + 12 * window), 5.5e3 * clusters + 8e3),
        "report": (
            FIGURES
            + 9.5 * values
            + 80e6 * min(1.0, values / 4e6)
            + 24 * min(windows * channels, 4e6)
            + 100 * windows
            + 4 * explained,
            5.6e6 + pictures + 2.7 * values + 2.7 * min(values, 1e6) * (values > 4e6) + shown + 1.4 * explained,
        ),
        "classify": (TABLES + TORCH + sizes.get("reading", 0) + 2e9, 13 * cells + 50e6),
        # of the new recording only its file is known; embeddings are those of the study
        "apply": (explaining + PLACING + CLUSTERING + sizes.get("reading", 0) + 30 * cells, 20 * cells + 50e6),
        "attribute": (TORCH + 16 * batch + 5e8, 100e6),
    }
    return table.get(stage, (0.0, 0.0))


def reading_sizes(path: Path) -> dict[str, float]:
    """`cell`, numbers in a user's file, and `reading`, bytes of memory that its reader takes; of another, nothing."""
    if not path.is_file():
        return {}
    if path.suffix == ".npy":
        return _array_sizes(path)
    with path.open("rb") as stream:
        head = stream.read(HEAD)
    size = path.stat().st_size * (UNPACKED if head.startswith(GZIP) or path.suffix == ".parquet" else 1.0)
    n_cells = len(re.findall(rb"[;,\t\n]| +", head)) if size == path.stat().st_size else len(head) / 8
    cells = size * n_cells / max(len(head), 1)
    return {"cell": cells, "reading": 64 * cells}


def _array_sizes(path: Path) -> dict[str, float]:
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError):
        return {}  # the reader says why
    return {"cell": float(array.size), "reading": array.size * (18.0 + array.itemsize)}


def trained_sizes(folder: Path) -> dict[str, float]:
    """`encoder`, the number of encoders that `train` has left, and `feature`, of their embeddings."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(folder / "encoder.safetensors", framework="numpy") as weights:
            n_features = _n_features(weights)
    except (SafetensorError, OSError, IndexError):
        return {}  # the stage says why
    return {"encoder": 1 + len(list(folder.glob("replicate_*"))), "feature": n_features}


def _n_features(weights: Any) -> int:
    """Of embeddings, from an encoder's file; 0 of a network of the user's, which does not tell."""
    if PREDICTOR in weights.keys():  # noqa: SIM118
        return int(weights.get_slice(PREDICTOR).get_shape()[1])
    if list(weights.keys()) == [STEPS]:
        return STATISTICS * int(weights.get_slice(STEPS).get_shape()[0])
    # of MiniRocket, whose features are convolutions
    return sum(weights.get_slice(name).get_shape()[0] for name in weights.keys() if ROCKET.fullmatch(name))  # noqa: SIM118


def _alarms(folder: Path, anomalies: Any) -> float:
    """Windows that are explained as anomalies, of the segments that `score` has left."""
    try:
        n_segments = len(read_json(folder / "segments.json")["segments"])
    except (ArtifactError, KeyError, TypeError):
        return float(anomalies.count)  # the stage says why
    return float(max(anomalies.count, min(anomalies.max_alarms, n_segments))) if anomalies.count else 0.0


def _settings_sizes(stage: str, sizes: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, float]:
    found: dict[str, float] = {}
    if (evaluation := settings.get("evaluation")) is not None:
        found["clustered"] = evaluation.n_clustered
    if (coverage := settings.get("coverage")) is not None:
        found["explained"] = coverage.max_windows
    if (members := settings.get("members")) is not None:
        found["member"] = members.count
    if stage == "train":
        import torch

        with torch.device("meta"):
            encoder = settings["encoder"].build(sizes["channel"], sizes["step"])
        found["weight"] = sum(one.numel() for one in encoder.parameters())
        if isinstance(settings["encoders"], int):  # the stage refuses others
            found["encoder"] = settings["encoders"]
    return found


def _files(dataset: Any) -> list[Path]:
    """The files of a dataset, as far as it has any."""
    if not hasattr(dataset, "files"):
        return [Path(str(getattr(dataset, "path", None) or "")).expanduser()]
    try:
        return list(dataset.files())
    except DataError:
        return []  # the reader says why


def _sum(sizes: Iterable[Mapping[str, float]]) -> dict[str, float]:
    total: dict[str, float] = defaultdict(float)
    for one in sizes:
        for name, size in one.items():
            total[name] += size
    return dict(total)


def all_sizes(stage: str, sizes: Mapping[str, Any], settings: Mapping[str, Any], inputs: Path) -> dict[str, Any]:
    """What `estimated_needs` takes: sizes of the input artifacts, of the file, and of what the settings ask for."""
    found = {**sizes, **_settings_sizes(stage, sizes, settings)}
    found |= _sum(reading_sizes(path) for path in _files(settings.get("dataset")))
    if stage == "explain":
        found["anomaly"] = _alarms(inputs / "score", settings["anomalies"])
    return found | trained_sizes(inputs / "train") if stage == "embed" else found


def check_resources(
    stage: str, sizes: Mapping[str, Any], settings: Mapping[str, Any], inputs: Path, folder: Path
) -> tuple[float, float]:
    """Refuse a stage that exceeds the available memory or disk space; its estimated needs, bytes of both.

    Args:
        inputs: where the artifacts of earlier stages are.
        folder: where this one writes.

    Raises:
        ResourceError: states what it needs and what is available.
    """
    memory, disk = estimated_needs(stage, all_sizes(stage, sizes, settings, inputs))
    require(f"the stage `{stage}`", memory, disk, folder, ADVICE)
    return memory, disk

"""What the page's linked views need: names and numbers as JSON, arrays packed."""

from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd

from clusterwhy.data.windows import windows_at
from clusterwhy.plots.figures import cluster_colour
from clusterwhy.report.findings import Findings
from clusterwhy.report.packing import Packed, envelope, pack, pack_for_drawing
from clusterwhy.types import FloatArray

# numbers of the series in the page; a longer one is drawn by its least and greatest values
MOST_VALUES = 4_000_000
N_NEIGHBORS = 5


@dataclass(frozen=True)
class Content:
    """`about` is JSON; `arrays` are those of `about["arrays"]`."""

    about: dict[str, Any]
    arrays: list[Packed]


def hex_colour(cluster: int) -> str:
    """The colour of a cluster, or of noise, as the page writes it."""
    return str(mpl.colors.to_hex(cluster_colour(cluster)))


def content(found: Findings) -> Content:
    """Everything that the views draw."""
    arrays = [*_windows(found), *_series(found), *_relevance(found)]
    return Content(_about(found) | {"arrays": {one.name: one.about for one in arrays}}, arrays)


def strongest(found: Findings, cluster: int, count: int) -> list[int]:
    """Windows of a cluster with the highest explained target: what the cluster is most of all."""
    own = found.explained[found.explained["cluster"] == cluster].sort_values("target", ascending=False, kind="stable")
    return [int(window) for window in own["window"].head(count)]


def _about(found: Findings) -> dict[str, Any]:
    data, about = found.data, found.data.about
    clusters = [
        {**record, "colour": hex_colour(record["cluster"]), "strongest_windows": strongest(found, record["cluster"], 5)}
        for record in found.summary["clusters"]
    ]
    return {
        "name": about["name"],
        "channels": about["channels"],
        "units": about["units"],
        "rate_hz": about["rate_hz"],
        "length": data.length,
        "n_samples": len(data.values),
        "n_windows": len(data.starts),
        "train_stop": about["train_stop"],
        "label_names": about["label_names"] if data.labels is not None else [],
        "threshold": found.anomalies["threshold"],
        "clusters": clusters,
        "noise_colour": hex_colour(-1),
    }


def _windows(found: Findings) -> list[Packed]:
    """One value per window."""
    data = found.data
    mean, deviation = found.moments
    packed = [
        pack("start", data.starts),
        pack("x", found.projection[:, 0]),
        pack("y", found.projection[:, 1]),
        pack("cluster", found.labels),
        pack("strength", found.strengths),
        pack("score", found.scores["score"]),
        pack("near", found.nearest(N_NEIGHBORS)),
        # (channel, window), in standard deviations of the training span; to 1/65 534 of the range
        pack_for_drawing("mean", mean),
        pack_for_drawing("deviation", deviation),
    ]
    return packed + ([pack("label", data.labels)] if data.labels is not None else [])


def _series(found: Findings) -> list[Packed]:
    """(channel, time) as recorded, whole where it fits, else its envelope and the windows that were explained."""
    data = found.data
    values, seconds = data.values.T, data.time_s
    even = np.allclose(seconds, np.arange(len(seconds)) / data.about["rate_hz"], atol=0.1 / data.about["rate_hz"])
    packed = [] if even else [pack_for_drawing("seconds", seconds[None], np.int16)]
    if values.size <= MOST_VALUES:
        return [*packed, pack_for_drawing("values", values)]
    low, high = envelope(values, MOST_VALUES // (2 * len(values)))
    kept = np.union1d(found.explained["window"], found.strange["window"])
    windows = windows_at(data.values, data.starts[kept], data.length)
    return [
        *packed,
        pack_for_drawing("low", low),
        pack_for_drawing("high", high),
        pack("kept", kept),
        # one range per channel, as in the series
        pack_for_drawing("kept_values", windows.transpose(1, 0, 2)),
    ]


def _relevance(found: Findings) -> list[Packed]:
    return [
        *pack_relevance("explained", found.explained, found.relevance),
        *pack_relevance("strange", found.strange, found.strange_relevance),
    ]


def pack_relevance(name: str, windows: pd.DataFrame, relevance: FloatArray) -> list[Packed]:
    """Relevance (window, channel, time) as shares of each window's |relevance|: cells for drawing, channels exactly.

    Args:
        name: what the arrays' names begin with.
        windows: a row for each: `window`, `target`, `gap`.
        relevance: of these windows.
    """
    shares = relevance / np.abs(relevance).sum(axis=(1, 2), keepdims=True).clip(min=1e-30)
    return [
        pack(f"{name}_window", windows["window"]),
        pack(f"{name}_target", windows["target"]),
        pack(f"{name}_gap", windows["gap"]),
        pack(f"{name}_channels", shares.sum(axis=2)),
        pack_for_drawing(f"{name}_relevance", shares, np.int8),
    ]

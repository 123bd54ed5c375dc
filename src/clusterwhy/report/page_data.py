"""What the page's linked views need: names and numbers as JSON, arrays packed."""

from dataclasses import asdict, dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd

from clusterwhy.data.windows import windows_at
from clusterwhy.plots.figures import cluster_colour
from clusterwhy.report.array_encoding import Packed, envelope, pack, pack_for_drawing
from clusterwhy.report.study_results import Findings
from clusterwhy.report.value_chunks import Pieces
from clusterwhy.types import FloatArray

N_NEIGHBORS = 5


@dataclass(frozen=True)
class Content:
    """`about` is JSON; `arrays` are those of `about["arrays"]`."""

    about: dict[str, Any]
    arrays: list[Packed]


def hex_colour(cluster: int) -> str:
    """The colour of a cluster, or of noise, as the page writes it."""
    return str(mpl.colors.to_hex(cluster_colour(cluster)))


def content(found: Findings, pieces: Pieces | None) -> Content:
    """Everything that the views draw, but for what is in pieces beside the page."""
    arrays = [*_windows(found), *_series(found, pieces), *_relevance(found)]
    about = _about(found) | {"pieces": pieces.about if pieces else None}
    return Content(about | {"arrays": {one.name: one.about for one in arrays}}, arrays)


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
        "clock": asdict(found.clock),
        "window_clock": asdict(found.window_clock),
        "length": data.length,
        "n_samples": len(data.values),
        "n_windows": len(data.starts),
        "train_stop": about["train_stop"],
        "label_names": about["label_names"] if data.labels is not None else [],
        "threshold": found.anomalies["threshold"],
        "ranges": _ranges(data.values),
        "clusters": clusters,
        "noise_colour": hex_colour(-1),
    }


def _ranges(values: FloatArray) -> list[tuple[float, float]]:
    """What nearly all values (time, channel) of each channel lie in, for drawing."""
    few = values[:: max(1, len(values) // 20_000)]
    found = []
    for channel in few.T:
        known = channel[np.isfinite(channel)]
        low, high = np.quantile(known, [0.002, 0.998]) if len(known) else (0.0, 1.0)
        found.append((float(low), float(high)) if high > low else (float(low) - 0.5, float(low) + 0.5))
    return found


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
        pack("near", found.nearest(N_NEIGHBORS), turn=1),
        # (channel, window), in standard deviations of the training span; to 1/65 534 of the range
        pack_for_drawing("mean", mean, turn=2),
        pack_for_drawing("deviation", deviation, turn=2),
    ]
    if data.labels is not None:
        packed.append(pack("label", data.labels))
    if (marked := data.anomalous_samples) is not None:
        # where stretches that experts marked begin and end, in turn
        packed.append(pack("marked", np.flatnonzero(np.diff(marked.astype(np.int8), prepend=0, append=0))))
    return packed


def _series(found: Findings, pieces: Pieces | None) -> list[Packed]:
    """(channel, time) as recorded, whole where it fits, else its envelope and the windows that were explained."""
    data = found.data
    values, rate = data.values.T, data.about["rate_hz"]
    drift = data.time_s - np.arange(len(data.time_s)) / rate
    even = bool(np.all(np.abs(drift) < 0.1 / rate))
    n_places = pieces.n_places if pieces else len(drift)
    packed = [] if even else [pack("drift", drift[(np.arange(n_places) * len(drift)) // n_places])]
    if pieces is None:
        return [*packed, pack_for_drawing("values", values)]
    low, high = envelope(values, n_places)
    kept = np.union1d(found.explained["window"], found.strange["window"])
    windows = windows_at(data.values, data.starts[kept], data.length)
    return [
        *packed,
        pack_for_drawing("low", low),
        pack_for_drawing("high", high),
        pack("kept", kept),
        # one range per channel, as in the series
        pack_for_drawing("kept_values", windows.transpose(1, 0, 2), turn=1),
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
        pack_for_drawing(f"{name}_relevance", shares, np.int8, turn=1),
    ]

"""What the artifacts of each stage hold: names, types, axes whose sizes agree."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

KINDS = {"f": "float", "i": "integer", "b": "true or false", "n": "number", "s": "text"}


@dataclass(frozen=True)
class Array:
    """A `.npy` file: kind of its numbers and what each axis is; a number is the axis's size."""

    kind: str
    axes: tuple[str | int, ...]
    finite: bool = True
    optional: bool = False


@dataclass(frozen=True)
class Table:
    """A table: kinds of the columns that others read, and what a row is. Further columns are welcome."""

    columns: Mapping[str, str]
    rows: str = ""
    optional: bool = False


@dataclass(frozen=True)
class Record:
    """A JSON object: types of the entries that others read, as pydantic takes them, without conversions."""

    entries: Mapping[str, Any]
    optional: bool = False


Schema = Array | Table | Record
# no text: pictures are found by the numbers of clusters and windows
FIGURES = dict[str, int | float | list[int] | None]
SERIES = Record(
    {
        "name": str,
        "channels": list[str],
        "units": list[str],
        "rate_hz": float,
        "label_names": list[str],
        "length": int,
        "stride": int,
        "train_stop": int,
        "segments": list[int],
        "centre": list[float],
        "scale": list[float],
    }
)
PREPARED: dict[str, Schema] = {
    "windows.parquet": Table({"window": "i", "start": "i", "stop": "i", "train": "b"}, "window"),
    "values.npy": Array("f", ("sample", "channel")),
    "scaled.npy": Array("f", ("sample", "channel")),
    "time.npy": Array("n", ("sample",)),
    "anomalous.npy": Array("b", ("sample",), optional=True),
    "series.json": SERIES,
}
SCHEMAS: dict[str, dict[str, Schema]] = {
    "prepare": PREPARED,
    "train": {
        "encoder.json": Record({"encoder": dict, "n_channels": int, "length": int}),
        "history.csv": Table({"step": "i", "train_loss": "f", "validation_loss": "f"}),
    },
    "embed": {
        "window.npy": Array("i", ("window",)),
        "embeddings.npy": Array("f", ("window", "feature")),
        "untrained_embeddings.npy": Array("f", ("window", "feature")),
    },
    "project": {"projection.npy": Array("f", ("window", 2))},
    "cluster": {
        "labels.npy": Array("i", ("window",)),
        "clusters.parquet": Table({"window": "i", "cluster": "i", "strength": "f"}, "window"),
        "condensed_tree.parquet": Table({"parent": "i", "child": "i", "lambda_val": "n", "child_size": "i"}),
        "summary.json": Record({"clusters": list[FIGURES], "timeline": list[FIGURES]}),
    },
    "score": {
        "scores.parquet": Table(
            {"window": "i", "score": "f", "pca_error": "f", "mean_abs_z": "f", "random": "f", "anomalous": "b"},
            "window",
        ),
        "channel_scores.npy": Array("f", ("window", "channel"), optional=True),
        "sample_scores.npy": Array("f", ("sample",), finite=False),
        "segments.json": Record({"threshold": float, "segments": list[FIGURES]}),
    },
    "explain": {
        "explained.parquet": Table(
            {"window": "i", "cluster": "i", "target": "f", "relevance_sum": "f", "gap": "f"}, "explained"
        ),
        "relevance.npy": Array("f", ("explained", "channel", "step")),
        "maps.npy": Array("f", ("cluster", "channel", "step"), finite=False),
        "importance.csv": Table({"cluster": "i", "channel": "s", "absolute": "f", "signed": "f", "z_score": "f"}),
        "quality.csv": Table({"cluster": "i", "ranking": "s", "replacement_area": "n", "flip_rate": "n"}),
        "clusters.json": Record({"clusters": list[int], "agreements": dict[str, float | None]}),
        "anomalies.parquet": Table({"window": "i", "score": "f", "anomalous": "b", "target": "f"}, "strange"),
        "anomaly_relevance.npy": Array("f", ("strange", "channel", "step")),
        "anomaly_channels.csv": Table({"window": "i", "channel": "s", "share": "f"}),
        "anomaly_quality.csv": Table({"ranking": "s", "replacement_area": "n", "flip_rate": "n"}),
    },
    "evaluate": {
        "results.csv": Table({"question": "s", "method": "s"}),
        "evidence.csv": Table({"cluster": "i", "measure": "s", "ranking": "s", "value": "n"}),
        "stability.csv": Table({"cluster": "i", "resample": "i", "jaccard": "n"}),
        "ledger.csv": Table({"step": "s", "category": "s", "share": "n"}),
    },
    "classify": {
        **PREPARED,
        "predictions.parquet": Table({"window": "i", "split": "s", "label": "s", "predicted": "s"}, "window"),
    },
}

"""The schemas of every stage's artifacts: names, types, and axes whose sizes must agree."""

from collections.abc import Mapping
from dataclasses import dataclass

from clusterwhy.artifacts.cards import (
    AnomalousSegments,
    Card,
    ClusterSummary,
    EncoderRecord,
    ExplainedAnomalies,
    ExplainedClusters,
    ExplainedWindows,
    SeriesCard,
)

KINDS = {"f": "float", "i": "integer", "b": "boolean", "n": "number", "s": "text", "t": "text or nothing"}


@dataclass(frozen=True)
class Array:
    """A `.npy` file: the kind of its numbers, and its axes by name or, where fixed, by size."""

    kind: str
    axes: tuple[str | int, ...]
    finite: bool = True
    optional: bool = False


@dataclass(frozen=True)
class Table:
    """A table: the columns that later stages read, and what a row is. Further columns are allowed."""

    columns: Mapping[str, str]
    rows: str = ""
    optional: bool = False


@dataclass(frozen=True)
class Record:
    """A JSON file, validated by a card."""

    card: type[Card]
    optional: bool = False


Schema = Array | Table | Record
PREPARED: dict[str, Schema] = {
    "windows.parquet": Table({"window": "i", "start": "i", "stop": "i", "train": "b"}, "window"),
    "values.npy": Array("f", ("sample", "channel")),
    "scaled.npy": Array("f", ("sample", "channel")),
    "time.npy": Array("n", ("sample",)),
    "anomalous.npy": Array("b", ("sample",), optional=True),
    "series.json": Record(SeriesCard),
}
SCHEMAS: dict[str, dict[str, Schema]] = {
    "prepare": PREPARED,
    "train": {
        "encoder.json": Record(EncoderRecord),
        "history.csv": Table({"step": "i", "train_loss": "f", "validation_loss": "f"}),
        # names such as 0.1 are read as numbers
        "modules.csv": Table(
            {"module": "t", "kind": "s", "output": "t", "n_parameters": "i", "field": "n"}, optional=True
        ),
    },
    "embed": {
        "window.npy": Array("i", ("window",)),
        "embeddings.npy": Array("f", ("window", "feature")),
        "untrained_embeddings.npy": Array("f", ("window", "feature"), optional=True),
    },
    "project": {"projection.npy": Array("f", ("window", 2))},
    "cluster": {
        "labels.npy": Array("i", ("window",)),
        "clusters.parquet": Table({"window": "i", "cluster": "i", "strength": "f"}, "window"),
        "condensed_tree.parquet": Table({"parent": "i", "child": "i", "lambda_val": "n", "child_size": "i"}),
        "summary.json": Record(ClusterSummary),
    },
    "score": {
        "scores.parquet": Table(
            {"window": "i", "score": "f", "pca_error": "f", "mean_abs_z": "f", "random": "f", "anomalous": "b"},
            "window",
        ),
        "channel_scores.npy": Array("f", ("window", "channel"), optional=True),
        "sample_scores.npy": Array("f", ("sample",), finite=False),
        "segments.json": Record(AnomalousSegments),
        "motifs.csv": Table(
            {
                "channel": "s",
                "kind": "s",
                "rank": "i",
                "window": "i",
                "start": "i",
                "nearest": "i",
                "distance": "n",
                "compared": "s",
            },
            optional=True,
        ),
    },
    "explain": {
        "explained.parquet": Table(
            {"window": "i", "cluster": "i", "target": "f", "relevance_sum": "f", "gap": "f"}, "explained"
        ),
        "relevance.npy": Array("f", ("explained", "channel", "step")),
        "maps.npy": Array("f", ("cluster", "channel", "step"), finite=False),
        "importance.csv": Table(
            {
                "cluster": "i",
                "channel": "s",
                "absolute": "f",
                "signed": "f",
                "first_in": "i",
                "encoders": "i",
                "z_score": "f",
            }
        ),
        "quality.csv": Table({"cluster": "i", "ranking": "s", "channel_deletion": "n", "flip_rate": "n"}),
        "properties.csv": Table(
            {
                "cluster": "i",
                "channel": "s",
                "property": "s",
                "partner": "t",
                "own": "n",
                "usual": "n",
                "fall": "n",
                "n_left": "i",
                "n_windows": "i",
            }
        ),
        "clusters.json": Record(ExplainedClusters),
        "anomalies.parquet": Table(
            {"window": "i", "score": "f", "anomalous": "b", "target": "f", "pattern": "i"}, "anomaly"
        ),
        "anomaly_patterns.csv": Table(
            {"pattern": "i", "n_alarms": "i", "window": "i", "first_window": "i", "last_window": "i", "likeness": "f"}
        ),
        "anomaly_relevance.npy": Array("f", ("anomaly", "channel", "step")),
        "anomaly_channels.csv": Table({"window": "i", "channel": "s", "share": "f"}),
        "anomalies.json": Record(ExplainedAnomalies),
        "anomaly_quality.csv": Table({"ranking": "s", "channel_deletion": "n", "flip_rate": "n"}),
    },
    "explain_windows": {
        "explained_windows.parquet": Table(
            {
                "window": "i",
                "cluster": "i",
                "explained_cluster": "i",
                "reference": "i",
                "target": "f",
                "gap": "f",
                "encoders": "i",
                "size": "f",
                "step": "f",
            },
            "explained_window",
        ),
        "levels.npy": Array("i", ("explained_window", "channel", "step")),
        "channels.npy": Array("f", ("explained_window", "channel")),
        "noise.csv": Table({"cluster": "i", "channel": "s", "share": "f", "first_in": "i", "n_windows": "i"}),
        "windows.json": Record(ExplainedWindows),
    },
    "evaluate": {
        "results.csv": Table({"question": "s", "method": "s"}),
        "judged.csv": Table(
            {
                "judge": "s",
                "cluster": "i",
                "ranking": "s",
                "area": "n",
                "ahead": "n",
                "ahead_low": "n",
                "ahead_high": "n",
                "n_windows": "i",
            }
        ),
        "faithfulness.csv": Table({"cluster": "i", "measure": "s", "ranking": "s", "value": "n", "n_windows": "i"}),
        "stability.csv": Table({"cluster": "i", "resample": "i", "jaccard": "n", "n_windows": "i"}),
        "relevance_budget.csv": Table({"step": "s", "category": "s", "share": "n"}),
        # studies that were made before do not have them
        "hidden_groups.csv": Table(
            {
                "group": "i",
                "cluster": "i",
                "n_windows": "i",
                "n_compared": "i",
                "window": "i",
                "channel": "s",
                "property": "s",
                "own": "n",
                "usual": "n",
                "apart": "n",
                "unit": "t",
            },
            optional=True,
        ),
        "hidden_windows.csv": Table({"window": "i", "group": "i"}, optional=True),
    },
    "classify": {
        **PREPARED,
        "predictions.parquet": Table({"window": "i", "split": "s", "label": "s", "predicted": "s"}, "window"),
    },
}
# of a recording that a study is applied to: a folder for each stage, without what is fitted or measured for the study
NEW_CLUSTERS = {"window": "i", "cluster": "i", "strength": "f", "distance": "f", "unknown": "b", "fitted_window": "i"}
SCHEMAS["apply"] = {
    **{f"prepare/{name}": schema for name, schema in PREPARED.items()},
    "embed/window.npy": Array("i", ("window",)),
    "embed/embeddings.npy": Array("f", ("window", "feature")),
    "project/projection.npy": Array("f", ("window", 2)),
    "cluster/labels.npy": Array("i", ("window",)),
    "cluster/clusters.parquet": Table(NEW_CLUSTERS, "window"),
    "cluster/summary.json": Record(ClusterSummary),
    "new/checks.csv": Table({"channel": "s", "check": "s", "share": "n", "says": "s"}),
    "new/drift.csv": Table(
        {"kind": "s", "distance": "f", "low": "f", "high": "f", "usual": "f", "drifted": "b", "reference": "s"}
    ),
    "new/windows.parquet": Table({"window": "i", "candidate": "i"}, "window"),
    "score/scores.parquet": Table({"window": "i", "score": "f", "anomalous": "b"}, "window"),
    **{
        f"score/{name}": SCHEMAS["score"][name] for name in ("channel_scores.npy", "sample_scores.npy", "segments.json")
    },
    **{f"{stage}/{name}": s for stage in ("explain", "explain_windows") for name, s in SCHEMAS[stage].items()},
}

"""Explanations of clusters and anomalies on disk, and the figures that sum them up."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from clusterwhy.artifacts.store import read_array, read_json, read_table, write_array, write_json, write_table
from clusterwhy.artifacts.undefined import Undefined, column_mean, mean_of, median_of
from clusterwhy.explanations.every_window import KnownWindows

if TYPE_CHECKING:
    from clusterwhy.explanations.anomaly_tables import AnomalyExplanations
    from clusterwhy.explanations.cluster_tables import ClusterExplanations
    from clusterwhy.explanations.every_window import WindowExplanations
    from clusterwhy.explanations.units import Units


def save_clusters(folder: Path, found: "ClusterExplanations", units: "Units") -> None:
    """Write what the schemas of the stage `explain` say of clusters."""
    write_array(folder / "relevance.npy", found.relevance)
    write_array(folder / "maps.npy", found.maps)
    write_table(folder / "explained.parquet", found.windows)
    write_table(folder / "importance.csv", found.importance)
    write_table(folder / "quality.csv", found.quality)
    write_table(folder / "properties.csv", units.told(found.properties))
    write_table(folder / "time_bins.csv", found.bins)
    # NaN is no JSON
    agreements = {str(cluster): value if value == value else None for cluster, value in found.agreements.items()}
    sizes = {str(cluster): value for cluster, value in found.target_sizes.items()}
    about = {"clusters": found.clusters, "agreements": agreements, "target_sizes": sizes, "losses": found.losses}
    about |= {"why_none": found.why_none}
    write_json(folder / "clusters.json", about)


def known_windows(folder: Path) -> KnownWindows:
    """What the stage `explain` knows of single windows, and of the size of targets."""
    sizes = read_json(folder / "clusters.json")["target_sizes"]
    of_clusters = {int(cluster): of_encoders for cluster, of_encoders in sizes.items()}
    return KnownWindows(read_table(folder / "explained.parquet"), read_array(folder / "relevance.npy"), of_clusters)


def save_windows(folder: Path, found: "WindowExplanations", noise: pd.DataFrame, n_windows: int) -> None:
    """Write what the schemas of the stage `explain_windows` say.

    Args:
        noise: of `noise_table`.
        n_windows: of the recording.
    """
    write_table(folder / "explained_windows.parquet", found.windows)
    write_array(folder / "levels.npy", found.levels)
    write_array(folder / "channels.npy", found.channels)
    write_table(folder / "noise.csv", noise)
    write_json(folder / "windows.json", {"n_windows": n_windows, "losses": found.losses})


def save_anomalies(folder: Path, found: "AnomalyExplanations") -> None:
    """Write what the schemas of the stage `explain` say of anomalies."""
    write_array(folder / "anomaly_relevance.npy", found.relevance)
    write_table(folder / "anomalies.parquet", found.windows)
    write_table(folder / "anomaly_channels.csv", found.channels)
    write_table(folder / "anomaly_quality.csv", found.quality)
    write_table(folder / "anomaly_patterns.csv", found.patterns)
    about = {"target": found.target, "n_alarms": found.n_alarms, "why_none": found.why_none}
    write_json(folder / "anomalies.json", about)


def cluster_figures(found: "ClusterExplanations") -> dict[str, Any]:
    """Gap, faithfulness and agreement of explanations, means over clusters."""
    none = f"no cluster is explained: {found.why_none}" if found.why_none else ""
    gaps, agreements = found.windows["gap"].abs(), list(found.agreements.values())
    return {
        "n_explained": len(found.windows),
        "median_abs_gap": median_of(gaps, none or "the target is 0 in every explained window"),
        **_faithfulness(found.quality, none),
        "member_agreement": mean_of(agreements, none or "no cluster has two explained windows with relevance"),
        **found.facts,
    }


def anomaly_figures(found: "AnomalyExplanations") -> dict[str, Any]:
    """Number of explained anomalies, their gap and faithfulness."""
    none = "" if len(found.windows) else f"no anomaly is explained: {found.why_none}"
    gap = median_of(found.windows["gap"].abs(), none or "the explained windows do not differ from their normal windows")
    figures = {**_faithfulness(found.quality, none), "median_abs_gap": gap}
    return {"n_anomalies_explained": len(found.windows)} | {f"anomaly_{name}": v for name, v in figures.items()}


def _faithfulness(quality: pd.DataFrame, none: str) -> dict[str, Any]:
    """Measure -> ranking -> mean over clusters; `none` says why there is no row."""
    if quality.empty:
        reason = none or "no target tells a cluster from other windows"
        return {measure: Undefined(reason) for measure in ("channel_deletion", "flip_rate")}
    return {
        measure: {str(name): column_mean(own, measure) for name, own in quality.groupby("ranking")}
        for measure in ("channel_deletion", "flip_rate")
    }

"""The results of a study as tidy tables, with the times that the data have.

Times are dates in UTC where the data have dates, else seconds since the first sample.
"""

import numpy as np
import pandas as pd

from clusterwhy.anomaly.motifs import COLUMNS
from clusterwhy.artifacts.store import read_array
from clusterwhy.data.storage import Prepared
from clusterwhy.report.recordings import recordings_table
from clusterwhy.report.study_results import StudyResults
from clusterwhy.types import IntArray

CLUSTERS = ["cluster", "name", "note", "n_windows", "share", "persistence", "strength", "medoid", "first", "last"]
CLUSTERS += ["visits", "jaccard", "leading"]
LEAST_SHARE = 0.1  # of the leading channel's share


def times(data: Prepared, samples: IntArray) -> pd.Series:
    """When samples were recorded: dates in UTC, or seconds since the first sample."""
    recorded = read_array(data.folder / "time.npy")
    if np.issubdtype(recorded.dtype, np.integer):
        return pd.Series(pd.to_datetime(recorded[samples], utc=True))
    return pd.Series(data.time_s[samples])


def windows(study: StudyResults) -> pd.DataFrame:
    """One row per window.

    Columns: `start` and `stop` (times of its first and last sample), what the window index knows (`train`, and `label`
    or `group` by name), `x` and `y` in the projection, `cluster` (-1 is noise), its `name` (or "cluster 3") and
    membership `strength`, `score` and `anomalous`, and of windows that were explained `explained_cluster` and the
    `leading_channel`: that with most relevance for the cluster, or of noise against it; none where no channel has any,
    or it was not measured.
    """
    data, index = study.data, study.data.index
    table = pd.DataFrame({"window": index["window"].to_numpy()})
    table["start"], table["stop"] = times(data, data.starts), times(data, data.starts + data.length - 1)
    table["train"] = index["train"].to_numpy()
    for column, names in (("label", data.card.label_names), ("group", data.card.group_names)):
        if column in index and names:
            table[column] = pd.Series(index[column].to_numpy()).map(dict(enumerate(names)))
    table[["x", "y"]] = study.projection
    table["cluster"] = np.asarray(study.labels)
    table["name"] = table["cluster"].map(_names(study))
    table["strength"] = study.strengths
    scores = study.scores.set_index("window")[["score", "anomalous"]]
    table = table.join(scores, on="window").set_index("window")
    explained = study.explained_windows.set_index("window")
    table["explained_cluster"] = explained["explained_cluster"].astype("Int64")
    table["leading_channel"] = _leading(study, (explained["cluster"] < 0).to_numpy())
    return table


def recordings(study: StudyResults) -> pd.DataFrame:
    """One row per recording or group, as `recordings_table` has them, with times as in `windows`; none without."""
    found = recordings_table(study)
    if found is None:
        return pd.DataFrame()
    table, own = found.set_index("recording"), windows(study).groupby("group")
    table["from"], table["to"] = own["start"].min(), own["stop"].max()
    return table


def _names(study: StudyResults) -> dict[int, str]:
    """Cluster -> what it is called, noise among them."""
    return {cluster: study.cluster_name(cluster) for cluster in (-1, *study.clusters)}


def _leading(study: StudyResults, is_noise: np.ndarray) -> pd.Series:
    """(explained window,) the channel that leads."""
    of = window_channels(study).drop(columns=list(study.masked))
    if of.empty:
        return pd.Series(index=of.index, dtype=object)
    towards = of.mul(np.where(is_noise, -1.0, 1.0), axis=0)
    return towards.idxmax(axis=1).where(towards.max(axis=1) > 0)


def window_channels(study: StudyResults) -> pd.DataFrame:
    """(explained window, channel) relevance, summed over time: one row per window, one column per channel."""
    index = pd.Index(study.explained_windows["window"], name="window")
    columns = pd.Index(study.data.channels, name="channel")
    return pd.DataFrame(np.asarray(study.window_channels), index=index, columns=columns)


def clusters(study: StudyResults) -> pd.DataFrame:
    """One row per cluster.

    Columns: `n_windows`, `share`, `persistence`, `strength` (mean), `medoid` (its most central window), `first` and
    `last` (times), `visits` (runs of consecutive windows, none across a gap), `jaccard` (overlap with clusterings of
    resampled windows), and `leading` (the channels that lead, more than one where they are not told apart).
    """
    from clusterwhy.explanations.replicates import leading_channels

    runs = pd.DataFrame(study.runs, columns=["cluster", "start", "stop"])
    starts, stops = runs["start"].to_numpy(dtype=np.int64), runs["stop"].to_numpy(dtype=np.int64)
    runs = runs.assign(first=times(study.data, starts), last=times(study.data, stops - 1))
    overlap = study.stability.groupby("cluster")["jaccard"].mean()
    rows = []
    for record in study.summary["clusters"]:
        cluster = record["cluster"]
        own = study.importance[study.importance["cluster"] == cluster]
        row = {name: record[name] for name in ("cluster", "n_windows", "share", "persistence")}
        naming = study.annotated.clusters.get(cluster)
        row |= {"name": naming.name if naming else "", "note": naming.note if naming else ""}
        of = runs[runs["cluster"] == cluster]
        row |= {"strength": record["mean_strength"], "medoid": next(iter(record["medoid_windows"]), None)}
        row |= {"first": of["first"].min(), "last": of["last"].max(), "visits": len(of)}
        row |= {"jaccard": overlap.get(cluster, np.nan), "leading": tuple(leading_channels(own)) if len(own) else ()}
        rows.append(row)
    return pd.DataFrame(rows, columns=CLUSTERS).set_index("cluster")


def channels(study: StudyResults) -> pd.DataFrame:
    """One row per explained cluster and channel, the leading channel of each cluster first.

    Columns: `name` of the cluster, `unit`, `relevance` (signed share, with `low` and `high` of its 95 % interval over
    windows and encoders), `first_in` (encoders in which it leads, of `encoders`), `z_score` (mean |z|, a baseline), and
    the property whose change costs most membership: `property` (of a relation or timing with its `partner`), its value
    `own` in the cluster and `usual` in the most similar other windows, `fall` of the membership, `n_left` of
    `n_windows` that would leave.
    """
    units = dict(zip(study.data.channels, study.data.card.units, strict=True))
    renamed = {"signed": "relevance", "signed_low": "low", "signed_high": "high"}
    kept = ["cluster", "channel", "name", "unit", "relevance", "low", "high", "first_in", "encoders", "z_score"]
    table = study.importance.rename(columns=renamed)
    table = table.assign(unit=table["channel"].map(units), name=table["cluster"].map(_names(study)))
    table = table.reindex(columns=kept)
    most = study.properties.sort_values("fall", ascending=False, kind="stable").drop_duplicates(["cluster", "channel"])
    of_property = ["property", "partner", "own", "usual", "fall", "n_left", "n_windows"]
    table = table.merge(most[["cluster", "channel", *of_property]], on=["cluster", "channel"], how="left")
    table = table.sort_values(["cluster", "relevance"], ascending=[True, False], kind="stable")
    return table.set_index(["cluster", "channel"])


def anomalies(study: StudyResults) -> pd.DataFrame:
    """One row per anomalous segment, highest score first.

    Columns: `start` and `stop` (times of its first and last sample), `n_windows`, `score` (highest), `window` (with
    that score), and where that window was explained the `leading` channels (those with a tenth of the highest share)
    and the `pattern` of alarms that are alike.
    """
    table = pd.DataFrame(study.segments, columns=["start", "stop", "n_windows", "peak_score", "peak_window"])
    shares = study.anomaly_channels.sort_values("share", ascending=False, kind="stable")
    least = LEAST_SHARE * shares.groupby("window")["share"].transform("max")
    own = (shares["share"] > 0) & (shares["share"] >= least) & ~shares["channel"].isin(study.masked)
    leading = shares[own].groupby("window", sort=False)["channel"].agg(tuple)
    table = table.assign(
        start=times(study.data, table["start"].to_numpy(dtype=np.int64)),
        stop=times(study.data, table["stop"].to_numpy(dtype=np.int64) - 1),
        leading=table["peak_window"].map(leading),
        pattern=table["peak_window"].map(study.anomalies.set_index("window")["pattern"]).astype("Int64"),
    )
    return table.rename(columns={"peak_score": "score", "peak_window": "window"})


def patterns(study: StudyResults) -> pd.DataFrame:
    """One row per pattern of alarms that are alike, the most frequent first.

    Columns: `n_alarms`, the most typical `window`, the times of the `first` and the `last` one, and their `likeness`
    (mean correlation of deviations from normal windows, where they fit best in time).
    """
    alarms = study.anomalies[study.anomalies["pattern"] >= 0]
    starts = pd.Series(study.data.starts, index=study.data.index["window"])
    when = times(study.data, starts.reindex(alarms["window"]).to_numpy(dtype=np.int64))
    ends = when.groupby(alarms["pattern"].to_numpy()).agg(["min", "max"])
    table = study.patterns.set_index("pattern")
    table = table.assign(first=ends["min"], last=ends["max"])
    return table[["n_alarms", "window", "first", "last", "likeness"]]


def motifs(study: StudyResults) -> pd.DataFrame:
    """Motifs and discords, one row per channel, kind and rank; none where the detector is no matrix profile.

    Columns: the `window`, the times at which it (`start`) and the stretch that it is most like (`nearest`) begin, and
    their `distance`, of what is `compared` (shapes or values).
    """
    table = pd.DataFrame(columns=COLUMNS) if study.motifs is None else study.motifs
    began = {name: times(study.data, table[name].to_numpy(dtype=np.int64)) for name in ("start", "nearest")}
    return table.assign(**began).set_index(["channel", "kind", "rank"])


def scores(study: StudyResults) -> pd.DataFrame:
    """One row per sample: its `score` (the mean over the windows that cover it; NaN where none does), by time."""
    values = read_array(study.folders["score"] / "sample_scores.npy")
    time = times(study.data, np.arange(len(values)))
    return pd.DataFrame({"score": values}, index=pd.Index(time, name="time"))

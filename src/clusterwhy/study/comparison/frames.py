"""Clusters, channels, alarms, figures and settings of two studies, side by side as tables."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from clusterwhy.artifacts.store import read_table
from clusterwhy.study import tables
from clusterwhy.study.comparison.matching import Matching
from clusterwhy.study.comparison.shared import TIME, Shared
from clusterwhy.study.comparison.sides import Side
from clusterwhy.types import BoolArray, IntArray

HIGHER, LOWER, ALIKE, UNKNOWN = "higher in B", "lower in B", "not told apart", "not known"
SHARED, ONLY_A, ONLY_B, OUTSIDE, NO_TIME = "shared", "only in A", "only in B", "not in the other", "other recording"
SHARES = ["relevance", "low", "high", "encoders"]
OF_PROPERTY = ["property", "partner", "own", "usual"]
OF_CLUSTER = ["n_windows", "share", "first", "last", "visits", "jaccard", "leading"]
PER = 1000  # windows
LOWER_IS_BETTER = ("validation loss", "channel deletion, relevance", "median |gap|")
HIGHER_IS_BETTER = ("agreement with labels", "stability")


def clusters_table(a: Side, b: Side, matching: Matching) -> pd.DataFrame:
    """The rows of `matching.clusters`, with what each study says of its cluster: columns ending in `_a` and `_b`.

    `n_windows`, `share`, `first`, `last`, `visits`, `stability` (overlap with clusterings of resampled windows), and
    `leading` channels.
    """
    table = matching.clusters
    for letter, side in (("a", a), ("b", b)):
        own = tables.clusters(side.results)[OF_CLUSTER].rename(columns={"jaccard": "stability"})
        table = table.merge(own.add_suffix(f"_{letter}"), how="left", left_on=f"cluster_{letter}", right_index=True)
    return table


def channels_table(a: Side, b: Side, pairs: list[tuple[int, int]]) -> pd.DataFrame:
    """One row per pair of clusters that both studies explain and channel, the largest difference of a pair first.

    Columns: `relevance_a` (signed share) with `low_a`, `high_a` (its 95 % interval) and `encoders_a`, the same of B;
    `difference` (B minus A), `verdict` ("higher in B" or "lower in B" where the intervals have no common value, else
    "not told apart"; "not known" where one is missing), and the property of the channel that counts most, with its
    value `own` in the cluster and `usual` outside it, of both.
    """
    first, second = (
        tables.channels(side.results).reset_index()[["cluster", "channel", "unit", *SHARES, *OF_PROPERTY]]
        for side in (a, b)
    )
    parts = []
    for i, j in pairs:
        own, other = first[first["cluster"] == i], second[second["cluster"] == j].drop(columns="unit")
        if own.empty or other.empty:
            continue
        both = own.merge(other, on="channel", suffixes=("_a", "_b"))
        both["difference"] = both["relevance_b"] - both["relevance_a"]
        both["verdict"] = _verdicts(both)
        order = both["difference"].abs().sort_values(ascending=False, kind="stable").index
        parts.append(both.loc[order])
    columns = ["cluster_a", "cluster_b", "channel", "unit"]
    columns += [f"{name}_{letter}" for letter in "ab" for name in SHARES] + ["difference", "verdict"]
    columns += [f"{name}_{letter}" for letter in "ab" for name in OF_PROPERTY]
    return pd.concat(parts, ignore_index=True)[columns] if parts else pd.DataFrame(columns=columns)


def _verdicts(both: pd.DataFrame) -> np.ndarray:
    limits = both[["low_a", "high_a", "low_b", "high_b"]].astype(float)
    above, below = limits["low_b"] > limits["high_a"], limits["high_b"] < limits["low_a"]
    unknown = limits.isna().any(axis=1)
    return np.select([unknown, above, below], [UNKNOWN, HIGHER, LOWER], ALIKE)


def alarms_table(a: Side, b: Side, shared: Shared) -> pd.DataFrame:
    """One row per anomalous segment of both, A's first, in order of time: `tables.anomalies`, `of` and `kind`.

    `kind`: `shared` if at one of its windows the other study has a segment, too; "only in A" or "only in B" where the
    other has none; "not in the other" if the other study has no window there; "other recording" if none is shared.
    """
    segments = _segment_of(a), _segment_of(b)
    rows = (shared.rows_a, shared.rows_b) if shared.by == TIME else (np.zeros(0, dtype=np.int64),) * 2
    parts = []
    for letter, side, own, other, only in (("A", a, 0, 1, ONLY_A), ("B", b, 1, 0, ONLY_B)):
        mine, theirs = segments[own][rows[own]], segments[other][rows[other]]
        table = tables.anomalies(side.results).reset_index(drop=True)
        kinds = [_kind(mine == i, theirs, only) for i in range(len(table))] if shared.by == TIME else NO_TIME
        parts.append(table.assign(of=letter, kind=kinds).sort_values("start", kind="stable"))
    found = pd.concat([part for part in parts if len(part)] or parts, ignore_index=True)
    return found[["of", "kind", "start", "stop", "n_windows", "score", "window", "leading"]]


def _kind(inside: BoolArray, theirs: IntArray, only: str) -> str:
    if not inside.any():
        return OUTSIDE
    return SHARED if (theirs[inside] >= 0).any() else only


def _segment_of(side: Side) -> IntArray:
    """(window,) the anomalous segment that the centre of each window lies in, -1 for none."""
    data = side.results.data
    centres, found = data.starts + data.length // 2, np.full(len(data.starts), -1)
    for i, one in enumerate(side.results.segments):
        found[(centres >= one["start"]) & (centres < one["stop"])] = i
    return found


def figures_table(a: Side, b: Side) -> pd.DataFrame:
    """One row per figure that either has: `figure`, `a`, `b`, `change` (B minus A) and which of them is `better`.

    Only figures for which one direction is better in any study say so.
    """
    first, second = dict(_figures(a)), dict(_figures(b))
    table = pd.DataFrame({"figure": list(first | second)})
    table["a"], table["b"] = (table["figure"].map(found).astype(float) for found in (first, second))
    table["change"] = table["b"] - table["a"]
    sign = np.where(table["figure"].str.startswith(LOWER_IS_BETTER), -1.0, np.nan)
    sign[table["figure"].str.startswith(HIGHER_IS_BETTER)] = 1.0
    better = np.sign(np.nan_to_num(sign * table["change"]))
    return table.assign(better=np.select([better > 0, better < 0], ["B", "A"], ""))


def _figures(side: Side) -> Iterator[tuple[str, float]]:
    results, n_windows = side.results, len(side.results.labels)
    labels = np.asarray(results.labels)
    yield "windows", n_windows
    yield "clusters with windows", len(set(labels[labels >= 0].tolist()))
    yield "share of noise", float((labels < 0).mean())
    history = read_table(side.fitted.artifacts / "train" / "history.csv")
    if len(losses := history["validation_loss"].dropna()):
        yield "validation loss", float(losses.iloc[-1])
    yield "threshold", results.threshold
    yield "alarms per 1,000 windows", PER * len(results.segments) / n_windows
    yield "anomalous windows per 1,000", PER * float(results.scores["anomalous"].mean())
    if len(gaps := results.explained["gap"].abs().dropna()):
        yield "median |gap| of explained windows", float(gaps.median())
    yield from _evaluated(side)


def _evaluated(side: Side) -> Iterator[tuple[str, float]]:
    """What a study measures of itself; an application has none of it."""
    quality = side.results.quality
    for ranking, own in quality.groupby("ranking", sort=False):
        if (areas := own["channel_deletion"].dropna()).size:
            yield f"channel deletion, {str(ranking).replace('_', '-')}", float(areas.mean())
    if len(overlaps := side.results.stability["jaccard"].astype(float).dropna()):
        yield "stability of clusters (Jaccard)", float(overlaps.mean())
    found = side.results.results
    own = found[(found["question"] == "clusters") & (found["method"] == "ours")]
    for name in ("ami", "ari"):
        if name in own and own[name].notna().any():
            yield f"agreement with labels ({name.upper()})", float(own[name].iloc[0])


def settings_table(a: Side, b: Side) -> pd.DataFrame:
    """One row per setting that differs: `setting`, `a`, `b` as text, "" where a study has none."""
    first, second = _flat(a.fitted.config), _flat(b.fitted.config)
    names = [name for name in first | second if first.get(name) != second.get(name)]
    rows = [{"setting": name, "a": first.get(name, ""), "b": second.get(name, "")} for name in names]
    return pd.DataFrame(rows, columns=["setting", "a", "b"])


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    found: dict[str, str] = {}
    for key, value in values.items():
        found |= _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": str(value)}
    return found

"""A comparison in sentences: what was compared, what became of the clusters, what explains them, what alarms."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from clusterwhy.artifacts.counts import counted
from clusterwhy.study.comparison import frames
from clusterwhy.study.comparison import matching as kinds
from clusterwhy.study.comparison.comparing import Comparison
from clusterwhy.study.comparison.shared import MEMBERSHIP, TIME

MOST_CHANNELS = 3  # told of a pair


def comparable(found: Comparison) -> list[str]:
    """What is compared with what, and by which windows."""
    a, b = (side.results.data for side in (found.a, found.b))
    told = [f"A is {a.card.name}: {found.a.results.headline}", f"B is {b.card.name}: {found.b.results.headline}"]
    cut = f"Both have {counted(len(a.channels), 'channel')} with the same names"
    if (a.card.length, a.card.rate_hz) == (b.card.length, b.card.rate_hz):
        told.append(f"{cut}, and windows of {a.length} samples at {a.card.rate_hz:.6g} Hz.")
    else:
        lengths = " and ".join(f"{x.length} samples at {x.card.rate_hz:.6g} Hz" for x in (a, b))
        told.append(f"{cut}; windows of {lengths}: shares of relevance are of windows of different length.")
    return [*told, _matched_by(found)]


def _matched_by(found: Comparison) -> str:
    shared, n_shared = found.shared, len(found.shared.a)
    if shared.by == TIME:
        of = [n_shared / len(side.results.labels) for side in (found.a, found.b)]
        kept = f"{n_shared} windows of the same time, {of[0]:.0%} of A's and {of[1]:.0%} of B's"
        said = f"A and B share a recording: clusters are matched by {kept}"
    elif shared.by == MEMBERSHIP:
        said = (
            f"The recordings differ: clusters are matched by the {n_shared} windows of B, which the encoder, "
            "projection and clusters of A have placed without training"
        )
    else:
        return "Both have the clusters of one study, which keep their numbers; no window is shared."
    ari, ami = found.agreement["ari"], found.agreement["ami"]
    agree = f"adjusted Rand index {ari:.2f}, adjusted mutual information {ami:.2f} (1 is identical, 0 is chance)"
    return f"{said}. Agreement: {agree if ari == ari else 'undefined, since both have one cluster only'}."


def clusters(found: Comparison) -> list[str]:
    """What became of the clusters, one sentence for each that is not simply matched."""
    table = found.clusters
    n_matched = int((table["kind"] == kinds.MATCHED).sum())
    told = [
        f"{n_matched} of {counted(table['cluster_a'].nunique(), 'cluster')} of A and "
        f"{table['cluster_b'].nunique()} of B match."
    ]
    for row in table.to_dict("records"):
        if row["kind"] not in (kinds.MATCHED, kinds.SPLIT_OFF, kinds.MERGES):
            told += list(_became(row, found))
    return told


def _became(row: dict[Any, Any], found: Comparison) -> Iterator[str]:
    kind, a, b = row["kind"], row["cluster_a"], row["cluster_b"]
    if kind in (kinds.SPLIT, kinds.BOTH):
        yield f"A{a} is split into {_names('B', row['split_into'])}; B{b} overlaps most with it."
    if kind in (kinds.MERGED, kinds.BOTH):
        yield f"{_names('A', row['merged_from'])} are merged in B{b}; A{a} overlaps most with it."
    if kind == kinds.VANISHED:
        yield f"A{a} has vanished{_where(found.overlap, 'a', a)}."
    if kind == kinds.NEW:
        yield f"B{b} is new{_where(found.overlap, 'b', b)}."
    if kind == kinds.UNSEEN:
        yield (
            f"{f'B{b}' if pd.isna(a) else f'A{a}'} has no window that both have placed."
            if found.overlap.size
            else (f"Cluster {a} has windows in neither recording.")
        )


def _where(overlap: pd.DataFrame, letter: str, cluster: object) -> str:
    """Where most windows of a cluster are in the other study."""
    if overlap.empty:
        return ": no window of the other recording is in it"
    other = "B" if letter == "a" else "A"
    own = overlap[(overlap[f"cluster_{letter}"] == cluster) & (overlap["n_windows"] > 0)]
    parts = own.nlargest(2, "n_windows")[[f"cluster_{other.lower()}", f"of_{letter}"]].itertuples(index=False)
    told = [f"{share:.0%} in {f'{other}{one}' if one >= 0 else f'the noise of {other}'}" for one, share in parts]
    return f": {' and '.join(told)}"


def channels_of(found: Comparison, a: int, b: int) -> str:
    """What differs between the channels of a pair, in one sentence."""
    own = found.channels[(found.channels["cluster_a"] == a) & (found.channels["cluster_b"] == b)]
    if own.empty:
        return "Not both are explained."
    apart = own[own["verdict"].isin([frames.HIGHER, frames.LOWER])]
    told = [
        f"{row.channel} {row.relevance_a:+.0%} in A, {row.relevance_b:+.0%} in B"
        for row in apart.head(MOST_CHANNELS).itertuples()
    ]
    more = f" and {len(apart) - MOST_CHANNELS} more" if len(apart) > MOST_CHANNELS else ""
    if not told:
        unknown = (own["verdict"] == frames.UNKNOWN).all()
        return "Intervals are missing." if unknown else "Shares of channels are not told apart: all intervals overlap."
    return f"Told apart by their intervals: {'; '.join(told)}{more}."


def pairs(found: Comparison) -> list[str]:
    """One sentence for each pair: overlap, leading channels and what differs."""
    told = []
    for row in found.clusters[found.clusters["kind"].isin(kinds.PAIRED)].to_dict("records"):
        a, b, jaccard = int(row["cluster_a"]), int(row["cluster_b"]), row["jaccard"]
        overlap = f" (overlap {jaccard:.2f})" if jaccard == jaccard else ""
        leading = [" or ".join(row[f"leading_{letter}"]) or "no channel" for letter in "ab"]
        same = leading[0] == leading[1]
        led = f"{leading[0]} leads in both" if same else f"{leading[0]} leads in A, {leading[1]} in B"
        sizes = f"{row['share_a']:.0%} of A, {row['share_b']:.0%} of B"
        told.append(f"A{a} and B{b}{overlap}: {sizes}; {led}. {channels_of(found, a, b)}")
    return told


def alarms(found: Comparison) -> str:
    """How often both raise an alarm, and which of these are the same."""
    metrics = found.metrics.set_index("figure")
    rate, threshold = metrics.loc["alarms per 1,000 windows"], metrics.loc["threshold"]
    table = found.anomalies
    said = (
        f"Alarms per 1,000 windows: {rate['a']:.3g} in A (threshold {threshold['a']:.3g}), {rate['b']:.3g} in B "
        f"({threshold['b']:.3g})"
    )
    if found.shared.by != TIME:
        return f"{said}{'; none is shared, since the recordings differ' if len(table) else ''}."
    both = [((table["of"] == letter) & (table["kind"] == frames.SHARED)).sum() for letter in "AB"]
    only = [(table["kind"] == kind).sum() for kind in (frames.ONLY_A, frames.ONLY_B)]
    outside = int((table["kind"] == frames.OUTSIDE).sum())
    more = f"; {outside} where the other has no windows" if outside else ""
    return f"{said}. {both[0]} of A's are in B, too, {only[0]} only in A, {only[1]} only in B{more}."


def metric_lines(table: pd.DataFrame) -> list[str]:
    """Figures in aligned lines: name, A, B, change, which one is better."""
    rows = [("", "A", "B", "B - A", "better")]
    rows += [
        (row["figure"], *(_number(row[name]) for name in "ab"), _number(row["change"], "+"), row["better"])
        for row in table.to_dict("records")
    ]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return [
        f"{row[0]:<{widths[0]}}  "
        + "  ".join(f"{cell:>{width}}" for cell, width in zip(row[1:], widths[1:], strict=True))
        for row in rows
    ]


def _number(value: float, sign: str = "") -> str:
    return "" if not np.isfinite(value) else "0" if value == 0 else f"{value:{sign}.4g}"


def _names(letter: str, clusters: object) -> str:
    assert isinstance(clusters, Sequence)
    return " and ".join(f"{letter}{one}" for one in clusters)

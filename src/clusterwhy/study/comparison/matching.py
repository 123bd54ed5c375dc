"""Which cluster of one study is which of another, by the windows that both of them placed."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from clusterwhy.clustering.base import NOISE
from clusterwhy.types import FloatArray, IntArray

MATCHED, SPLIT, MERGED, BOTH = "matched", "split", "merged", "split and merged"
SPLIT_OFF, MERGES, VANISHED, NEW, UNSEEN = "split off", "merges", "vanished", "new", "no shared window"
PAIRED = (MATCHED, SPLIT, MERGED, BOTH)
COLUMNS = [
    "cluster_a",
    "cluster_b",
    "kind",
    "n_shared",
    "n_a",
    "n_b",
    "jaccard",
    "part_of",
    "split_into",
    "merged_from",
]
MAJORITY = 0.5


@dataclass(frozen=True)
class Matching:
    """Pairs of clusters, and what became of those without one.

    Attributes:
        clusters: one row per pair and per cluster without one, in order. `cluster_a`, `cluster_b` (missing where there
            is none), `kind`, `n_shared` windows in both of `n_a` and `n_b` that both studies placed, `jaccard` (shared
            of all windows in either), `part_of` (the cluster of the other study that holds most of an unpaired one),
            `split_into` (clusters of B) and `merged_from` (clusters of A), empty unless there are several.
        overlap: one row per cluster of A and of B, noise (-1) included, with `n_windows` in both, which is the share
            `of_a` and `of_b` of each.
    """

    clusters: pd.DataFrame
    overlap: pd.DataFrame

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """Clusters of A and B that are one another's, both with windows."""
        paired = self.clusters[self.clusters["kind"].isin(PAIRED)]
        return [(int(a), int(b)) for a, b in zip(paired["cluster_a"], paired["cluster_b"], strict=True)]


def match_clusters(a: IntArray, b: IntArray, known_a: Sequence[int], known_b: Sequence[int]) -> Matching:
    """Pair clusters so that the sum of their Jaccard overlaps is highest (Hungarian algorithm).

    Two clusters can be a pair only if more than half of the windows of one of them are in the other. A cluster is
    `split` if more than half of the windows of each of several clusters of the other study lie in it; the one paired
    with it is its continuation, the others are `split off`. The same from B to A is `merged`, and `merges` are those
    that have gone into a cluster paired with another one. What has no such relation has `vanished`, or is `new`.

    Args:
        a, b: (window,) cluster of the same windows in both studies; -1 is noise, which is matched with nothing.
        known_a, known_b: clusters of both studies, with or without such windows.
    """
    counts = _counts(a, b, [NOISE, *known_a], [NOISE, *known_b])
    inner = counts[1:, 1:]
    n_a, n_b = counts[1:].sum(axis=1), counts[:, 1:].sum(axis=0)
    of_a, of_b = _share(inner, n_a[:, None]), _share(inner, n_b[None])
    jaccard = _share(inner, n_a[:, None] + n_b[None] - inner)
    pairs = _paired(np.where(np.maximum(of_a, of_b) > MAJORITY, jaccard, 0.0))
    rows = [
        {
            **row,
            "n_shared": _at(inner, row, 0),
            "n_a": 0 if row["a"] is None else int(n_a[row["a"]]),
            "n_b": 0 if row["b"] is None else int(n_b[row["b"]]),
            "jaccard": _at(jaccard, row, np.nan),
        }
        for row in _rows(pairs, _most(of_a), _most(of_b.T), n_a, n_b)
    ]
    rows.sort(key=lambda row: _place(row, pairs))
    table = pd.DataFrame([_named(row, known_a, known_b) for row in rows], columns=COLUMNS)
    return Matching(_typed(table), _overlap(counts, known_a, known_b))


def by_number(sizes_a: IntArray, sizes_b: IntArray) -> Matching:
    """Clusters of one study in two recordings: the same number is the same cluster.

    Args:
        sizes_a, sizes_b: (cluster,) windows of both recordings.
    """

    def kind(n_a: int, n_b: int) -> str:
        return MATCHED if n_a and n_b else UNSEEN if not n_a and not n_b else VANISHED if n_a else NEW

    rows = [
        {"cluster_a": i, "cluster_b": i, "kind": kind(n_a, n_b), "n_shared": 0, "n_a": n_a, "n_b": n_b}
        | {"jaccard": np.nan, "part_of": None, "split_into": (), "merged_from": ()}
        for i, (n_a, n_b) in enumerate(zip(sizes_a.tolist(), sizes_b.tolist(), strict=True))
    ]
    empty = pd.DataFrame(columns=["cluster_a", "cluster_b", "n_windows", "of_a", "of_b"])
    return Matching(_typed(pd.DataFrame(rows, columns=COLUMNS)), empty)


def _typed(table: pd.DataFrame) -> pd.DataFrame:
    return table.astype({name: "Int64" for name in ("cluster_a", "cluster_b", "part_of")})


def _counts(a: IntArray, b: IntArray, known_a: Sequence[int], known_b: Sequence[int]) -> IntArray:
    """(cluster of A, cluster of B) windows in both."""
    return np.array([[int(((a == i) & (b == j)).sum()) for j in known_b] for i in known_a], dtype=np.int64)


def _share(part: IntArray, whole: IntArray) -> FloatArray:
    return np.divide(part, whole, out=np.zeros(part.shape), where=np.broadcast_to(whole, part.shape) > 0)


def _paired(worth: FloatArray) -> dict[int, int]:
    """Position in A -> position in B of pairs that are worth something."""
    from scipy.optimize import linear_sum_assignment

    rows, columns = linear_sum_assignment(worth, maximize=True)
    return {int(i): int(j) for i, j in zip(rows, columns, strict=True) if worth[i, j] > 0}


def _most(shares: FloatArray) -> list[int | None]:
    """For each row the column that holds more than half of it."""
    if not shares.shape[1]:
        return [None] * len(shares)
    return [int(row.argmax()) if row.max() > MAJORITY else None for row in shares]


def _rows(
    pairs: dict[int, int], into: list[int | None], parent: list[int | None], n_a: IntArray, n_b: IntArray
) -> Iterator[dict[str, Any]]:
    """Pairs and single clusters, as positions."""
    for i in range(len(n_a)):
        j = pairs.get(i)
        if j is None:
            kind = MERGES if into[i] is not None else VANISHED if n_a[i] else UNSEEN
            yield {"a": i, "b": None, "kind": kind, "part_of": into[i], "split_into": (), "merged_from": ()}
            continue
        parts = {j, *(k for k, one in enumerate(parent) if one == i)}
        sources = {i, *(k for k, one in enumerate(into) if one == j)}
        split, merged = (tuple(sorted(found)) if len(found) > 1 else () for found in (parts, sources))
        kind = BOTH if split and merged else SPLIT if split else MERGED if merged else MATCHED
        yield {"a": i, "b": j, "kind": kind, "part_of": None, "split_into": split, "merged_from": merged}
    for j in sorted({*range(len(n_b))} - {*pairs.values()}):
        kind = SPLIT_OFF if parent[j] is not None else NEW if n_b[j] else UNSEEN
        yield {"a": None, "b": j, "kind": kind, "part_of": parent[j], "split_into": (), "merged_from": ()}


def _place(row: dict[str, Any], pairs: dict[int, int]) -> tuple[float, bool]:
    """By clusters of A; an unpaired cluster follows the pair that most of it lies in, and new ones are last."""
    a, b, part = row["a"], row["b"], row["part_of"]
    if a is None:
        return (np.inf if part is None else float(part)), True
    into = {j: i for i, j in pairs.items()}.get(part) if b is None else None
    return float(a if into is None else into), b is None


def _at(values: Any, row: dict[str, Any], otherwise: float) -> Any:
    """The value of a pair."""
    return otherwise if None in (row["a"], row["b"]) else values[row["a"], row["b"]]


def _named(row: dict[str, Any], known_a: Sequence[int], known_b: Sequence[int]) -> dict[str, Any]:
    """A row with clusters in place of their positions."""
    a, b, part = row["a"], row["b"], row["part_of"]
    others = known_b if b is None else known_a
    return row | {
        "cluster_a": None if a is None else known_a[a],
        "cluster_b": None if b is None else known_b[b],
        "part_of": None if part is None else others[part],
        "split_into": tuple(known_b[k] for k in row["split_into"]),
        "merged_from": tuple(known_a[k] for k in row["merged_from"]),
    }


def _overlap(counts: IntArray, known_a: Sequence[int], known_b: Sequence[int]) -> pd.DataFrame:
    of_a, of_b = _share(counts, counts.sum(axis=1, keepdims=True)), _share(counts, counts.sum(axis=0, keepdims=True))
    rows = [
        {"cluster_a": i, "cluster_b": j, "n_windows": counts[x, y], "of_a": of_a[x, y], "of_b": of_b[x, y]}
        for x, i in enumerate([NOISE, *known_a])
        for y, j in enumerate([NOISE, *known_b])
    ]
    return pd.DataFrame(rows)

"""Explanations by several encoders that differ in their training seed only (replicates): their mean, and how far a
further encoder would agree."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from clusterwhy.metrics.prediction_intervals import Repeated
from clusterwhy.types import FloatArray

if TYPE_CHECKING:
    from clusterwhy.propagation.relevance import Relevance

NORMAL_WIDTH = 3.92  # of a 95 % interval, in standard errors
DOUBT = 0.05  # chance that another channel leads under a further encoder, up to which the leading channel is certain
BY_ENCODER = "signed_by_"  # and the number of an encoder, from 1: columns of its shares
LEADS = ["first_in", "encoders", "behind"]


def target_sizes(found: "Sequence[Relevance]") -> list[float]:
    """Mean size of the target by each encoder, over the windows."""
    return [float(np.abs(one.target).mean()) for one in found]


def mean_relevance(found: "Sequence[Relevance]", sizes: Sequence[float] | None = None) -> "Relevance":
    """The mean of relevance of the same windows by several encoders, in units of the first one's target.

    Targets of encoders differ in scale, so each is divided by its size. What relevance adds up to is the mean of the
    targets in the same way; notes are those of all encoders.

    Args:
        found: by each encoder.
        sizes: of the targets, one for each encoder; those over the windows unless given.
    """
    from dataclasses import replace

    first = found[0]
    if len(found) == 1:
        return first
    sizes = target_sizes(found) if sizes is None else sizes
    weights = [sizes[0] / size / len(found) if size > 0 else 0.0 for size in sizes]
    targets = [weight * one.target for weight, one in zip(weights, found, strict=True)]
    whole = np.sum(targets, axis=0)
    known = np.where(whole == 0, np.nan, whole)

    def share(name: str) -> FloatArray:
        return np.sum([getattr(one, name) * own for one, own in zip(found, targets, strict=True)], axis=0) / known

    values = np.sum([weight * one.values for weight, one in zip(weights, found, strict=True)], axis=0)
    notes = list(dict.fromkeys(note for one in found for note in one.provenance.get("notes", ())))
    return replace(
        first,
        values=values.astype(first.values.dtype),
        target=whole.astype(first.target.dtype),
        bias_share=share("bias_share"),
        constant_share=share("constant_share"),
        provenance=first.provenance | {"encoders": len(found), "notes": notes},
    )


def over_encoders(tables: Sequence[Sequence[pd.DataFrame]], columns: Sequence[str]) -> list[pd.DataFrame]:
    """One table for each cluster from those of its encoders.

    Args:
        tables: for each cluster, for each encoder: the same rows; `<column>_low` and `<column>_high` are 95 % limits of
            a mean over windows.
        columns: the figures.

    Returns:
        For each cluster its first table with means over encoders and, as limits, the interval in which the figure lies
        by a further encoder, on windows drawn anew, 19 times of 20 (`Repeated`; all clusters tell the spread between
        encoders together). With one encoder they stay limits over windows.
    """
    made = [of_cluster[0].copy() for of_cluster in tables]
    if not tables or len(tables[0]) < 2:
        return made
    edges = np.cumsum([len(table) for table in made])[:-1]
    for column in columns:
        values, low, high = (_stacked(tables, f"{column}{end}") for end in ("", "_low", "_high"))
        limits, mean = np.full((2, values.shape[1]), np.nan), values.mean(axis=0)
        known = np.isfinite(values).all(axis=0)
        if known.any():
            of_windows = ((high - low) / NORMAL_WIDTH) ** 2
            limits[:, known] = Repeated.of(values[:, known]).limits(more=of_windows.mean(axis=0)[known])
        for table, *parts in zip(made, *(np.split(part, edges) for part in (mean, *limits)), strict=True):
            table[column], table[f"{column}_low"], table[f"{column}_high"] = parts
    return made


def leads(tables: Sequence[Sequence[pd.DataFrame]]) -> list[pd.DataFrame]:
    """Which channel of each cluster leads, and how surely.

    Args:
        tables: for each cluster, for each encoder: one row per channel with `signed` and its limits.

    Returns:
        For each cluster one row per channel: `first_in`, the number of encoders in which its share is the highest;
        `encoders`; `behind`, the probability that it stays behind the leading channel of the mean under a further
        encoder, NaN for that channel itself and with one encoder.
    """
    found = []
    for of_cluster in tables:
        signed = np.stack([table["signed"].to_numpy(dtype=float) for table in of_cluster])
        first_in = np.zeros(signed.shape[1], dtype=int)
        if np.isfinite(signed).all():
            first_in = np.bincount(signed.argmax(axis=1), minlength=signed.shape[1])
        found.append(pd.DataFrame({"first_in": first_in, "encoders": len(signed), "behind": np.nan}))
    usable = [i for i, table in enumerate(found) if table["first_in"].sum() and table["encoders"].iloc[0] > 1]
    if not usable:
        return found
    gaps, spreads, leading = [], [], {}
    for i in usable:
        signed, low, high = (_stacked([tables[i]], f"signed{end}") for end in ("", "_low", "_high"))
        leading[i] = first = int(signed.mean(axis=0).argmax())
        rest = np.arange(signed.shape[1]) != first
        variance = (((high - low) / NORMAL_WIDTH) ** 2).mean(axis=0)
        gaps.append((signed[:, [first]] - signed)[:, rest])
        spreads.append((variance[first] + variance)[rest])
    chances = Repeated.of(np.concatenate(gaps, axis=1)).chance_above_zero(np.concatenate(spreads))
    edges = np.cumsum([gap.shape[1] for gap in gaps])[:-1]
    for i, part in zip(usable, np.split(chances, edges), strict=True):
        found[i].loc[np.arange(len(found[i])) != leading[i], "behind"] = part
    return found


def leading_channels(importance: pd.DataFrame) -> list[str]:
    """The leading channel of a cluster, and those that are not told apart from it.

    The chance that one of the others leads under a further encoder is at most `DOUBT`. With one encoder nothing is
    known about another: the leading channel alone is given.

    Args:
        importance: rows of one cluster, with `channel`, `signed` and the columns `LEADS`.
    """
    ordered = importance.sort_values("signed", ascending=False, kind="stable")
    if ordered["signed"].isna().all():
        return []
    first, rest = str(ordered["channel"].iloc[0]), ordered.iloc[1:]
    doubt = (1.0 - rest["behind"].astype(float)).fillna(0.0)
    doubt = doubt.sort_values(ascending=False, kind="stable")
    # the smallest group whose rest leads with a chance of at most DOUBT
    left = doubt.sum() - doubt.cumsum() + doubt
    apart = set(doubt.index[left <= DOUBT])
    return [first, *(str(row.channel) for row in rest.itertuples() if row.Index not in apart)]


def _stacked(tables: Sequence[Sequence[pd.DataFrame]], column: str) -> FloatArray:
    """(encoder, row of all clusters) values of a column."""
    by_encoder = zip(*tables, strict=True)
    return np.stack([np.concatenate([table[column].to_numpy(dtype=float) for table in each]) for each in by_encoder])

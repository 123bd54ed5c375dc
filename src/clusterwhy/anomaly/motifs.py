"""Motifs and discords of each channel: the windows that something repeats, and those that nothing is like."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from clusterwhy.anomaly.base import DetectorInput, Nearest
from clusterwhy.types import BoolArray, IntArray

MOST = 3  # motifs, and discords, of a channel
MOTIF, DISCORD = "motif", "discord"
COLUMNS = ["channel", "kind", "rank", "window", "start", "nearest", "distance", "compared"]


def motif_table(inputs: DetectorInput, nearest: Nearest, channels: Sequence[str], windows: IntArray) -> pd.DataFrame:
    """The windows of each channel with the least distance to the stretch they are most like, and with the greatest.

    A constant window is no motif, since a sensor that stands still repeats nothing. No window or stretch of a motif
    overlaps those of one with a lower rank, no discord another discord.

    Args:
        inputs: what the detector was given.
        nearest: what it found.
        channels: names.
        windows: (window,) ids.

    Returns:
        One row per `channel`, `kind` (motif or discord) and `rank` (from 1): the `window`, its `start`, the first
        sample of the `nearest` stretch, their `distance`, and what is `compared` (shapes or values).
    """
    changing = inputs.in_parts(lambda some: np.ptp(some, axis=2)) > 0
    rows = []
    for i, channel in enumerate(channels):
        distances = nearest.distances[:, i]
        places = np.stack([inputs.starts, nearest.starts[:, i]], axis=1)
        motifs = _apart(np.argsort(distances, kind="stable"), places, changing[:, i], inputs.length)
        every = np.ones(len(distances), dtype=bool)
        discords = _apart(np.argsort(-distances, kind="stable"), places[:, :1], every, inputs.length)
        rows += [
            (channel, kind, rank, windows[one], *places[one], distances[one], "shapes" if nearest.shapes else "values")
            for kind, found in ((MOTIF, motifs), (DISCORD, discords))
            for rank, one in enumerate(found, start=1)
        ]
    return pd.DataFrame(rows, columns=COLUMNS)


def _apart(order: IntArray, places: IntArray, allowed: BoolArray, length: int) -> list[int]:
    """The first windows of an order that are allowed and overlap none before.

    Args:
        order: (window,) positions.
        places: (window, place) first samples of the stretches that each of them takes.
        allowed: (window,).
        length: of a stretch.
    """
    found: list[int] = []
    free = allowed.copy()
    while len(found) < MOST and free.any():
        chosen = int(order[free[order].argmax()])
        found.append(chosen)
        for place in places[chosen]:
            free &= (np.abs(places - place) >= length).all(axis=1)
    return found

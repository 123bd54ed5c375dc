"""Two faults of different kinds in different channels of real windows: where they are, and whether a method says so."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from benchmarks.planted import FAULTS as PLANTED
from benchmarks.planted import Fault
from clusterwhy.types import BoolArray, FloatArray, IntArray

FAULTS: dict[str, Fault] = {
    "level shift": PLANTED["offset"],
    "gain": PLANTED["variance"],
    "frequency": PLANTED["frequency"],
    "delay": PLANTED["phase shift"],
    "correlation break": PLANTED["correlation break"],
    "mirrored": lambda piece, other, rng: 2.0 * piece.mean() - piece,
}
LEAST = 0.3  # root mean square change of a fault, in standard deviations of its channel: a still channel has no mirror
ATTEMPTS = 200


@dataclass(frozen=True)
class Planted:
    """Windows with one fault or two, and what a fault of them is.

    Attributes:
        windows: (window, channel, time).
        origins: (window,) positions of the untouched windows.
        own, other: (window,) channel of the fault, and of the other one.
        spans: (window, 2) first sample of the fault, and the one after the last.
        others_span: the same of the other fault, where it is in the same window; else zeros.
    """

    windows: FloatArray
    origins: IntArray
    own: IntArray
    other: IntArray
    spans: IntArray
    others_span: IntArray

    def swapped(self) -> "Planted":
        """The same windows, asked for the other fault."""
        return Planted(self.windows, self.origins, self.other, self.own, self.others_span, self.spans)

    def mask(self) -> BoolArray:
        """(window, channel, time) where the fault is."""
        mask = np.zeros(self.windows.shape, dtype=bool)
        for i, (channel, (first, last)) in enumerate(zip(self.own, self.spans, strict=True)):
            mask[i, channel, first:last] = True
        return mask


def pairs_of(recording: int) -> list[tuple[str, str]]:
    """Six pairs in which each fault is twice; three recordings have all pairs."""
    kinds, step = list(FAULTS), 1 + recording % 3
    return [(kinds[i], kinds[(i + step) % len(kinds)]) for i in range(len(kinds))]


class Planter:
    """Plants faults into windows (window, channel, time) of one recording."""

    def __init__(self, windows: FloatArray, rng: np.random.Generator) -> None:
        self.windows, self.rng = windows, rng

    def alone(self, kinds: tuple[str, str]) -> tuple[Planted, Planted]:
        """Two windows, a fault in each, in different channels at different times."""
        for _ in range(ATTEMPTS):
            first, second = self._channels()
            at = self.rng.permutation(len(self.windows))
            a, b = self._one(kinds[0], first, int(at[0])), self._one(kinds[1], second, int(at[1]))
            if a is not None and b is not None:
                return self._group([a], first, second), self._group([b], second, first)
        raise ValueError(f"no windows where {kinds[0]} and {kinds[1]} change enough")

    def together(self, kinds: tuple[str, str]) -> Planted:
        """One window with both faults, in different channels at different times; `swapped` asks for the second."""
        length, rng = self.windows.shape[2], self.rng
        third = length // 3
        for _ in range(ATTEMPTS):
            first, second = self._channels()
            at = int(rng.integers(len(self.windows)))
            early, late = (int(half + rng.integers(length // 2 - third + 1)) for half in (0, length // 2))
            starts = (early, late) if rng.random() < 0.5 else (late, early)
            spans = [(start, start + third) for start in starts]
            window = self.windows[at].copy()
            large = [
                self._change(window, kind, channel, span)
                for kind, channel, span in zip(kinds, (first, second), spans, strict=True)
            ]
            if min(large) >= LEAST:
                one = np.array([at]), np.array([first]), np.array([second])
                return Planted(window[None], *one, np.array(spans[:1]), np.array(spans[1:]))
        raise ValueError(f"no window where {kinds[0]} and {kinds[1]} change enough")

    def groups(self, kinds: tuple[str, str], count: int, embeddings: FloatArray) -> tuple[Planted, Planted]:
        """Two groups of windows of the same state: each has one fault in one channel, at a time of its own in each.

        Args:
            count: windows of each.
            embeddings: (window, feature); the groups are the windows nearest to a drawn one.
        """
        for _ in range(ATTEMPTS):
            first, second = self._channels()
            near = np.square(embeddings - embeddings[self.rng.integers(len(embeddings))]).sum(axis=1).argsort()
            drawn = self.rng.permutation(near[: 2 * count])
            made = [
                [one for at in own if (one := self._one(kind, channel, at)) is not None]
                for kind, channel, own in zip(kinds, (first, second), (drawn[:count], drawn[count:]), strict=True)
            ]
            if min(map(len, made)) == count:  # else a channel is too still
                return self._group(made[0], first, second), self._group(made[1], second, first)
        raise ValueError(f"no windows where {kinds[0]} and {kinds[1]} change enough")

    def _channels(self) -> tuple[int, int]:
        first, second = self.rng.permutation(self.windows.shape[1])[:2].tolist()
        return first, second

    def _one(self, kind: str, channel: int, at: int) -> tuple[FloatArray, int, tuple[int, int]] | None:
        """A window with a fault for half of its time, its origin, and when; None if it changes too little."""
        length = self.windows.shape[2]
        start = int(self.rng.integers(0, length // 2))
        window, span = self.windows[at].copy(), (start, start + length // 2)
        return (window, at, span) if self._change(window, kind, channel, span) >= LEAST else None

    def _change(self, window: FloatArray, kind: str, channel: int, span: tuple[int, int]) -> float:
        """Plant a fault into a window, and say by how much it changed (root mean square)."""
        part = slice(*span)
        before = window[channel, part].copy()
        other = self.windows[self.rng.integers(len(self.windows)), channel, part]
        window[channel, part] = FAULTS[kind](before, other, self.rng)
        return float(np.sqrt(np.square(window[channel, part] - before).mean()))

    def _group(self, made: list[tuple[FloatArray, int, tuple[int, int]]], own: int, other: int) -> Planted:
        windows, origins, spans = (np.array(part) for part in zip(*made, strict=True))
        each = np.full(len(made), own), np.full(len(made), other)
        return Planted(windows.astype(np.float32), origins, *each, spans, np.zeros_like(spans))


def joined(parts: list[Planted]) -> Planted:
    """Several as one."""
    names = ("windows", "origins", "own", "other", "spans", "others_span")
    return Planted(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


# (window, channel) what a method says of the channels of windows in a stretch (window, 2) of each
Ranking = Callable[[IntArray], FloatArray]


def named(ranking: FloatArray, own: int, other: int) -> dict[str, float]:
    """Whether a ranking (channel,) has a fault's channel first, its reciprocal rank, and whether the other's is first.

    Channels that are level share their places.
    """
    place = 1.0 + (ranking > ranking[own]).sum() + ((ranking == ranking[own]).sum() - 1) / 2.0
    leading = np.flatnonzero(ranking == ranking.max())
    return {
        "precision": float(np.mean(leading == own)),
        "reciprocal": 1.0 / place,
        "confused": float(np.mean(leading == other)),
    }


def placed(cells: FloatArray, of: Planted) -> Iterator[dict[str, float]]:
    """For each window, from |relevance| of cells (window, channel, time): the share in the true cells of both faults.

    And the share in the cells where the two are swapped (the channel of one at the time of the other), and whether the
    channel of the fault has more in its own time than in the other's (the two are as long).
    """
    both = of.mask() | of.swapped().mask()
    crossed = Planted(of.windows, of.origins, of.own, of.other, of.others_span, of.spans)
    wrong = crossed.mask() | crossed.swapped().mask()
    size = np.abs(cells)
    total = size.sum(axis=(1, 2)).clip(min=1e-30)
    for i, (own, other) in enumerate(zip(of.mask(), crossed.mask(), strict=True)):
        yield {
            "true cells": float((size[i] * both[i]).sum() / total[i]),
            "swapped cells": float((size[i] * wrong[i]).sum() / total[i]),
            "in its time": float((size[i] * own).sum() > (size[i] * other).sum()),
        }

"""Names, notes and events of one study: matched to its clusters, and found in its series."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

from clusterwhy.annotations.entries import Annotations, NamedCluster
from clusterwhy.annotations.events import read_events
from clusterwhy.annotations.file import read_annotations
from clusterwhy.annotations.located import Asked, Interval, Place, located, overlapping
from clusterwhy.annotations.matching import Match, match
from clusterwhy.annotations.window_times import ClusterTimes
from clusterwhy.errors import DataError

WHOLE = 0.995  # is told as 100 %
SHOWN = 5  # intervals outside the recording that a sentence names
BY_NUMBER = "by its number only, which a refit may give to another cluster: `python -m pipeline.name` binds it"


@dataclass(frozen=True)
class Sources:
    """Where a person's names, notes and events are.

    Attributes:
        names: `annotations.yaml`.
        events: `events.csv`.
    """

    names: Path
    events: Path

    @classmethod
    def beside(cls, artifacts: Path | str) -> Self:
        """The files beside a folder of artifacts; either may be missing."""
        folder = Path(artifacts).absolute().parent
        return cls(folder / "annotations.yaml", folder / "events.csv")


@dataclass(frozen=True)
class Naming:
    """Name and note of a cluster of this study.

    Attributes:
        agreement: Jaccard index of its windows and those that were named; None for a name by number.
    """

    name: str
    note: str
    agreement: float | None


@dataclass(frozen=True)
class Annotated:
    """What people wrote about one study.

    Attributes:
        clusters: cluster -> its name and note.
        told: how names were matched, in sentences.
        outside: which segments and events are not in this recording, in sentences.
        segments: named segments in the series.
        events: events in the series.
    """

    clusters: Mapping[int, Naming] = field(default_factory=dict)
    told: tuple[str, ...] = ()
    outside: tuple[str, ...] = ()
    segments: tuple[Interval, ...] = ()
    events: tuple[Interval, ...] = ()

    def name(self, cluster: int) -> str:
        """What a cluster is called: its name, or its number."""
        if cluster < 0:
            return "noise"
        naming = self.clusters.get(cluster)
        return naming.name if naming and naming.name else f"cluster {cluster}"


@dataclass(frozen=True)
class Known:
    """A study as far as names need it.

    Attributes:
        times: when the windows of its clusters are.
        place: its series.
    """

    times: ClusterTimes
    place: Place


def annotate(annotations: Annotations, events: list[Asked], known: Known, source: str) -> Annotated:
    """Match names to clusters, and find segments and events in the series.

    Args:
        source: name of the file, for messages.

    Raises:
        DataError: lists every fault: clusters that are not there, intervals that begin after they end or are of another
            clock, segments that overlap.
    """
    clusters, told, faults = named_clusters(annotations, known.times)
    segments, wrong, outside = located(known.place, segments_of(annotations))
    faults += [*wrong, *overlapping(segments)]
    found, wrong, beyond = located(known.place, events)
    faults += wrong
    if faults:
        raise DataError(source, faults)
    not_here = (*_not_here("segment", outside), *_not_here("event", beyond))
    return Annotated(clusters, tuple(told), not_here, tuple(segments), tuple(found))


def annotate_from(sources: Sources, known: Known) -> Annotated:
    """The same from files.

    Raises:
        DataError: lists every fault of one of them, or of both.
    """
    annotations, events = read_annotations(sources.names), read_events(sources.events)
    return annotate(annotations, events, known, f"{sources.names.name} and {sources.events.name}")


def annotate_elsewhere(of_study: Annotated, sources: Sources, place: Place) -> Annotated:
    """The names of a study for a recording that it is applied to, with the segments and events of that recording.

    Those without dates, which every recording may have, belong to the recording that they name.
    """
    names = {name for name, *_ in place.parts}
    told: list[str] = []
    found = []
    for what, asked in (
        ("segment", segments_of(read_annotations(sources.names))),
        ("event", read_events(sources.events)),
    ):
        own = [one for one in asked if one.recording in names or (place.dated and not one.recording)]
        own = [one for one in own if not one.range.wrong_clock(place.dated)]
        intervals, faults, outside = located(place, own)
        if faults:
            raise DataError(sources.names.name, faults)
        n_outside = len(asked) - len(own) + len(outside)
        told += [f"{n_outside} {what}{'s are' if n_outside > 1 else ' is'} not in this recording."] * bool(n_outside)
        found.append(tuple(intervals))
    return Annotated(of_study.clusters, of_study.told, tuple(told), *found)


def segments_of(annotations: Annotations) -> list[Asked]:
    """The segments as intervals that are looked for in a series."""
    return [
        Asked(f"segments[{i}] ({one.name or one.note[:20]})", one.name, one.note, one.range, one.recording)
        for i, one in enumerate(annotations.segments)
    ]


def _not_here(what: str, outside: list[str]) -> list[str]:
    """That some intervals lie outside a recording, in one sentence; none if none does."""
    if not outside:
        return []
    n, more = len(outside), f"; and {len(outside) - SHOWN} more" if len(outside) > SHOWN else ""
    return [f"{n} {what}{'s are' if n > 1 else ' is'} not shown: {'; '.join(outside[:SHOWN])}{more}."]


def matched(annotations: Annotations, times: ClusterTimes) -> list[tuple[NamedCluster, Match | None]]:
    """How the windows of each entry are clustered today; None for entries without windows.

    Of two entries that are found in one cluster, the one with the higher agreement keeps it.
    """
    found = [(one, match(one.windows, times) if one.windows else None) for one in annotations.clusters]
    best: dict[int, tuple[float, int]] = {}
    for place, (_, one) in enumerate(found):
        if one and one.found and one.cluster is not None:
            best[one.cluster] = max(best.get(one.cluster, (0.0, -1)), (one.agreement, place))
    kept = {place for _, place in best.values()}
    return [
        (entry, replace(one, yields=True) if one and one.found and i not in kept else one)
        for i, (entry, one) in enumerate(found)
    ]


def named_clusters(annotations: Annotations, times: ClusterTimes) -> tuple[dict[int, Naming], list[str], list[str]]:
    """Names by cluster, sentences about how they were found, and faults."""
    found: dict[int, Naming] = {}
    told, moved, faults = [], [], []
    for entry, one in matched(annotations, times):
        if one is not None:
            if one.found and one.cluster is not None:
                found[one.cluster] = Naming(entry.name, entry.note, one.agreement)
            if one.found and one.agreement >= WHOLE and one.known >= WHOLE:
                moved += [f"{entry.called} is cluster {one.cluster}"] if one.cluster != entry.cluster else []
            else:
                told.append(_told(entry, one))
    for entry in annotations.clusters:
        if entry.windows or entry.cluster is None:
            continue
        if entry.cluster not in times.clusters:
            there = f"0 to {times.clusters[-1]}" if times.clusters else "none"
            faults.append(f"{entry.called}: no cluster {entry.cluster}; the study has {there}")
        elif entry.cluster in found:
            faults.append(f"cluster {entry.cluster} has two entries: {entry.called} and {found[entry.cluster].name!r}")
        else:
            found[entry.cluster] = Naming(entry.name, entry.note, None)
            told.append(f"Cluster {entry.cluster} is named {BY_NUMBER}.")
    told += [f"With other numbers, and all of their windows: {', '.join(moved)}."] if moved else []
    return dict(sorted(found.items())), told, faults


def _told(entry: NamedCluster, one: Match) -> str:
    """Where the windows of a name are today."""
    if not one.known:
        return f"{entry.called} is not shown: this study has none of its windows."
    part = f" (this study has windows at {one.known:.0%} of its time)" if one.known < WHOLE else ""
    if one.cluster is None:
        return f"{entry.called} is not shown: all of its time is noise now{part}."
    where = f"{one.share:.0%} of its time is now in cluster {one.cluster}, agreement {one.agreement:.2f}"
    if one.found:
        return f"{entry.called}: {where}{part}."
    why = "with which another name agrees more" if one.yields else "which is too little"
    return f"{entry.called} is not shown: {where}, {why}{part}."

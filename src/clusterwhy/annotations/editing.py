"""Changes of `annotations.yaml`: what the page and `python -m pipeline.name` write.

Each change also brings the numbers of all entries up to date, and gives entries by number the windows of their cluster.
The windows of other entries stay those that were named.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from clusterwhy.annotations.annotated import Annotated, Known, Sources, annotate, matched
from clusterwhy.annotations.entries import NamedCluster
from clusterwhy.annotations.events import read_events
from clusterwhy.annotations.file import Document, checked, edit, quoted
from clusterwhy.annotations.matching import Match
from clusterwhy.annotations.window_times import WindowTimes, stamp_of
from clusterwhy.errors import DataError


@dataclass(frozen=True)
class Editor:
    """Writes names and notes of one study.

    Attributes:
        sources: the files.
        known: the study.
    """

    sources: Sources
    known: Known

    def name_cluster(self, cluster: int, name: str, note: str) -> Annotated:
        """Name a cluster, or change its name and note; both empty removes them.

        A name that no cluster has any longer may be given again, and then belongs to this one.

        Raises:
            DataError: no such cluster, another one has this name, or the file is faulty.
            StorageError: the file cannot be written.
        """
        if cluster not in self.known.times.clusters:
            raise DataError(self.sources.names.name, [f"the study has no cluster {cluster}"])

        def change(content: Document, today: list[int | None]) -> None:
            entries = _entries(content, "clusters")
            lost = [i for i, one in enumerate(entries) if today[i] is None and name and one.get("name") == name]
            own = today.index(cluster) if cluster in today else None
            if own is not None and not (name or note):
                del entries[own]
            elif own is not None:
                _fill(entries[own], cluster, name, note, self.known.times.stored(cluster))
            elif name or note:
                entries.append({})
                _fill(entries[-1], cluster, name, note, self.known.times.stored(cluster))
            for i in reversed(lost):
                del entries[i]

        return self._edited(change)

    def name_segment(self, first: int, last: int, name: str, note: str) -> Annotated:
        """Name a segment from one sample to another; both empty removes it.

        Raises:
            DataError: samples of two recordings, an overlap with another segment, or a fault in the file.
            StorageError: the file cannot be written.
        """
        given, place = self._segment(first, last), self.known.place

        def change(content: Document, today: list[int | None]) -> None:
            entries = _entries(content, "segments")
            known = checked(self.sources.names, content).segments
            # as its samples, since a person may write its ends in other words
            own = [(first, last + 1) in place.spans(one.range, one.recording) for one in known]
            i = own.index(True) if True in own else len(entries)
            if i == len(entries):
                entries.append(given)
            _say(entries[i], name, note)
            if not (name or note):
                del entries[i]

        return self._edited(change)

    def bind(self) -> Annotated:
        """Bring numbers up to date, and give names by number the windows of their clusters."""
        return self._edited(lambda content, today: None)

    def _segment(self, first: int, last: int) -> dict[str, Any]:
        place = self.known.place
        n_samples = len(place.time)
        if not 0 <= first <= last < n_samples:
            raise DataError("segment", [f"expected samples from 0 to {n_samples - 1}, got {first} to {last}"])
        inside = [name for name, start, stop in place.parts if start < last + 1 and first < stop]
        if len(set(inside)) > 1:
            raise DataError("segment", [f"it reaches over several recordings: {', '.join(dict.fromkeys(inside))}"])
        ends = [stamp_of(int(place.time[i])) if place.dated else float(place.time[i]) for i in (first, last)]
        found = dict(zip(("start", "end"), (quoted(end) if isinstance(end, str) else end for end in ends), strict=True))
        return found | ({"recording": quoted(inside[0])} if place.data.groups is not None and inside else {})

    def _edited(self, change: Callable[[Document, list[int | None]], None]) -> Annotated:
        """Refresh the entries, change the content, and write it if what it will hold has no fault.

        Args:
            change: of the content, with the number of each entry's cluster today.
        """
        name, events = self.sources.names, read_events(self.sources.events)

        def changed(content: Document) -> None:
            today = matched(checked(name, content), self.known.times)
            raw = content.get("clusters") or []
            change(content, [self._refreshed(one, *entry) for one, entry in zip(raw, today, strict=True)])

        return edit(name, changed, lambda found: annotate(found, events, self.known, name.name))

    def _refreshed(self, raw: Document, entry: NamedCluster, one: Match | None) -> int | None:
        """Bring an entry of the file up to date; the number of its cluster today."""
        if one is not None:
            raw["cluster"] = one.cluster if one.found else None
        elif entry.cluster in self.known.times.clusters:
            raw["windows"] = _plain(self.known.times.stored(entry.cluster))
        found: int | None = raw["cluster"]
        return found


def _entries(content: Document, key: str) -> list[Any]:
    """The list below a key, which is new where it is empty, so that it is written in lines."""
    if not content.get(key):
        content[key] = []
    found: list[Any] = content[key]
    return found


def _fill(entry: Document, cluster: int, name: str, note: str, windows: list[WindowTimes]) -> None:
    entry["cluster"] = cluster
    _say(entry, name, note)
    entry["windows"] = _plain(windows)


def _say(entry: Document, name: str, note: str) -> None:
    for key, text in (("name", name), ("note", note)):
        if text:
            entry[key] = quoted(text)
        else:
            entry.pop(key, None)


def _plain(windows: list[WindowTimes]) -> list[Document]:
    found = [one.model_dump(exclude_defaults=True) for one in windows]
    return [{key: quoted(text) for key, text in one.items()} for one in found]

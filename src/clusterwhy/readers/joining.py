"""Several recordings become one series: each is a group and at least one segment, so that no window crosses them."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from clusterwhy.artifacts.names import name_faults
from clusterwhy.data.moments import dated
from clusterwhy.data.series import Reading, Series
from clusterwhy.errors import DataError, Fault
from clusterwhy.types import IntArray

SHOWN = 8  # channels named in a message
NOT_THERE = {"span-outside", "empty-span"}  # faults of a file that the range does not touch
NO_MATTER = NOT_THERE | {"no-match"}  # and of its channels, since it is not used


def read_each(readers: Mapping[str, Callable[[], Series]], source: str) -> tuple[dict[str, Series], list[str]]:
    """The recordings, by name, and notes on those that the range leaves out.

    Args:
        readers: name -> reads the recording.
        source: of all, for messages.

    Raises:
        DataError: lists the faults of all files, each with the name of its recording.
    """
    found: dict[str, Series] = {}
    faults: dict[str, list[Fault]] = {}
    for name, read in readers.items():
        try:
            found[name] = read()
        except DataError as error:
            faults[name] = [replace(one, text=f"{name}: {one.text}") for one in error.records]
    kinds = {name: {one.kind for one in own} for name, own in faults.items()}
    outside = [name for name, own in kinds.items() if own & NOT_THERE and own <= NO_MATTER]
    wrong = [one for name, own in faults.items() if name not in outside for one in own]
    if not found and not wrong:
        wrong = [one for own in faults.values() for one in own]
    if wrong:
        raise DataError(source, wrong)
    return found, [f"{name} is left out: `from` and `to` lie outside it" for name in outside]


def joined(recordings: Mapping[str, Series], name: str, source: str, tolerance: float) -> Series:
    """One series of recordings that follow one another, each a group.

    Args:
        recordings: name -> recording, without groups of its own.
        name: of the series.
        source: of all, for messages.
        tolerance: how much rates may differ, as a share.

    Raises:
        DataError: lists, for each recording, channels that are missing or extra, another clock, rate or unit.
    """
    if wrong := name_faults("recording", recordings):
        raise DataError(source, [Fault("bad-name", wrong)])
    usual = _usual(recordings)
    if faults := [fault for key, one in recordings.items() for fault in _faults(key, one, usual, tolerance)]:
        raise DataError(source, faults)
    parts = [_in_order(one, usual.channels) for one in recordings.values()]
    sizes = [len(one.values) for one in parts]
    firsts = np.cumsum([0, *sizes[:-1]])
    labels, label_names = _labels(parts)
    return Series(
        name=name,
        values=np.concatenate([one.values for one in parts]),
        time=np.concatenate([one.time for one in parts]),
        rate_hz=usual.rate_hz,
        channels=usual.channels,
        units=_units(parts),
        train_stop=sum(sizes),
        segments=tuple(int(first) + at for first, one in zip(firsts, parts, strict=True) for at in one.segments),
        labels=labels,
        label_names=label_names,
        groups=np.repeat(np.arange(len(parts)), sizes),
        group_names=tuple(recordings),
        notes=tuple(_notes(recordings)),
        reading=_reading(parts),
        beats=_beats(parts, firsts),
    )


@dataclass(frozen=True)
class _Usual:
    """What most recordings have."""

    channels: tuple[str, ...]
    units: dict[str, str]
    rate_hz: float
    dated: bool


def _usual(recordings: Mapping[str, Series]) -> _Usual:
    every = list(recordings.values())
    most = Counter(frozenset(one.channels) for one in every).most_common(1)[0][0]
    first = next(one for one in every if frozenset(one.channels) == most)
    with_dates = Counter(dated(one.time) for one in every).most_common(1)[0][0]
    units = dict(zip(first.channels, first.units, strict=True))
    return _Usual(first.channels, units, float(np.median([one.rate_hz for one in every])), with_dates)


def _faults(name: str, one: Series, usual: _Usual, tolerance: float) -> Iterator[Fault]:
    missing = [channel for channel in usual.channels if channel not in one.channels]
    extra = [channel for channel in one.channels if channel not in usual.channels]
    if missing or extra:
        said = [f"{kind} {_listed(names)}" for kind, names in (("lacks", missing), ("also has", extra)) if names]
        advice = "; `include` and `exclude` choose channels that all recordings have"
        yield Fault("other-channels", f"{name}: {' and '.join(said)}, unlike most recordings{advice}", None)
    if dated(one.time) != usual.dated:
        kinds = ("seconds", "dates") if usual.dated else ("dates", "seconds")
        yield Fault("other-clock", f"{name}: its time is in {kinds[0]}, that of most recordings in {kinds[1]}")
    if abs(one.rate_hz - usual.rate_hz) > tolerance * usual.rate_hz:
        rates = f"{one.rate_hz:.6g} samples per second, most have {usual.rate_hz:.6g}"
        text = f"{name}: {rates}: set `irregular: resample`"
        yield Fault("other-rate", text)
    for channel, unit in zip(one.channels, one.units, strict=True):
        known = usual.units.get(channel)
        if unit and known and unit != known:
            yield Fault("other-unit", f"{name}: {channel!r} is in {unit}, elsewhere in {known}", channel)


def _listed(names: list[str]) -> str:
    return ", ".join(map(repr, names[:SHOWN])) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")


def _in_order(one: Series, channels: tuple[str, ...]) -> Series:
    if one.channels == channels:
        return one
    order = [one.channels.index(channel) for channel in channels]
    return replace(one, values=one.values[:, order], channels=channels, units=tuple(one.units[i] for i in order))


def _units(parts: list[Series]) -> tuple[str, ...]:
    """Of each channel, from the first recording that has it."""
    return tuple(next(filter(None, units), "") for units in zip(*(one.units for one in parts), strict=True))


def _beats(parts: list[Series], firsts: IntArray) -> IntArray | None:
    """Those of all recordings, in samples of all; None if one has no annotated beats."""
    found = [one.beats + first for one, first in zip(parts, firsts, strict=True) if one.beats is not None]
    return np.concatenate(found) if len(found) == len(parts) else None


def _labels(parts: list[Series]) -> tuple[IntArray | None, tuple[str, ...]]:
    """Codes of all recordings by the names of all."""
    if any(one.labels is None for one in parts):
        return None, ()
    names = sorted({name for one in parts for name in one.label_names})
    found = []
    for one in parts:
        codes = np.array([*(names.index(name) for name in one.label_names), -1])
        found.append(codes[one.labels])
    return np.concatenate(found), tuple(names)


def _notes(recordings: Mapping[str, Series]) -> Iterator[str]:
    """Notes that all recordings have are told once."""
    every = [set(one.notes) for one in recordings.values()]
    common = set.intersection(*every)
    first = next(iter(recordings.values()))
    if len(recordings) > 1:
        yield from (f"in each of {len(recordings)} recordings: {note}" for note in first.notes if note in common)
    else:
        common = set()
    for name, one in recordings.items():
        yield from (f"{name}: {note}" for note in one.notes if note not in common)
    yield f"{len(recordings)} recordings, each with a clock of its own; no window crosses from one into another"


def _reading(parts: list[Series]) -> Reading | None:
    known = [one.reading for one in parts if one.reading is not None]
    if not known:
        return None
    return Reading(
        n_rows=sum(one.n_rows for one in known),
        missing={name: sum(one.missing[name] for one in known) for name in known[0].missing},
        filled={name: sum(one.filled[name] for one in known) for name in known[0].filled},
        policies=known[0].policies,
    )

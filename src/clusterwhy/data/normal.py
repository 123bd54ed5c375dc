"""A known-good period: dates, seconds or labels that say which samples fit everything that is learned."""

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Self

import numpy as np
from pydantic import BeforeValidator, model_validator

from clusterwhy.config import Settings
from clusterwhy.data.moments import Range, dated, range_faults, shown
from clusterwhy.data.series import Normal, Series, spans_of
from clusterwhy.errors import DataError, Fault
from clusterwhy.types import BoolArray, IntArray

SHOWN = 12  # names shown in a message
KINDS = ("label", "recording")
ADVICE = (
    "set `label` to the column that holds them",
    "set `path` to a folder or a pattern of files, or `group` to the column that tells them apart",
)


def _texts(names: object) -> object:
    """Names as texts: labels of digits are texts in a series."""
    listed = names if isinstance(names, list | tuple) else [names]
    if any(isinstance(name, bool) for name in listed):
        raise ValueError('YAML reads yes, no, on, off as true and false: quote words, such as ["no"]')
    return tuple(str(name) if isinstance(name, int | float) else name for name in listed)


class NormalSpan(Range):
    """Samples that are known to be good: those that meet all conditions which are given.

    Attributes:
        from_, to: the first and the last moment, as in `Range`.
        label: samples with one of these labels.
        recording: samples of these recordings, by the names of their files or groups.
    """

    label: Annotated[tuple[str, ...], BeforeValidator(_texts)] = ()
    recording: Annotated[tuple[str, ...], BeforeValidator(_texts)] = ()

    @model_validator(mode="after")
    def _not_everything(self) -> Self:
        if self.is_open and not (self.label or self.recording):
            raise ValueError("expected `from` and `to`, `label` or `recording`")
        return self

    def says(self, zone: str) -> str:
        """In words."""
        dates = any(isinstance(end, str) for end in self.ends)
        when = self.range_says + (f" ({zone})" if dates and zone != "UTC" else "")
        labels = f"samples labelled {' or '.join(map(repr, self.label))}" if self.label else ""
        plural = "s" if len(self.recording) > 1 else ""
        recordings = f"recording{plural} {' and '.join(self.recording)}" if self.recording else ""
        return ", ".join(filter(None, (recordings, when, labels)))

    def inside_of(self, series: Series, zone: str) -> BoolArray:
        """(time,) whether samples meet all conditions; those without fault (`faults`)."""
        found = self.inside(series.time, zone, 1.0 / series.rate_hz)
        for wanted, names, codes in self._named(series):
            if wanted and codes is not None:
                found &= np.isin(codes, [names.index(name) for name in wanted])
        return found

    def _named(self, series: Series) -> tuple[tuple[tuple[str, ...], tuple[str, ...], IntArray | None], ...]:
        """What is asked for by name, the names that there are, and the code of each sample."""
        return (
            (self.label, series.label_names, series.labels),
            (self.recording, series.group_names, series.groups),
        )

    def faults(self, series: Series, zone: str) -> Iterator[Fault]:
        """Why the series has no such samples."""
        where = f"`normal`, {self.says(zone)}"
        wrong = range_faults(self, series.time, zone, where)
        for kind, advice, (wanted, names, codes) in zip(KINDS, ADVICE, self._named(series), strict=True):
            if wanted and codes is None:
                wrong.append(Fault(f"no-{kind}s", f"{where}: the recording has no {kind}s; {advice}"))
            elif wanted:
                wrong += _name_faults(kind, wanted, names, where)
        yield from wrong
        if not wrong and not self.inside_of(series, zone).any():
            yield Fault("empty-span", f"{where}: the recording has no sample there")


def _name_faults(kind: str, wanted: Sequence[str], known: Sequence[str], where: str) -> list[Fault]:
    found = []
    for name in wanted:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=SHOWN) or known[:SHOWN]
            more = "" if len(near) == len(known) else f", ... ({len(known)} {kind}s)"
            text = f"{where}: no {kind} {name!r}; it has {', '.join(map(repr, near))}{more}"
            found.append(Fault(f"unknown-{kind}", text))
    return found


def _listed(spans: object) -> object:
    if spans is None:
        return ()
    return (spans,) if isinstance(spans, Mapping) else spans


class Dataset(Settings):
    """A choice of `conf/dataset`: where a recording comes from, and when it is known to be good.

    Attributes:
        normal: the known-good period; with several spans, all of them. None: see `train_stop` of `Series`.
    """

    normal: Annotated[tuple[NormalSpan, ...], BeforeValidator(_listed)] = ()

    @model_validator(mode="after")
    def _one_period(self) -> Self:
        share = getattr(self, "train_share", 1.0)
        if self.normal and share < 1.0:
            raise ValueError(
                f"`normal` and `train_share: {share:g}` both say what everything is fitted on: set "
                "`train_share: 1.0`, or leave out `normal`"
            )
        return self

    @property
    def zone(self) -> str:
        """Time zone of dates in the settings."""
        return getattr(self, "timezone", None) or "UTC"

    def recording(self) -> Series:
        """Read and check the recording.

        Raises:
            DataError: lists every fault.
        """
        raise NotImplementedError

    def read(self) -> Series:
        """The recording, with its known-good period.

        Raises:
            DataError: lists every fault, of the recording or of the period.
        """
        return with_normal(self.recording(), self.normal, self.zone)


def with_normal(series: Series, spans: tuple[NormalSpan, ...], zone: str) -> Series:
    """The series with the known-good period that the spans describe, in place of its training span; as it is without.

    Args:
        zone: time zone of dates.

    Raises:
        DataError: lists every fault of every span.
    """
    if not spans:
        return series
    if faults := [fault for span in spans for fault in span.faults(series, zone)]:
        raise DataError(series.name, faults)
    inside = np.logical_or.reduce([span.inside_of(series, zone) for span in spans])
    says = " and ".join(span.says(zone) for span in spans)
    notes = [note for span in spans for note in _cut_short(span, series, zone)]
    return replace(
        series,
        normal=Normal(spans_of(inside), says),
        notes=(*series.notes, *notes),
    )


def _cut_short(span: NormalSpan, series: Series, zone: str) -> Iterator[str]:
    """Notes on a span that reaches beyond the recording by more than a day, or by more than a step of its seconds."""
    (low, high), first, last, with_dates = span.limits(zone), series.time.min(), series.time.max(), dated(series.time)
    slack = 86_400 * 10**9 if with_dates else 1.0 / series.rate_hz
    if np.isfinite(low) and low < first - slack:
        yield f"`normal`, {span.says(zone)}: begins before the first sample, {shown(first, with_dates)}"
    if np.isfinite(high) and high > last + slack:
        yield f"`normal`, {span.says(zone)}: ends after the last sample, {shown(last, with_dates)}"

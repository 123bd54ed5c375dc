"""WFDB records (PhysioNet): a header, its signal files and its annotations, by the package `wfdb`."""

from collections.abc import Sequence
from dataclasses import replace
from os.path import expanduser, isdir
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
import pandas as pd
from pydantic import Field, field_validator, model_validator

from clusterwhy.data.series import Series
from clusterwhy.errors import DataError, Fault
from clusterwhy.readers.beats import beat_labels, beats_at
from clusterwhy.readers.clock import even_times
from clusterwhy.readers.contract import RawTable, admit
from clusterwhy.readers.file_settings import FileSettings
from clusterwhy.readers.files import check_size, existing_file
from clusterwhy.readers.issues import Issues
from clusterwhy.readers.patterns import chosen
from clusterwhy.readers.ranges import kept_rows
from clusterwhy.readers.several_files import MAGIC
from clusterwhy.readers.wfdb_faults import header_faults

if TYPE_CHECKING:
    import wfdb

HEADER = ".hea"
# what wfdb raises on files that do not hold what their header says; some of it is a plain Exception
BROKEN = Exception


class WfdbRecords(FileSettings):
    """WFDB records: one, or each of a folder, with the annotations beside them.

    Attributes:
        path: a record (its header, with or without `.hea`), or a folder or pattern of headers.
        annotator: the ending of the files of annotations.
        label: `beats`, the symbol or class of the nearest beat (`beat_labels`), or `rhythms`, what the last change of
            rhythm said; None without annotations.
        classes: name -> symbols of beats, from normal to most abnormal: a window has the class of its most abnormal
            beat.
    """

    annotator: str = Field(pattern=r"^[A-Za-z0-9_]+$")
    label: Literal["beats", "rhythms"] | None
    classes: dict[str, list[str]] | None = Field(min_length=1)

    @field_validator("path")
    @classmethod
    def _header(cls, path: str) -> str:
        if path.endswith(HEADER) or isdir(expanduser(path)):
            return path
        if MAGIC.search(path):
            raise ValueError(f"a pattern of records ends with {HEADER}, such as data/ecg/1*{HEADER}; got {path!r}")
        return path.removesuffix(".dat") + HEADER

    @model_validator(mode="after")
    def _classes_of_beats(self) -> Self:
        if self.classes is not None and self.label != "beats":
            raise ValueError("`classes` are of beats: set `label: beats`")
        return self

    @property
    def suffixes(self) -> Sequence[str]:
        """Of the files of a folder that are read: headers, which name the others."""
        return (HEADER,)

    def unread(self, files: Sequence[Path]) -> list[str]:
        """Names of the files of a folder that belong to no record."""
        records = {file.stem for file in files}
        return [name for name in super().unread(files) if Path(name).stem not in records]

    def recording(self) -> Series:
        """The record, or all records one after the other; with classes, their order is that of labels.

        Raises:
            DataError: lists every fault of every record, and how records differ.
        """
        series = super().recording()
        if self.classes is None or series.labels is None:
            return series
        names = tuple(self.classes)
        order = np.array([names.index(name) for name in series.label_names])
        labels = order[series.labels]
        return replace(series, labels=labels, label_names=names, label_ranks=tuple(range(len(names))))

    def read_file(self) -> Series:
        """Read and check one record.

        Raises:
            DataError: lists every fault of the record, or the package `wfdb` is not installed.
        """
        file, issues = existing_file(self.path), Issues(self.path)
        header = self._read_header(file)
        issues.faults += header_faults(header, file)
        label, beats_s = self._annotations(file, header, issues) if self.label is not None else (None, None)
        issues.raise_any()
        check_size(self.path, header.sig_len * header.n_sig * 8, self.memory_share)
        values = self._values(file, header, issues)
        names = [str(name) for name in header.sig_name]
        units = {name: str(unit or "") for name, unit in zip(names, header.units, strict=True)}
        kept = kept_rows(even_times(0, len(values), float(header.fs)), {}, self.span, self, issues)
        rows = slice(None) if kept is None else slice(int(kept.rows[0]), int(kept.rows[-1]) + 1)
        wanted = self.channels or chosen(names, self.include, self.exclude, issues)
        for name in [*wanted, *self.units]:
            if name not in names:
                text = f"no signal {name!r}; the record has {', '.join(map(repr, names))}"
                issues.fault("no-column", text, column=name)
        if not wanted:
            issues.fault("no-channel", "`exclude` leaves no channel")
        issues.raise_any()
        cells = pd.DataFrame(values[rows][:, [names.index(name) for name in wanted]], columns=wanted)
        raw = RawTable(
            name=file.stem,
            cells=cells,
            time=float(header.fs),
            label=None if label is None else label.iloc[rows].reset_index(drop=True),
            group=None,
            units={name: units[name] for name in wanted} | self.units,
            first_row=rows.start or 0,
        )
        series = admit(raw, self, self.train_share, issues)
        if beats_s is None:
            return series
        return replace(series, beats=beats_at(beats_s, np.asarray(series.time, dtype=np.float64), series.rate_hz))

    def _read_header(self, file: Path) -> Any:
        wfdb = _package(self.path)
        try:
            return wfdb.rdheader(str(file.with_suffix("")))
        except BROKEN as error:
            text = f"not readable as a WFDB header: {error or type(error).__name__}"
            raise DataError(self.path, [Fault("broken-header", text)]) from error

    def _values(self, file: Path, header: Any, issues: Issues) -> np.ndarray:
        """(time, signal) in physical units, NaN where the record marks values as invalid.

        Raises:
            DataError: the signal files are not as the header says, or changed since it was written.
        """
        try:
            record = _package(self.path).rdrecord(str(file.with_suffix("")), physical=False)
            sums = record.calc_checksum()
            values: np.ndarray = record.dac()
        except BROKEN as error:
            text = f"the signals are not readable as the header describes them: {error or type(error).__name__}"
            raise DataError(self.path, [Fault("broken-signal", text)]) from error
        if max(header.samps_per_frame) > 1:
            text = "signals with several samples per frame are averaged to the rate of frames"
            issues.notes.append(f"{text}, {header.fs:g} Hz")
        else:
            stated = zip(header.sig_name, header.checksum, sums, strict=True)
            wrong = [repr(name) for name, said, own in stated if said is not None and (said - own) % 2**16]
            if wrong:
                text = f"the values of {', '.join(wrong)} differ from the checksum in the header: copy the record again"
                issues.fault("wrong-checksum", text)
        return values

    def _annotations(self, file: Path, header: Any, issues: Issues) -> tuple[pd.Series | None, np.ndarray | None]:
        """(time,) label of each sample, empty before the first rhythm, and (beat,) seconds of the beats, if any."""
        place = file.with_suffix(f".{self.annotator}")
        if not place.is_file():
            text = f"no annotations {place.name}: set `annotator` to the ending of such a file, or `label: null`"
            issues.fault("no-annotations", text)
            return None, None
        if not header.fs or header.sig_len is None:
            return None, None
        try:
            found = _package(self.path).rdann(str(file.with_suffix("")), self.annotator)
        except BROKEN as error:
            text = f"{place.name} is not readable as annotations: {error or type(error).__name__}"
            issues.fault("broken-annotations", text)
            return None, None
        at = np.round(np.asarray(found.sample) * (header.fs / (found.fs or header.fs))).astype(np.int64)
        if outside := int(((at < 0) | (at >= header.sig_len)).sum()):
            text = f"{outside} of {len(at)} annotations in {place.name} are outside the {header.sig_len} samples"
            issues.fault("annotations-outside", text)
            return None, None
        beat = _are_beats(found)
        of_samples = _beats if self.label == "beats" else _rhythms
        return of_samples(found, at, beat, header, self, issues), at[beat] / header.fs if beat.any() else None


def _are_beats(found: "wfdb.Annotation") -> np.ndarray:
    """(annotation,) True for beats."""
    from wfdb.io.annotation import ann_label_table, is_qrs

    known = {row.symbol for row in ann_label_table.itertuples() if is_qrs[row.label_store]}
    return np.isin(np.asarray(found.symbol, dtype=str), sorted(known))


def _beats(
    found: "wfdb.Annotation", at: np.ndarray, beat: np.ndarray, header: Any, settings: WfdbRecords, issues: Issues
) -> Any:
    if not beat.any():
        issues.fault("no-beats", f"the annotations .{settings.annotator} have no beats: set `label: rhythms` or null")
        return None
    shape, symbols = (header.sig_len, float(header.fs)), np.asarray(found.symbol, dtype=str)
    try:
        names, codes = beat_labels(at[beat], symbols[beat], *shape, settings.classes, settings.path)
    except DataError as error:
        issues.faults += error.records
        return None
    return pd.Series(np.array(names, dtype=object)[codes])


def _rhythms(
    found: "wfdb.Annotation", at: np.ndarray, beat: np.ndarray, header: Any, settings: WfdbRecords, issues: Issues
) -> Any:
    # "(AFIB", some with a NUL at the end
    said = [str(note).strip("\0 ") for note in found.aux_note]
    changes = [i for i, note in enumerate(said) if found.symbol[i] == "+" and note.startswith("(")]
    if not changes:
        text = f"the annotations .{settings.annotator} have no rhythms: set `label: beats` or null"
        issues.fault("no-rhythms", text)
        return None
    names = np.array([None, *(said[i][1:] for i in changes)], dtype=object)
    last = np.searchsorted(at[changes], np.arange(header.sig_len), side="right")
    return pd.Series(names[last])


def _package(source: str) -> Any:
    try:
        import wfdb
    except ImportError as error:
        text = "WFDB records need the package `wfdb`: `pip install clusterwhy[wfdb]`"
        raise DataError(source, [Fault("no-package", text)]) from error
    return wfdb

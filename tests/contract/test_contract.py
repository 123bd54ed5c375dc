"""The contract of a user's file: every fault is named with rows and counts, every repair is one that was asked for."""

import gzip
import os
import pickle
import re
import tracemalloc
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psutil
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from benchmarks.fuzz import breaches, case
from clusterwhy.config import build_settings
from clusterwhy.data.windows import WindowSettings, window_index
from clusterwhy.errors import ConfigError, DataError
from clusterwhy.readers.data_report import data_report, fault_report
from clusterwhy.readers.tables import CsvFile, NumpyFile, ParquetFile
from tests.conftest import ROOT
from tests.contract.contract_cases import ALL, ONE_FILE, READ, as_bytes, csv, npy, parquet, table, without
from tests.contract.contract_repairs import READS

Note = Callable[[str, str, str, str], None]


@pytest.mark.parametrize(
    ("where", "what", "content", "chosen", "kind", "text"), ALL, ids=[f"{e[0]}-{e[1]}" for e in ALL]
)
def test_a_fault_is_named_with_its_rows_and_count(
    where: str, what: str, content: Any, chosen: dict[str, Any], kind: str, text: str, tmp_path: Path, fault: Note
) -> None:
    with pytest.raises(DataError) as caught:
        READ[where](tmp_path, content, **chosen)
    found = [record for record in caught.value.records if record.kind == kind]
    assert len(found) == 1, caught.value
    assert text in found[0].text and f"  - {found[0].text}" in str(caught.value)
    fault("Input files", what, where, f"refused: {kind}")


def kinds_in(modules: Iterable[Path]) -> set[str]:
    text = "".join(module.read_text() for module in modules)
    return set(re.findall(r"(?:fault\(|Fault\(|proposal\.add\()\s*\"([a-z-]+)\"", text))


def test_every_kind_of_fault_has_a_case() -> None:
    """A kind without a case would be a check that no test covers."""
    source = ROOT / "src" / "clusterwhy"
    of_wfdb = {*(source / "readers").glob("wfdb_*.py"), source / "readers" / "beats.py"}
    readers = set((source / "readers").glob("*.py")) - of_wfdb
    kinds = kinds_in([*readers, source / "data" / "moments.py", source / "data" / "normal.py"])
    assert len(kinds) > 30
    assert kinds - {entry[4] for entry in ALL} == {"no-file", "too-large"}
    cases = (ROOT / "tests" / "unit" / "readers" / "test_wfdb.py").read_text()
    assert {kind for kind in kinds_in(of_wfdb) if f'"{kind}"' not in cases} == set()


@pytest.mark.parametrize(("what", "where", "outcome", "check"), READS, ids=[f"{e[1]}-{e[0]}" for e in READS])
def test_repairable_files_are_read_and_repairs_are_noted(
    what: str, where: str, outcome: str, check: Callable[[Path], None], tmp_path: Path, fault: Note
) -> None:
    check(tmp_path)
    fault("Input files", what, where, outcome)


@pytest.mark.parametrize("reader", [CsvFile, ParquetFile, NumpyFile])
def test_a_path_that_is_not_a_file_is_refused(reader: type, tmp_path: Path, fault: Note) -> None:
    where = {CsvFile: "csv", ParquetFile: "parquet", NumpyFile: "numpy"}[reader]
    more = {"rate_hz": 1.0} if reader is NumpyFile else {"time": "t"}
    os.mkfifo(tmp_path / "pipe.npy")
    (tmp_path / "folder.npy").mkdir()
    for path, text in (
        (tmp_path / "nowhere.npy", "no such file: set `dataset.path`"),
        (tmp_path / "folder.npy", "the folder has no file that ends with"),
        (tmp_path / "*_of_none.npy", "no file matches the pattern"),
        (tmp_path / "pipe.npy", "expected a regular file"),
        (tmp_path / ("x" * 300 + ".npy"), "no"),
        (Path("~nobody-of-that-name/x.npy"), "not readable"),
    ):
        with pytest.raises(DataError, match=text) as caught:
            reader(path=str(path), **more).read()
        assert [record.kind for record in caught.value.records] == ["no-file"]
    fault("Input files", "no file, an empty folder, a pipe", where, "refused: no-file")


def test_a_gzip_bomb_is_refused_in_bounded_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: Note) -> None:
    path = tmp_path / "bomb.csv"
    with gzip.open(path, "wb") as stream:
        stream.write(b"t,a\n")
        for _ in range(200):
            stream.write(b"0,1\n" * 2**18)
    assert path.stat().st_size < 2**20
    free = type("Free", (), {"available": 80 * 2**20})
    monkeypatch.setattr(psutil, "virtual_memory", lambda: free)
    tracemalloc.start()
    with pytest.raises(DataError, match="more than 20 MiB unpacked, `memory_share`"):
        CsvFile(path=str(path), time="t").read()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 30 * 2**20
    fault("Input files", "a gzip bomb", "csv", "refused: too-large")


def test_a_small_parquet_file_that_unpacks_to_a_large_table_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: Note
) -> None:
    content = as_bytes(pd.DataFrame({"t": np.zeros(10**6), "a": np.zeros(10**6)}))
    assert len(content) < 2**16
    monkeypatch.setattr(psutil, "virtual_memory", lambda: type("Free", (), {"available": 8 * 2**20}))
    monkeypatch.setattr(pq.ParquetFile, "read", lambda *a, **k: pytest.fail("unpacked"))
    with pytest.raises(DataError, match="more than 2 MiB unpacked"):
        parquet(tmp_path, content)
    fault("Input files", "a small file that unpacks to a large table", "parquet", "refused: too-large")


def test_a_pickle_is_refused_and_not_executed(tmp_path: Path, fault: Note) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (tmp_path / "ran",)

    for content in (pickle.dumps(Trap()), np.array([Trap()], dtype=object)):
        with pytest.raises(DataError, match="not a plain NumPy array"):
            npy(tmp_path, content)
    assert not (tmp_path / "ran").exists()
    fault("Input files", "a pickle, an array of objects", "numpy", "refused: broken-npy, nothing run")


def test_all_faults_of_a_file_are_reported_at_once_also_as_json(tmp_path: Path, fault: Note) -> None:
    text = table(
        200,
        t={9: 3, 20: 19, 60: 60.4},
        a={2: "oops", 5: "3 kPa", 6: "4 psi"},
        b={30: "1e40"} | dict.fromkeys(range(80, 90), ""),
    )
    with pytest.raises(DataError) as caught:
        csv(tmp_path, text)
    kinds = {"not-numbers", "mixed-units", "huge-values", "unsorted", "duplicates", "irregular", "cell-gap"}
    report = fault_report(caught.value)
    assert {entry["kind"] for entry in report["faults"]} >= kinds
    gap = next(e for e in report["faults"] if e["kind"] == "cell-gap" and e["column"] == "b")
    assert gap["count"] == 10 and gap["rows"][:2] == (80, 81)
    fault("Input files", "seven kinds of faults in one file", "csv", "refused: all named, in the message and in JSON")


def test_bad_cells_are_reported_once_and_not_as_missing_ones(tmp_path: Path) -> None:
    for cells in ({2: "Bad"}, dict.fromkeys(range(40), '"1,5"')):
        with pytest.raises(DataError) as caught:
            csv(tmp_path, table(a=cells), max_missing_share=0.0)
        assert len(caught.value.records) == 1, caught.value


def test_one_message_proposes_all_settings_and_they_work(tmp_path: Path) -> None:
    text = "Logger 7\n\nt;a;b\ns;bar;-\n0;1.000,5;2\n1;1.001,5;Bad\n2;1.002,5;4\n3;1.003,5;5\n"
    with pytest.raises(DataError) as caught:
        csv(tmp_path, text)
    wanted = {
        "separator": ";",
        "skip_lines": 2,
        "rows_below_header": ["units"],
        "decimal": ",",
        "thousands": ".",
        "missing_values": ["Bad"],
    }
    told = " ".join(caught.value.faults)
    for setting in ("separator: ';'", "skip_lines: 2", "rows_below_header: [units]", 'decimal: ","', 'thousands: "."'):
        assert f"`{setting}`" in told
    assert '`missing_values: ["Bad"]`' in told
    read = csv(tmp_path, text, max_missing_share=0.3, **wanted)
    assert read.values.T.tolist() == [[1000.5, 1001.5, 1002.5, 1003.5], [2.0, 3.0, 4.0, 5.0]]
    assert read.units == ("bar", "")


def test_a_message_of_a_thousand_faulty_channels_stays_short(tmp_path: Path, fault: Note) -> None:
    with pytest.raises(DataError) as caught:
        npy(tmp_path, np.full((3, 1000), np.inf))
    assert len(caught.value.records) == 1000 and "  - and 960 more" in str(caught.value)
    assert str(caught.value).count("\n") == 41
    fault("Input files", "1,000 faulty channels", "numpy", "refused: 40 shown, all in JSON")


@pytest.mark.parametrize(
    ("name", "chosen", "text"),
    [
        ("an unknown time zone", {"timezone": "Mars/Base"}, "expected a zone such as Europe/Berlin"),
        ("resampling without a rate", {"irregular": "resample"}, "must be set together or not at all"),
        ("a rate without resampling", {"resample_hz": 3.0}, "must be set together or not at all"),
        (
            "spaces that separate cells and digits",
            {"separator": r"\s+", "thousands": " "},
            "both separate cells and mark",
        ),
        ("decimal equal to thousands", {"decimal": ",", "thousands": ","}, "`decimal` and `thousands` are both ','"),
        ("neither time nor rate", {"time": None}, "set either `time`, the name of a column, or `rate_hz`"),
        ("time and rate", {"rate_hz": 1.0}, "set either `time`, the name of a column, or `rate_hz`"),
        ("missing_values: [No], a truth value in YAML", {"missing_values": [False]}, 'quote words, such as ["No"]'),
        ("binary words without quotes", {"binary": {"a": [False, True]}}, "expected two words in quotes"),
        ("the same word for 0 and 1", {"binary": {"a": ["on", "ON"]}}, "the words for 0 and 1 are the same"),
        ("a separator of two characters", {"separator": ";;"}, "expected one character, such as"),
        ("a channel named twice", {"channels": ["a", "a"]}, "a channel is listed twice"),
        ("an unknown policy", {"gaps": "ignore"}, "'error', 'interpolate' or 'split'"),
        ("a negative max_gap", {"max_gap": -1}, "greater than or equal to 0"),
    ],
)
def test_contradictory_or_unknown_settings_are_refused(
    name: str, chosen: dict[str, Any], text: str, fault: Note
) -> None:
    node = {"_target_": "clusterwhy.readers.tables.CsvFile", "path": "x.csv", "time": "t"} | chosen
    with pytest.raises(ConfigError, match="dataset") as caught:
        build_settings({"dataset": node})
    assert text in str(caught.value)
    fault("Input files", name, "csv", "refused before any data is read")


def test_the_report_counts_what_was_read_and_filled(tmp_path: Path) -> None:
    report = data_report(csv(tmp_path, without(table(100, a={5: "", 7: "inf"}), 50), units={"a": "bar"}))
    assert (report["n_rows_read"], report["n_rows_kept"]) == (99, 100)
    first, second = report["channels"]
    assert (first["unit"], first["n_missing"], first["n_filled"]) == ("bar", 2, 3)
    assert (second["n_missing"], second["n_filled"], second["min"], second["max"]) == (0, 1, 0.0, 198.0)
    assert report["policies"]["gaps"] == "interpolate" and len(report["notes"]) == 4
    assert report["segments"] == [{"start": 0, "stop": 100, "from": 0.0, "to": 99.0}]


def test_rate_hz_must_be_a_rate() -> None:
    with pytest.raises(ValidationError):
        NumpyFile(path="x.npy", rate_hz=0.0)


def test_more_cells_than_names_are_reported_even_if_warnings_are_ignored(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(DataError, match="lines have 3 cells, the header has 2"):
            csv(tmp_path, "t,a\n0,1,5\n1,2,5\n")


@pytest.mark.parametrize("seed", range(300, 600, 100))
def test_a_damaged_file_is_read_correctly_or_its_faults_are_named(seed: int, tmp_path: Path) -> None:
    found = [(i, *case(i, tmp_path)) for i in range(seed, seed + 25)]
    assert [entry for entry in found if entry[2] not in ("read", "refused")] == []
    assert len({entry[2] for entry in found}) == 2


def test_no_cell_is_filled_from_beyond_a_cut(tmp_path: Path) -> None:
    # after the cut, a starts in row 17 and b, after one more value, in row 18
    text = without(table(20, a={16: ""}, b={16: 99, 17: ""}), *range(4, 16))
    read = csv(tmp_path, text, gaps="split", max_gap=1, max_missing_share=0.9)
    assert read.time.tolist() == [0, 1, 2, 3, 17, 18, 19] and read.segments == (0, 4)
    # between 99 and 36, not between 6 and 36
    assert read.values[4].tolist() == [17.5, 67.5]


BYTES = st.binary(max_size=300)


@settings(max_examples=50, deadline=None)
@given(
    head=st.sampled_from([b"", b"t,a\n", b"t,a\n0,1\n1,2\n", b"\x93NUMPY\x01\x00", b"PAR1", b"\x1f\x8b\x08"]),
    rest=BYTES,
)
def test_arbitrary_bytes_are_read_correctly_or_refused(
    head: bytes, rest: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.getbasetemp()
    for read in ONE_FILE.values():
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                warnings.simplefilter("ignore", DeprecationWarning)
                series = read(folder, head + rest, channels=None)
        except DataError:
            continue
        assert breaches(series) == []


@st.composite
def recordings(draw: st.DrawFn) -> tuple[pd.DataFrame, dict[str, Any], WindowSettings]:
    """A table at 1 Hz with rows left out and cells emptied, policies, and windows."""
    n = draw(st.integers(20, 120))
    gaps = draw(st.lists(st.tuples(st.integers(0, n - 1), st.integers(1, 12)), max_size=5))
    holes = draw(st.lists(st.tuples(st.integers(0, n - 1), st.integers(1, 12), st.sampled_from("ab")), max_size=5))
    rows = pd.DataFrame({"t": np.arange(n), "a": np.arange(n) * 1.5, "b": np.cos(np.arange(n))})
    for start, length, channel in holes:
        rows.loc[start : start + length - 1, channel] = np.nan
    kept = np.ones(n, dtype=bool)
    for start, length in gaps:
        kept[start : start + length] = False
    chosen = {
        "gaps": draw(st.sampled_from(["split", "interpolate"])),
        "max_gap": draw(st.integers(0, 8)),
        "max_missing_share": 0.9,
    }
    length = draw(st.integers(2, 12))
    return rows[kept], chosen, WindowSettings(length=length, stride=draw(st.integers(1, length)))


@settings(max_examples=50, deadline=None)
@given(made=recordings())
def test_windows_hold_the_rows_of_their_index_and_never_cross_a_gap(
    made: tuple[pd.DataFrame, dict[str, Any], WindowSettings], tmp_path_factory: pytest.TempPathFactory
) -> None:
    rows, chosen, window = made
    try:
        series = csv(tmp_path_factory.getbasetemp(), rows.to_csv(index=False), channels=["a", "b"], **chosen)
        index = window_index(series, window)
    except DataError:
        return
    assert breaches(series) == []
    if (np.diff(rows["t"]) == 1).mean() < 0.5:
        return  # the rows that are left tell another step than 1 s
    assert index["window"].tolist() == list(range(len(index)))
    recorded = rows.set_index("t")
    # reference: a grid row is recorded, or close enough to recorded rows
    for start, stop in zip(index["start"], index["stop"], strict=True):
        times, values = series.time[start:stop], series.values[start:stop]
        assert np.diff(times).tolist() == [1.0] * (window.length - 1)
        for moment, found in zip(times, values, strict=True):
            for channel, value in zip("ab", found, strict=True):
                known = recorded[channel].dropna()
                if moment in known.index:
                    assert value == known[moment]
                    continue
                before, after = known.index[known.index < moment], known.index[known.index > moment]
                if chosen["gaps"] == "split":
                    assert after[0] - before[-1] - 1 <= chosen["max_gap"]
                if len(before) and len(after):
                    expected = np.interp(moment, [before[-1], after[0]], [known[before[-1]], known[after[0]]])
                    assert value == pytest.approx(expected, abs=1e-9)

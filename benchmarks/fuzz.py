"""Do readers name every fault of a broken file?

Good CSV, Parquet and NumPy files are broken at random: bytes flipped, cut off, repeated, put in; cells of wrong types,
gaps, mixed time stamps, text; and read with random policies. A file is read well, or its faults are named; anything
else, and a series that does not keep the contract, ends the benchmark with exit code 1. Ten minutes on one core:

    python -m benchmarks.fuzz
    python -m benchmarks.fuzz --cases 500 --seed 7    # other than 10,000 of seed 0: writes nothing
"""

import argparse
import gzip
import io
import resource
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from tqdm import tqdm

from benchmarks.record import Result, record, shown
from clusterwhy.data.series import Series
from clusterwhy.errors import ClusterWhyError, DataError
from clusterwhy.readers.tables import CsvFile, NumpyFile, ParquetFile

N_CASES = 10_000
FORMATS = ("csv", "parquet", "npy")
CSV = ((",", "."), (";", ","), (";", "."), ("\t", "."))
CSV_SHARES = (0.85, 0.05, 0.05, 0.05)
CELLS = ("", "oops", "3.2 kPa", "470 psi", "1,5", "inf", "-inf", "nan", "1e400", "1e35", "-9999", "True", "0x10", "½")
TIMES = ("", "never", "2024-03-31T02:30:00", "2024-01-01T00:00:00Z", "1e300", "-5", "0,5", "9999-12-31", "24:00")


def good_table(rng: np.random.Generator) -> pd.DataFrame:
    """A small recording as a user may have it."""
    n = int(rng.integers(1, 60))
    kind = rng.integers(4)
    time: Any = np.arange(n) / rng.choice([0.5, 10.0, 1000.0])
    if kind:
        start = rng.choice(["2024-01-01", "2024-10-27 00:30", "2024-03-30 23:00", "1960-05-01"])
        time = pd.date_range(start, periods=n, freq=rng.choice(["1s", "15min", "1h", "1ms"]))
        time = time.tz_localize("UTC") if kind == 2 else time
    values = rng.normal(size=(n, int(rng.integers(1, 6))))
    table = pd.DataFrame(values, columns=[f"c{i}" for i in range(values.shape[1])])
    table.insert(0, "time", time)
    if rng.random() < 0.3:
        table["label"] = rng.choice(["a", "b", None], n)
    return table


def spoiled(table: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """The table with one kind of damage that a person or a logger does."""
    n = len(table)
    table = table.reset_index(drop=True)
    row, column = int(rng.integers(n)), int(rng.integers(len(table.columns)))
    action = rng.integers(8)
    if action < 2:
        table = table.astype(object)
        table.iloc[row, column] = rng.choice(TIMES if column == 0 else CELLS)
    elif action == 2:
        table = table.drop(index=range(row, min(n, row + int(rng.integers(1, 12)))))
    elif action == 3:
        table = pd.concat([table.iloc[: row + 1], table.iloc[row:]])
    elif action == 4:
        table = table.sample(frac=1.0, random_state=int(rng.integers(2**31)))
    elif action == 5:
        name = table.columns[-1 if column == 0 else column]
        table[name] = table[name].where(~table.index.isin(range(row, row + int(rng.integers(1, 12)))))
    elif action == 6:
        kind = rng.choice(["float16", "int64", "bool", "str", "complex128", "category", "datetime64[ns]"])
        numbers = pd.Series(np.round(1000 * rng.normal(size=n)), index=table.index)
        table["c0"] = numbers.astype("int64" if kind == "datetime64[ns]" else "float64").astype(kind)
    else:
        table = table.rename(columns={table.columns[0]: rng.choice(["", "t", "Time", "1"])})
    return table


def content(table: pd.DataFrame, kind: str, rng: np.random.Generator) -> bytes:
    """The table in one of the formats; what a format cannot hold is text in it."""
    stream = io.BytesIO()
    if kind == "csv":
        separator, decimal = CSV[rng.choice(len(CSV), p=CSV_SHARES)]
        text = table.to_csv(index=False, sep=separator, decimal=decimal)
        encoded = text.encode(
            rng.choice(["utf-8", "utf-8-sig", "utf-16", "cp1252"], p=[0.7, 0.2, 0.05, 0.05]), "replace"
        )
        return gzip.compress(encoded, mtime=0) if rng.random() < 0.2 else encoded
    if kind == "parquet":
        held = table.loc[:, ~table.columns.duplicated()]
        clean = {c: held[c].astype(str) if held[c].dtype in (object, complex) else held[c] for c in held}
        pd.DataFrame(clean).to_parquet(stream, compression=rng.choice(["snappy", "gzip", "none"]))
        return stream.getvalue()
    array = table.select_dtypes("number").to_numpy()
    dtype = rng.choice(["<f8", "<f8", "<f8", ">f8", "f4", "f2", "i8", "u1", "?", "c16", "S4", "O"])
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        array = np.asarray(array, dtype=dtype)
    np.save(stream, array[rng.integers(2) :] if rng.random() < 0.9 else array.T, allow_pickle=True)
    return stream.getvalue()


def mutated(content: bytes, rng: np.random.Generator) -> bytes:
    """The bytes with some of them flipped, cut off, repeated, put in or exchanged."""
    changed = bytearray(content)
    for _ in range(int(rng.integers(1, 4))):
        at = int(rng.integers(len(changed) + 1)) if rng.random() < 0.6 else min(len(changed), int(rng.integers(120)))
        action = rng.integers(6)
        if action == 0 and at < len(changed):
            changed[at] ^= 1 << int(rng.integers(8))
        elif action == 1:
            del changed[at:]
        elif action == 2:
            del changed[at : at + int(rng.integers(1, 20))]
        elif action == 3:
            changed[at:at] = changed[max(0, at - int(rng.integers(1, 40))) : at]
        elif action == 4:
            changed[at:at] = rng.bytes(int(rng.integers(1, 20)))
        else:
            changed[at:at] = bytes(rng.choice([b",", b";", b'"', b"\n", b"\0", b"\r", b"\xff", b"99999999999", b"("]))
    return bytes(changed)


def policies(rng: np.random.Generator, kind: str) -> dict[str, Any]:
    """Random choices of what is done about faults."""
    chosen: dict[str, Any] = {
        "gaps": rng.choice(["error", "interpolate", "split"]),
        "max_gap": int(rng.integers(0, 10)),
        "max_missing_share": float(rng.choice([0.0, 0.05, 0.5, 0.95])),
        "missing_values": [[], [-9999.0]][rng.integers(2)],
        "train_share": float(rng.choice([0.1, 1.0])),
        "duplicates": rng.choice(["error", "mean", "last"]),
        "unsorted": rng.choice(["error", "sort"]),
    }
    if rng.random() < 0.15:
        chosen |= {"irregular": "resample", "resample_hz": float(rng.choice([0.1, 1.0, 7.0, 1e6]))}
    if kind == "npy":
        return chosen | {"rate_hz": float(rng.choice([1.0, 44.1]))}
    chosen |= {"time": "time", "timezone": rng.choice([None, "Europe/Berlin", "UTC"])}
    chosen |= {"label": "label"} if rng.random() < 0.2 else {}
    if kind == "csv":
        separator, decimal = CSV[rng.choice(len(CSV), p=CSV_SHARES)]
        chosen |= {"separator": r"\s+" if rng.random() < 0.02 else separator, "decimal": decimal}
    return chosen


def breaches(series: Series) -> list[str]:
    """What of the contract a series does not keep."""
    n, n_channels = series.values.shape
    stops = [*series.segments[1:], n]
    steps = [np.diff(series.time_s[a:b]) for a, b in zip(series.segments, stops, strict=True)]
    inside = np.concatenate(steps)
    rules = {
        "float64": series.values.dtype == np.float64,
        "finite": bool(np.isfinite(series.values).all()),
        "two rows": n >= 2,
        "shapes": len(series.time) == n and len(series.channels) == len(series.units) == n_channels,
        "labels": series.labels is None or len(series.labels) == n,
        "pieces": series.segments[0] == 0 and all(a < b for a, b in zip(series.segments, stops, strict=True)),
        "order": bool((inside > 0).all() and (np.diff(series.time_s) > 0).all()),
        "rate": bool(np.isfinite(series.rate_hz) and series.rate_hz > 0),
        "regular": not len(inside) or bool((np.abs(inside * series.rate_hz - 1.0) < 0.05).all()),
        "train": 0 <= series.train_stop <= n,
    }
    return [name for name, kept in rules.items() if not kept]


def outcome(kind: str, content: bytes, chosen: dict[str, Any], folder: Path) -> tuple[str, str]:
    """What a reader made of a file: "read" and what was noted, "refused" and the kinds of faults, or else."""
    path = folder / f"case.{kind}"
    path.write_bytes(content)
    reader = {"csv": CsvFile, "parquet": ParquetFile, "npy": NumpyFile}[kind]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            # as in the tests
            warnings.simplefilter("ignore", DeprecationWarning)
            series = reader(path=str(path), **chosen).read()
    except DataError as error:
        return "refused", " ".join(sorted({fault.kind for fault in error.records}))
    except ClusterWhyError as error:
        return "refused", type(error).__name__
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        return "unnamed", "".join(traceback.format_exception(error))
    broken = breaches(series)
    return ("contract broken", ", ".join(broken)) if broken else ("read", "with notes" if series.notes else "as it was")


def case(seed: int, folder: Path) -> tuple[str, str, str]:
    """Make and read one file: its format and the outcome."""
    rng = np.random.default_rng(seed)
    kind = str(rng.choice(FORMATS))
    table = good_table(rng)
    for _ in range(int(rng.integers(0, 3))):
        table = spoiled(table, rng) if len(table) else table
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = content(table, kind, rng)
    if rng.random() < 0.4:
        made = mutated(made, rng)
    chosen = {key: str(value) if isinstance(value, np.str_) else value for key, value in policies(rng, kind).items()}
    return kind, *outcome(kind, made, chosen, folder)


def section(result: Result) -> str:
    """How many were read and refused, and the faults that were named most."""
    return f"""
{result.setup["cases"]} broken files, read with random policies. *Refused* means that every fault was named; an error
without a name of ours, or a series that does not keep the contract, would fail the benchmark. The process held at most
{result.setup["peak memory (MB)"]} MB.

{shown(result.table("outcomes"))}

The kinds of faults that were named (a file may have several):

{shown(result.table("faults"))}
"""


def figure(result: Result, figure: Figure) -> None:
    """Outcomes of each format."""
    figure.set_size_inches(8, 2.5)
    axes, left = figure.subplots(), np.zeros(len(FORMATS))
    table = result.table("outcomes").set_index("format").loc[list(FORMATS)]
    for name, colour in (
        ("read", "#0072b2"),
        ("refused", "#e69f00"),
        ("unnamed", "#d55e00"),
        ("contract broken", "black"),
    ):
        axes.barh(FORMATS, table[name], left=left, label=name, color=colour)
        left += table[name].to_numpy()
    axes.set_xlabel("files")
    axes.legend(ncols=4, loc="lower center", bbox_to_anchor=(0.5, 1.0), frameon=False)


def main() -> None:
    """Break files and count what comes of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=N_CASES)
    parser.add_argument("--seed", type=int, default=0, help="the first of the seeds, one for each case")
    arguments, began = parser.parse_args(), time.monotonic()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for seed in tqdm(range(arguments.seed, arguments.seed + arguments.cases), unit="file", disable=None):
            rows.append((seed, *case(seed, Path(folder))))
    runs = pd.DataFrame(rows, columns=["seed", "format", "outcome", "what"])
    counts = pd.crosstab(runs["format"], runs["outcome"])
    outcomes = counts.reindex(columns=["read", "refused", "unnamed", "contract broken"], fill_value=0).reset_index()
    kinds = Counter(kind for what in runs.loc[runs["outcome"] == "refused", "what"] for kind in what.split(" "))
    faults = pd.DataFrame(kinds.most_common(), columns=["fault", "files"])
    print(shown(outcomes), shown(faults), sep="\n\n")
    peak_mb = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    print(f"\npeak memory {peak_mb} MB")
    bad = runs[~runs["outcome"].isin(["read", "refused"])]
    for row in bad.head(20).itertuples():
        sys.stderr.write(f"seed {row.seed}, {row.format}: {row.outcome}\n{row.what}\n")
    if len(bad):
        sys.exit(1)
    if (arguments.cases, arguments.seed) == (N_CASES, 0):
        setup = {"cases": len(runs), "seeds": f"0 to {N_CASES - 1}", "peak memory (MB)": peak_mb}
        record("fuzz", "", began, setup, {"outcomes": outcomes, "faults": faults}, runs)


if __name__ == "__main__":
    main()

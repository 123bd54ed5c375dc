"""Validates artifacts against their schemas before a stage uses them."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from pydantic import ValidationError

from clusterwhy.artifacts.cards import Card, ClusterSummary, SeriesCard
from clusterwhy.artifacts.schemas import KINDS, SCHEMAS, Array, Record, Table
from clusterwhy.artifacts.store import read_array, read_json, read_table
from clusterwhy.errors import ArtifactError

ROWS_AT_ONCE = 1 << 16
C = TypeVar("C", bound=Card)


def _is_kind(dtype: Any, kind: str) -> bool:
    if kind == "s":
        return pd.api.types.is_string_dtype(dtype) or pd.api.types.is_integer_dtype(dtype)
    if kind == "t":  # a column of empty cells is read as floats
        return _is_kind(dtype, "s") or _is_kind(dtype, "f")
    if not isinstance(dtype, np.dtype):
        return False
    return dtype.kind in {"f": "f", "i": "iu", "b": "b", "n": "fiu"}[kind]


def _finite(array: np.ndarray) -> bool:
    rows = range(0, len(array), ROWS_AT_ONCE)
    return all(bool(np.isfinite(array[first : first + ROWS_AT_ONCE]).all()) for first in rows)


def _sized(axis: str | int, size: int, sizes: dict[str, Any]) -> str:
    """The mismatch of an axis with its expected size, empty if there is none; the first array defines the size."""
    expected = axis if isinstance(axis, int) else sizes.setdefault(axis, size)
    return "" if size == expected else f"expected {expected} ({axis}), found {size}"


def _array_faults(path: Path, schema: Array, sizes: dict[str, Any]) -> Iterator[str]:
    array = read_array(path)
    expected = f"{KINDS[schema.kind]} ({', '.join(map(str, schema.axes))})"
    if not _is_kind(array.dtype, schema.kind) or array.ndim != len(schema.axes):
        yield f"expected {expected}, got {array.dtype} {array.shape}"
        return
    for axis, size in zip(schema.axes, array.shape, strict=True):
        if wrong := _sized(axis, size, sizes):
            yield f"expected {expected}: {wrong}"
    if schema.finite and schema.kind in "fn" and not _finite(array):
        yield "contains values that are not finite"
    if schema.axes == ("window",) and path.name == "window.npy" and not np.array_equal(array, sizes.get("ids", array)):
        yield "the window ids differ from those in windows.parquet"


def _table_faults(path: Path, schema: Table, sizes: dict[str, Any]) -> Iterator[str]:
    table = read_table(path)
    for name, kind in schema.columns.items():
        if name not in table.columns:
            yield f"no column {name!r}; it has {', '.join(map(repr, table.columns))}"
        elif len(table) and not _is_kind(table[name].dtype, kind):
            yield f"column {name!r}: expected {KINDS[kind]}, got {table[name].dtype}"
        elif kind == "f" and schema.rows == "window" and not np.isfinite(table[name]).all():
            yield f"column {name!r} contains values that are not finite"
    if schema.rows:
        if wrong := _sized(schema.rows, len(table), sizes):
            yield wrong
        elif schema.rows == "window" and "window" in table:
            ids = sizes.setdefault("ids", table["window"].to_numpy())
            if not np.array_equal(table["window"].to_numpy(), ids):
                yield "the window ids differ from those in windows.parquet"


def entry_faults(error: ValidationError) -> list[str]:
    """One line per entry that a card refuses: which entry, what was expected, what came."""
    found = []
    for fault in error.errors():
        message = fault["msg"].removeprefix("Value error, ")
        name, *rest = fault["loc"] or ("",)
        where = f"{name!r}{''.join(f'[{part!r}]' for part in rest)}"
        if fault["type"] == "missing":
            found.append(f"no entry {where}")
        elif fault["type"] == "value_error":
            found.append(message)
        else:
            found.append(f"entry {where}: {message}, got {type(fault['input']).__name__} {str(fault['input'])[:40]}")
    return found


def read_card(path: Path, card: type[C]) -> C:
    """A JSON file as its card.

    Raises:
        ArtifactError: the file is missing, is not JSON, or lists every entry that the card refuses.
    """
    try:
        return card.model_validate(read_json(path))
    except ValidationError as error:
        raise ArtifactError(f"{path}: {'; '.join(entry_faults(error))}") from error


def _record_faults(path: Path, schema: Record, sizes: dict[str, Any]) -> Iterator[str]:
    try:
        card = schema.card.model_validate(read_json(path))
    except ValidationError as error:
        yield from entry_faults(error)
        return
    if isinstance(card, SeriesCard):
        yield from _series_faults(card, sizes)
    if isinstance(card, ClusterSummary):
        sizes["found"] = len(card.clusters)


def _series_faults(card: SeriesCard, sizes: dict[str, Any]) -> Iterator[str]:
    if wrong := _sized("channel", len(card.channels), sizes):
        yield f"entry 'channels': {wrong}"
    if card.length > sizes.get("sample", card.length):
        yield f"entry 'length': {card.length} samples in a series of {sizes.get('sample')}"
    else:
        sizes["step"] = card.length
    if (last := card.fitted_spans[-1][1]) > sizes.get("sample", last):
        yield f"the training span ends at sample {last} of a series of {sizes.get('sample')}"


def _index_faults(index: pd.DataFrame, card: SeriesCard, sizes: dict[str, Any]) -> Iterator[str]:
    """Faults that show only when the window index is compared with the series."""
    start, stop, window = (index[name].to_numpy() for name in ("start", "stop", "window"))
    outside = (start < 0) | (stop > sizes["sample"]) | (stop - start != card.length)
    if outside.any():
        yield f"windows.parquet: {int(outside.sum())} windows do not span {card.length} samples within the series"
    if not len(index) or (np.diff(window) <= 0).any():
        yield "windows.parquet: expected increasing window ids"
    for column, names in (("label", card.label_names), ("group", card.group_names or [])):
        codes = index[column].to_numpy() if column in index else np.zeros(0, dtype=int)
        if codes.dtype.kind not in "iu" or (len(codes) and not -1 <= codes.min() <= codes.max() < len(names)):
            yield f"windows.parquet: column {column!r} has codes that series.json does not name"


CHECKS: dict[type, Callable[..., Iterator[str]]] = {
    Array: _array_faults,
    Table: _table_faults,
    Record: _record_faults,
}


def check_folder(stage: str, folder: Path, sizes: dict[str, Any]) -> None:
    """Validate the artifacts of a stage.

    Args:
        sizes: sizes of axes that are already known; extended by those of this folder, so that artifacts of different
            runs are detected. `ids`: the window ids; `found`: the number of clusters.

    Raises:
        ArtifactError: lists every missing or invalid artifact.
    """
    if not folder.is_dir():
        raise ArtifactError(f"no artifacts {folder}: run the stage that writes them (`dvc repro`)")
    faults = []
    for name, schema in SCHEMAS.get(stage, {}).items():
        path = folder / name
        if schema.optional and not path.exists():
            continue
        try:
            faults += [f"{name}: {fault}" for fault in CHECKS[type(schema)](path, schema, sizes)]
        except ArtifactError as error:
            faults.append(str(error))
    if not faults and stage in ("prepare", "classify"):
        card = read_card(folder / "series.json", SeriesCard)
        faults += _index_faults(read_table(folder / "windows.parquet"), card, sizes)
    if faults:
        lines = "\n".join(f"  - {fault}" for fault in faults)
        raise ArtifactError(
            f"{folder}: {len(faults)} faults in the artifacts of the stage `{stage}`; `dvc repro --force` recreates "
            f"them\n{lines}"
        )


def check_links(folder: Path, roots: Sequence[Path]) -> None:
    """Refuse symbolic links that leave the project: their targets would be read and published as artifacts.

    Args:
        roots: folders that links may point into: projects and their DVC caches.

    Raises:
        ArtifactError: lists the links.
    """
    inside = [root.resolve() for root in roots]
    outside = [
        path
        for path in (folder, *sorted(folder.rglob("*")))
        if path.is_symlink() and not any(path.resolve().is_relative_to(root) for root in inside)
    ]
    if outside:
        raise ArtifactError(f"links that leave the project are not followed: {', '.join(map(str, outside[:5]))}")

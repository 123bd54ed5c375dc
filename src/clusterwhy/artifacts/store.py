"""Atomic writing of artifacts, and reading that never executes code."""

import contextlib
import json
import os
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
import pandas as pd

from clusterwhy.errors import ArtifactError, StorageError

SCHEMA_VERSION = 1
UNFINISHED = ".tmp"  # suffix of files that are being written


def write_atomically(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Write through a temporary file in the same folder, so that `path` holds either the old or the complete content.

    Raises:
        StorageError: no space, no permission, no such device.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=UNFINISHED)
    except OSError as error:
        raise storage_error(path, error) from error
    try:
        with os.fdopen(handle, "wb") as stream:
            write(stream)
            stream.flush()
            os.fsync(stream.fileno())
        Path(temporary).chmod(0o644)
        os.replace(temporary, path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            Path(temporary).unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise storage_error(path, error) from error
        raise


def storage_error(path: Path, error: OSError) -> StorageError:
    """A StorageError with the message of the operating system and the free space."""
    folder = next((parent for parent in path.absolute().parents if parent.is_dir()), Path("/"))
    # NumPy reports a full disk without an error number
    reason = error.strerror or str(error)
    free = shutil.disk_usage(folder).free
    return StorageError(
        f"{path} cannot be written: {reason} ({free / 1e6:,.0f} MB free in {folder}); the "
        "previous content is unchanged: free space or change the permissions, then run the same command again"
    )


def replace_folder(finished: Path, final: Path) -> None:
    """Move a finished folder to its final name; the folder that it replaces stays complete until it is moved away."""
    old = finished.with_name(f"{finished.name}.old")
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(old, ignore_errors=True)
        if final.exists():
            os.replace(final, old)
        os.replace(finished, final)
    except OSError as error:
        raise storage_error(final, error) from error
    shutil.rmtree(old, ignore_errors=True)


def write_bytes(path: Path, content: bytes) -> None:
    write_atomically(path, lambda stream: stream.write(content))


def write_text(path: Path, text: str) -> None:
    write_bytes(path, text.encode())


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    write_text(path, json.dumps(content, indent=1, allow_nan=False) + "\n")


def write_array(path: Path, array: np.ndarray) -> None:
    write_atomically(path, lambda stream: np.save(stream, array, allow_pickle=False))


def write_table(path: Path, table: pd.DataFrame) -> None:
    """Write a table as Parquet or CSV, by the suffix of `path`."""
    if path.suffix == ".parquet":
        write_atomically(path, lambda stream: table.to_parquet(stream, index=False))
    else:
        write_text(path, table.to_csv(index=False, lineterminator="\n"))


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise ArtifactError(f"no artifact {path}: run the stage that writes it (`dvc repro`)")
    return path


def read_array(path: Path) -> np.ndarray:
    """Open an array, read-only and memory-mapped."""
    try:
        found = np.load(_existing(path), mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError, OSError, OverflowError, MemoryError, zipfile.BadZipFile) as error:
        raise ArtifactError(f"{path} is not a plain NumPy array: {error}") from error
    if not isinstance(found, np.ndarray):
        found.close()
        raise ArtifactError(f"{path} is not a plain NumPy array but an archive of several")
    return found


def read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(_existing(path).read_bytes())
    except (ValueError, RecursionError, OSError) as error:
        if isinstance(error, ArtifactError):
            raise
        raise ArtifactError(f"{path} is not valid JSON: {error}") from error
    if not isinstance(content, dict):
        raise ArtifactError(f"{path}: expected a JSON object, got {type(content).__name__}")
    return content


def read_table(path: Path) -> pd.DataFrame:
    import pyarrow as pa

    reader = pd.read_parquet if path.suffix == ".parquet" else pd.read_csv
    try:
        return reader(_existing(path))
    except (pa.ArrowException, ValueError, OSError, TypeError, KeyError) as error:
        if isinstance(error, ArtifactError):
            raise
        raise ArtifactError(f"{path} is not a {path.suffix[1:].upper()} table: {error}") from error

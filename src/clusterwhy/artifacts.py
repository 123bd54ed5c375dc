"""How artifacts are written (all or nothing) and read (nothing that can execute code)."""

import json
import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
import pandas as pd

from clusterwhy.errors import ArtifactError

SCHEMA_VERSION = 1


def write_atomically(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Write through a temporary file of the same folder, so that `path` is either old or complete."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as stream:
            write(stream)
            stream.flush()
            os.fsync(stream.fileno())
        Path(temporary).chmod(0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


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
        raise ArtifactError(f"no artifact {path}: run the stage that makes it (`dvc repro`)")
    return path


def read_array(path: Path) -> np.ndarray:
    """Open an array read-only and memory-mapped."""
    try:
        return np.load(_existing(path), mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise ArtifactError(f"{path} is no plain NumPy array: {error}") from error


def read_json(path: Path) -> dict[str, Any]:
    content = json.loads(_existing(path).read_text())
    if not isinstance(content, dict):
        raise ArtifactError(f"{path}: expected a JSON object, got {type(content).__name__}")
    return content


def read_table(path: Path) -> pd.DataFrame:
    reader = pd.read_parquet if path.suffix == ".parquet" else pd.read_csv
    return reader(_existing(path))

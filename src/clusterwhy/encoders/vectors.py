"""Vectors of windows that the user has already, from another tool: a study without a network."""

import hashlib
from pathlib import Path, PurePosixPath
from tokenize import TokenError
from typing import TYPE_CHECKING, Any, ClassVar, cast

import numpy as np
import pandas as pd
from pydantic import field_validator

from clusterwhy.encoders.base import EncoderSettings
from clusterwhy.errors import DataError
from clusterwhy.types import FloatArray, IntArray

if TYPE_CHECKING:
    from clusterwhy.encoders.masked import MaskedEncoder

FOLDER, SUFFIXES = "networks", (".npy", ".parquet")  # `dvc repro` watches this folder
INDEX = ("window", "start", "stop")  # columns of a Parquet file that are no features: they must be those of `prepare`
FIRST = 5  # rows that a message names
WINDOWS = "artifacts/prepare/windows.parquet"
# NumPy parses the header of an array with Python's parser
UNREADABLE = (ValueError, TypeError, OSError, EOFError, OverflowError, SyntaxError, RecursionError, TokenError)


class Vectors(EncoderSettings):
    """Vectors of all windows, in their order, which take the place of an encoder.

    Attributes:
        path: below networks/. A NumPy array (window, feature), or a Parquet file with one column per feature; its
            columns `window`, `start` and `stop`, if it has them, must be those of `artifacts/prepare/windows.parquet`.
        sha256: of the file, written by the stage `train`; null: any.
    """

    has_weights: ClassVar[bool] = False

    path: str
    sha256: str | None = None

    @field_validator("path")
    @classmethod
    def _watched(cls, path: str) -> str:
        parts = PurePosixPath(path).parts
        if len(parts) < 2 or parts[0] != FOLDER or ".." in parts or PurePosixPath(path).suffix not in SUFFIXES:
            raise ValueError(f"expected a file {FOLDER}/<name>.npy or .parquet: `dvc repro` notices changes only there")
        return path

    def build(self, n_channels: int, length: int) -> "MaskedEncoder":
        """A stand-in that embeds nothing: whoever runs it is told that there is no network."""
        from clusterwhy.encoders.without_network import WithoutNetwork

        return cast("MaskedEncoder", WithoutNetwork())

    def stored(self, config: dict[str, Any]) -> dict[str, Any]:
        """With the SHA-256 of the file."""
        return config | {"sha256": self._sha256()}

    @property
    def stored_fault(self) -> str:
        """Without its SHA-256, vectors might be of other windows than those that were trained on."""
        return "" if self.sha256 else f"no `sha256` of {self.path}"

    def given(self, index: pd.DataFrame) -> FloatArray:
        """(window, feature) float32, as the file has them.

        Args:
            index: of the windows (`window_index`).

        Raises:
            DataError: lists every fault of the file, such as another number of windows, or values that are not finite.
        """
        if self.sha256 is not None and self._sha256() != self.sha256:
            raise DataError(self.path, ["it has changed since the stage `train` read it: run that again (`dvc repro`)"])
        faults: list[str] = []
        table = self._parquet(index, faults) if self.path.endswith(".parquet") else self._array()
        if table.ndim != 2 or table.dtype.kind not in "fiu" or table.shape[1] < 2:
            faults.append(f"expected numbers (window, feature), two features or more, got {table.dtype} {table.shape}")
            raise DataError(self.path, faults)
        if len(table) != len(index):
            faults.append(f"{len(table)} vectors for {len(index)} windows: one for each row of {WINDOWS} is needed")
        with np.errstate(over="ignore"):
            vectors = np.asarray(table, dtype=np.float32)
        wrong = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
        if len(wrong):
            faults.append(f"{_rows(wrong)} with values that are missing, infinite or too large for float32")
        if faults:
            raise DataError(self.path, faults)
        return vectors

    def _sha256(self) -> str:
        path = Path(self.path)
        if not path.is_file():
            how = "docs/networks.md says how to make one from the windows of `dvc repro prepare`"
            raise DataError(self.path, [f"no such file: {how}"])
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()

    def _array(self) -> np.ndarray:
        try:
            # memory-mapping never loads a pickle, and refuses a header that claims more than the file has
            found: np.ndarray = np.lib.format.open_memmap(self.path, mode="r")
        except UNREADABLE as error:
            raise DataError(self.path, [f"not a plain NumPy array: {' '.join(str(error).split())[:200]}"]) from error
        return found

    def _parquet(self, index: pd.DataFrame, faults: list[str]) -> np.ndarray:
        """The features; columns that are no numbers, or tell other windows, are faults."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            table = pq.read_table(self.path).to_pandas(ignore_metadata=True)
        except (pa.ArrowException, OSError, ValueError) as error:
            raise DataError(self.path, [f"not readable as Parquet: {str(error).strip()[:200]}"]) from error
        if twice := sorted({str(name) for name in table.columns[table.columns.duplicated()]}):
            raise DataError(self.path, [f"columns that occur twice: {', '.join(twice)}"])
        for name in [name for name in INDEX if name in table]:
            told, own = table.pop(name).to_numpy(), index[name].to_numpy()
            if len(told) == len(own) and (told != own).any():
                faults.append(f"column {name!r}: {_rows(np.flatnonzero(told != own))} of other windows than {WINDOWS}")
        for name in table:
            if table[name].dtype.kind not in "fiu":
                faults.append(f"column {name!r} holds {table[name].dtype}: expected one column of numbers per feature")
        return table.select_dtypes(["number"]).to_numpy(dtype=np.float64)


def _rows(rows: IntArray) -> str:
    more = ", ..." if len(rows) > FIRST else ""
    return f"{len(rows)} row{'s' if len(rows) > 1 else ''} ({', '.join(map(str, rows[:FIRST]))}{more})"

"""Checks of a file before parsing: it exists, is text, and fits into memory."""

import codecs
import gzip
import re
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

import psutil

from clusterwhy.errors import DataError, Fault

CHUNK = 1 << 20
HEAD = 1 << 16
# lines that the layout of a file is judged by
FIRST_LINES = 200
GZIP = b"\x1f\x8b"
# first bytes of files that are not CSV
KINDS = {
    b"PK\x03\x04": "a zip archive or an Excel file",
    b"BZh": "a bzip2 archive",
    b"\xfd7zXZ": "an xz archive",
    b"\x28\xb5\x2f\xfd": "a zstd archive",
    b"PAR1": "a Parquet file: choose `dataset=parquet`",
    b"\x93NUMPY": "a NumPy array: choose `dataset=numpy`",
    b"\x89HDF": "an HDF5 file",
    b"\xff\xfe": "UTF-16 text",
    b"\xfe\xff": "UTF-16 text",
}


@dataclass(frozen=True)
class Text:
    """Facts about a text file from one pass over it.

    Attributes:
        lines: the first lines, without a byte order mark and ends of lines.
        n_lines: lines up to the last non-empty one.
        gzipped: whether it is compressed.
    """

    lines: tuple[str, ...]
    n_lines: int
    gzipped: bool


def existing_file(path: str) -> Path:
    """The file, if it exists, is readable and not empty.

    Raises:
        DataError: it is missing, unreadable or empty.
    """
    try:
        found = Path(path).expanduser()
        if found.is_dir():
            raise DataError(path, [Fault("no-file", "expected a file, got a folder: set `dataset.path` to your file")])
        if found.exists() and not found.is_file():
            raise DataError(path, [Fault("no-file", "expected a regular file: set `dataset.path` to your file")])
        if not found.is_file():
            text = "no such file: set `dataset.path` (relative to the repository) to your file"
            raise DataError(path, [Fault("no-file", text)])
        if found.stat().st_size == 0:
            raise DataError(path, [Fault("empty-file", "the file is empty")])
        with found.open("rb"):
            return found
    except (OSError, RuntimeError) as error:
        raise DataError(path, [Fault("no-file", f"not readable: {error}")]) from error


def check_size(path: str, n_bytes: int, memory_share: float) -> None:
    """Refuse a file that needs more than the allowed share of the free memory.

    Raises:
        DataError: it needs more.
    """
    limit = int(psutil.virtual_memory().available * memory_share)
    if n_bytes > limit:
        text = f"more than {limit / 2**20:.0f} MiB unpacked, `memory_share` {memory_share:g} of the free memory"
        raise DataError(path, [Fault("too-large", f"{text}; shorten the file or raise the share")])


def scan(file: Path, path: str, memory_share: float) -> Text:
    """Scan a text file once in chunks, for faults that parsers report poorly.

    Raises:
        DataError: it is not text, not UTF-8, contains NUL bytes, is broken gzip, or does not fit into memory.
    """
    with file.open("rb") as stream:
        gzipped = stream.read(2) == GZIP
    scanner = _Scan(path, memory_share)
    try:
        with opened(file, gzipped) as stream:
            while chunk := stream.read(CHUNK):
                scanner.take(chunk)
        scanner.take_end()
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        text = f"broken gzip, {scanner.n_bytes} bytes could be unpacked: {error}"
        raise DataError(path, [*scanner.faults(), Fault("broken-gzip", text)]) from error
    except OSError as error:
        raise DataError(path, [Fault("no-file", f"not readable: {error}")]) from error
    if faults := scanner.faults():
        raise DataError(path, faults)
    lines = re.split("\r\n|\r|\n", scanner.head.decode("utf-8-sig", errors="replace"))
    if scanner.n_bytes > len(scanner.head) and len(lines) > 1:
        # the last one may be cut off
        lines.pop()
    return Text(tuple(lines[:FIRST_LINES]), scanner.n_lines, gzipped)


def opened(file: Path, gzipped: bool) -> IO[bytes]:
    """The uncompressed bytes of a file."""
    return cast(IO[bytes], gzip.open(file)) if gzipped else file.open("rb")


class _Scan:
    def __init__(self, path: str, memory_share: float) -> None:
        self.path, self.memory_share = path, memory_share
        self.decoder: codecs.IncrementalDecoder | None = codecs.getincrementaldecoder("utf-8")()
        self.head = b""
        self.n_bytes = self.n_newlines = self.n_lines = self.n_nul = self.nul_line = 0
        self.encoding_faults: list[Fault] = []

    def take(self, chunk: bytes) -> None:
        if not self.n_bytes:
            self._kind(chunk)
        self.n_bytes += len(chunk)
        check_size(self.path, self.n_bytes, self.memory_share)
        if len(self.head) < HEAD or b"\n" not in self.head:
            self.head += chunk
        if count := chunk.count(b"\0"):
            self.nul_line = self.nul_line or self._line(chunk, chunk.index(b"\0"))
            self.n_nul += count
        self._decode(chunk)
        filled = chunk.rstrip(b"\r\n")
        if filled:
            self.n_lines = self.n_newlines + filled.count(b"\n") + 1
        self.n_newlines += chunk.count(b"\n")

    def _kind(self, chunk: bytes) -> None:
        for magic, kind in KINDS.items():
            if chunk.startswith(magic):
                raise DataError(self.path, [Fault("wrong-kind", f"expected UTF-8 text, got {kind}")])

    def _line(self, chunk: bytes, position: int) -> int:
        return self.n_newlines + chunk.count(b"\n", 0, position) + 1

    def take_end(self) -> None:
        """The file ends, perhaps within a character."""
        self._decode(b"", final=True)

    def _decode(self, chunk: bytes, final: bool = False) -> None:
        if self.decoder is None:
            return
        try:
            self.decoder.decode(chunk, final)
        except UnicodeDecodeError as error:
            self.decoder = None
            line = self._line(error.object, error.start)
            byte = f"byte 0x{error.object[error.start]:02x} in line {line}"
            text = f"{byte} is not UTF-8 (perhaps Latin-1): save the file as UTF-8"
            self.encoding_faults.append(Fault("encoding", text))

    def faults(self) -> list[Fault]:
        """The faults found so far."""
        if not self.n_nul:
            return self.encoding_faults
        text = f"{self.n_nul} NUL bytes, first in line {self.nul_line}: the file is damaged, binary or UTF-16"
        return [*self.encoding_faults, Fault("nul-bytes", text, None, self.n_nul)]

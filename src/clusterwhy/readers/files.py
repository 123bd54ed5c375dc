"""Files as they come: whether there is one, whether it is text, and whether it fits into memory."""

import codecs
import gzip
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

import psutil

from clusterwhy.errors import DataError, Fault

CHUNK = 1 << 20
HEAD = 1 << 16
GZIP = b"\x1f\x8b"
# what a file that is no CSV begins with
KINDS = {
    b"PK\x03\x04": "a zip archive or an Excel file",
    b"BZh": "compressed by bzip2",
    b"\xfd7zXZ": "compressed by xz",
    b"\x28\xb5\x2f\xfd": "compressed by zstd",
    b"PAR1": "a Parquet file: choose `dataset=parquet`",
    b"\x93NUMPY": "a NumPy array: choose `dataset=numpy`",
    b"\x89HDF": "an HDF5 file",
    b"\xff\xfe": "in UTF-16",
    b"\xfe\xff": "in UTF-16",
}


@dataclass(frozen=True)
class Text:
    """What a look at a whole text file found.

    Attributes:
        first: its first line that is not empty, without a byte order mark.
        n_lines: lines that are not empty at its end.
        gzipped: whether it is compressed.
    """

    first: str
    n_lines: int
    gzipped: bool


def existing_file(path: str) -> Path:
    """The file, if it is there, readable and not empty.

    Raises:
        DataError: it is not.
    """
    try:
        found = Path(path).expanduser()
        if found.is_dir():
            raise DataError(path, [Fault("no-file", "a folder, not a file: set `dataset.path` to your file")])
        if found.exists() and not found.is_file():
            raise DataError(path, [Fault("no-file", "neither a file nor a folder: set `dataset.path` to your file")])
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
    """Refuse what would not fit into the share of the memory that is free.

    Raises:
        DataError: it would not.
    """
    limit = int(psutil.virtual_memory().available * memory_share)
    if n_bytes > limit:
        text = f"more than {limit / 2**20:.0f} MiB unpacked, `memory_share` {memory_share:g} of the free memory"
        raise DataError(path, [Fault("too-large", f"{text}; shorten it, or raise the share")])


def look_through(file: Path, path: str, memory_share: float) -> Text:
    """Read a text file once, in pieces, to find what no parser tells well.

    Raises:
        DataError: it is another kind of file, no UTF-8, has NUL bytes, is broken gzip, or does not fit into memory.
    """
    with file.open("rb") as stream:
        gzipped = stream.read(2) == GZIP
    look = _Look(path, memory_share)
    try:
        with opened(file, gzipped) as stream:
            while chunk := stream.read(CHUNK):
                look.take(chunk)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        text = f"broken gzip, {look.n_bytes} bytes could be unpacked: {error}"
        raise DataError(path, [*look.faults(), Fault("broken-gzip", text)]) from error
    except OSError as error:
        raise DataError(path, [Fault("no-file", f"not readable: {error}")]) from error
    if faults := look.faults():
        raise DataError(path, faults)
    lines = look.head.decode("utf-8-sig", errors="replace").splitlines()
    first = next((line for line in lines if line.strip()), "")
    return Text(first, look.n_lines, gzipped)


def opened(file: Path, gzipped: bool) -> IO[bytes]:
    """The bytes of a file, unpacked."""
    return cast(IO[bytes], gzip.open(file)) if gzipped else file.open("rb")


class _Look:
    def __init__(self, path: str, memory_share: float) -> None:
        self.path, self.memory_share = path, memory_share
        self.decoder: codecs.IncrementalDecoder | None = codecs.getincrementaldecoder("utf-8")()
        self.head = b""
        self.n_bytes = self.n_newlines = self.n_lines = self.n_nul = self.nul_line = 0
        self.no_text: list[Fault] = []

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
                raise DataError(self.path, [Fault("wrong-kind", f"no UTF-8 text, but {kind}")])

    def _line(self, chunk: bytes, position: int) -> int:
        return self.n_newlines + chunk.count(b"\n", 0, position) + 1

    def _decode(self, chunk: bytes) -> None:
        if self.decoder is None:
            return
        try:
            self.decoder.decode(chunk)
        except UnicodeDecodeError as error:
            self.decoder = None
            line = self._line(error.object, error.start)
            byte = f"byte 0x{error.object[error.start]:02x} in line {line}"
            text = f"{byte} is no UTF-8 (Latin-1, perhaps?): save it as UTF-8"
            self.no_text.append(Fault("encoding", text))

    def faults(self) -> list[Fault]:
        """What was found so far."""
        if not self.n_nul:
            return self.no_text
        text = f"{self.n_nul} NUL bytes, first in line {self.nul_line}: a broken or a binary file, or UTF-16"
        return [*self.no_text, Fault("nul-bytes", text, None, self.n_nul)]

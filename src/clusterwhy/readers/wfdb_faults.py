"""What is wrong with a WFDB record, as far as its header and the sizes of its files tell."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from clusterwhy.errors import Fault

SPARE_BYTES = 8  # formats that pack several samples into one word round up


def header_faults(header: Any, file: Path) -> list[Fault]:
    """Every fault of a record before its signals are read.

    Args:
        header: of `wfdb.rdheader`; gets the length of the file and numbered names where it does not tell them.
        file: the header.
    """
    if hasattr(header, "seg_name"):
        text = (
            "a record of several segments, which have headers of their own: set `path` to a folder or pattern of these"
        )
        return [Fault("several-segments", text)]
    if not header.n_sig:
        return [Fault("no-channel", "the record has no signals, only a header")]
    return [*_of_signals(header), *_of_files(header, file)]


def _of_signals(header: Any) -> Iterator[Fault]:
    if not header.fs or not header.fs > 0:
        yield Fault("no-rate", f"the header has no sampling rate above 0, but {header.fs}")
    header.sig_name = [name or f"c{i:02d}" for i, name in enumerate(header.sig_name)]
    for name in dict.fromkeys(header.sig_name):
        if header.sig_name.count(name) > 1:
            yield Fault("duplicate-column", f"signal {name!r} occurs twice in the header", name)


def _of_files(header: Any, file: Path) -> Iterator[Fault]:
    from wfdb.io._signal import BYTES_PER_SAMPLE, COMPRESSED_FMTS

    for name in dict.fromkeys(header.file_name):
        of_file = [i for i, other in enumerate(header.file_name) if other == name]
        place = file.with_name(name)
        if not place.is_file():
            yield Fault("no-file", f"no file {name} beside the header, which names it")
        formats = {header.fmt[i] for i in of_file}
        if unknown := sorted(formats - set(BYTES_PER_SAMPLE)):
            yield Fault("unknown-format", f"{name} has the format {', '.join(unknown)}, which is unknown")
        elif place.is_file() and not formats & set(COMPRESSED_FMTS):
            per_frame = sum(BYTES_PER_SAMPLE[header.fmt[i]] * header.samps_per_frame[i] for i in of_file)
            n_bytes = place.stat().st_size - (header.byte_offset[of_file[0]] or 0)
            if header.sig_len is None:
                header.sig_len = int(n_bytes / per_frame)
            if abs(n_bytes - header.sig_len * per_frame) > SPARE_BYTES:
                text = (
                    f"{name} holds {n_bytes / per_frame:.0f} samples of each signal, the header says {header.sig_len}"
                )
                yield Fault("other-length", text)
    if header.sig_len is None:
        yield Fault("no-length", "the header does not tell how many samples there are")

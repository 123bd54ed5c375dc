"""Progress of work that takes a while: a bar in a terminal, elsewhere a line now and then."""

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from tqdm import tqdm

EVERY = 20.0  # seconds between lines; nothing is said before
LINE = "{desc}: {n_fmt} of {total_fmt}, {elapsed} so far, about {remaining} left"


def progress(iterable: Iterable[Any] | None = None, **options: Any) -> "tqdm[Any]":
    """tqdm's bar in a terminal. Where DVC, a scheduler or a file takes the output: a line every 20 seconds.

    Args:
        options: of tqdm: `desc`, `unit`, `total`, `initial`.
    """
    from tqdm import tqdm

    if sys.stderr.isatty() or getattr(sys.stderr, "silent", False):
        return tqdm(iterable, disable=None, **options)
    lines: Any = _Lines(sys.stderr)
    every = {"mininterval": EVERY, "maxinterval": EVERY, "delay": EVERY}
    return tqdm(iterable, file=lines, leave=False, bar_format=LINE, ncols=200, **every, **options)


class _Lines:
    """Turns what tqdm writes over one line into lines."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.encoding = stream.encoding

    def write(self, text: str) -> None:
        if line := text.strip():
            self._stream.write(line + "\n")

    def flush(self) -> None:
        self._stream.flush()

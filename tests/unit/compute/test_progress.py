"""A bar in a terminal, lines elsewhere, nothing from a worker."""

import io
import re
import sys
import time

import pytest

from clusterwhy.compute import progress as module
from clusterwhy.compute.progress import progress


class Stream(io.StringIO):
    def __init__(self, terminal: bool = False, silent: bool = False) -> None:
        super().__init__()
        self.terminal, self.silent = terminal, silent

    def isatty(self) -> bool:
        return self.terminal


def said(monkeypatch: pytest.MonkeyPatch, stream: Stream) -> str:
    monkeypatch.setattr(sys, "stderr", stream)
    for _ in progress(range(6), desc="embed", unit="batch"):
        time.sleep(0.03)
    return stream.getvalue()


def test_outside_a_terminal_there_is_a_line_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "EVERY", 0.05)
    lines = said(monkeypatch, Stream()).splitlines()
    assert 1 <= len(lines) <= 4 and "\r" not in "".join(lines)
    assert re.fullmatch(r"embed: \d of 6, 00:00 so far, about 00:0\d left", lines[0]), lines


def test_short_work_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert said(monkeypatch, Stream()) == ""


def test_a_terminal_has_a_bar_and_a_worker_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "EVERY", 0.05)
    assert "\r" in said(monkeypatch, Stream(terminal=True))
    assert said(monkeypatch, Stream(silent=True)) == ""

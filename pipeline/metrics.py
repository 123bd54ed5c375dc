"""Metrics of two revisions or experiments in readable lines: python -m pipeline.metrics [A] [B]."""

import argparse
import json
import math
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from clusterwhy.errors import ArtifactError
from clusterwhy.plots.names import short
from clusterwhy.report.stored_results import STAGES
from pipeline._console import one_message
from pipeline._parameters import ROOT

ORDER = (*STAGES, "report")
WIDTH = 64  # characters of a metric's name
Values = dict[str, dict[str, Any]]


def difference(a: str, b: str) -> dict[str, Values]:
    """Report -> metric -> `old` and `new` value, as `dvc metrics diff --all` tells.

    Raises:
        ArtifactError: what DVC says, such as an unknown revision, or metrics that are in no cache.
    """
    command = [sys.executable, "-m", "dvc", "metrics", "diff", "--all", "--json", a, *([b] if b else [])]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ArtifactError(f"dvc metrics diff: {done.stderr.strip() or done.stdout.strip()}")
    found: dict[str, Values] = json.loads(done.stdout or "{}")
    if not found:
        raise ArtifactError(f"no metrics of {a} or {b or 'the workspace'}: run `dvc repro`, or `dvc fetch` them")
    return found


def lines(found: dict[str, Values], whole: bool) -> Iterator[str]:
    """A headline per report and a line per metric; unchanged ones only if `whole`.

    Metrics that only one side has are counted, and listed if `whole`.
    """
    for path, metrics in sorted(found.items(), key=lambda item: _place(item[0])):
        rows, alone, same = [], 0, 0
        for name, values in sorted(metrics.items()):
            old, new = values.get("old"), values.get("new")
            alone += (old is None) != (new is None)
            same += old == new
            if whole or (None not in (old, new) and old != new):
                rows.append((_named(name), _cell(old), _cell(new), _change(old, new)))
        left = [f"{n} {what}" for n, what in ((same, "unchanged"), (alone, "of one side only")) if n and not whole]
        told = f" ({', '.join(left)})" if left else ""
        yield f"{_stage(path)}{told}"
        for row in rows:
            yield f"  {row[0]:<{WIDTH}} {row[1]:>10} {row[2]:>10} {row[3]:>10}"


def _stage(path: str) -> str:
    return Path(path).with_suffix("").as_posix().removeprefix("reports/")


def _place(path: str) -> tuple[int, str]:
    """In the order of the pipeline; studies and applications after it."""
    stage = _stage(path)
    return ORDER.index(stage) if stage in ORDER else len(ORDER), stage


def _named(metric: str) -> str:
    return short(metric.replace(",", "").replace(".", ": ").replace("_", " "), WIDTH)


def _cell(value: Any) -> str:
    return "-" if value is None else f"{value:.4g}" if isinstance(value, float) else short(value, 10)


def _change(old: Any, new: Any) -> str:
    known = all(isinstance(value, int | float) and math.isfinite(value) for value in (old, new))
    return "" if not known else "0" if old == new else f"{new - old:+.3g}"


def main() -> None:
    """Print what has changed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("a", nargs="?", default="HEAD", help="revision, branch or experiment (default: HEAD)")
    parser.add_argument("b", nargs="?", default="", help="the same (default: the workspace)")
    parser.add_argument("--all", action="store_true", help="also unchanged metrics, and those of one side only")
    options = parser.parse_args()
    with one_message():
        found = difference(options.a, options.b)
    sys.stdout.write(
        f"{'':<{WIDTH + 2}} {short(options.a, 10):>10} {short(options.b or 'workspace', 10):>10} {'change':>10}\n"
    )
    sys.stdout.writelines(f"{line}\n" for line in lines(found, options.all))


if __name__ == "__main__":
    main()

"""The stages of dvc.yaml: each reads artifacts, calls the library, writes artifacts, tracks."""

import sys
from pathlib import Path
from types import TracebackType

# the library beside this file, also in the temporary folders where DVC runs queued experiments
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))


def _interrupted(kind: type[BaseException], value: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.stderr.write("interrupted: nothing was changed, the same command goes on\n")
    else:
        sys.__excepthook__(kind, value, trace)


# Ctrl-C is no fault, whatever is being imported or computed
sys.excepthook = _interrupted

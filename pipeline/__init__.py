"""The stages of dvc.yaml: each reads artifacts, calls the library, writes artifacts and records a W&B run."""

import sys
from pathlib import Path
from types import TracebackType

# the library of this checkout, also in the temporary folders of queued DVC experiments
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))
# the user's own; last, so that nothing is hidden by one of them
sys.path.append(str(Path(__file__).resolve().parents[1] / "networks"))

from clusterwhy.compute.threads import configure_threads

configure_threads()


def _interrupted(kind: type[BaseException], value: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.stderr.write("interrupted: nothing was changed; rerun the same command to resume\n")
    else:
        sys.__excepthook__(kind, value, trace)


# Ctrl-C is not an error, whatever is being imported or computed
sys.excepthook = _interrupted

"""Remove a lock file of DVC that was damaged by a kill; `make repro` does so first.

DVC (3.67) writes its `rwlock` in place, so a kill at the wrong moment leaves a partial file, and every further
`dvc repro` fails with "JSON structure is corrupted".
"""

import json
import logging
import time
from pathlib import Path

log = logging.getLogger("clusterwhy")
PAUSE_S = 0.5  # much longer than DVC takes to write the file
RWLOCK = Path(__file__).resolve().parents[1] / ".dvc" / "tmp" / "rwlock"


def main() -> None:
    """Remove the file if it is not valid JSON, also after a pause in which a running DVC would complete it."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    if not _broken():
        return
    time.sleep(PAUSE_S)
    if _broken():
        RWLOCK.unlink(missing_ok=True)
        log.info("removed %s, which a killed DVC had left half written", RWLOCK.name)


def _broken() -> bool:
    try:
        json.loads(RWLOCK.read_bytes())
    except FileNotFoundError:
        return False
    except ValueError:
        return True
    return False


if __name__ == "__main__":
    main()

"""Take away the list of readers and writers that DVC was killed at while it wrote it; `make repro` does so first.

DVC (3.67) writes its `rwlock` in place, so a kill at the wrong moment leaves half of it, and every further
`dvc repro` ends with "JSON structure is corrupted".
"""

import json
import logging
import time
from pathlib import Path

log = logging.getLogger("clusterwhy")
INSTANT_S = 0.5  # much longer than DVC takes to write the file
RWLOCK = Path(__file__).resolve().parents[1] / ".dvc" / "tmp" / "rwlock"


def main() -> None:
    """Remove the file if it is no JSON, empty ones included; a DVC that runs has it whole after an instant."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    if not _broken():
        return
    time.sleep(INSTANT_S)
    if _broken():
        RWLOCK.unlink(missing_ok=True)
        log.info("removed %s, which a DVC that was killed had left half written", RWLOCK.name)


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

"""Take away the list of readers and writers that DVC was killed at while it wrote it; `make repro` does so first.

DVC (3.67) writes its `rwlock` in place, so a kill at the wrong moment leaves half of it, and every further
`dvc repro` ends with "JSON structure is corrupted".
"""

import json
import logging
from pathlib import Path

log = logging.getLogger("clusterwhy")
RWLOCK = Path(__file__).resolve().parents[1] / ".dvc" / "tmp" / "rwlock"


def main() -> None:
    """Remove the file if it is no JSON; a DVC that runs has it whole."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        json.loads(RWLOCK.read_bytes() or b"{}")
    except FileNotFoundError:
        return
    except ValueError:
        RWLOCK.unlink(missing_ok=True)
        log.info("removed %s, which a DVC that was killed had left half written", RWLOCK.name)


if __name__ == "__main__":
    main()

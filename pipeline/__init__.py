"""The stages of dvc.yaml: each reads artifacts, calls the library, writes artifacts, tracks."""

import sys
from pathlib import Path

# the library beside this file, also in the temporary folders where DVC runs queued experiments
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

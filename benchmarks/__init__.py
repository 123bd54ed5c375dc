"""Figures that anyone can make again, one command each; results land in docs/."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

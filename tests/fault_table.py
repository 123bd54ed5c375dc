"""docs/faults.md: what the tests did to which part, and what came of it; written from a test run."""

from collections import defaultdict
from pathlib import Path

DOCUMENT = Path(__file__).resolve().parents[1] / "docs" / "faults.md"
HEAD = """# What happens when something is wrong

Every line is a test. Written by `python -m pytest --write-faults`, which adds what it sees (delete the file first to
write it anew); a run of the tests names the cases that are not in here.
"""

# area, fault, stage, outcome
Case = tuple[str, str, str, str]


def rows(text: str) -> set[Case]:
    """The cases of a document."""
    found, area = set(), ""
    for line in text.splitlines():
        if line.startswith("## "):
            area = line.removeprefix("## ").rsplit(" (", 1)[0]
        elif line.startswith("| ") and not line.startswith("| fault "):
            fault, stage, outcome = (cell.strip() for cell in line.replace("\\|", "\0").strip("|").split("|"))
            found.add((area, *(cell.replace("\0", "|") for cell in (fault, stage, outcome))))
    return found


def document(cases: set[Case]) -> str:
    """The cases as Markdown, a table for each area."""
    areas: dict[str, list[Case]] = defaultdict(list)
    for case in sorted(cases):
        areas[case[0]].append(case)
    parts = [HEAD, f"{len(cases)} cases.\n"]
    for area, members in areas.items():
        lines = ["| " + " | ".join(cell.replace("|", "\\|") for cell in case[1:]) + " |" for case in members]
        parts.append(f"## {area} ({len(members)})\n")
        parts.append("\n".join(["| fault | where | outcome |", "|:--|:--|:--|", *lines]) + "\n")
    return "\n".join(parts)

"""Patterns of names: which names match, and which are near one that matches none."""

import difflib
import re
from collections.abc import Sequence
from fnmatch import fnmatchcase

SHOWN = 5  # near names in a message


def matches(name: str, pattern: str) -> bool:
    """Whether a name is the pattern, or matches its `*`, `?` and `[...]` as in a shell."""
    # a name with brackets is no pattern of itself
    return name == pattern or fnmatchcase(name, pattern)


def near_names(pattern: str, names: Sequence[str]) -> list[str]:
    """Names that hold the longest text of the pattern, or look like it; else the first ones."""
    text = max(re.split(r"[*?\[\]]", pattern), key=len).casefold()
    folded = {name: name.casefold() for name in names}
    holding = [name for name in names if text and text in folded[name]]
    alike = [name for name in names if difflib.get_close_matches(text, [folded[name]], cutoff=0.5)]
    return (list(dict.fromkeys([*holding, *alike])) or list(names))[:SHOWN]

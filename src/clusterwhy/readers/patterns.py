"""Channels chosen by patterns of their names."""

import difflib
import re
from collections.abc import Sequence
from fnmatch import fnmatchcase

from clusterwhy.readers.issues import Issues

SHOWN = 5  # near names in a message


def chosen(names: Sequence[str], include: Sequence[str], exclude: Sequence[str], issues: Issues) -> list[str]:
    """The names that match a pattern of `include`, if there is any, and none of `exclude`, in the same order.

    A pattern is a name, or has `*`, `?` and `[...]` as in a shell. One that matches nothing is a fault.
    """
    for key, patterns in (("include", include), ("exclude", exclude)):
        for pattern in patterns:
            if not any(_matches(name, pattern) for name in names):
                near = ", ".join(map(repr, _near(pattern, names)))
                text = f"`{key}`: no channel is called {pattern!r}; near it are {near}"
                issues.fault("no-match", text, column=pattern)
    kept = [name for name in names if not include or any(_matches(name, one) for one in include)]
    return [name for name in kept if not any(_matches(name, one) for one in exclude)]


def _matches(name: str, pattern: str) -> bool:
    # a name with brackets is no pattern of itself
    return name == pattern or fnmatchcase(name, pattern)


def _near(pattern: str, names: Sequence[str]) -> list[str]:
    """Names that hold the longest text of the pattern, or look like it; else the first ones."""
    text = max(re.split(r"[*?\[\]]", pattern), key=len).casefold()
    folded = {name: name.casefold() for name in names}
    holding = [name for name in names if text and text in folded[name]]
    alike = [name for name in names if difflib.get_close_matches(text, [folded[name]], cutoff=0.5)]
    return (list(dict.fromkeys([*holding, *alike])) or list(names))[:SHOWN]

"""Channels chosen by patterns of their names."""

from collections.abc import Sequence

from clusterwhy.artifacts.patterns import matches, near_names
from clusterwhy.readers.issues import Issues


def chosen(names: Sequence[str], include: Sequence[str], exclude: Sequence[str], issues: Issues) -> list[str]:
    """The names that match a pattern of `include`, if there is any, and none of `exclude`, in the same order.

    A pattern is a name, or has `*`, `?` and `[...]` as in a shell. One that matches nothing is a fault.
    """
    for key, patterns in (("include", include), ("exclude", exclude)):
        for pattern in patterns:
            if not any(matches(name, pattern) for name in names):
                near = ", ".join(map(repr, near_names(pattern, names)))
                text = f"`{key}`: no channel is called {pattern!r}; near it are {near}"
                issues.fault("no-match", text, column=pattern)
    kept = [name for name in names if not include or any(matches(name, one) for one in include)]
    return [name for name in kept if not any(matches(name, one) for one in exclude)]

"""Names from data as labels: shown as they are, whatever they hold, and no longer than there is room."""

ELLIPSIS = "…"


def shown(name: object, limit: int = 24) -> str:
    """A name as a label: one line, at most `limit` characters, `$` as itself and not as the start of a formula."""
    line = " ".join(str(name).split())
    if len(line) > limit:
        line = line[: limit - 1].rstrip() + ELLIPSIS
    return line.replace("$", r"\$")


def with_unit(name: object, unit: str, limit: int = 24) -> str:
    """A name with its unit on a line of its own."""
    return f"{shown(name, limit)}\n({shown(unit or 'no unit', limit)})"

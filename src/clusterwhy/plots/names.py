"""Names from data as labels: shown as they are, whatever they hold, and no longer than there is room."""

import html

ELLIPSIS = "…"


def shown(name: object, limit: int = 24) -> str:
    """A name as a label: one line, at most `limit` characters, `$` as itself and not as the start of a formula.

    Long names lose their middle, since many differ at their ends only.
    """
    line = " ".join(str(name).split())
    if len(line) > limit:
        tail = (limit - 1) // 2
        line = line[: limit - 1 - tail].rstrip() + ELLIPSIS + line[-tail:].lstrip()
    return line.replace("$", r"\$")


def with_unit(name: object, unit: str, limit: int = 24) -> str:
    """A name with its unit on a line of its own."""
    return f"{shown(name, limit)}\n({shown(unit or 'no unit', limit)})"


def plain(name: object, limit: int = 40) -> str:
    """A name as a label of plotly's, which reads a little HTML: shown as it is, `$` as itself."""
    escaped = html.escape(shown(name, limit).replace(r"\$", "$"), quote=False)
    return escaped.replace("$", "&#36;")

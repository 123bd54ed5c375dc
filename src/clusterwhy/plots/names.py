"""Names from data as labels: shown literally, and shortened to the available space."""

import html

ELLIPSIS = "…"


def short(name: object, limit: int = 24) -> str:
    """A name in one line of at most `limit` characters.

    Long names lose their middle, since many differ only at their ends.
    """
    line = " ".join(str(name).split())
    if len(line) <= limit:
        return line
    tail = (limit - 1) // 2
    return line[: limit - 1 - tail].rstrip() + ELLIPSIS + line[-tail:].lstrip()


def shown(name: object, limit: int = 24) -> str:
    """A short name as a label of matplotlib: `$` is escaped so that it starts no formula."""
    return short(name, limit).replace("$", r"\$")


def with_unit(name: object, unit: str, limit: int = 24) -> str:
    """A name with its unit, if it has one, on a second line."""
    return f"{shown(name, limit)}\n({shown(unit, limit)})" if unit else shown(name, limit)


def plain(name: object, limit: int = 40) -> str:
    """A name as a label of Plotly, which interprets some HTML and `$`: both are escaped."""
    escaped = html.escape(short(name, limit), quote=False)
    return escaped.replace("$", "&#36;")

"""Counts in sentences of logs, page and tables."""


def counted(n: int, what: str) -> str:
    """A number and what it is of, which is one of them: "1 cluster", "2 clusters"; the plural is with an s."""
    return f"{n} {what}{'' if n == 1 else 's'}"

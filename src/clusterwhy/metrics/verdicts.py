"""Words for a comparison whose difference has an interval."""

BETTER, EQUAL, WORSE = "better", "not told apart", "worse"


def verdict(low: float, high: float) -> str:
    """Of a gain with 95 % limits: only an interval without 0 tells two apart."""
    return BETTER if low > 0 else WORSE if high < 0 else EQUAL


def compared(verdict: str, other: str) -> str:
    """The verdict as part of a sentence: better than it, not told apart from it."""
    return f"{verdict} {'from' if verdict == EQUAL else 'than'} {other}"

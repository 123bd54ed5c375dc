"""Names of channels, units, labels and groups: text from users' files that is shown to people."""

import unicodedata
from collections.abc import Iterable

MOST_CHARACTERS = 200
SHOWN = 3
# marks that change the direction of the surrounding text, so that one name can look like another
TURNING = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}


def _wrong(name: str) -> str:
    if len(name) > MOST_CHARACTERS:
        return f"{name[:30]!r}... has {len(name)} characters, more than {MOST_CHARACTERS}"
    for character in name:
        if unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") or (
            unicodedata.bidirectional(character) in TURNING
        ):
            return f"{name!r} contains the character U+{ord(character):04X}"
    return ""


def name_faults(kind: str, names: Iterable[str]) -> str:
    """What is wrong with names, in one line; empty if all are valid.

    Control characters, line breaks and marks that change the direction of text are refused. Slashes, dots, markup and
    formulas are harmless: no file is named after a channel, and pages and figures show names literally.

    Args:
        kind: what is named, in the singular, such as "channel".
    """
    wrong = [text for text in map(_wrong, names) if text]
    if not wrong:
        return ""
    more = f"; {len(wrong) - SHOWN} more" if len(wrong) > SHOWN else ""
    return f"invalid {kind} names: " + "; ".join(wrong[:SHOWN]) + more

"""Names of channels, units, labels and groups: text to show, which comes from files of others."""

import unicodedata
from collections.abc import Iterable

MOST_CHARACTERS = 200
SHOWN = 3
# they change the direction of the text around them, so that a name reads as another one
TURNING = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}


def _wrong(name: str) -> str:
    if len(name) > MOST_CHARACTERS:
        return f"{name[:30]!r}... has {len(name)} characters, more than {MOST_CHARACTERS}"
    for character in name:
        if unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") or (
            unicodedata.bidirectional(character) in TURNING
        ):
            return f"{name!r} has the character U+{ord(character):04X}"
    return ""


def name_faults(kind: str, names: Iterable[str]) -> str:
    """What is wrong with names, in one line; an empty string if nothing is.

    Control characters, line breaks and marks that turn the direction of text do not belong into a name; slashes, dots,
    markup and formulas do no harm, since no file is called by a name and pages and pictures show it as it is.

    Args:
        kind: what the names are of, in the singular.
    """
    wrong = [text for text in map(_wrong, names) if text]
    if not wrong:
        return ""
    return f"{len(wrong)} names of a {kind} are none: " + "; ".join(wrong[:SHOWN]) + ("; ..." * (len(wrong) > SHOWN))

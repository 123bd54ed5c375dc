"""Reading and writing `annotations.yaml`; comments and the order of entries stay as a person wrote them."""

import io
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import ValidationError

from clusterwhy.annotations.entries import Annotations
from clusterwhy.artifacts.store import write_bytes
from clusterwhy.errors import DataError

MOST_BYTES = 20_000_000
Document = dict[str, Any]
T = TypeVar("T")


def read_annotations(path: Path) -> Annotations:
    """The names and notes of a file; none where there is no file.

    Raises:
        DataError: lists every fault.
    """
    return checked(path, yaml.load(_safe_text(path), Loader=yaml.CSafeLoader)) if path.is_file() else Annotations()


def checked(path: Path, content: object) -> Annotations:
    """Plain content as annotations.

    Raises:
        DataError: lists every fault.
    """
    if content is not None and not isinstance(content, Mapping):
        raise DataError(path.name, [f"expected `clusters:` and `segments:`, got {type(content).__name__}"])
    try:
        return Annotations.model_validate(dict(content or {}))
    except ValidationError as error:
        raise DataError(path.name, [_told(fault) for fault in error.errors()]) from error


def _told(fault: Any) -> str:
    message = fault["msg"].removeprefix("Value error, ")
    where = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in fault["loc"]).lstrip(".")
    got = "" if isinstance(fault["input"], Mapping | Annotations) else f" (got {str(fault['input'])[:60]!r})"
    return f"{where}: {message}{got}" if where else message


def edit(path: Path, change: Callable[[Document], None], check: Callable[[Annotations], T]) -> T:
    """Change the file in place, all of it or nothing; what the check gives back.

    Args:
        change: of the content, whose comments stay.
        check: of what it will hold, before it is written.

    Raises:
        DataError: the file, or what it would hold, is faulty.
        StorageError: it cannot be written.
    """
    from ruamel.yaml import YAML

    writer = YAML()
    writer.width = 1_000_000  # spans are one line
    writer.preserve_quotes = True
    writer.indent(mapping=2, sequence=4, offset=2)
    read_annotations(path)
    content = (writer.load(_safe_text(path)) if path.is_file() else None) or {}
    change(content)
    found = check(checked(path, content))
    written = io.BytesIO()
    writer.dump(content, written)
    write_bytes(path, written.getvalue())
    return found


def quoted(text: str) -> str:
    """Text that is in quotes in the file, so that no name is read as a date, a number or `yes`."""
    from ruamel.yaml.scalarstring import DoubleQuotedScalarString

    return DoubleQuotedScalarString(text)


def _safe_text(path: Path) -> str:
    """The text of a YAML file of plain values: no tags, and no anchors, which can grow without limit when read."""
    if path.stat().st_size > MOST_BYTES:
        raise DataError(path.name, [f"{path.stat().st_size} bytes, more than {MOST_BYTES}"])
    try:
        text = path.read_text(encoding="utf-8")
        faults = list(_special(text))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise DataError(path.name, [f"not valid YAML: {' '.join(str(error).split())}"]) from error
    if faults:
        raise DataError(path.name, faults)
    return text


def _special(text: str) -> Iterator[str]:
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        if getattr(event, "anchor", None) or getattr(event, "tag", None):
            line = f"line {event.start_mark.line + 1}: " if event.start_mark else ""
            yield f"{line}an anchor, an alias or a tag; only plain values are allowed"

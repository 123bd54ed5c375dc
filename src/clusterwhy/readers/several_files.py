"""A folder or a pattern of files: which files they are, and how each is called."""

import glob
import re
from collections.abc import Sequence
from os.path import commonpath, exists, expanduser, isdir
from pathlib import Path

from clusterwhy.errors import DataError, Fault

GZIPPED = ".gz"
MAGIC = re.compile(r"\[[^\]]*\]|[*?]")


def several(path: str, suffixes: Sequence[str]) -> list[Path] | None:
    """The files of a folder with one of the suffixes, or those that match a pattern, in the order of their names.

    Numbers in names count as such: run_2 is before run_10. None if the path is neither a folder nor a pattern.

    Raises:
        DataError: there is no such file, or the folder is not readable.
    """
    place = expanduser(path)
    try:
        if isdir(place):
            files = [one for one in _shown(Path(place)) if _suffix(one) in suffixes]
            missing = f"the folder has no file that ends with {', '.join(suffixes)}"
        elif MAGIC.search(path) and not exists(place):
            files = [one for one in map(Path, glob.glob(place, recursive=True)) if one.is_file()]
            missing = "no file matches the pattern"
        else:
            return None
    except OSError as error:
        raise DataError(path, [Fault("no-file", f"not readable: {error}")]) from error
    if not files:
        text = f"{missing}: set `dataset.path` to a file, a folder of recordings, or a pattern such as data/run_*.csv"
        raise DataError(path, [Fault("no-file", text)])
    return sorted(files, key=_natural)


def left_out(path: str, files: Sequence[Path]) -> list[str]:
    """Names of the other files of a folder, but for hidden ones."""
    place = expanduser(path)
    return sorted(one.name for one in _shown(Path(place)) if one not in files) if isdir(place) else []


def names_of(files: Sequence[Path]) -> list[str]:
    """One name for each file: without its ending, and with folders where it would not be the only one."""
    stems = [_stem(one.name) for one in files]
    if len(set(stems)) == len(stems):
        return stems
    parents = [one.parent.absolute() for one in files]
    top = commonpath(parents)
    inner = [str((parent / stem).relative_to(top)) for parent, stem in zip(parents, stems, strict=True)]
    return inner if len(set(inner)) == len(inner) else [one.name for one in files]


def name_of_all(path: str) -> str:
    """What a folder or a pattern is called: the folder, or the fixed part of the pattern."""
    last = Path(expanduser(path))
    fixed = MAGIC.sub("", _stem(last.name)).strip(" _-.")
    return fixed or MAGIC.sub("", last.absolute().parent.name).strip(" _-.") or "recordings"


def _shown(folder: Path) -> list[Path]:
    return [one for one in folder.iterdir() if one.is_file() and not one.name.startswith(".")]


def _suffix(file: Path) -> str:
    return Path(file.name.removesuffix(GZIPPED)).suffix.lower()


def _stem(name: str) -> str:
    return Path(name.removesuffix(GZIPPED)).stem


def _natural(file: Path) -> list[tuple[int, str | int]]:
    parts = re.split(r"(\d+)", str(file))
    return [(1, int(part)) if part.isdigit() else (0, part) for part in parts]

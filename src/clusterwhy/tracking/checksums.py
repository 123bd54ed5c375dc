"""MD5 digests of artifacts, computed as DVC does."""

import hashlib
import json
from pathlib import Path


def file_md5(path: Path) -> str:
    """The MD5 of a file, as in `dvc.lock`."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "md5").hexdigest()


def dvc_md5(path: Path) -> str:
    """The MD5 of a file or folder (with suffix `.dir`), as in `dvc.lock`."""
    if path.is_file():
        return file_md5(path)
    entries = [
        {"md5": file_md5(file), "relpath": file.relative_to(path).as_posix()}
        for file in sorted(path.rglob("*"))
        if file.is_file()
    ]
    entries.sort(key=lambda entry: entry["relpath"])
    return hashlib.md5(json.dumps(entries, sort_keys=True).encode()).hexdigest() + ".dir"

"""Copies of artifact files for a later `wandb sync`: one per content, however many runs have the file."""

import contextlib
import os
import shutil
import tempfile
from pathlib import Path

from clusterwhy.tracking.checksums import file_md5


def stored(path: Path, store: Path) -> Path:
    """A read-only copy of a file, named by its MD5, that stays the same when the file is replaced.

    wandb itself would copy a file once for each run that has it as an input.
    """
    kept = store / file_md5(path)
    if kept.exists() and kept.stat().st_size == path.stat().st_size:
        return kept
    store.mkdir(parents=True, exist_ok=True)
    handle, partial = tempfile.mkstemp(dir=store)
    os.close(handle)
    try:
        shutil.copyfile(path, partial)
        os.chmod(partial, 0o444)
        os.replace(partial, kept)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(partial)
        raise
    return kept

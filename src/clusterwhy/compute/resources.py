"""Available memory and disk space, checks that work fits, and errors that mean it did not."""

import errno
import os
import resource
import shutil
from pathlib import Path

import psutil
from tqdm import tqdm

from clusterwhy.errors import ClusterWhyError, ResourceError, StorageError

STORAGE_ERRNOS = {
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EFBIG,
    errno.EROFS,
    errno.EACCES,
    errno.EPERM,
    errno.ENOTDIR,
    errno.EIO,
    errno.ENAMETOOLONG,
}


def _cgroup_memory() -> list[int]:
    """Memory left in this process's control group (of a container or Slurm job), if it has a limit."""
    found = []
    for limit, usage, stat in (
        ("memory.max", "memory.current", "memory.stat"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "memory/memory.stat"),
    ):
        root = Path("/sys/fs/cgroup")
        try:
            # the page cache counts as used but is reclaimable
            kept = dict(line.split() for line in (root / stat).read_text().splitlines())
            used = int((root / usage).read_text()) - int(kept.get("inactive_file", 0))
            found.append(int((root / limit).read_text()) - used)
        except (OSError, ValueError):
            continue
    return found


def available_memory() -> int:
    """Bytes that this process can still allocate: the minimum over machine, control group and own limit."""
    left = [psutil.virtual_memory().available, *_cgroup_memory()]
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    if soft != resource.RLIM_INFINITY:
        left.append(soft - psutil.Process().memory_info().vms)
    return max(0, min(left))


def peak_memory() -> int:
    """Peak resident memory of this process in bytes."""
    try:
        # getrusage also counts the parent process before exec
        status = Path("/proc/self/status").read_text().split()
        return int(status[status.index("VmHWM:") + 1]) * 1024
    except (OSError, ValueError):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _bytes(count: float) -> str:
    return tqdm.format_sizeof(count, "B")


def require(what: str, memory: float, disk: float, folder: Path, advice: str) -> None:
    """Refuse work that exceeds the available memory or disk space.

    Args:
        what: the work, for the message.
        memory: bytes that it allocates, in addition to those of this process.
        disk: bytes that it writes below `folder`.
        advice: how to reduce the need.

    Raises:
        ResourceError: states what is needed and what is available.
    """
    place = next(parent for parent in (folder.absolute(), *folder.absolute().parents) if parent.is_dir())
    free = shutil.disk_usage(place).free
    missing = []
    if memory > (left := available_memory()):
        missing.append(f"about {_bytes(memory)} of memory, {_bytes(left)} are available")
    if disk > free:
        missing.append(f"about {_bytes(disk)} of disk space in {place}, {_bytes(free)} are available")
    if missing:
        raise ResourceError(f"{what} needs {'; it needs '.join(missing)}: {advice}")


def as_expected(error: BaseException) -> ClusterWhyError | None:
    """The error as one of the project's, if it is one or reports a lack of memory or disk space; else None."""
    if isinstance(error, ClusterWhyError):
        return error
    if isinstance(error, OSError) and error.errno in STORAGE_ERRNOS:
        place = error.filename or "a file"
        return StorageError(
            f"{place} cannot be written or read: {os.strerror(error.errno)}; finished artifacts are unchanged"
        )
    # torch and CUDA raise a plain RuntimeError
    words = str(error).lower()
    if isinstance(error, MemoryError) or "can't allocate memory" in words or "out of memory" in words:
        return ResourceError(
            f"out of memory ({error or 'allocation failed'}): use a longer stride, fewer channels, a smaller "
            "batch_size or workers.shard, or a machine with more memory"
        )
    return None

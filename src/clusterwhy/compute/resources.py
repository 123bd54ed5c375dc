"""What a machine has left, whether work fits into it, and which errors mean that it did not."""

import errno
import os
import resource
import shutil
from pathlib import Path

import psutil
from tqdm import tqdm

from clusterwhy.errors import ClusterWhyError, ResourceError, StorageError

NO_STORAGE = {
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


def _of_group() -> list[int]:
    """Memory left to this process's control group (a container's, a Slurm job's), where it has a limit."""
    found = []
    for limit, usage, stat in (
        ("memory.max", "memory.current", "memory.stat"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "memory/memory.stat"),
    ):
        root = Path("/sys/fs/cgroup")
        try:
            # files that were read count as used, and are given back when somebody asks
            kept = dict(line.split() for line in (root / stat).read_text().splitlines())
            used = int((root / usage).read_text()) - int(kept.get("inactive_file", 0))
            found.append(int((root / limit).read_text()) - used)
        except (OSError, ValueError):
            continue
    return found


def available_memory() -> int:
    """Bytes that this process can still take: of the machine, of its control group, of its own limit."""
    left = [psutil.virtual_memory().available, *_of_group()]
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    if soft != resource.RLIM_INFINITY:
        left.append(soft - psutil.Process().memory_info().vms)
    return max(0, min(left))


def peak_memory() -> int:
    """Bytes that this process had at most."""
    try:
        # what getrusage says also counts the process that started this one
        status = Path("/proc/self/status").read_text().split()
        return int(status[status.index("VmHWM:") + 1]) * 1024
    except (OSError, ValueError):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _bytes(count: float) -> str:
    return tqdm.format_sizeof(count, "B")


def require(what: str, memory: float, disk: float, folder: Path, advice: str) -> None:
    """Refuse work that does not fit.

    Args:
        what: is about to begin.
        memory: bytes that it takes, on top of what this process has.
        disk: bytes that it writes below `folder`.
        advice: what makes it smaller.

    Raises:
        ResourceError: it would not fit, with what is needed and what is left.
    """
    place = next(parent for parent in (folder.absolute(), *folder.absolute().parents) if parent.is_dir())
    free = shutil.disk_usage(place).free
    lacking = []
    if memory > (left := available_memory()):
        lacking.append(f"about {_bytes(memory)} of memory, and {_bytes(left)} are left")
    if disk > free:
        lacking.append(f"about {_bytes(disk)} on the disk of {place}, and {_bytes(free)} are left")
    if lacking:
        raise ResourceError(f"{what} needs {'; it needs '.join(lacking)}: {advice}")


def as_expected(error: BaseException) -> ClusterWhyError | None:
    """The error as one of ours, if it is ours or says that memory or disk did not do; else None."""
    if isinstance(error, ClusterWhyError):
        return error
    if isinstance(error, OSError) and error.errno in NO_STORAGE:
        place = error.filename or "a file"
        return StorageError(
            f"{place} cannot be written or read: {os.strerror(error.errno)}; finished artifacts are as they were"
        )
    # torch's and CUDA's have no class of their own
    words = str(error).lower()
    if isinstance(error, MemoryError) or "can't allocate memory" in words or "out of memory" in words:
        return ResourceError(
            f"the memory did not do ({error or 'no more was given'}): use longer strides, fewer channels, a smaller "
            "batch_size or workers.shard, or a machine with more"
        )
    return None

"""How many threads a process computes with, and that idle ones sleep. To be called before torch is imported."""

import os


def available_cores() -> int:
    """Cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def n_threads() -> int:
    """`OMP_NUM_THREADS` where it is set, else one per core."""
    given = os.environ.get("OMP_NUM_THREADS", "").split(",")[0]
    return int(given) if given.isdigit() and int(given) else available_cores()


def configure_threads() -> int:
    """Let torch and Numba use the same number of threads, which sleep while they wait. Variables already set stay.

    OpenMP's threads wait in a busy loop by default. Beside another busy process such a loop takes the core that the
    thread it waits for needs: a training step on two cores under load took 5 to 13 s, with sleeping threads 1.4 to
    1.6 s. UMAP's Numba sets torch's number of threads to its own, whatever `OMP_NUM_THREADS` says.

    Returns:
        The number of threads.
    """
    count = n_threads()
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    os.environ.setdefault("NUMBA_NUM_THREADS", str(min(count, available_cores())))
    return count

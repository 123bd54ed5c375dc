"""The errors a user can meet: each says what was expected, what came, where, and how to mend it."""

from collections.abc import Sequence
from dataclasses import dataclass

# faults of one message; a file of 1,000 faulty channels would bury the terminal
SHOWN = 40


class ClusterWhyError(Exception):
    """The base of every error that the project raises on purpose."""


@dataclass(frozen=True)
class Fault:
    """One fault of an input.

    Attributes:
        kind: a slug such as "not-numbers", the same for all faults of a kind.
        text: what a person reads.
        column: the column or channel, None where it is none's in particular.
        count: rows, cells or lines that have it.
        rows: the first of them, as 0-based rows of data.
    """

    kind: str
    text: str
    column: str | None = None
    count: int = 1
    rows: tuple[int, ...] = ()


class FaultsError(ClusterWhyError, ValueError):
    """Input with one or more faults, listed in one message."""

    def __init__(self, source: str, faults: Sequence[str], hint: str = "") -> None:
        self.source = source
        self.faults = tuple(faults)
        count = f"{len(faults)} fault" + ("s" if len(faults) != 1 else "")
        lines = [f"{source}: {count}", *(f"  - {fault}" for fault in faults[:SHOWN])]
        lines += [f"  - and {len(faults) - SHOWN} more"] if len(faults) > SHOWN else []
        super().__init__("\n".join([*lines, hint] if hint else lines))


class DataError(FaultsError):
    """A series that cannot be used as it is; `records` has what `faults` says, for programs."""

    def __init__(self, source: str, faults: Sequence[str | Fault], hint: str = "") -> None:
        self.records = tuple(Fault("other", fault) if isinstance(fault, str) else fault for fault in faults)
        super().__init__(source, [record.text for record in self.records], hint)


class ConfigError(FaultsError):
    """Settings that are unknown, out of range or that contradict each other."""


class LeakageError(FaultsError):
    """A split whose parts know of each other: what is measured on one would flatter."""

    def __init__(self, source: str, faults: Sequence[str], groups: Sequence[str]) -> None:
        self.groups = tuple(groups)
        super().__init__(source, faults)


class ShapeError(ClusterWhyError, ValueError):
    """An array whose axes are not the documented ones."""


class ArtifactError(ClusterWhyError, ValueError):
    """A missing or malformed artifact of an earlier stage."""


class StorageError(ClusterWhyError, OSError):
    """A file that cannot be written: no space, no right, no such disk."""


class ResourceError(ClusterWhyError, MemoryError):
    """Work that does not fit into the memory or onto the disk that is left."""


class CompositeError(ClusterWhyError, ValueError):
    """A composite or canonizer that does not fit the network."""


class MethodError(ClusterWhyError, ValueError):
    """A method of explanation that is unknown, or that asks for what a network has not."""


class TrainingError(ClusterWhyError, ArithmeticError):
    """A training that leads nowhere."""


class WorkerError(ClusterWhyError, RuntimeError):
    """Workers that died again and again, or a cluster that is not there."""


class ConceptError(ClusterWhyError, LookupError):
    """A layer or a concept that a network does not have, or conditions that no path of relevance meets."""

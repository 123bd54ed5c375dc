"""Errors that a user can meet: each states what was expected, what came, where, and how to fix it."""

from collections.abc import Sequence
from dataclasses import dataclass

# faults shown in one message; a file with 1,000 faulty channels would flood the terminal
SHOWN = 40


class ClusterWhyError(Exception):
    """Base class of every error that the project raises deliberately."""


@dataclass(frozen=True)
class Fault:
    """One fault of an input.

    Attributes:
        kind: an identifier such as "not-numbers", the same for all faults of one kind.
        text: the message.
        column: the column or channel; None if the fault concerns no single column.
        count: number of affected rows, cells or lines.
        rows: the first affected rows, counted from 0.
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
    """A series that cannot be used; `records` holds the faults as objects, `faults` as text."""

    def __init__(self, source: str, faults: Sequence[str | Fault], hint: str = "") -> None:
        self.records = tuple(Fault("other", fault) if isinstance(fault, str) else fault for fault in faults)
        super().__init__(source, [record.text for record in self.records], hint)


class ConfigError(FaultsError):
    """Settings that are unknown, out of range or contradictory."""


class LeakageError(FaultsError):
    """A split that leaks between its parts, so that test results would be too optimistic."""

    def __init__(self, source: str, faults: Sequence[str], groups: Sequence[str]) -> None:
        self.groups = tuple(groups)
        super().__init__(source, faults)


class ShapeError(ClusterWhyError, ValueError):
    """An array whose shape does not match the documented axes."""


class ArtifactError(ClusterWhyError, ValueError):
    """A missing or malformed artifact of an earlier stage."""


class StorageError(ClusterWhyError, OSError):
    """A file that cannot be written: no space, no permission, no such device."""


class ResourceError(ClusterWhyError, MemoryError):
    """Work that exceeds the available memory or disk space."""


class CompositeError(ClusterWhyError, ValueError):
    """A composite or canonizer that does not fit the network."""


class MethodError(ClusterWhyError, ValueError):
    """An unknown explanation method, or one that the network does not support."""


class TrainingError(ClusterWhyError, ArithmeticError):
    """A training that diverged or cannot proceed."""


class WorkerError(ClusterWhyError, RuntimeError):
    """Workers that died in every attempt, or a cluster that cannot be reached."""


class ConceptError(ClusterWhyError, LookupError):
    """A layer or concept that the network does not have, or conditions that no relevance path satisfies."""

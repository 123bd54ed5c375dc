"""What `annotations.yaml` holds: names and notes of clusters and of segments of time."""

from collections import Counter
from collections.abc import Iterable
from typing import Annotated, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from clusterwhy.annotations.window_times import WindowTimes
from clusterwhy.artifacts.names import name_faults
from clusterwhy.config import Settings
from clusterwhy.data.moments import Moment, Range

MOST_LETTERS, MOST_NOTE = 60, 4000


def _text(value: object) -> object:
    if isinstance(value, bool | int | float):
        raise ValueError(f'expected text, got {value!r}: put it in quotes, such as "{str(value).lower()}"')
    return value.strip() if isinstance(value, str) else value


def printable_name(name: str) -> str:
    """The name, which is shown in one line.

    Raises:
        ValueError: it is too long, or has control characters or such that turn the direction of text.
    """
    if len(name) > MOST_LETTERS:
        raise ValueError(f"{name[:20]!r}... has {len(name)} characters, more than {MOST_LETTERS}: write a note")
    if wrong := name_faults("name", [name]):
        raise ValueError(wrong)
    return name


def _printable_note(note: str) -> str:
    if len(note) > MOST_NOTE:
        raise ValueError(f"a note of {len(note)} characters, more than {MOST_NOTE}")
    parts = [line[i : i + 200] for line in note.splitlines() for i in range(0, len(line), 200)]
    if wrong := name_faults("line", parts):
        raise ValueError(wrong)
    return note


Name = Annotated[str, BeforeValidator(_text), AfterValidator(printable_name)]
Note = Annotated[str, BeforeValidator(_text), AfterValidator(_printable_note)]


class NamedCluster(Settings):
    """Name and note of a cluster.

    Attributes:
        cluster: its number when the entry was written; None for a name that no cluster has any longer.
        name: shown in place of the number.
        note: shown below the name, in lines.
        windows: when its windows were, by which it is found after a refit; without them its number decides.
    """

    cluster: int | None = Field(default=None, ge=0, strict=True)
    name: Name = ""
    note: Note = ""
    windows: tuple[WindowTimes, ...] = ()

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not (self.name or self.note):
            raise ValueError("expected a `name`, a `note`, or both")
        if self.cluster is None and not self.windows:
            raise ValueError("expected the number of a `cluster`")
        return self

    @property
    def called(self) -> str:
        """The entry, for messages."""
        return f"{self.name!r}" if self.name else f"the note on cluster {self.cluster}"


class NamedSegment(Settings):
    """Name and note of a segment of time.

    Attributes:
        start, end: its first and last moment, as in `Range`.
        recording: the recording (group) that it is in; "" for any that has these dates.
    """

    start: Moment
    end: Moment
    name: Name = ""
    note: Note = ""
    recording: Note = ""

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not (self.name or self.note):
            raise ValueError("expected a `name`, a `note`, or both")
        return self

    @property
    def range(self) -> Range:
        """When it is."""
        return Range.model_validate({"from": self.start, "to": self.end})


class Annotations(Settings):
    """The content of the file."""

    clusters: Annotated[tuple[NamedCluster, ...], BeforeValidator(lambda given: given or ())] = ()
    segments: Annotated[tuple[NamedSegment, ...], BeforeValidator(lambda given: given or ())] = ()

    @model_validator(mode="after")
    def _told_apart(self) -> Self:
        faults = []
        if twice := _twice(one.name for one in self.clusters if one.name):
            faults.append(f"names that two clusters have: {', '.join(map(repr, twice))}; give each its own")
        if again := _twice(one.cluster for one in self.clusters if not one.windows):
            faults.append(f"clusters that have two entries: {', '.join(map(str, again))}")
        if faults:
            raise ValueError("; ".join(faults))
        return self


def _twice(values: Iterable[object]) -> list[object]:
    return [value for value, count in Counter(values).items() if count > 1]

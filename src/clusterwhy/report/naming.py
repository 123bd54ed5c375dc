"""Names and notes as the scripts of the page read them, and as they are changed from a served page."""

from dataclasses import dataclass
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from clusterwhy.annotations.annotated import Annotated, Sources, annotate_from
from clusterwhy.annotations.editing import Editor
from clusterwhy.report.study_results import StudyResults

MOST_LETTERS = 10_000  # of a request; the file has closer limits


class NamingRequest(BaseModel):
    """A request of the page: a cluster, or the first and the last sample of a segment, and what is said of it."""

    model_config = ConfigDict(extra="forbid", strict=True)

    cluster: int | None = None
    segment: tuple[int, int] | None = None
    name: str = Field(max_length=MOST_LETTERS)
    note: str = Field(max_length=MOST_LETTERS)

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.cluster is None) == (self.segment is None):
            raise ValueError("expected a cluster or a segment")
        return self


@dataclass(frozen=True)
class PageNames:
    """Reads and writes the names of a served page.

    Attributes:
        study: whose page it is, with the files of names and events.
        sources: these files.
    """

    study: StudyResults
    sources: Sources

    def shown(self) -> dict[str, Any]:
        """The names as they are in the file now.

        Raises:
            DataError: lists every fault of the file.
        """
        return names_in_views(annotate_from(self.sources, self.study.known))

    def write(self, asked: NamingRequest) -> dict[str, Any]:
        """Change one name and note, and give back all of them.

        Raises:
            DataError: there is no such cluster or segment, or the name is another one's.
            StorageError: the file cannot be written.
        """
        editor, name, note = Editor(self.sources, self.study.known), asked.name.strip(), asked.note.strip()
        if asked.segment is not None:
            return names_in_views(editor.name_segment(*asked.segment, name, note))
        assert asked.cluster is not None
        return names_in_views(editor.name_cluster(asked.cluster, name, note))


def names_in_views(own: Annotated) -> dict[str, Any]:
    """`clusters`: number -> name and note; `segments`: first sample, sample after the last, name, note; `told`."""
    return {
        "clusters": {str(c): {"name": one.name, "note": one.note} for c, one in own.clusters.items()},
        "segments": [[*span, one.name, one.note] for one in own.segments for span in one.spans],
        "told": list(own.told),
    }


def events_in_views(own: Annotated) -> list[list[Any]]:
    """First sample, sample after the last, and name of each part of each event."""
    return [[*span, one.name] for one in own.events for span in one.spans]

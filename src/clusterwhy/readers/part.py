"""Which part of a recording is read, as settings: a range of time, and patterns of channels."""

from pydantic import Field

from clusterwhy.data.moments import Moment, Range
from clusterwhy.data.normal import Dataset


class Part(Dataset):
    """A dataset of which a part may be read.

    Attributes:
        from_, to: the first and the last moment that is read, as in `Range`.
        include, exclude: patterns of the names of channels that are read, and of those that are not.
    """

    from_: Moment | None = Field(default=None, alias="from")
    to: Moment | None = None
    include: list[str] = Field(default_factory=list)
    exclude: list[str] = Field(default_factory=list)

    @property
    def span(self) -> Range:
        """What is read of the recording."""
        return Range.model_validate({"from": self.from_, "to": self.to})

    @property
    def source(self) -> str:
        """Which recording it is, whatever part of it is read."""
        raise NotImplementedError

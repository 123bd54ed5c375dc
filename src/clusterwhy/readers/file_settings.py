"""Settings that all readers of users' files share: which file, which part of it, which channels."""

from pydantic import Field, field_validator

from clusterwhy.data.moments import Moment, Range
from clusterwhy.data.normal import Dataset
from clusterwhy.readers.policies import Policies


class FileSettings(Policies, Dataset):
    """Settings shared by all readers of user files.

    Attributes:
        from_, to: the first and the last moment that is read, as in `Range`.
        channels: names of the channels.
        include, exclude: patterns of the names of channels that are read, and of those that are not.
    """

    path: str
    from_: Moment | None = Field(default=None, alias="from")
    to: Moment | None = None
    include: list[str] = Field(default_factory=list)
    exclude: list[str] = Field(default_factory=list)
    units: dict[str, str] = Field(default_factory=dict)
    train_share: float = Field(default=1.0, gt=0.0, le=1.0)
    channels: list[str] | None = Field(default=None, min_length=1)

    @field_validator("channels")
    @classmethod
    def _once(cls, channels: list[str] | None) -> list[str] | None:
        if channels is not None and len(set(channels)) < len(channels):
            raise ValueError("a channel is listed twice")
        return channels

    @property
    def span(self) -> Range:
        """What is read of the recording."""
        return Range.model_validate({"from": self.from_, "to": self.to})

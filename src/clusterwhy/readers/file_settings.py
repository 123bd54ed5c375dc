"""Settings that all readers of users' files share: which file, which part of it, which channels."""

from collections.abc import Sequence
from dataclasses import replace
from os.path import expanduser
from pathlib import Path

from pydantic import Field, field_validator

from clusterwhy.data.series import Series
from clusterwhy.errors import DataError, Fault
from clusterwhy.readers.files import check_size
from clusterwhy.readers.joining import joined, read_each
from clusterwhy.readers.part import Part
from clusterwhy.readers.policies import Policies
from clusterwhy.readers.several_files import left_out, name_of_all, names_of, several


class FileSettings(Policies, Part):
    """Settings shared by all readers of user files.

    Attributes:
        path: a file, or a folder or pattern of files: each of them is a recording, and a group with its name.
        channels: names of the channels.
    """

    path: str
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
    def suffixes(self) -> Sequence[str]:
        """Of the files of a folder that are read."""
        raise NotImplementedError

    def files(self) -> list[Path]:
        """The files that are read; one that does not exist, too.

        Raises:
            DataError: a folder or pattern holds none.
        """
        return several(self.path, self.suffixes) or [Path(expanduser(self.path))]

    def unread(self, files: Sequence[Path]) -> list[str]:
        """Names of the other files of a folder, which notes tell of."""
        return left_out(self.path, files)

    def read_file(self) -> Series:
        """Read and check the one file at `path`.

        Raises:
            DataError: lists every fault of the file.
        """
        raise NotImplementedError

    def recording(self) -> Series:
        """The recording in the file, or those in all files, one after the other.

        Raises:
            DataError: lists every fault of every file, and how files differ.
        """
        files = several(self.path, self.suffixes)
        if files is None:
            return self.read_file()
        self._check(files)
        readers = {
            name: self.model_copy(update={"path": str(file)}).read_file
            for name, file in zip(names_of(files), files, strict=True)
        }
        recordings, notes = read_each(readers, self.path)
        series = joined(recordings, name_of_all(self.path), self.path, self.rate_tolerance)
        notes += [f"{name} is left out: no {' or '.join(self.suffixes)}" for name in self.unread(files)]
        train_stop = round(self.train_share * len(series.values))
        return replace(series, train_stop=train_stop, notes=(*series.notes, *notes))

    def _check(self, files: Sequence[Path]) -> None:
        """Refuse a column of groups beside several files, and files that do not fit into memory together."""
        if getattr(self, "group", None) is not None:
            text = f"{len(files)} files, each of which is a group: set `group: null`, or read one file"
            raise DataError(self.path, [Fault("two-groups", text)])
        check_size(self.path, sum(file.stat().st_size for file in files), self.memory_share)

    @property
    def source(self) -> str:
        """The file, folder or pattern."""
        return self.path

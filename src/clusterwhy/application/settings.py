"""How a study is applied to a new recording: a choice of `conf/application`."""

from typing import Literal

from pydantic import Field

from clusterwhy.config import Settings


class ApplicationSettings(Settings):
    """A choice of `conf/application`.

    Attributes:
        risk: what all but this share of the fitted windows of a cluster keep is the usual distance to their neighbours.
        reach: a new window further from fitted ones than so many usual distances belongs to no known state.
        missing_channels: channels of the study that the recording lacks are faults, or masked: at their mean, as the
            encoder has seen values that were hidden from it.
        added_channels: channels that the study does not know are faults, or left out.
    """

    risk: float = Field(default=0.01, gt=0.0, lt=0.5)
    reach: float = Field(default=1.5, ge=1.0)
    missing_channels: Literal["error", "mask"] = "error"
    added_channels: Literal["error", "leave_out"] = "error"

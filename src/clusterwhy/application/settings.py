"""How a study is applied to a new recording: a choice of `conf/application`."""

from pydantic import Field

from clusterwhy.config import Settings


class ApplicationSettings(Settings):
    """A choice of `conf/application`.

    Attributes:
        risk: share of the fitted windows of a cluster that lie further from their neighbours than what still counts as
            known. A new window that lies further belongs to no known state.
    """

    risk: float = Field(gt=0.0, lt=0.5)

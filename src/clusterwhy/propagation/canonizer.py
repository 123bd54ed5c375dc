"""The form of a network that LRP works on: choices of `conf/canonizer`."""

from typing import Literal

from clusterwhy.config import Settings

CanonizerName = Literal["auto", "zennit_sequential", "none"]


class CanonizerSettings(Settings):
    """A choice of `conf/canonizer`.

    `auto` is our canonical form; `none` and `zennit_sequential` run zennit's hooks on the network as it is, without and
    with zennit's merging of batch norms.
    """

    name: CanonizerName

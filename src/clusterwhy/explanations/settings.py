"""How windows are explained: the choices of `conf/` that make an explanation."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from clusterwhy.attribution.base import Attributor
    from clusterwhy.explanations.members import MemberSelection
    from clusterwhy.explanations.targets import TargetSettings
    from clusterwhy.propagation.canonizer import CanonizerSettings
    from clusterwhy.propagation.composites import CompositeSettings


@dataclass(frozen=True)
class ExplanationSettings:
    """One option of each group that an explanation depends on, and the seed."""

    target: "TargetSettings"
    canonizer: "CanonizerSettings"
    composite: "CompositeSettings"
    attributor: "Attributor"
    members: "MemberSelection"
    seed: int

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """The keys of a configuration that are used."""
        return tuple(field.name for field in fields(cls))

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> Self:
        """From the settings of a stage; other keys are ignored."""
        return cls(**{name: settings[name] for name in cls.names()})

"""Names in W&B: of metrics, which its tables sort and filter, and of artifacts, by study and type."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

# W&B sorts and filters by names of [a-zA-Z_][a-zA-Z0-9_]* only
INVALID = re.compile(r"[^a-zA-Z0-9_]+")
LONGEST = 120  # characters of a metric's name; W&B takes up to 300

# stage -> type of its artifact, and what its collection is called after the study's name
ARTIFACTS = {
    "prepare": ("dataset", "dataset"),
    "train": ("model", "encoder"),
    "embed": ("embeddings", "embeddings"),
    "project": ("projection", "projection"),
    "cluster": ("clusters", "clusters"),
    "score": ("scores", "scores"),
    "explain": ("explanations", "explanations"),
    "explain_windows": ("explanations", "window-explanations"),
    "evaluate": ("evaluation", "evaluation"),
    "report": ("report", "report"),
    "apply": ("application", "application"),
    "classify": ("model", "classifier"),
    "attribute": ("explanations", "classifier-explanations"),
    "rank": ("ranking", "ranking"),
    "contrast": ("explanations", "contrast"),
    "compare": ("comparison", "comparison"),
}


@dataclass(frozen=True)
class Collection:
    """Where versions of an artifact are gathered.

    Attributes:
        name: unique in a W&B project.
        type: the kind of content; a registry takes one of them, such as `model`.
    """

    name: str
    type: str

    @classmethod
    def of(cls, stage: str, *owners: str, by_hand: bool = False) -> "Collection":
        """The artifacts of a stage, named after what they belong to: the study, and of an application the recording.

        Args:
            by_hand: such a run makes no new version of the study's artifact.
        """
        kind, called = ARTIFACTS[stage]
        parts = [*owners, called, *(["adhoc"] if by_hand else [])]
        return cls(re.sub(r"[^A-Za-z0-9_.-]+", "-", "-".join(filter(None, parts)))[:128], kind)


def metric_name(text: str) -> str:
    """A name that W&B sorts and filters by: `channel_deletion_abs_relevance` for `channel_deletion.|relevance|`."""
    plain = INVALID.sub("_", re.sub(r"\|([^|]*)\|", r"abs_\1", text)).strip("_")[:LONGEST]
    return f"_{plain}" if not plain or plain[0].isdigit() else plain


def metric_names(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested metrics as a flat mapping with such names; where two are the same, the later ones are numbered."""
    found: dict[str, Any] = {}
    for path, value in _leaves(values, prefix):
        name = first = metric_name(path)
        count = 1
        while name in found:
            count += 1
            name = f"{first}_{count}"
        found[name] = value
    return found


def _leaves(values: Mapping[str, Any], prefix: str) -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for key, value in values.items():
        path = f"{prefix}.{key}" if prefix else str(key)
        found += _leaves(value, path) if isinstance(value, Mapping) else [(path, value)]
    return found

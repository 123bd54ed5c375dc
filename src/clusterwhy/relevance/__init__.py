"""Relevance of what a network computes: `from clusterwhy.relevance import explain`."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from clusterwhy.relevance.composites import COMPOSITES
    from clusterwhy.relevance.differences import explain_difference
    from clusterwhy.relevance.explaining import Relevance, lrp
    from clusterwhy.relevance.methods import explain, list_methods, method_of
    from clusterwhy.relevance.targets import ClusterMembership, Distance, EmbeddingSum, prototypes

__all__ = [
    "COMPOSITES",
    "ClusterMembership",
    "Distance",
    "EmbeddingSum",
    "Relevance",
    "explain",
    "explain_difference",
    "list_methods",
    "lrp",
    "method_of",
    "prototypes",
]
_ROOMS = ("composites", "differences", "explaining", "methods", "targets")


def __getattr__(name: str) -> Any:
    # on first use: the stages' settings live in this package and are read without torch
    if name in __all__:
        for room in _ROOMS:
            module = import_module(f"{__name__}.{room}")
            if hasattr(module, name):
                return getattr(module, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

"""Relevance of what a network computes: `from clusterwhy.relevance import explain`."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from clusterwhy.relevance.composites import COMPOSITES
    from clusterwhy.relevance.concept_tables import (
        concept_difference,
        concept_scores,
        concept_table,
        reference_windows,
    )
    from clusterwhy.relevance.concepts import concept_relevance
    from clusterwhy.relevance.differences import explain_difference
    from clusterwhy.relevance.explaining import Relevance, lrp
    from clusterwhy.relevance.layers import layer_graph, layer_names
    from clusterwhy.relevance.methods import explain, list_methods, method_of
    from clusterwhy.relevance.targets import ClusterMembership, Distance, EmbeddingSum, prototypes

__all__ = [
    "COMPOSITES",
    "ClusterMembership",
    "Distance",
    "EmbeddingSum",
    "Relevance",
    "concept_difference",
    "concept_relevance",
    "concept_scores",
    "concept_table",
    "explain",
    "explain_difference",
    "layer_graph",
    "layer_names",
    "list_methods",
    "lrp",
    "method_of",
    "prototypes",
    "reference_windows",
]
_ROOMS = ("composites", "concept_tables", "concepts", "differences", "explaining", "layers", "methods", "targets")


def __getattr__(name: str) -> Any:
    # on first use: the stages' settings live in this package and are read without torch
    if name in __all__:
        for room in _ROOMS:
            module = import_module(f"{__name__}.{room}")
            if hasattr(module, name):
                return getattr(module, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

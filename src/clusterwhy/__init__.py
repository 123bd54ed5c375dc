"""Why did these windows of a time series end up in one cluster, and why is this one anomalous?

The public names, each loaded on first use, so that `import clusterwhy` needs no torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from clusterwhy.attribution.differences import explain_difference
    from clusterwhy.attribution.frequencies import FrequencyRelevance, difference_by_frequency, relevance_by_frequency
    from clusterwhy.attribution.registry import describe_methods, explain, list_methods, method_of
    from clusterwhy.concepts.propagation import concept_relevance
    from clusterwhy.concepts.tables import concept_difference, concept_scores, concept_table, reference_windows
    from clusterwhy.explanations.target_heads import ClusterMembership, Distance, EmbeddingSum, prototypes
    from clusterwhy.plots.relevance import plot_relevance
    from clusterwhy.propagation.composites import COMPOSITES
    from clusterwhy.propagation.explainer import lrp
    from clusterwhy.propagation.layer_graph import layer_graph, layer_names
    from clusterwhy.propagation.relevance import Relevance
    from clusterwhy.study.study import Study

_MODULES = {
    "COMPOSITES": "propagation.composites",
    "ClusterMembership": "explanations.target_heads",
    "Distance": "explanations.target_heads",
    "EmbeddingSum": "explanations.target_heads",
    "FrequencyRelevance": "attribution.frequencies",
    "Relevance": "propagation.relevance",
    "Study": "study.study",
    "concept_difference": "concepts.tables",
    "concept_relevance": "concepts.propagation",
    "concept_scores": "concepts.tables",
    "concept_table": "concepts.tables",
    "describe_methods": "attribution.registry",
    "difference_by_frequency": "attribution.frequencies",
    "explain": "attribution.registry",
    "explain_difference": "attribution.differences",
    "layer_graph": "propagation.layer_graph",
    "layer_names": "propagation.layer_graph",
    "list_methods": "attribution.registry",
    "lrp": "propagation.explainer",
    "method_of": "attribution.registry",
    "plot_relevance": "plots.relevance",
    "prototypes": "explanations.target_heads",
    "reference_windows": "concepts.tables",
    "relevance_by_frequency": "attribution.frequencies",
}
__all__ = [
    "COMPOSITES",
    "ClusterMembership",
    "Distance",
    "EmbeddingSum",
    "FrequencyRelevance",
    "Relevance",
    "Study",
    "concept_difference",
    "concept_relevance",
    "concept_scores",
    "concept_table",
    "describe_methods",
    "difference_by_frequency",
    "explain",
    "explain_difference",
    "layer_graph",
    "layer_names",
    "list_methods",
    "lrp",
    "method_of",
    "plot_relevance",
    "prototypes",
    "reference_windows",
    "relevance_by_frequency",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)

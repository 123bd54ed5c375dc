"""Concept relevance propagation (CRP): the part of LRP that passes through chosen channels of a layer."""

from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

from clusterwhy.attribution.base import AttributionTask, Attributor, register_attributor
from clusterwhy.errors import MethodError
from clusterwhy.types import FloatArray

if TYPE_CHECKING:
    from clusterwhy.propagation.relevance import Relevance


@register_attributor("crp", layer=None, concepts=None)
class Crp(Attributor):
    """Concept relevance propagation (Achtibat et al. 2023) by the composite's rules; see `concept_relevance`.

    It equals LRP for all concepts of a layer that lies on every path to the output.
    """

    layer: str | None  # as `layer_names` gives them; null: the last convolution
    concepts: tuple[int, ...] | None = Field(min_length=1)  # channels of the layer; null: all of them

    def explain(self, task: AttributionTask, windows: FloatArray, seed: int) -> "Relevance":
        """Relevance of windows (window, channel, time).

        Raises:
            ConceptError: no such layer or concept.
            MethodError: another canonizer than `auto`, or no convolution to choose.
        """
        import torch

        from clusterwhy.concepts.propagation import ConceptExplainer
        from clusterwhy.propagation.layer_graph import layer_named
        from clusterwhy.propagation.relevance import Relevance

        if task.canonizer != "auto":
            raise MethodError(f"concepts need `canonizer: auto`, got {task.canonizer!r}")
        low, high = (torch.as_tensor(end) for end in task.box)
        explainer = ConceptExplainer(task.network, torch.as_tensor(windows[:2]), None, task.composite, (low, high))
        layer = self.layer
        if layer is None:
            convolutions = [name for name, traced in explainer.layers.items() if traced.layer.operation == "Conv1d"]
            if not convolutions:
                raise MethodError(
                    "concepts are channels of a Conv1d, this network has none; choose a `layer` (`layer_names`)"
                )
            layer = convolutions[-1]
        traced = layer_named(explainer.layers, layer)
        chosen = list(range(traced.layer.n_concepts)) if self.concepts is None else list(self.concepts)
        found = explainer.relevance(windows, {layer: chosen})
        facts = {**found.provenance, "layer": traced.layer.name, "concepts": chosen}
        return Relevance(found.values, found.target, np.full_like(found.target, np.nan), facts)

"""Which sums are residual additions of convolutions, the only ones that may be shared by positive parts."""

from torch.nn.modules.conv import _ConvNd

from clusterwhy.propagation.batch_norms import BatchNormAsConvolution
from clusterwhy.propagation.composites import ResidualRule, Rules
from clusterwhy.propagation.steps import Step

WITH_WEIGHTS = ("linear", "sequence", "distance")


def mark_sums(steps: list[Step]) -> None:
    """Set `of_convolutions` of the sums whose summands are convolutions or the input, at most activated or pooled."""
    for step in steps:
        if step.kind == "sum":
            step.of_convolutions = all(isinstance(layer.module, _ConvNd) for layer in _nearest_layers(step, steps))


def _nearest_layers(step: Step, steps: list[Step]) -> list[Step]:
    """The layers with weights that a step reads; scales and shifts of channels are none."""
    waiting, seen, found = list(step.inputs), set[int](), list[Step]()
    while waiting:
        i = waiting.pop()
        if i == 0 or i in seen:
            continue
        seen.add(i)
        source = steps[i - 1]
        if source.kind in WITH_WEIGHTS and not isinstance(source.module, BatchNormAsConvolution):
            found.append(source)
        elif source.kind != "shape":
            waiting += source.inputs
    return found


def residual_rule(step: Step, rules: Rules) -> ResidualRule:
    """The rule of a sum: sums of dense layers and of attention are linear parts of these, shared by contribution."""
    return rules.residual if step.of_convolutions else "norm"

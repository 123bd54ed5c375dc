"""Composites by name: zennit's, with the rule of residual sums and the box as part of the choice."""

from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import Field, model_validator

from clusterwhy.config import Settings

if TYPE_CHECKING:
    import torch
    from zennit.core import Composite

CompositeName = Literal[
    "Epsilon", "EpsilonPlus", "EpsilonPlusFlat", "EpsilonAlpha2Beta1", "EpsilonAlpha2Beta1Flat", "EpsilonGammaBox"
]


class CompositeSettings(Settings):
    """One rule per kind of layer.

    `residual` is the rule of residual sums: `norm` shares by contribution (exactly conserving),
    `norm_plus` by positive parts (localises better, stable on trained networks), `none` leaves them
    without a rule (relevance is then copied into both branches).
    """

    name: CompositeName
    epsilon: float = Field(gt=0.0)
    gamma: float | None = Field(default=None, gt=0.0)
    box: Literal["data"] | tuple[float, float] | None = None
    residual: Literal["norm", "norm_plus", "none"]
    zero_bias: bool

    @model_validator(mode="after")
    def _fits(self) -> Self:
        needs_box = self.name == "EpsilonGammaBox"
        if needs_box != (self.box is not None) or needs_box != (self.gamma is not None):
            raise ValueError("`box` and `gamma` belong to EpsilonGammaBox, which needs both")
        if needs_box and self.zero_bias:
            # zennit's sign mask of Gamma uses the biased output: relevance grows by 1e8
            raise ValueError("zero_bias cannot be combined with EpsilonGammaBox (zennit 0.5.1)")
        return self

    def build(self, low: "torch.Tensor", high: "torch.Tensor", canonizers: list[Any]) -> "Composite":
        """The zennit composite.

        Args:
            low: (1, channel, 1) smallest value of each channel; used where `box` is `data`.
            high: (1, channel, 1) greatest value of each channel.
        """
        import zennit.composites
        from zennit.composites import LayerMapComposite, layer_map_base
        from zennit.layer import Sum
        from zennit.rules import Epsilon, Norm
        from zennit.types import Linear

        rules: list[Any] = []
        if self.residual == "norm":
            rules = [(Sum, Norm(1e-9))]
        elif self.residual == "norm_plus":
            rules = [(Sum, norm_plus())]
        keys: dict[str, Any] = {"canonizers": canonizers}
        zero = ["bias"] if self.zero_bias else None
        if self.name == "Epsilon":
            layers = [*rules, (Linear, Epsilon(self.epsilon, zero_params=zero)), *layer_map_base()]
            return LayerMapComposite(layers, **keys)
        keys |= {"layer_map": rules, "epsilon": self.epsilon, "zero_params": zero}
        if self.name == "EpsilonGammaBox":
            if self.box == "data" or self.box is None:
                keys |= {"low": low, "high": high}
            else:
                keys |= {"low": low * 0 + self.box[0], "high": high * 0 + self.box[1]}
            keys["gamma"] = self.gamma
        composite: Composite = getattr(zennit.composites, self.name)(**keys)
        return composite


def norm_plus(stabilizer: float = 1e-9) -> Any:
    """A rule for sums that shares relevance by the positive parts of the summands."""
    from zennit.core import BasicHook, Stabilizer
    from zennit.rules import NoMod

    stabilise = Stabilizer.ensure(stabilizer)
    return BasicHook(
        input_modifiers=[lambda value: value.clamp(min=0)],
        param_modifiers=[NoMod()],
        output_modifiers=[lambda value: value],
        gradient_mapper=lambda grad, outputs: grad / stabilise(outputs[0]),
        reducer=lambda inputs, gradients: inputs[0] * gradients[0],
    )

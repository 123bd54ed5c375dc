"""Composites by name: zennit's, with the rule of residual sums and the box as part of the choice."""

from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import Field, model_validator

from clusterwhy.config import Settings

if TYPE_CHECKING:
    import torch
    from zennit.core import Composite

    from clusterwhy.propagation.engine import Rules
    from clusterwhy.propagation.rules import Rule

CompositeName = Literal[
    "Epsilon",
    "EpsilonPlus",
    "EpsilonPlusFlat",
    "EpsilonPlusBox",
    "EpsilonAlpha2Beta1",
    "EpsilonAlpha2Beta1Flat",
    "EpsilonGamma",
    "EpsilonGammaBox",
    "EpsilonWSquare",
]
# rule of convolutions, of layers that read the input where it differs; dense layers have epsilon
PARTS: dict[str, tuple[str, str | None]] = {
    "Epsilon": ("epsilon", None),
    "EpsilonPlus": ("z_plus", None),
    "EpsilonPlusFlat": ("z_plus", "flat"),
    "EpsilonPlusBox": ("z_plus", "box"),
    "EpsilonAlpha2Beta1": ("alpha_beta", None),
    "EpsilonAlpha2Beta1Flat": ("alpha_beta", "flat"),
    "EpsilonGamma": ("gamma", None),
    "EpsilonGammaBox": ("gamma", "box"),
    "EpsilonWSquare": ("epsilon", "w_square"),
}
ZENNITS = {name for name in PARTS if name not in ("Epsilon", "EpsilonPlusBox", "EpsilonGamma", "EpsilonWSquare")}
# zennit's default, for every rule but epsilon in dense layers
STABILIZER = 1e-6


class CompositeSettings(Settings):
    """One rule per kind of layer.

    `residual` is the rule of residual sums: `norm` shares by contribution (exactly conserving),
    `norm_plus` by positive parts (localises better, stable on trained networks), `none` leaves them
    without a rule (relevance is then copied into both branches; only with `canonizer: none`). `attention`:
    `constant` leaves attention weights without relevance, `shared` gives them half (`SequenceRule`).
    """

    name: CompositeName
    epsilon: float = Field(gt=0.0)
    gamma: float | None = Field(default=None, gt=0.0)
    box: Literal["data"] | tuple[float, float] | None = None
    residual: Literal["norm", "norm_plus", "none"]
    zero_bias: bool
    attention: Literal["constant", "shared"]

    @model_validator(mode="after")
    def _fits(self) -> Self:
        convolution, entrance = PARTS[self.name]
        if (entrance == "box") != (self.box is not None):
            raise ValueError(
                f"`box` belongs to composites with a box at the input; {self.name} has {entrance or 'none'}"
            )
        if (convolution == "gamma") != (self.gamma is not None):
            raise ValueError(f"`gamma` belongs to composites with the gamma rule, and they need it; {self.name}")
        if convolution == "gamma" and self.zero_bias:
            # the sign mask of gamma uses the biased output: relevance grows by 1e8
            raise ValueError("zero_bias cannot be combined with the gamma rule")
        return self

    def _ends(self, low: "torch.Tensor", high: "torch.Tensor") -> "tuple[torch.Tensor, torch.Tensor]":
        if self.box is None or self.box == "data":
            return low, high
        return low * 0 + self.box[0], high * 0 + self.box[1]

    def rules(self, low: "torch.Tensor", high: "torch.Tensor") -> "Rules":
        """The rules for a canonical network.

        Args:
            low: (1, channel, 1) smallest value of each channel; used where `box` is `data`.
            high: (1, channel, 1) greatest value of each channel.

        Raises:
            CompositeError: residual sums without a rule.
        """
        from clusterwhy.errors import CompositeError
        from clusterwhy.propagation.engine import Rules
        from clusterwhy.propagation.rules import Rule

        if self.residual == "none":
            raise CompositeError(
                "`residual: none` copies relevance into both branches of a residual; it exists to repeat "
                "the notebook with `canonizer: none`; choose norm or norm_plus"
            )

        def rule(name: Any) -> "Rule":
            size = self.epsilon if name == "epsilon" else STABILIZER
            ends = self._ends(low, high) if name == "box" else (None, None)
            return Rule(name, size, self.gamma or 0.0, 2.0, self.zero_bias, *ends)

        convolution, entrance = PARTS[self.name]
        return Rules(
            rule(convolution), rule("epsilon"), rule(entrance) if entrance else None, self.residual, self.attention
        )

    def zennit(self, low: "torch.Tensor", high: "torch.Tensor", canonizer: str) -> "Composite":
        """zennit's composite, for a network that is not canonical.

        Raises:
            CompositeError: zennit has none of this name.
        """
        import zennit.composites
        from zennit.canonizers import SequentialMergeBatchNorm
        from zennit.composites import LayerMapComposite, layer_map_base
        from zennit.layer import Sum
        from zennit.rules import Epsilon, Norm
        from zennit.types import Linear

        from clusterwhy.errors import CompositeError
        from clusterwhy.propagation.zennit_backend import norm_plus

        sums: list[Any] = {"norm": [(Sum, Norm(1e-9))], "norm_plus": [(Sum, norm_plus())], "none": []}[self.residual]
        zero = ["bias"] if self.zero_bias else None
        keys: dict[str, Any] = {"canonizers": [SequentialMergeBatchNorm()] if canonizer == "zennit_sequential" else []}
        if self.name == "Epsilon":
            return LayerMapComposite(
                [*sums, (Linear, Epsilon(self.epsilon, zero_params=zero)), *layer_map_base()], **keys
            )
        if self.name not in ZENNITS:
            raise CompositeError(f"zennit has no composite {self.name}: use `canonizer: auto`")
        keys |= {"layer_map": sums, "epsilon": self.epsilon, "zero_params": zero}
        if PARTS[self.name][1] == "box":
            keys["low"], keys["high"] = self._ends(low, high)
            keys["gamma"] = self.gamma
        composite: Composite = getattr(zennit.composites, self.name)(**keys)
        return composite


def _made(name: CompositeName, **values: Any) -> CompositeSettings:
    settings = {"epsilon": 1e-6, "gamma": None, "box": None, "residual": "norm_plus"}
    settings |= {"zero_bias": False, "attention": "constant"}
    return CompositeSettings.model_validate({"name": name} | settings | values)


# by name, for use without the pipeline; conf/composite holds the same (tests/contract/test_config.py)
COMPOSITES = {
    "epsilon": _made("Epsilon"),
    "epsilon_without_bias": _made("Epsilon", zero_bias=True),
    "epsilon_plus": _made("EpsilonPlus"),
    "epsilon_plus_norm": _made("EpsilonPlus", residual="norm"),
    "epsilon_plus_flat": _made("EpsilonPlusFlat"),
    "epsilon_plus_box": _made("EpsilonPlusBox", box="data"),
    "epsilon_alpha2_beta1": _made("EpsilonAlpha2Beta1"),
    "epsilon_alpha2_beta1_flat": _made("EpsilonAlpha2Beta1Flat"),
    "epsilon_gamma": _made("EpsilonGamma", gamma=0.25),
    "epsilon_gamma_box": _made("EpsilonGammaBox", gamma=0.25, box="data"),
    "epsilon_w_square": _made("EpsilonWSquare"),
}


def settings_of(composite: str | CompositeSettings) -> CompositeSettings:
    """A composite by its name, or as it is given.

    Raises:
        CompositeError: no composite of this name, or one of zennit, whose rules the engine does not know.
    """
    from clusterwhy.errors import CompositeError

    if isinstance(composite, CompositeSettings):
        return composite
    if composite not in COMPOSITES:
        raise CompositeError(f"no composite {composite!r}; there are {', '.join(sorted(COMPOSITES))}")
    return COMPOSITES[composite]

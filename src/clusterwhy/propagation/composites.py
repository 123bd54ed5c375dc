"""Composites: which rule each kind of layer has, with the parameters of the rules. Needs no torch."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from clusterwhy.config import Settings
from clusterwhy.errors import CompositeError
from clusterwhy.propagation.canonizer import CanonizerName

if TYPE_CHECKING:
    import torch

# rule of a linear layer -> its parameters, fields of `CompositeSettings`; `rules` computes them
RULES: dict[str, tuple[str, ...]] = {
    "epsilon": ("epsilon",),
    "z_plus": (),
    "alpha_beta": ("alpha",),
    "gamma": ("gamma",),
    "flat": (),
    "w_square": (),
    "box": ("box",),
    "sign": ("threshold",),
}
# rules of the first layer only, and what of the input they need
OF_THE_INPUT = {"box": "the range", "sign": "the sign"}
# of every rule but epsilon; zennit's default
STABILIZER = 1e-6
# `name` of composites in version 0.1 -> rule of convolutions, of the first layer; dense layers had epsilon
NAMES_OF_0_1 = {
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

ResidualRule = Literal["norm", "norm_plus", "none"]
AttentionRule = Literal["constant", "shared"]


@dataclass(frozen=True)
class Rule:
    """How a linear layer shares relevance among its inputs (Montavon et al. 2019, table 1).

    Attributes:
        name: a key of `RULES`.
        stabilizer: added to denominators with their sign.
        gamma: weight of positive (negative) parts in `gamma`.
        alpha: weight of positive contributions in `alpha_beta`; negative ones have alpha - 1.
        zero_bias: leave the bias out of denominators, so that it absorbs nothing.
        low: (1, channel, 1) lower end of the box; the threshold of `sign`.
        high: (1, channel, 1) upper end of the box; the threshold of `sign`.
        present: (1, ...) where the values that a layer reads come from the input, and not from padding; None
            everywhere.
    """

    name: str
    stabilizer: float
    gamma: float = 0.0
    alpha: float = 2.0
    zero_bias: bool = False
    low: "torch.Tensor | None" = field(default=None, compare=False)
    high: "torch.Tensor | None" = field(default=None, compare=False)
    present: "torch.Tensor | None" = field(default=None, compare=False)


@dataclass(frozen=True)
class SequenceRule:
    """How LSTM and attention share relevance.

    Attributes:
        stabilizer: added to the outputs of the layer with their sign, where relevance is divided by them.
        zero_bias: leave biases out, so that they absorb nothing.
        attention: `constant`, attention weights take no relevance (Ali et al. 2022), or `shared`, half of it
            passes through them to queries and keys (AttnLRP, Achtibat et al. 2024).
    """

    stabilizer: float
    zero_bias: bool
    attention: AttentionRule


@dataclass(frozen=True)
class Rules:
    """A composite for a given input range: which rule each kind of layer has.

    Attributes:
        convolution: of convolutions.
        dense: of fully connected layers.
        first_layer: of convolutions that read the network's input, where it differs.
        residual: `norm` shares sums by contribution, `norm_plus` by positive parts.
        attention: whether attention weights take relevance (`SequenceRule`).
    """

    convolution: Rule
    dense: Rule
    first_layer: Rule | None
    residual: ResidualRule
    attention: AttentionRule

    @property
    def sequence(self) -> SequenceRule:
        """The rule of LSTM and attention; their linear parts are dense layers."""
        return SequenceRule(self.dense.stabilizer, self.dense.zero_bias, self.attention)


def _known(rule: str) -> str:
    if rule not in RULES:
        raise ValueError(f"no rule {rule!r}; there are {', '.join(RULES)}")
    return rule


def _known_inside(rule: str) -> str:
    if rule in OF_THE_INPUT:
        raise ValueError(f"the rule {rule} needs {OF_THE_INPUT[rule]} of the input, so only `first_layer` can have it")
    return _known(rule)


RuleOfInput = Annotated[str, AfterValidator(_known)]
RuleName = Annotated[str, AfterValidator(_known_inside)]


class CompositeSettings(Settings):
    """A choice of `conf/composite`: one rule per kind of layer.

    `convolution`, `first_layer` (convolutions that read the input; null: as the others) and `dense` are keys of
    `RULES`. A parameter must be given if one of them has it, and only then; layers with the same rule share it.

    `residual` is the rule of sums and differences of two values, such as residual additions: `norm` shares by
    contribution, which is epsilon and loses nothing; `norm_plus` by positive parts (localises better with z-plus,
    alpha-beta and gamma, and is stable on trained networks, but loses what arrives at a sum without a positive
    part); `none` leaves them without a rule (relevance is then copied into both branches; only with
    `canonizer: none`). `norm_plus` is for sums of convolutions: sums with a dense layer or attention among the parts,
    and of values without time, are linear parts of dense layers and always shared by contribution. `attention`:
    `constant` leaves attention weights without relevance, `shared` gives them half (`SequenceRule`).
    """

    convolution: RuleName
    first_layer: RuleOfInput | None
    dense: RuleName
    residual: ResidualRule
    attention: AttentionRule
    zero_bias: bool
    epsilon: float | None = Field(default=None, gt=0.0)
    alpha: float | None = Field(default=None, ge=1.0)  # beta is alpha - 1
    gamma: float | None = Field(default=None, gt=0.0)
    box: Literal["data"] | tuple[float, float] | None = None
    threshold: float | None = None  # of `sign`, in units of the windows

    @model_validator(mode="before")
    @classmethod
    def _from_name(cls, values: Any) -> Any:
        """The rules in place of the `name` of version 0.1, which users' files may hold."""
        if not isinstance(values, Mapping) or "name" not in values or "convolution" in values:
            return values
        rest = {key: value for key, value in values.items() if key != "name"}
        if values["name"] not in NAMES_OF_0_1:
            raise ValueError(
                f"`name: {values['name']}` is unknown; write which rule each kind of layer has, as `convolution`, "
                f"`first_layer` and `dense` (rules: {', '.join(RULES)})"
            )
        convolution, first_layer = NAMES_OF_0_1[values["name"]]
        made: dict[str, Any] = {"convolution": convolution, "first_layer": first_layer, "dense": "epsilon"}
        return made | ({"alpha": 2.0} if convolution == "alpha_beta" else {}) | rest

    @model_validator(mode="after")
    def _parameters_fit(self) -> Self:
        layers = {"convolution": self.convolution, "first_layer": self.first_layer, "dense": self.dense}
        needed = [(layer, rule, parameter) for layer, rule in layers.items() if rule for parameter in RULES[rule]]
        faults = [
            f"`{parameter}` is missing: the rule {rule} of {layer} needs it"
            for layer, rule, parameter in needed
            if getattr(self, parameter) is None
        ]
        for parameter in {parameter for parameters in RULES.values() for parameter in parameters}:
            if getattr(self, parameter) is not None and parameter not in [name for _, _, name in needed]:
                faults.append(f"`{parameter}` is given, but no layer has a rule with it: remove it")
        if "gamma" in layers.values() and self.zero_bias:
            # the sign mask of gamma uses the biased output: relevance grows by 1e8
            faults.append("zero_bias cannot be combined with the rule gamma")
        if faults:
            raise ValueError("; ".join(sorted(faults)))
        return self

    def rules(self, low: "torch.Tensor", high: "torch.Tensor", canonizer: CanonizerName = "auto") -> Rules:
        """The rules for inputs of a given range.

        Args:
            low: (1, channel, 1) smallest value of each channel; used where `box` is `data`.
            high: (1, channel, 1) greatest value of each channel.
            canonizer: the form of the network that they are for.

        Raises:
            CompositeError: residual sums without a rule in a canonical network.
        """
        if self.residual == "none" and canonizer == "auto":
            raise CompositeError(
                "`residual: none` copies relevance into both branches of a residual; it exists to repeat "
                "the notebook with `canonizer: none`; choose norm or norm_plus"
            )
        if self.box is not None and self.box != "data":
            low, high = low * 0 + self.box[0], high * 0 + self.box[1]

        threshold = low * 0 + (self.threshold or 0.0)

        def rule(name: str) -> Rule:
            size = STABILIZER if self.epsilon is None or name != "epsilon" else self.epsilon
            ends = {"box": (low, high), "sign": (threshold, threshold)}.get(name, (None, None))
            return Rule(name, size, self.gamma or 0.0, self.alpha or 1.0, self.zero_bias, *ends)

        first = None if self.first_layer is None else rule(self.first_layer)
        return Rules(rule(self.convolution), rule(self.dense), first, self.residual, self.attention)


def _composite(convolution: str, first_layer: str | None = None, **values: Any) -> CompositeSettings:
    residual = "norm" if convolution == "epsilon" else "norm_plus"
    settings = {"dense": "epsilon", "residual": residual, "attention": "constant", "zero_bias": False} | values
    if "epsilon" in (convolution, settings["dense"]):
        settings["epsilon"] = 1e-6
    return CompositeSettings.model_validate(settings | {"convolution": convolution, "first_layer": first_layer})


# epsilon shares sums in proportion to contributions, the others by positive parts unless `norm` is in the name;
# by name, for use without the pipeline; conf/composite holds the same values (tests/contract/test_config.py)
COMPOSITES = {
    "epsilon": _composite("epsilon"),
    "epsilon_without_bias": _composite("epsilon", zero_bias=True),
    "epsilon_plus": _composite("z_plus"),
    "epsilon_plus_norm": _composite("z_plus", residual="norm"),
    "epsilon_plus_flat": _composite("z_plus", "flat"),
    "epsilon_plus_box": _composite("z_plus", "box", box="data"),
    "epsilon_alpha2_beta1": _composite("alpha_beta", alpha=2.0),
    "epsilon_alpha2_beta1_flat": _composite("alpha_beta", "flat", alpha=2.0),
    "epsilon_gamma": _composite("gamma", gamma=0.25),
    "epsilon_gamma_box": _composite("gamma", "box", gamma=0.25, box="data"),
    "epsilon_w_square": _composite("epsilon", "w_square"),
    "epsilon_sign": _composite("epsilon", "sign", threshold=0.0),
    "epsilon_plus_sign": _composite("z_plus", "sign", threshold=0.0),
    "deep_taylor": _composite("z_plus", "w_square", dense="z_plus", zero_bias=True),
}


def settings_of(composite: str | CompositeSettings) -> CompositeSettings:
    """A composite by its name, or as it is given.

    Raises:
        CompositeError: no composite of this name.
    """
    if isinstance(composite, CompositeSettings):
        return composite
    if composite not in COMPOSITES:
        raise CompositeError(f"no composite {composite!r}; there are {', '.join(sorted(COMPOSITES))}")
    return COMPOSITES[composite]

"""The same rules by zennit's hooks on the canonical network: the reference that the engine must equal."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from zennit.canonizers import SequentialMergeBatchNorm
from zennit.composites import LayerMapComposite, SpecialFirstLayerMapComposite, layer_map_base
from zennit.core import BasicHook, Composite, Hook, Stabilizer
from zennit.layer import Sum as ZennitSum
from zennit.rules import AlphaBeta, Epsilon, Flat, Gamma, NoMod, Norm, Pass, WSquare, ZBox, ZPlus
from zennit.types import Convolution, Linear

from clusterwhy.errors import CompositeError
from clusterwhy.propagation.canonizer import CanonizerName
from clusterwhy.propagation.composites import Rule, Rules
from clusterwhy.propagation.entrances import rules_of_entrances
from clusterwhy.propagation.fixed_rules import NORM_STABILIZER
from clusterwhy.propagation.head_layers import RootedLinear, SquaredDistances, Sum
from clusterwhy.propagation.operations import Addition
from clusterwhy.propagation.per_window import difference
from clusterwhy.propagation.residual_sums import residual_rule
from clusterwhy.propagation.rules import rule_of, stabilize
from clusterwhy.propagation.signs import sign_of
from clusterwhy.propagation.steps import Canonical, Step

# of outputs with hooks, as a share of their greatest size; merged batch norms round otherwise
GREATEST_DIFFERENCE = 1e-3


def norm_plus(stabilizer: float = NORM_STABILIZER) -> BasicHook:
    """A rule for sums that shares relevance by the positive parts of the summands; values without time as they are."""
    stabilise = Stabilizer.ensure(stabilizer)
    return BasicHook(
        # summands are stacked along an axis of their own
        input_modifiers=[lambda value: value.clamp(min=0) if value.ndim > 3 else value],
        param_modifiers=[NoMod()],
        output_modifiers=[lambda value: value],
        gradient_mapper=lambda grad, outputs: grad / stabilise(outputs[0]),
        reducer=lambda inputs, gradients: inputs[0] * gradients[0],
    )


def _hook(kind: type[Hook], rule: Rule, **parameters: Any) -> Hook:
    if kind is not Epsilon:  # whose epsilon is the stabiliser
        parameters["stabilizer"] = rule.stabilizer
    return kind(zero_params=["bias"] if rule.zero_bias else None, **parameters)


def sign(rule: Rule) -> BasicHook:
    """Epsilon with the sign of x - threshold in place of x (SIGN; Gumpfer et al. 2023)."""
    hook: BasicHook = _hook(Epsilon, rule, epsilon=rule.stabilizer)
    hook.reducer = lambda inputs, gradients: sign_of(inputs[0], _threshold(rule).to(inputs[0])) * gradients[0]
    return hook


def _threshold(rule: Rule) -> torch.Tensor:
    if rule.low is None:
        raise CompositeError("the rule sign needs `low`, the threshold")
    return rule.low


# of each rule of `composites.RULES`
HOOKS: dict[str, Callable[[Rule], Hook]] = {
    "epsilon": lambda rule: _hook(Epsilon, rule, epsilon=rule.stabilizer),
    "z_plus": lambda rule: _hook(ZPlus, rule),
    "alpha_beta": lambda rule: _hook(AlphaBeta, rule, alpha=rule.alpha, beta=rule.alpha - 1.0),
    "gamma": lambda rule: _hook(Gamma, rule, gamma=rule.gamma),
    "flat": lambda rule: _hook(Flat, rule),
    "w_square": lambda rule: _hook(WSquare, rule),
    "box": lambda rule: _hook(ZBox, rule, low=rule.low, high=rule.high),
    "sign": sign,
}


def zennit_rule(rule: Rule) -> Hook:
    """zennit's hook for a rule of ours; one that shares evenly sees 0 instead of 1 where padding is."""
    hook, present = HOOKS[rule.name](rule), rule.present
    if present is not None and isinstance(hook, BasicHook):
        hook.input_modifiers = [lambda value: present.to(value).expand_as(value)]
        hook.reducer = lambda inputs, gradients: inputs[0] * gradients[0]
    return hook


class Rooted(Hook):
    """Epsilon with contributions that count from the root points of a `RootedLinear`."""

    def __init__(self, epsilon: float) -> None:
        super().__init__()
        self.epsilon = epsilon

    def forward(self, module: Any, input: Any, output: torch.Tensor) -> None:
        """Keep what went through."""
        self.stored_tensors["input"], self.stored_tensors["output"] = input[0], output

    def backward(self, module: Any, grad_input: Any, grad_output: Any) -> Any:
        """w_ji (x_i - root_ji) / z_j of each output's relevance."""
        x, z = self.stored_tensors["input"], self.stored_tensors["output"]
        s = grad_output[0] / stabilize(z, self.epsilon)
        return (x * (s @ module.weight) - s @ (module.weight * module.root),)

    def copy(self) -> "Rooted":
        """A hook with the same epsilon and nothing stored."""
        return Rooted(self.epsilon)


class Distances(Hook):
    """Relevance of squared distances by their parts."""

    def forward(self, module: Any, input: Any, output: torch.Tensor) -> None:
        """Keep what went through."""
        self.stored_tensors["input"], self.stored_tensors["output"] = input[0], output

    def backward(self, module: Any, grad_input: Any, grad_output: Any) -> Any:
        """(x_i - p_ki) ** 2 / d_k of each distance's relevance."""
        x, distances = self.stored_tensors["input"], self.stored_tensors["output"]
        s = grad_output[0] / stabilize(distances, NORM_STABILIZER)
        return ((s[:, :, None] * (x[:, None] - module.points[None]) ** 2).sum(dim=1),)


def zennit_composite(canonical: Canonical, rules: Rules) -> Composite:
    """A zennit composite that gives each step of a canonical network its rule."""
    hooks: dict[nn.Module, Hook] = {}
    entrances: dict[int, Rule] = {}
    if rules.first_layer is not None:
        if canonical.window_shape is None:
            raise CompositeError("rules of the first layer need a network canonized with windows: call `canonize`")
        entrances = rules_of_entrances(canonical, rules, canonical.window_shape)
    for n, step in enumerate(canonical.steps):
        if step.before_entrances and entrances:
            hooks[step.module] = Pass()
        else:
            hooks |= _hooks(step, rules, entrances.get(n))
    return Composite(module_map=lambda context, name, module: hooks.get(module))


def layer_map_composite(rules: Rules, canonizer: CanonizerName) -> Composite:
    """A zennit composite that gives each type of layer its rule, for a network that is not canonical."""
    sums: list[Any] = {"norm": [(ZennitSum, Norm(1e-9))], "norm_plus": [(ZennitSum, norm_plus())], "none": []}[
        rules.residual
    ]
    layers = [(Convolution, zennit_rule(rules.convolution)), (nn.Linear, zennit_rule(rules.dense))]
    layer_map = [*sums, *layer_map_base(), *layers]
    canonizers = [SequentialMergeBatchNorm()] if canonizer == "zennit_sequential" else []
    if rules.first_layer is None:
        return LayerMapComposite(layer_map, canonizers=canonizers)
    types = _types_of_first_layer(rules.first_layer)
    return SpecialFirstLayerMapComposite(layer_map, [(types, zennit_rule(rules.first_layer))], canonizers=canonizers)


def _types_of_first_layer(rule: Rule) -> Any:
    # as in zennit's own composites: dense layers do not read the channels that a box or a threshold is given for
    return Convolution if rule.low is not None else Linear


def check_first_layer(network: nn.Module, windows: torch.Tensor, rules: Rules) -> None:
    """Whether zennit, which gives the rule of the first layer to the one registered first, gives it to the right one.

    Raises:
        CompositeError: the network has no such layer, calls another one first, or it does not read the windows that a
            box or a sign is of.
    """
    rule = rules.first_layer
    if rule is None:
        return
    layers = [module for module in network.modules() if isinstance(module, _types_of_first_layer(rule))]
    calls: list[tuple[nn.Module, Any]] = []
    handles = [layer.register_forward_pre_hook(lambda m, given: calls.append((m, given[0]))) for layer in layers]
    try:
        with torch.no_grad():
            network(windows)
    finally:
        for handle in handles:
            handle.remove()
    fault = None
    if not calls:
        fault = "the network has no such layer"
    elif calls[0][0] is not layers[0]:
        fault = "the network calls another one before it"
    elif rule.low is not None and not (calls[0][1].shape == windows.shape and torch.equal(calls[0][1], windows)):
        fault = f"it reads other values than the windows that the {rule.name} is of"
    if fault is not None:
        kind = "convolution" if rule.low is not None else "linear layer"
        raise CompositeError(
            f"without our canonizer the rule {rule.name} is for the {kind} that is registered first, but {fault}: "
            "choose `canonizer: auto`, which finds the layers that read the input, or a composite without `first_layer`"
        )


def _hooks(step: Step, rules: Rules, own: Rule | None) -> dict[nn.Module, Hook]:
    if isinstance(step.module, RootedLinear):
        return {step.module: Rooted(rule_of(step, rules).stabilizer)}
    if isinstance(step.module, SquaredDistances):
        return {step.module: Distances()}
    if step.kind in ("sequence", "mixed"):
        raise CompositeError(
            f"{step.name}: zennit has no rule for LSTM and attention, normalisers and products of signals; use "
            "engine='fused'"
        )
    if step.kind == "linear":
        return {step.module: zennit_rule(own or rule_of(step, rules))}
    if step.kind == "norm":
        return {step.module: Norm(NORM_STABILIZER)}
    if step.kind == "pass":
        return {step.module: Pass()}
    if isinstance(step.module, Addition):
        by_positive_parts = residual_rule(step, rules) == "norm_plus"
        return {step.module.sum: norm_plus() if by_positive_parts else Norm(NORM_STABILIZER)}
    return {}


def zennit_relevance(
    canonical: nn.Module, composite: Composite, windows: torch.Tensor, seed: torch.Tensor
) -> torch.Tensor:
    """(window, channel, time) relevance by zennit; `seed` is the relevance of the output.

    Args:
        canonical: a network of our own or a copy: its sums become zennit's, which composites of zennit have a rule for.

    Raises:
        CompositeError: with hooks the network gives another output than without.
    """
    with torch.no_grad():
        plain = canonical(windows.clone())
    for module in canonical.modules():
        if isinstance(module, Sum):
            # the two classes differ in name alone
            module.__class__ = ZennitSum
    with composite.context(canonical) as hooked:
        inputs = windows.detach().clone().requires_grad_()
        output = hooked(inputs.clone())  # which the network may overwrite
        if difference(plain, output.detach()) > GREATEST_DIFFERENCE:
            raise CompositeError(
                "with zennit's hooks the network gives another output: it ignores what a module with `inplace=True` "
                "returns, and hooks give modules copies; write `x = self.relu(x)`, or choose `canonizer: auto`"
            )
        (found,) = torch.autograd.grad(output, inputs, seed)
    return found.detach()

"""The same rules by zennit's hooks on the canonical network: the reference that the engine must equal."""

from typing import Any

import torch
from torch import nn
from zennit.core import BasicHook, Composite, Hook, Stabilizer
from zennit.rules import AlphaBeta, Epsilon, Flat, Gamma, NoMod, Norm, Pass, WSquare, ZBox, ZPlus

from clusterwhy.errors import CompositeError
from clusterwhy.propagation.canonical import Addition, Canonical, Step
from clusterwhy.propagation.engine import NORM_STABILIZER, Rules
from clusterwhy.propagation.head_layers import RootedLinear, SquaredDistances
from clusterwhy.propagation.rules import Rule, stabilize


def norm_plus(stabilizer: float = NORM_STABILIZER) -> BasicHook:
    """A rule for sums that shares relevance by the positive parts of the summands."""
    stabilise = Stabilizer.ensure(stabilizer)
    return BasicHook(
        input_modifiers=[lambda value: value.clamp(min=0)],
        param_modifiers=[NoMod()],
        output_modifiers=[lambda value: value],
        gradient_mapper=lambda grad, outputs: grad / stabilise(outputs[0]),
        reducer=lambda inputs, gradients: inputs[0] * gradients[0],
    )


def zennit_rule(rule: Rule) -> Hook:
    """zennit's hook for a rule of ours."""
    keys: dict[str, Any] = {"stabilizer": rule.stabilizer, "zero_params": ["bias"] if rule.zero_bias else None}
    if rule.name == "epsilon":
        return Epsilon(rule.stabilizer, zero_params=keys["zero_params"])
    if rule.name == "alpha_beta":
        return AlphaBeta(alpha=rule.alpha, beta=rule.alpha - 1.0, **keys)
    if rule.name == "gamma":
        return Gamma(gamma=rule.gamma, **keys)
    if rule.name == "box":
        return ZBox(low=rule.low, high=rule.high, **keys)
    return {"z_plus": ZPlus, "flat": Flat, "w_square": WSquare}[rule.name](**keys)


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
    for step in canonical.steps:
        hooks |= _hooks(step, rules)
    return Composite(module_map=lambda context, name, module: hooks.get(module))


def _hooks(step: Step, rules: Rules) -> dict[nn.Module, Hook]:
    if isinstance(step.module, RootedLinear):
        return {step.module: Rooted(rules.of(step).stabilizer)}
    if isinstance(step.module, SquaredDistances):
        return {step.module: Distances()}
    if step.kind == "sequence":
        raise CompositeError(f"{step.name}: zennit has no rule for LSTM and attention; use engine='fused'")
    if step.kind == "linear":
        return {step.module: zennit_rule(rules.of(step))}
    if step.kind == "norm":
        return {step.module: Norm(NORM_STABILIZER)}
    if step.kind == "pass":
        return {step.module: Pass()}
    if isinstance(step.module, Addition):
        return {step.module.sum: norm_plus() if rules.residual == "norm_plus" else Norm(NORM_STABILIZER)}
    return {}


def zennit_relevance(
    canonical: nn.Module, composite: Composite, windows: torch.Tensor, seed: torch.Tensor
) -> torch.Tensor:
    """(window, channel, time) relevance by zennit; `seed` is the relevance of the output."""
    with composite.context(canonical) as hooked:
        inputs = windows.detach().clone().requires_grad_()
        (found,) = torch.autograd.grad(hooked(inputs), inputs, seed)
    return found.detach()

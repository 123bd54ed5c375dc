"""Batch norms of a traced network: folded into the linear layers before them, or as convolutions of their own."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import fx, nn

from clusterwhy.errors import CompositeError
from clusterwhy.propagation.head_layers import RootedLinear
from clusterwhy.propagation.operations import CONCATENATE_CALLS
from clusterwhy.propagation.steps import Step

Weights = tuple[torch.Tensor, torch.Tensor | None]


class BatchNormAsConvolution(nn.Conv1d):
    """Scale and shift of each channel, for (window, channel) as for (window, channel, time)."""

    def __init__(self, norm: nn.BatchNorm1d, name: str) -> None:
        scale, shift = _scale_and_shift(norm, name)
        super().__init__(len(scale), len(scale), 1, groups=len(scale), device="meta")
        self.weight = nn.Parameter(scale[:, None, None].clone(), requires_grad=False)
        self.bias = nn.Parameter(shift.clone(), requires_grad=False)

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        return super().forward(input) if input.ndim == 3 else super().forward(input[:, :, None])[:, :, 0]


class BatchNormAsPlaneConvolution(nn.Conv2d):
    """Scale and shift of each map, for (window, map, height, time)."""

    def __init__(self, norm: nn.BatchNorm2d, name: str) -> None:
        scale, shift = _scale_and_shift(norm, name)
        super().__init__(len(scale), len(scale), 1, groups=len(scale), device="meta")
        self.weight = nn.Parameter(scale[:, None, None, None].clone(), requires_grad=False)
        self.bias = nn.Parameter(shift.clone(), requires_grad=False)


SCALES_AND_SHIFTS = (BatchNormAsConvolution, BatchNormAsPlaneConvolution)


class FoldedBatchNorms:
    """Batch norms whose inputs are linear layers that nothing else reads, alone or concatenated.

    Attributes:
        parts: batch norm -> the linear layers that it is folded into.
        notes: one sentence per batch norm.

    Args:
        network: of the graph.
        graph: traced.
        modules: of the network by their names.
        example: (window, channel, time).
    """

    def __init__(
        self, network: nn.Module, graph: fx.Graph, modules: Mapping[str, nn.Module], example: torch.Tensor
    ) -> None:
        self.modules = modules
        self.n_axes = _AxesOfDense(network, graph, example).found
        self.parts: dict[fx.Node, list[fx.Node]] = {}
        self.notes: list[str] = []
        for node in graph.nodes:
            if node.op == "call_module" and isinstance(modules[node.target], nn.BatchNorm1d | nn.BatchNorm2d):
                parts = self._linear_layers(node.args[0])
                if parts:
                    self.parts[node] = parts
                    names = ", ".join(str(part.target) for part in parts)
                    self.notes.append(f"{node.target}: batch norm folded into {names}")

    def _linear_layers(self, source: Any) -> list[fx.Node]:
        """The linear layers whose outputs a batch norm reads; none where it cannot be folded."""
        parts = [source]
        if source.op == "call_function" and source.target in CONCATENATE_CALLS and len(source.users) == 1:
            along = source.kwargs.get("dim", source.args[1] if len(source.args) > 1 else 0)
            parts = list(source.args[0]) if along in (1, -2) else []
        return parts if all(self._is_linear(part) and len(part.users) == 1 for part in parts) else []

    def _is_linear(self, node: fx.Node) -> bool:
        module = self.modules.get(str(node.target)) if node.op == "call_module" else None
        if isinstance(module, nn.Linear):
            # of (window, channel, feature) a batch norm scales channels, which are no outputs of the dense layer
            return not isinstance(module, RootedLinear) and self.n_axes[node] == 2
        return isinstance(module, nn.Conv1d | nn.Conv2d)

    def weights(self, node: fx.Node, module: nn.Conv1d | nn.Conv2d | nn.Linear) -> Weights:
        """Weight and bias of a linear layer with the batch norm behind it."""
        weight, bias = module.weight.detach(), None if module.bias is None else module.bias.detach()
        for norm, parts in self.parts.items():
            if node in parts:
                scale, shift = _scale_and_shift(self.modules[str(norm.target)], str(norm.target))
                widths = [len(self.modules[str(part.target)].weight) for part in parts]  # type: ignore[arg-type]
                first = sum(widths[: parts.index(node)])
                part = slice(first, first + len(weight))
                bias = shift[part] if bias is None else bias * scale[part] + shift[part]
                weight = weight * scale[part].reshape(-1, *[1] * (weight.ndim - 1))
        return weight, bias


class _AxesOfDense(fx.Interpreter):
    """How many axes the outputs of dense layers have before a batch norm; runs the network only if there are such."""

    def __init__(self, network: nn.Module, graph: fx.Graph, example: torch.Tensor) -> None:
        super().__init__(network, graph=graph)
        self.found: dict[fx.Node, int] = {}
        kinds = {node: type(self.submodules[node.target]) for node in graph.nodes if node.op == "call_module"}
        if nn.Linear in kinds.values() and nn.BatchNorm1d in kinds.values():
            try:
                self.run(example.clone())
            except RuntimeError as error:
                raise CompositeError(f"the traced form of {type(network).__name__} does not run: {error}") from error

    def run_node(self, n: fx.Node) -> Any:
        result = super().run_node(n)
        self.found[n] = result.ndim if isinstance(result, torch.Tensor) else 0
        return result


def has_shift(step: Step | None) -> bool:
    """Whether a step is a batch norm of its own whose shift has not been moved."""
    return step is not None and isinstance(step.module, BatchNormAsConvolution) and step.module.bias is not None


def move_shift(norm: Step, layers: Sequence[Step | None]) -> bool:
    """Move the shift of a batch norm into the biases of convolutions whose concatenated output is added to it.

    A shift has no input to share relevance with: where the normalised value is 0, all that a sum
    gives it would be lost, even by rules that leave biases out.

    Returns:
        Whether it was moved; it stays where a layer is no convolution.
    """
    convolutions: list[Any] = [layer.module for layer in layers if layer is not None and layer.kind == "linear"]
    if len(convolutions) < len(layers) or not all(isinstance(module, nn.Conv1d) for module in convolutions):
        return False
    source: Any = norm.module
    shift, first = source.bias.data, 0
    for module in convolutions:
        part = shift[first : first + module.out_channels]
        first += len(part)
        bias = part if module.bias is None else module.bias.data + part
        module.bias = nn.Parameter(bias.clone(), requires_grad=False)
    source.bias = None
    return True


def _scale_and_shift(norm: Any, name: str) -> tuple[torch.Tensor, torch.Tensor]:
    if norm.running_mean is None or norm.running_var is None:
        raise CompositeError(f"{name}: a batch norm without running statistics depends on the other windows of a batch")
    scale = (norm.running_var + norm.eps).rsqrt()
    shift = -norm.running_mean * scale
    if norm.affine:
        scale, shift = scale * norm.weight.detach(), shift * norm.weight.detach() + norm.bias.detach()
    return scale, shift

"""Canonical forms: rewrite a network into an equivalent one that LRP rules can handle, and back.

ATTRIBUTION: in tsai's InceptionTimePlus a batch norm follows the concatenation of several
convolutions, and one shared `Add` module serves all residuals; zennit's own canonizer merges one of
eight batch norms and knows nothing of the additions.
"""

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import nn
from tsai.models.InceptionTimePlus import InceptionBlockPlus, InceptionModulePlus
from tsai.models.layers import ConvBlock
from zennit.canonizers import AttributeCanonizer, Canonizer, SequentialMergeBatchNorm
from zennit.layer import Sum

from clusterwhy.errors import CompositeError

CanonizerName = Literal["inception_time", "zennit_sequential", "none"]


class FoldBatchNorm(Canonizer):
    """Fold one batch norm into the convolutions whose concatenated outputs it normalises."""

    convolutions: list[nn.Conv1d]

    def register(self, convolutions: Sequence[nn.Conv1d], norm: nn.BatchNorm1d) -> None:
        """Fold; the batch norm becomes the identity until `remove`."""
        self.convolutions = list(convolutions)
        self.saved = [(layer.weight, layer.bias) for layer in self.convolutions]
        self.norm, self.norm_forward = norm, norm.__dict__.get("forward")
        assert norm.running_var is not None and norm.running_mean is not None
        with torch.no_grad():
            scale = (norm.running_var + norm.eps).rsqrt() * norm.weight
            shift = norm.bias - norm.running_mean * scale
            first = 0
            for layer in self.convolutions:
                part = slice(first, first + layer.out_channels)
                first = part.stop
                bias = shift[part] if layer.bias is None else layer.bias * scale[part] + shift[part]
                layer.weight = nn.Parameter(layer.weight * scale[part, None, None], requires_grad=False)
                layer.bias = nn.Parameter(bias.clone(), requires_grad=False)
        # an identity in place of the forward: eps = 0 raises on some torch releases
        norm.forward = lambda input: input  # type: ignore[method-assign]

    def remove(self) -> None:
        """Put back the very parameter objects that were there before."""
        for layer, (weight, bias) in zip(self.convolutions, self.saved, strict=True):
            layer.weight, layer.bias = weight, bias
        if self.norm_forward is None:
            del self.norm.forward
        else:
            self.norm.forward = self.norm_forward  # type: ignore[method-assign]

    def copy(self) -> "FoldBatchNorm":
        return type(self)()

    def apply(self, root_module: nn.Module) -> list[Canonizer]:
        if not any(isinstance(module, InceptionBlockPlus) for module in root_module.modules()):
            raise CompositeError(
                "canonizer inception_time: expected a network with tsai's InceptionBlockPlus, "
                f"{type(root_module).__name__} has none; choose `canonizer: none` only if it has neither "
                "batch norms nor residual additions"
            )
        # find all before folding any, so that an error leaves the network as it was
        found: list[tuple[list[nn.Conv1d], nn.BatchNorm1d]] = []
        for module in root_module.modules():
            if isinstance(module, InceptionModulePlus) and isinstance(module.norm, nn.BatchNorm1d):
                found.append(([_convolution(branch) for branch in (*module.convs, module.mp_conv)], module.norm))
            elif isinstance(module, ConvBlock):
                layers = list(module)
                if len(layers) > 1 and isinstance(layers[1], nn.BatchNorm1d):
                    found.append(([_convolution(layers[0])], layers[1]))
        instances: list[Canonizer] = []
        for convolutions, norm in found:
            instance = self.copy()
            instance.register(convolutions, norm)
            instances.append(instance)
        return instances


def _convolution(branch: nn.Module) -> nn.Conv1d:
    """The one convolution that ends a branch; tsai wraps it in containers."""
    found = [module for module in branch.modules() if isinstance(module, nn.Conv1d)]
    if len(found) != 1:
        raise CompositeError(
            f"expected one convolution in {type(branch).__name__}, found {len(found)}: separable and coordinate "
            "convolutions have no canonical form here; choose another encoder or `canonizer: none`"
        )
    return found[0]


class ResidualSums(AttributeCanonizer):
    """Give each residual addition of a block its own `zennit.layer.Sum`, one module per call."""

    def __init__(self) -> None:
        super().__init__(self._attributes)

    @staticmethod
    def _attributes(name: str, module: nn.Module) -> dict[str, Any] | None:
        if not (isinstance(module, InceptionBlockPlus) and module.residual):
            return None
        sums = nn.ModuleList(Sum() for _ in module.shortcut)
        return {"forward": _block_forward.__get__(module), "residual_sums": sums}

    def copy(self) -> "ResidualSums":
        return type(self)()


def _block_forward(self: Any, x: torch.Tensor) -> torch.Tensor:
    """InceptionBlockPlus.forward in evaluation mode, with additions as modules."""
    residual = x
    for i in range(self.depth):
        x = self.inception[i](x)
        if self.residual and i % 3 == 2:
            stacked = torch.stack([x, self.shortcut[i // 3](residual)], dim=-1)
            residual = x = self.act[i // 3](self.residual_sums[i // 3](stacked))
    return x


def make_canonizers(name: CanonizerName) -> list[Canonizer]:
    """The canonizers behind a name: ours, zennit's own merge (the notebook's), or none."""
    if name == "inception_time":
        return [FoldBatchNorm(), ResidualSums()]
    if name == "zennit_sequential":
        return [SequentialMergeBatchNorm()]
    return []

"""InceptionTime (Ismail Fawaz et al. 2019, arXiv 1909.04939) as an encoder.

Written from the paper. Names of the layers, kernel sizes and initial weights are those of tsai's `InceptionTimePlus`
with its defaults, so that weights can be loaded from one into the other (tests/reference/test_tsai.py).
"""

import torch
from pydantic import Field
from torch import nn

from clusterwhy.encoders.base import EncoderSettings
from clusterwhy.encoders.masked import MaskedEncoder

N_BRANCHES = 3  # convolutions of different lengths side by side; a fourth branch pools
MODULES_PER_RESIDUAL = 3


class InceptionTime(EncoderSettings):
    """The embedding has 4 * `n_filters` features.

    Args:
        n_filters: of each branch of a module.
        depth: number of modules; every third ends in a residual addition.
        kernel_size: samples of the longest branch; the others have its half and its quarter. An even length is
            shortened by one sample, so that time is not shifted.
        head_dropout: before the layer that predicts masked values.
    """

    n_filters: int = Field(ge=1)
    depth: int = Field(ge=3)
    kernel_size: int = Field(ge=4)
    head_dropout: float = Field(ge=0.0, lt=1.0)

    def build(self, n_channels: int, length: int) -> MaskedEncoder:
        """An untrained encoder for windows (window, channel, time)."""
        n_features = (N_BRANCHES + 1) * self.n_filters
        backbone = nn.Sequential(InceptionBlock(n_channels, self.n_filters, self.depth, self.kernel_size))
        # Not used. Its weights take as many random numbers as those of the classification head that tsai builds, so
        # that the layers after it get the same initial weights from a seed as in version 0.1.
        nn.Linear(n_features, 1)
        return MaskedEncoder(backbone, n_features, n_channels, self.head_dropout)


class InceptionBlock(nn.Module):
    """Inception modules in a row, with a residual addition after every third.

    Args:
        n_inputs: channels of the window.
        n_filters: of each branch; maps have four times as many.
    """

    def __init__(self, n_inputs: int, n_filters: int, depth: int, kernel_size: int) -> None:
        super().__init__()
        self.inception, self.shortcut, self.act = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        n_maps = (N_BRANCHES + 1) * n_filters
        n_skipped = n_inputs
        for i in range(depth):
            # the third module of three is added first, then goes through ReLU
            added = ends_residual(i)
            module = InceptionModule(n_maps if i else n_inputs, n_filters, kernel_size, activated=not added)
            self.inception.append(module)
            if added:
                self.shortcut.append(_shortcut(n_skipped, n_maps))
                self.act.append(nn.ReLU())
                n_skipped = n_maps

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        """(window, channel, time) -> (window, map, time)."""
        maps = skipped = windows
        for i, module in enumerate(self.inception):
            maps = module(maps)
            if ends_residual(i):
                j = i // MODULES_PER_RESIDUAL
                maps = skipped = self.act[j](maps + self.shortcut[j](skipped))
        return maps


class InceptionModule(nn.Module):
    """Convolutions of three lengths on a bottleneck, and a max-pool; all side by side, then batch norm and ReLU.

    Args:
        activated: whether ReLU follows.
    """

    def __init__(self, n_inputs: int, n_filters: int, kernel_size: int, activated: bool) -> None:
        super().__init__()
        has_bottleneck = n_inputs != n_filters
        self.bottleneck = _convolution(n_inputs, n_filters, 1) if has_bottleneck else nn.Identity()
        self.convs = nn.ModuleList(
            _convolution(n_filters, n_filters, _odd(kernel_size // 2**i)) for i in range(N_BRANCHES)
        )
        self.mp_conv = nn.Sequential(nn.MaxPool1d(3, stride=1, padding=1), _convolution(n_inputs, n_filters, 1))
        self.concat = Concatenation()
        self.norm = _batch_norm((N_BRANCHES + 1) * n_filters)
        self.act = nn.ReLU() if activated else nn.Identity()

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """(window, input, time) -> (window, map, time)."""
        narrow = self.bottleneck(maps)
        branches = [convolution(narrow) for convolution in self.convs]
        activated: torch.Tensor = self.act(self.norm(self.concat(*branches, self.mp_conv(maps))))
        return activated


class Concatenation(nn.Module):
    """Maps of all branches, one behind the other.

    A module, not a call: zennit's `SequentialMergeBatchNorm` merges a batch norm into the convolution that comes before
    it in the list of modules, which here would be that of the last branch alone.
    """

    def forward(self, *branches: torch.Tensor) -> torch.Tensor:
        """Each (window, filter, time) -> (window, map, time)."""
        return torch.cat(branches, dim=1)


def ends_residual(i: int) -> bool:
    """Whether a residual addition follows the i-th module."""
    return i % MODULES_PER_RESIDUAL == MODULES_PER_RESIDUAL - 1


def _odd(size: int) -> int:
    return size if size % 2 else size - 1


def _shortcut(n_inputs: int, n_maps: int) -> nn.Module:
    """What a residual addition adds: its input, widened by a convolution where it has fewer maps."""
    if n_inputs == n_maps:
        return _batch_norm(n_maps)
    return nn.Sequential(nn.Conv1d(n_inputs, n_maps, 1, bias=False), _batch_norm(n_maps))


def _convolution(n_inputs: int, n_filters: int, kernel_size: int) -> nn.Sequential:
    """One layer in a row of its own: the names of tsai's weights have that level."""
    return nn.Sequential(nn.Conv1d(n_inputs, n_filters, kernel_size, padding=kernel_size // 2, bias=False))


def _batch_norm(n_maps: int) -> nn.BatchNorm1d:
    norm = nn.BatchNorm1d(n_maps)
    nn.init.constant_(norm.bias, 1e-3)  # as fastai does
    return norm

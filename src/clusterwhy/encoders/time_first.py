"""What InceptionTime predicts, computed faster for training on CPUs: the same parameters, the same result.

Maps are (time, window, map), contiguous. A convolution of length 1 is then one matrix product, and so is the Fourier
transform of all windows. Long convolutions are products of spectra (Mathieu, Henaff and LeCun 2013, arXiv 1312.5851),
which takes a third of the multiplications. For tiles of at most `LONGEST_TILE` samples, transforms by a matrix are
faster than FFTs, which work on another layout. Maxima are found without indices.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from clusterwhy.encoders.inception_time import MODULES_PER_RESIDUAL, InceptionBlock, ends_residual
from clusterwhy.encoders.masked import MaskedEncoder

Prediction = Callable[[torch.Tensor], torch.Tensor]

LONGEST_TILE = 256  # samples that are transformed together
CACHED = 8  # windows whose maps fit into the second cache of a processor
DROPOUT_LEVELS = 2**15  # non-negative numbers of int16


def training_prediction(encoder: MaskedEncoder, length: int) -> Prediction:
    """`encoder.predict` for windows of `length` samples, computed time first where that is known to be faster.

    That is: InceptionTime on a CPU. What is returned follows the encoder's parameters and its mode.
    """
    if not isinstance(encoder, MaskedEncoder):  # a network of the user's
        return encoder.predict
    parts = list(encoder.backbone.children())
    on_cpu = next(encoder.parameters()).device.type == "cpu"
    if on_cpu and len(parts) == 1 and isinstance(parts[0], InceptionBlock):
        return TimeFirst(encoder, parts[0], length)
    return encoder.predict


class TimeFirst:
    """The prediction of an InceptionTime encoder, computed with time as the first axis.

    Args:
        encoder: the encoder.
        block: its backbone.
        length: samples of each window.
    """

    def __init__(self, encoder: MaskedEncoder, block: InceptionBlock, length: int) -> None:
        # torch's types do not tell what is in a list of modules
        self.modules: list[Any] = list(block.inception)
        self.shortcuts: list[Any] = list(block.shortcut)
        self.dropout, self.last = list[Any](encoder.predictor)
        longest = self.modules[0].convs[0][0].weight
        self.convolve = SpectralConvolution(length, longest.shape[2], longest.dtype)

    def __call__(self, windows: torch.Tensor) -> torch.Tensor:
        """(window, channel, time) with masked values at 0 -> predicted (window, channel, time)."""
        maps = skipped = windows.permute(2, 0, 1).contiguous()
        for i, module in enumerate(self.modules):
            maps = self._module(module, maps)
            if ends_residual(i):
                shortcut = self.shortcuts[i // MODULES_PER_RESIDUAL]
                maps = skipped = F.relu_(maps + _shortcut(shortcut, skipped))
        predicted = F.linear(_dropped(maps, self.dropout), self.last.weight[:, :, 0], self.last.bias)
        return predicted.permute(1, 2, 0)

    def _module(self, module: Any, maps: torch.Tensor) -> torch.Tensor:
        narrow = maps if isinstance(module.bottleneck, nn.Identity) else _pointwise(module.bottleneck[0], maps)
        kernels = [branch[0].weight for branch in module.convs]
        longest = max(kernel.shape[2] for kernel in kernels)
        padded = [F.pad(kernel, ((longest - kernel.shape[2]) // 2,) * 2) for kernel in kernels]
        branches = self.convolve(narrow, torch.cat(padded))
        pooled = _pointwise(module.mp_conv[1][0], NeighbourMaximum.apply(maps))
        return _normalised(module.norm, torch.cat([branches, pooled], dim=2), isinstance(module.act, nn.ReLU))


class SpectralConvolution:
    """Convolution with kernels of odd length and stride 1, zeros beyond both ends, through spectra.

    Longer windows are cut into tiles; what a tile sends to its neighbours is added there (overlap-add).

    Args:
        length: samples of each window.
        size: samples of the kernels.
    """

    def __init__(self, length: int, size: int, dtype: torch.dtype) -> None:
        half = size // 2
        self.n_tiles = -(-length // max(LONGEST_TILE, 2 * half))
        self.tile = -(-length // self.n_tiles)
        # samples before and after a tile that its neighbours get
        self.reach = half if self.n_tiles > 1 else 0
        # the shortest period in which nothing wraps around, made odd: all frequencies but 0 then count twice
        period = (self.tile + half + self.reach) | 1
        weights = torch.full((period // 2 + 1,), 2.0 / period, dtype=torch.float64)
        weights[0] = 1.0 / period
        self.of_maps = _waves(period, 0, self.tile).to(dtype)
        self.of_kernels = _waves(period, -half, half + 1).to(dtype)
        self.back = (_waves(period, -self.reach, self.tile + self.reach).T * weights.repeat(2)).to(dtype)

    def __call__(self, maps: torch.Tensor, kernels: torch.Tensor) -> torch.Tensor:
        """(time, window, input) and (output, input, size) -> (time, window, output)."""
        if self.n_tiles == 1:
            return self._each_tile(maps, kernels)
        length, n_windows, _ = maps.shape
        padded = F.pad(maps, (0, 0, 0, 0, 0, self.n_tiles * self.tile - length))
        tiles = padded.unflatten(0, (self.n_tiles, self.tile)).transpose(0, 1).flatten(1, 2)
        found = self._each_tile(tiles, kernels).unflatten(1, (self.n_tiles, n_windows)).transpose(0, 1)
        end = self.reach + self.tile
        joined = found[:, self.reach : end].clone()
        joined[1:, : self.reach] += found[:-1, end:]
        joined[:-1, -self.reach :] += found[1:, : self.reach]
        return joined.flatten(0, 1)[:length]

    def _each_tile(self, tiles: torch.Tensor, kernels: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = SpectralProduct.apply(tiles, kernels, self.of_maps, self.of_kernels, self.back)
        return found


class SpectralProduct(torch.autograd.Function):
    """The spectrum of maps times the conjugate one of kernels, which such layers do not flip, turned back into time.

    Its gradient is written by hand: autograd would add up the parts of a product in passes over memory of their own.
    """

    @staticmethod
    def forward(ctx: Any, maps: torch.Tensor, kernels: torch.Tensor, *waves: torch.Tensor) -> torch.Tensor:
        """(time, window, input), (output, input, size) and matrices of waves -> (time, window, output)."""
        of_maps, of_kernels, back = waves
        spectra = _times(of_maps, maps).unflatten(0, (2, -1))
        filters = _times(of_kernels, kernels.permute(2, 1, 0)).unflatten(0, (2, -1))
        ctx.save_for_backward(spectra, filters, *waves)
        return _times(back, _product(spectra, filters, conjugate=True).flatten(0, 1))

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:  # type: ignore[override]
        """The gradient of the result -> those of maps and kernels."""
        spectra, filters, of_maps, of_kernels, back = ctx.saved_tensors
        arriving = _times(back.T, gradient).unflatten(0, (2, -1))
        to_maps = _product(arriving, filters.mT, conjugate=False).flatten(0, 1)
        to_kernels = _product(spectra.mT, arriving, conjugate=True).flatten(0, 1)
        return _times(of_maps.T, to_maps), _times(of_kernels.T, to_kernels).permute(2, 1, 0), None, None, None


class NeighbourMaximum(torch.autograd.Function):
    """The largest of each value and the ones before and after it along the first axis.

    As `nn.MaxPool1d(3, stride=1, padding=1)`; of equal values the first gets the gradient.
    """

    @staticmethod
    def forward(ctx: Any, maps: torch.Tensor) -> torch.Tensor:
        """(time, window, map) -> the same."""
        largest = torch.empty_like(maps)
        for x, y in zip(maps.split(CACHED, 1), largest.split(CACHED, 1), strict=True):
            y.copy_(x)
            torch.maximum(y[1:], x[:-1], out=y[1:])
            torch.maximum(y[:-1], x[1:], out=y[:-1])
        ctx.save_for_backward(maps, largest)
        return largest

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        """The gradient of the maxima -> that of the values."""
        found = torch.empty_like(gradient)
        parts = (value.split(CACHED, 1) for value in (*ctx.saved_tensors, gradient, found))
        for x, y, arriving, leaving in zip(*parts, strict=True):
            # comparisons written as numbers: several times faster than bool here
            to_before = torch.eq(x[:-1], y[1:], out=torch.empty_like(x[1:])).mul_(arriving[1:])
            left = arriving.clone()
            left[1:].sub_(to_before)
            torch.eq(x, y, out=leaving).mul_(left)
            left.sub_(leaving)
            leaving[:-1].add_(to_before)
            leaving[1:].add_(left[:-1])
        return found


def _waves(period: int, start: int, stop: int) -> torch.Tensor:
    """(2 * frequency, time) float64: cosines of all frequencies, then sines."""
    frequencies = 2.0 * math.pi / period * torch.arange(period // 2 + 1, dtype=torch.float64)
    angles = frequencies[:, None] * torch.arange(start, stop, dtype=torch.float64)
    return torch.cat([angles.cos(), angles.sin()])


def _times(matrix: torch.Tensor, maps: torch.Tensor) -> torch.Tensor:
    """(row, time) times (time, ...) -> (row, ...)."""
    return (matrix @ maps.reshape(len(maps), -1)).view(-1, *maps.shape[1:])


def _product(a: torch.Tensor, b: torch.Tensor, conjugate: bool) -> torch.Tensor:
    """Products of complex matrices (part, frequency, row, column), a with b or its conjugate.

    Parts are sums over cosines and over sines: the real part, and the imaginary one times -1.
    """
    sign = 1 if conjugate else -1
    found = a.new_empty(2, a.shape[1], a.shape[2], b.shape[3])
    torch.bmm(a[0], b[0], out=found[0]).baddbmm_(a[1], b[1], alpha=sign)
    torch.bmm(a[1], b[0], out=found[1]).baddbmm_(a[0], b[1], alpha=-sign)
    return found


def _pointwise(convolution: nn.Conv1d, maps: torch.Tensor) -> torch.Tensor:
    return F.linear(maps, convolution.weight[:, :, 0])


def _normalised(norm: Any, maps: torch.Tensor, activated: bool) -> torch.Tensor:
    """Batch norm, and ReLU where activated: torch's for planes with channels last, without a copy."""
    if norm.training:
        norm.num_batches_tracked.add_(1)
    found = F.batch_norm(
        maps.transpose(1, 2).unsqueeze(2),
        norm.running_mean,
        norm.running_var,
        norm.weight,
        norm.bias,
        norm.training,
        norm.momentum,
        norm.eps,
    )
    return (F.relu_(found) if activated else found).squeeze(2).transpose(1, 2)


def _shortcut(shortcut: Any, skipped: torch.Tensor) -> torch.Tensor:
    if isinstance(shortcut, nn.BatchNorm1d):
        return _normalised(shortcut, skipped, False)
    convolution, norm = shortcut
    return _normalised(norm, _pointwise(convolution, skipped), False)


def _dropped(maps: torch.Tensor, dropout: nn.Dropout) -> torch.Tensor:
    """Dropout with 15 random bits per value, whose draws take a fifth of the time of `bernoulli_`."""
    if not (dropout.training and dropout.p):
        return maps
    drawn = torch.empty(maps.shape, dtype=torch.int16).random_()
    kept = torch.ge(drawn, round(dropout.p * DROPOUT_LEVELS), out=torch.empty_like(maps))
    return maps * kept.mul_(1.0 / (1.0 - dropout.p))

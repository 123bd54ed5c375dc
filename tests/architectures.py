"""Networks for time series as their papers describe them, small: (window, channel, time) -> (window, class).

Written from the papers, with the spellings that people use: functions and modules, in place and not, `squeeze`, `view`,
`chunk`, tuples of recurrent layers.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

CHANNELS, TIME, CLASSES = 4, 64, 3


class Shortcut(nn.Module):
    """body(x) + shortcut(x), then a ReLU (He et al. 2016)."""

    def __init__(self, body: nn.Module, shortcut: nn.Module) -> None:
        super().__init__()
        self.body, self.shortcut = body, shortcut

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.relu(self.body(x) + self.shortcut(x))


def unit(n_in: int, n_out: int, kernel: int, **keys: Any) -> nn.Sequential:
    """Convolution, batch norm, ReLU."""
    layers = nn.Conv1d(n_in, n_out, kernel, padding=kernel // 2, **keys), nn.BatchNorm1d(n_out), nn.ReLU()
    return nn.Sequential(*layers)


def pooled(n_features: int) -> list[nn.Module]:
    """Mean over time, classes."""
    return [nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(n_features, CLASSES)]


def fcn() -> nn.Module:
    """Wang et al. 2017, "Time series classification from scratch"."""
    return nn.Sequential(unit(CHANNELS, 8, 7), unit(8, 16, 5), unit(16, 8, 3), *pooled(8))


def resnet() -> nn.Module:
    """Wang et al. 2017."""

    def block(n_in: int, n_out: int) -> nn.Module:
        body = nn.Sequential(*unit(n_in, n_out, 7), *unit(n_out, n_out, 5), *unit(n_out, n_out, 3)[:2])
        return Shortcut(body, nn.Sequential(nn.Conv1d(n_in, n_out, 1), nn.BatchNorm1d(n_out)))

    return nn.Sequential(block(CHANNELS, 8), block(8, 8), *pooled(8))


class PreActivation(nn.Module):
    """A block of the ECG network of Hannun et al. 2019, with max pooling in the shortcut."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList([nn.BatchNorm1d(width), nn.BatchNorm1d(width)])
        self.convolutions = nn.ModuleList([nn.Conv1d(width, width, 5, 2, 2), nn.Conv1d(width, width, 5, 1, 2)])
        self.drop, self.pool = nn.Dropout(0.2), nn.MaxPool1d(2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.convolutions[0](F.relu(self.norms[0](x), inplace=True))
        h = self.convolutions[1](self.drop(F.relu(self.norms[1](h), inplace=True)))
        h += self.pool(x)
        return h


def ecg_resnet() -> nn.Module:
    """Hannun et al. 2019, "Cardiologist-level arrhythmia detection"."""
    return nn.Sequential(
        unit(CHANNELS, 8, 5), PreActivation(8), PreActivation(8), nn.BatchNorm1d(8), nn.ReLU(), *pooled(8)
    )


def wdcnn() -> nn.Module:
    """Zhang et al. 2017, bearing faults: a wide first kernel."""
    first = nn.Conv1d(CHANNELS, 8, 16, stride=4, padding=6), nn.BatchNorm1d(8), nn.ReLU(), nn.MaxPool1d(2)
    second = *unit(8, 16, 3), nn.MaxPool1d(2)
    return nn.Sequential(*first, *second, nn.Flatten(), nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, CLASSES))


class EEGNet(nn.Module):
    """Lawhern et al. 2018."""

    def __init__(self) -> None:
        super().__init__()
        self.time = nn.Conv2d(1, 4, (1, 15), padding=(0, 7), bias=False)
        self.norm1 = nn.BatchNorm2d(4)
        self.space = nn.Conv2d(4, 8, (CHANNELS, 1), groups=4, bias=False)
        self.norm2, self.pool1, self.drop = nn.BatchNorm2d(8), nn.AvgPool2d((1, 4)), nn.Dropout(0.25)
        self.depth = nn.Conv2d(8, 8, (1, 7), padding=(0, 3), groups=8, bias=False)
        self.point, self.norm3 = nn.Conv2d(8, 8, 1, bias=False), nn.BatchNorm2d(8)
        self.pool2, self.dense = nn.AvgPool2d((1, 4)), nn.Linear(32, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.norm1(self.time(x.unsqueeze(1)))
        x = self.drop(self.pool1(F.elu(self.norm2(self.space(x)))))
        x = self.drop(self.pool2(F.elu(self.norm3(self.point(self.depth(x))))))
        return self.dense(x.flatten(1))


class DeepConvNet(nn.Module):
    """Schirrmeister et al. 2017: convolutions over time, over electrodes, then blocks with max pooling."""

    def __init__(self) -> None:
        super().__init__()
        self.time, self.space = nn.Conv2d(1, 5, (1, 5)), nn.Conv2d(5, 5, (CHANNELS, 1), bias=False)
        self.norm, self.pool = nn.BatchNorm2d(5), nn.MaxPool2d((1, 2))
        self.block = nn.Sequential(nn.Dropout2d(0.5), nn.Conv2d(5, 8, (1, 5)), nn.BatchNorm2d(8), nn.ELU())
        self.last = nn.Linear(8 * 13, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x[:, None]
        x = self.pool(F.elu(self.norm(self.space(self.time(x)))))
        x = F.max_pool2d(self.block(x), (1, 2))
        return self.last(x.view(x.size(0), -1))


class Temporal(nn.Module):
    """A block of a temporal convolutional network: causal, dilated, weight-normed (Bai et al. 2018)."""

    def __init__(self, n_in: int, n_out: int, dilation: int) -> None:
        super().__init__()
        self.padding = 2 * dilation
        norm = nn.utils.parametrizations.weight_norm
        self.first = norm(nn.Conv1d(n_in, n_out, 3, padding=self.padding, dilation=dilation))
        self.second = norm(nn.Conv1d(n_out, n_out, 3, padding=self.padding, dilation=dilation))
        self.down = nn.Conv1d(n_in, n_out, 1) if n_in != n_out else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = F.relu(self.first(x)[:, :, : -self.padding].contiguous())
        h = F.relu(self.second(h)[:, :, : -self.padding].contiguous())
        return F.relu(h + (x if self.down is None else self.down(x)))


class TCN(nn.Module):
    """Bai et al. 2018: the last step decides."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(Temporal(CHANNELS, 8, 1), Temporal(8, 8, 2), Temporal(8, 8, 4))
        self.last = nn.Linear(8, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(self.body(x)[:, :, -1])


class LSTMFCN(nn.Module):
    """Karim et al. 2018: a recurrent and a convolutional branch."""

    def __init__(self) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(unit(CHANNELS, 8, 7), unit(8, 8, 5), nn.AdaptiveAvgPool1d(1), nn.Flatten())
        self.lstm, self.drop = nn.LSTM(CHANNELS, 6, batch_first=True), nn.Dropout(0.5)
        self.last = nn.Linear(14, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out, (_h, _c) = self.lstm(x.permute(0, 2, 1))
        return self.last(torch.cat([self.drop(out[:, -1]), self.convolutions(x)], dim=-1))


class DeepConvLSTM(nn.Module):
    """Ordonez and Roggen 2016."""

    def __init__(self) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(nn.Conv1d(CHANNELS, 8, 5), nn.ReLU(), nn.Conv1d(8, 8, 5), nn.ReLU())
        self.lstm = nn.LSTM(8, 8, num_layers=2, batch_first=True)
        self.last = nn.Linear(8, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h, _ = self.lstm(self.convolutions(x).transpose(1, 2))
        return self.last(h[:, -1, :])


class GRUClassifier(nn.Module):
    """Cho et al. 2014, both directions, mean over time."""

    def __init__(self) -> None:
        super().__init__()
        self.gru, self.last = nn.GRU(CHANNELS, 6, batch_first=True, bidirectional=True), nn.Linear(12, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h, _ = self.gru(x.transpose(1, 2))
        return self.last(h.mean(dim=1))


class AttentionPooling(nn.Module):
    """A recurrent network whose steps are weighted by attention (Yang et al. 2016)."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm, self.score = nn.LSTM(CHANNELS, 6, batch_first=True), nn.Linear(6, 1)
        self.last = nn.Linear(6, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.lstm(x.transpose(1, 2))[0]
        weights = torch.softmax(self.score(torch.tanh(h)), dim=1)
        return self.last((weights * h).sum(dim=1))


class TST(nn.Module):
    """Zerveas et al. 2021: a transformer over time steps with learned positions."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.position = nn.Linear(CHANNELS, 8), nn.Parameter(0.1 * torch.randn(1, TIME, 8))
        layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.1, activation="gelu", batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2)
        self.last = nn.Linear(8 * TIME, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.embed(x.transpose(1, 2)) + self.position
        return self.last(F.gelu(self.encoder(h)).flatten(1))


class VanillaTransformer(nn.Module):
    """Vaswani et al. 2017: sinusoids made in forward, pre-norm, causal mask, mean over time."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Conv1d(CHANNELS, 8, 1)
        layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, norm_first=True)
        self.encoder = nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)
        self.norm, self.last = nn.LayerNorm(8), nn.Linear(8, CLASSES)
        self.register_buffer("mask", nn.Transformer.generate_square_subsequent_mask(TIME))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        time = torch.arange(x.shape[-1], dtype=x.dtype)[:, None]
        rates = torch.exp(torch.arange(0, 8, 2, dtype=x.dtype) * (-math.log(1e4) / 8))
        position = torch.cat([torch.sin(time * rates), torch.cos(time * rates)], dim=1)
        h = self.encoder(self.embed(x).transpose(1, 2) + position, mask=self.mask)
        return self.last(self.norm(h).mean(dim=1))


class PatchTST(nn.Module):
    """Nie et al. 2023: each channel by itself, patches of 8 steps as tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.position = nn.Linear(8, 8), nn.Parameter(0.1 * torch.randn(8, 8))
        self.attention, self.norm1 = nn.MultiheadAttention(8, 2, batch_first=True), nn.LayerNorm(8)
        self.dense, self.norm2 = nn.Sequential(nn.Linear(8, 16), nn.GELU(), nn.Linear(16, 8)), nn.LayerNorm(8)
        self.last = nn.Linear(CHANNELS * 8, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        n = x.shape[0]
        h = self.embed(x.reshape(n * CHANNELS, 8, 8)) + self.position
        h = self.norm1(h + self.attention(h, h, h, need_weights=False)[0])
        h = self.norm2(h + self.dense(h))
        return self.last(h.mean(dim=1).reshape(n, CHANNELS * 8))


class WaveNet(nn.Module):
    """Van den Oord et al. 2016: gated dilated convolutions with skip connections."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv1d(CHANNELS, 8, 1)
        self.gated = nn.ModuleList(nn.Conv1d(8, 16, 2, dilation=d) for d in (1, 2, 4))
        self.mix = nn.ModuleList(nn.Conv1d(8, 8, 1) for _ in range(3))
        self.last = nn.Linear(8, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.first(x)
        skips: Any = 0
        for dilation, gated, mix in zip((1, 2, 4), self.gated, self.mix, strict=True):
            filtered, gate = gated(F.pad(h, (dilation, 0))).chunk(2, dim=1)
            out = mix(torch.tanh(filtered) * torch.sigmoid(gate))
            h, skips = h + out, skips + out
        return self.last(F.relu(skips).mean(dim=-1))


class SqueezeExcite(nn.Module):
    """Hu et al. 2018: channels weighted by what their means say."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.down, self.up = nn.Linear(width, width // 2), nn.Linear(width // 2, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        weights = torch.sigmoid(self.up(F.relu(self.down(x.mean(dim=2)))))
        return x * weights.unsqueeze(-1)


def se_resnet() -> nn.Module:
    """Hu et al. 2018, as in MLSTM-FCN (Karim et al. 2019)."""
    body = nn.Sequential(*unit(8, 8, 5), nn.Conv1d(8, 8, 3, padding=1), nn.BatchNorm1d(8), SqueezeExcite(8))
    return nn.Sequential(unit(CHANNELS, 8, 7), Shortcut(body, nn.Identity()), *pooled(8))


class UNet(nn.Module):
    """Ronneberger et al. 2015 in one dimension, its deepest and its last features read together."""

    def __init__(self) -> None:
        super().__init__()
        self.down1, self.down2, self.bottom = unit(CHANNELS, 4, 3), unit(4, 8, 3), unit(8, 8, 3)
        self.up2, self.join2 = nn.ConvTranspose1d(8, 8, 2, stride=2), unit(16, 4, 3)
        self.up1, self.join1 = nn.Upsample(scale_factor=2, mode="nearest"), unit(8, 4, 3)
        self.pool, self.last = nn.MaxPool1d(2), nn.Linear(4, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        one = self.down1(x)
        two = self.down2(self.pool(one))
        h = self.bottom(self.pool(two))
        h = self.join2(torch.cat([self.up2(h), two], dim=1))
        h = self.join1(torch.cat([self.up1(h), one], dim=1))
        return self.last(h.mean(dim=-1))


class Mixer(nn.Module):
    """Chen et al. 2023, TSMixer: dense layers over time and over channels in turn."""

    def __init__(self) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(CHANNELS), nn.LayerNorm(CHANNELS)
        self.time = nn.Sequential(nn.Linear(TIME, TIME), nn.ReLU(), nn.Dropout(0.1))
        self.features = nn.Sequential(nn.Linear(CHANNELS, 8), nn.ReLU(), nn.Dropout(0.1), nn.Linear(8, CHANNELS))
        self.last = nn.Linear(TIME * CHANNELS, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = x.transpose(1, 2)
        h = h + self.time(self.norm1(h).transpose(1, 2)).transpose(1, 2)
        h = h + self.features(self.norm2(h))
        return self.last(h.reshape(h.shape[0], -1))


class DLinear(nn.Module):
    """Zeng et al. 2023: trend and rest, a dense layer over time for each."""

    def __init__(self) -> None:
        super().__init__()
        self.average = nn.AvgPool1d(5, stride=1)
        self.trend, self.rest, self.last = nn.Linear(TIME, 8), nn.Linear(TIME, 8), nn.Linear(8 * CHANNELS, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        ends = x[:, :, :1].repeat(1, 1, 2), x[:, :, -1:].repeat(1, 1, 2)
        trend = self.average(torch.cat([ends[0], x, ends[1]], dim=2))
        return self.last((self.trend(trend) + self.rest(x - trend)).flatten(1))


class NBeats(nn.Module):
    """Oreshkin et al. 2020: each block takes its backcast off the input of the next."""

    def __init__(self) -> None:
        super().__init__()
        size = CHANNELS * TIME
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.Linear(size, 16), nn.ReLU(), nn.Linear(16, 16), nn.ReLU()) for _ in "ab"
        )
        self.back = nn.ModuleList(nn.Linear(16, size) for _ in "ab")
        self.forth = nn.ModuleList(nn.Linear(16, CLASSES) for _ in "ab")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        rest, total = x.flatten(1), None
        for block, back, forth in zip(self.blocks, self.back, self.forth, strict=True):
            h = block(rest)
            rest = rest - back(h)
            total = forth(h) if total is None else total + forth(h)
        return total


class ConvNeXt(nn.Module):
    """Liu et al. 2022 in one dimension, as in ModernTCN: depthwise, layer norm, GELU, layer scale."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv1d(CHANNELS, 8, 4, stride=4)
        self.depth, self.norm = nn.Conv1d(8, 8, 7, padding=3, groups=8), nn.LayerNorm(8)
        self.wide, self.narrow = nn.Linear(8, 32), nn.Linear(32, 8)
        self.scale, self.last = nn.Parameter(0.5 * torch.ones(8)), nn.Linear(8, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        h = self.norm(self.depth(x).transpose(1, 2))
        h = self.scale * self.narrow(F.gelu(self.wide(h)))
        return self.last((x + h.transpose(1, 2)).mean(-1))


def mobile_net() -> nn.Module:
    """Howard et al. 2019: depthwise separable convolutions, hard swish."""

    def separable(n_in: int, n_out: int, stride: int) -> list[nn.Module]:
        depth = nn.Conv1d(n_in, n_in, 5, stride, 2, groups=n_in, bias=False), nn.BatchNorm1d(n_in), nn.Hardswish()
        return [*depth, nn.Conv1d(n_in, n_out, 1, bias=False), nn.BatchNorm1d(n_out), nn.Hardswish()]

    return nn.Sequential(*separable(CHANNELS, 8, 2), *separable(8, 16, 2), *pooled(16))


class GroupNormResNet(nn.Module):
    """He et al. 2016 with group norm (Wu and He 2018) and a stochastic-depth scale, as in wearable benchmarks."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm1 = nn.Conv1d(CHANNELS, 8, 7, padding=3), nn.GroupNorm(2, 8)
        self.second, self.norm2 = nn.Conv1d(8, 8, 3, padding=1), nn.GroupNorm(2, 8)
        self.last = nn.Linear(8, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = F.silu(self.norm1(self.first(x)))
        h = F.silu(h + 0.8 * self.norm2(self.second(h)))
        return self.last(F.adaptive_avg_pool1d(h, 1).squeeze(-1))


class CPC(nn.Module):
    """Van den Oord et al. 2018: strided encoder, recurrent context, last state."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Conv1d(CHANNELS, 8, 4, 2, 1), nn.ReLU(), nn.Conv1d(8, 8, 4, 2, 1), nn.ReLU())
        self.context, self.last = nn.GRU(8, 8, batch_first=True), nn.Linear(8, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        _, h = self.context(self.encoder(x).transpose(1, 2))
        return self.last(h[-1])


ARCHITECTURES: dict[str, Callable[[], nn.Module]] = {
    "FCN": fcn,
    "ResNet": resnet,
    "ECG ResNet, pre-activation": ecg_resnet,
    "WDCNN": wdcnn,
    "EEGNet": EEGNet,
    "DeepConvNet": DeepConvNet,
    "TCN": TCN,
    "LSTM-FCN": LSTMFCN,
    "DeepConvLSTM": DeepConvLSTM,
    "GRU": GRUClassifier,
    "LSTM with attention pooling": AttentionPooling,
    "TST": TST,
    "Transformer, causal": VanillaTransformer,
    "PatchTST": PatchTST,
    "WaveNet": WaveNet,
    "SE-ResNet": se_resnet,
    "U-Net": UNet,
    "TSMixer": Mixer,
    "DLinear": DLinear,
    "N-BEATS": NBeats,
    "ConvNeXt": ConvNeXt,
    "MobileNet": mobile_net,
    "ResNet with group norm": GroupNormResNet,
    "CPC": CPC,
}


def built(name: str) -> nn.Module:
    """A network with random weights and statistics, float64, in evaluation mode."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = ARCHITECTURES[name]()
        for module in network.modules():
            if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
                assert module.running_mean is not None and module.running_var is not None
                nn.init.normal_(module.running_mean, std=0.2)
                nn.init.uniform_(module.running_var, 0.5, 2.0)
                nn.init.uniform_(module.weight, 0.5, 1.5)
                nn.init.normal_(module.bias, std=0.2)
    return network.double().eval()

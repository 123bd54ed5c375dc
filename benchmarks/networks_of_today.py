"""Networks as papers and libraries have them today, small: (window, 3, 24) -> (window, 4)."""

import torch
import torch.nn.functional as F
from torch import nn

N_CHANNELS, N_STEPS, N_CLASSES = 3, 24, 4


class Times(nn.Module):
    """A signal times a gate."""

    def forward(self, signal: torch.Tensor, gate: torch.Tensor) -> torch.Tensor:
        return signal * gate


class Transformer(nn.Module):
    """Encoder with learned positions (Zerveas et al. 2021, "A transformer-based framework ...")."""

    def __init__(self, causal: bool = False, norm_first: bool = False, activation: str = "gelu") -> None:
        super().__init__()
        self.embedding = nn.Linear(N_CHANNELS, 8)
        self.positions = nn.Parameter(0.3 * torch.randn(1, N_STEPS, 8))
        layer = nn.TransformerEncoderLayer(8, 2, 16, 0.1, activation, batch_first=True, norm_first=norm_first)
        self.encoder = nn.TransformerEncoder(layer, 2, nn.LayerNorm(8), enable_nested_tensor=False)
        self.classes = nn.Linear(8, N_CLASSES)
        mask = nn.Transformer.generate_square_subsequent_mask(N_STEPS) if causal else None
        self.register_buffer("mask", mask)

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        x = self.embedding(windows.transpose(1, 2)) + self.positions
        x = self.encoder(x) if self.mask is None else self.encoder(x, mask=self.mask)
        return self.classes(x[:, -1] if self.mask is not None else x.mean(dim=1))


class SqueezeExcite(nn.Module):
    """Convolutions whose channels are gated by their means (Hu et al. 2018), a residual, Hardswish."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv1d(N_CHANNELS, 8, 5, padding=2), nn.BatchNorm1d(8), nn.Hardswish())
        self.body = nn.Sequential(nn.Conv1d(8, 8, 3, padding=1, bias=False), nn.GroupNorm(2, 8), nn.Mish())
        self.squeeze = nn.Sequential(nn.AdaptiveAvgPool1d(1), nn.Conv1d(8, 4, 1), nn.ReLU(), nn.Conv1d(4, 8, 1))
        self.gate, self.times, self.classes = nn.Sigmoid(), Times(), nn.Linear(8, N_CLASSES)

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        x = self.stem(windows)
        y = self.body(x)
        y = x + self.times(y, self.gate(self.squeeze(y)))
        return self.classes(y.mean(dim=-1))


class Conformer(nn.Module):
    """The convolution module of Gulati et al. 2020: layer norm, gated linear unit, depthwise, batch norm, SiLU."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.norm = nn.Conv1d(N_CHANNELS, 8, 1), nn.LayerNorm(8)
        self.convolutions = nn.Sequential(
            *(nn.Conv1d(8, 16, 1), nn.GLU(dim=1), nn.Conv1d(8, 8, 5, padding=2, groups=8), nn.BatchNorm1d(8)),
            *(nn.SiLU(), nn.Conv1d(8, 8, 1), nn.Dropout(0.1)),
        )
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.classes = nn.Linear(8, N_CLASSES)

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        x = self.embedding(windows)
        x = x + self.convolutions(self.norm(x.transpose(1, 2)).transpose(1, 2))
        x = x.transpose(1, 2)
        x = x + self.attention(x, x, x, need_weights=False)[0]
        return self.classes(x.mean(dim=1))


class RecurrentAttention(nn.Module):
    """A GRU in both directions whose steps are weighed by a softmax (Yang et al. 2016)."""

    def __init__(self) -> None:
        super().__init__()
        self.gru = nn.GRU(N_CHANNELS, 5, batch_first=True, bidirectional=True)
        self.score, self.softmax = nn.Sequential(nn.Linear(10, 6), nn.Tanh(), nn.Linear(6, 1)), nn.Softmax(dim=1)
        self.times, self.classes = Times(), nn.Linear(10, N_CLASSES)

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        states, _ = self.gru(windows.transpose(1, 2))
        return self.classes(self.times(states, self.softmax(self.score(states))).sum(dim=1))


class Cut(nn.Module):
    """The end of causal padding, cut off."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x[:, :, : -self.size].contiguous()


class TemporalBlock(nn.Module):
    """Two causal dilated convolutions with normed weights and a shortcut (Bai et al. 2018)."""

    def __init__(self, n_inputs: int, n_outputs: int, dilation: int) -> None:
        super().__init__()
        weight_norm = torch.nn.utils.parametrizations.weight_norm
        padding = 2 * dilation
        first = weight_norm(nn.Conv1d(n_inputs, n_outputs, 3, padding=padding, dilation=dilation))
        second = weight_norm(nn.Conv1d(n_outputs, n_outputs, 3, padding=padding, dilation=dilation))
        self.body = nn.Sequential(
            *(first, Cut(padding), nn.ReLU(), nn.Dropout(0.1), second, Cut(padding), nn.ReLU(), nn.Dropout(0.1)),
        )
        self.shortcut = nn.Conv1d(n_inputs, n_outputs, 1) if n_inputs != n_outputs else nn.Identity()
        self.activation = nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.activation(self.body(x) + self.shortcut(x))


class TemporalConvolutions(nn.Module):
    """TCN (Bai et al. 2018): blocks of growing dilation, the last step."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.Sequential(*(TemporalBlock(8 if i else N_CHANNELS, 8, 2**i) for i in range(3)))
        self.classes = nn.Linear(8, N_CLASSES)

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        return self.classes(self.blocks(windows)[:, :, -1])


class UNet(nn.Module):
    """Down and up again with a skip (Ronneberger et al. 2015), transposed convolutions, instance norms, ELU."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Sequential(nn.Conv1d(N_CHANNELS, 6, 3, padding=1), nn.InstanceNorm1d(6, affine=True), nn.ELU())
        self.bottom = nn.Sequential(nn.MaxPool1d(2), nn.Conv1d(6, 8, 3, padding=1), nn.Softplus())
        self.up = nn.ConvTranspose1d(8, 6, 2, stride=2)
        self.join = nn.Sequential(nn.Conv1d(12, 6, 3, padding=1), nn.CELU(), nn.Upsample(scale_factor=2), nn.SELU())
        self.classes = nn.Linear(6, N_CLASSES)

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        x = self.down(windows)
        x = self.join(torch.cat([x, self.up(self.bottom(x))], dim=1))
        return self.classes(x.mean(dim=-1))


class WeightTied(nn.Module):
    """One block three times (Dehghani et al. 2019), root-mean-square norm, SiLU gate of its own signal."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.norm = nn.Linear(N_CHANNELS, 8), nn.RMSNorm(8)
        self.up, self.down, self.activation = nn.Linear(8, 16), nn.Linear(16, 8), nn.GELU()
        self.classes = nn.Linear(8, N_CLASSES)

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        x = self.embedding(windows.transpose(1, 2))
        for _ in range(3):
            x = x + self.down(self.activation(self.up(self.norm(x))))
        return self.classes(x.mean(dim=1))


class Standardising(nn.Module):
    """Windows less their means over their spreads, as in RevIN (Kim et al. 2022), then a gate of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution, self.classes = nn.Conv1d(N_CHANNELS, 8, 5), nn.Linear(8, N_CLASSES)

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        centred = windows - windows.mean(dim=-1, keepdim=True)
        x = centred / torch.sqrt(windows.var(dim=-1, keepdim=True, unbiased=False) + 1e-5)
        return self.classes(F.relu(self.convolution(x)).mean(dim=-1))


class EEGNet(nn.Module):
    """Lawhern et al. 2018, table 2: in time, over channels (depthwise), separable; the same padding in time."""

    def __init__(self, n_channels: int = N_CHANNELS, n_steps: int = N_STEPS) -> None:
        super().__init__()
        self.in_time = nn.Sequential(nn.Conv2d(1, 4, (1, 8), padding="same", bias=False), nn.BatchNorm2d(4))
        self.over_channels = nn.Sequential(
            nn.Conv2d(4, 8, (n_channels, 1), groups=4, bias=False), nn.BatchNorm2d(8), nn.ELU()
        )
        self.separable = nn.Sequential(
            *(nn.AvgPool2d((1, 2)), nn.Dropout2d(0.25), nn.Conv2d(8, 8, (1, 5), padding=(0, 2), groups=8, bias=False)),
            *(nn.Conv2d(8, 6, 1, bias=False), nn.BatchNorm2d(6), nn.ELU(), nn.AvgPool2d((1, 4)), nn.Dropout2d(0.25)),
        )
        self.classes = nn.Linear(6 * n_steps // 8, N_CLASSES)

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        maps = self.over_channels(self.in_time(windows.unsqueeze(1)))
        return self.classes(self.separable(maps).flatten(1))


class ChannelsApart(nn.Module):
    """Every channel has the same convolutions, until the mean of the end; a residual, pooling and a norm of its own."""

    def __init__(self, n_channels: int = N_CHANNELS) -> None:
        super().__init__()
        self.n_channels = n_channels
        self.first = nn.Conv2d(1, 5, (1, 5), padding=(0, 2))
        self.second = nn.Conv2d(5, 5, (1, 3), padding=(0, 1), dilation=(1, 1))
        self.norm, self.pool = nn.BatchNorm2d(5), nn.MaxPool2d((1, 2))
        self.classes = nn.Linear(5 * n_channels, N_CLASSES)

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.first(windows[:, None]))
        x = self.pool(F.relu(self.norm(x + self.second(x))))
        return self.classes(F.adaptive_avg_pool2d(x, (self.n_channels, 1)).flatten(1))


class Longer(nn.Module):
    """Down, up again by a transposed convolution and by interpolation."""

    def __init__(self, n_channels: int = N_CHANNELS, n_steps: int = N_STEPS) -> None:
        super().__init__()
        self.n_steps = n_steps
        self.down = nn.Conv1d(n_channels, 6, 4, stride=2, padding=1)
        self.up = nn.Sequential(
            *(nn.ReLU(), nn.ConvTranspose1d(6, 4, 4, stride=2, padding=1, groups=2), nn.BatchNorm1d(4), nn.ELU()),
            *(nn.AvgPool1d(2), nn.Upsample(scale_factor=2, mode="linear"), nn.Conv1d(4, 5, 3), nn.ELU()),
        )
        self.classes = nn.Linear(5, N_CLASSES)

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        longer = F.interpolate(self.up(self.down(windows)), size=2 * self.n_steps, mode="nearest")
        return self.classes(longer.mean(-1))


NETWORKS = {
    "transformer": Transformer,
    "transformer, causal": lambda: Transformer(True, activation="relu"),
    "transformer, norm first": lambda: Transformer(False, True),
    "squeeze-excite": SqueezeExcite,
    "conformer": Conformer,
    "GRU with attention": RecurrentAttention,
    "TCN": TemporalConvolutions,
    "U-Net": UNet,
    "weight-tied": WeightTied,
    "standardising": Standardising,
    "EEGNet": EEGNet,
    "channels apart": ChannelsApart,
    "longer": Longer,
}


def any_network(name: str) -> nn.Module:
    """A network in float64 and evaluation mode, with parameters and statistics that are not their initial ones."""
    torch.manual_seed(0)
    network = NETWORKS[name]()
    for key, parameter in network.named_parameters():
        if "bias" in key or "norm" in key:
            nn.init.normal_(parameter, std=0.3)
        elif parameter.ndim == 1:
            nn.init.uniform_(parameter, 0.5, 1.5)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            nn.init.normal_(module.running_mean)
            nn.init.uniform_(module.running_var, 0.5, 2.0)
    return network.double().eval()

"""Spectral, prototypical, reconstructing and gated networks from their papers, small, spelled as published."""

import torch
import torch.nn.functional as F
from torch import nn

from tests.architectures import CHANNELS, CLASSES, TIME


class InceptionBlock(nn.Module):
    """Mean of convolutions with several kernels (Inception_Block_V1 of the Time-Series-Library)."""

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        self.kernels = nn.ModuleList([nn.Conv2d(n_in, n_out, 2 * i + 1, padding=i) for i in range(3)])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.stack([kernel(x) for kernel in self.kernels], dim=-1).mean(-1)


def fft_for_period(x: torch.Tensor, k: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The k strongest periods of a batch, and their amplitude in each window."""
    xf = torch.fft.rfft(x, dim=1)
    frequency_list = abs(xf).mean(0).mean(-1)
    frequency_list[0] = 0
    _, top_list = torch.topk(frequency_list, k)
    top_list = top_list.detach().cpu().numpy()
    period = x.shape[1] // top_list
    return period, abs(xf).mean(-1)[:, top_list]


class TimesNet(nn.Module):
    """Wu et al. 2023: a series folded by its strongest periods is a picture."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens = nn.Conv1d(CHANNELS, 8, 3, padding=1, padding_mode="circular", bias=False)
        self.conv = nn.Sequential(InceptionBlock(8, 8), nn.GELU(), InceptionBlock(8, 8))
        self.layer_norm, self.projection = nn.LayerNorm(8), nn.Linear(8 * TIME, CLASSES)

    def times_block(self, x: torch.Tensor, k: int = 2) -> torch.Tensor:
        B, T, N = x.size()
        period_list, period_weight = fft_for_period(x, k)
        res = []
        for i in range(k):
            period = period_list[i]
            if TIME % period != 0:
                length = ((TIME // period) + 1) * period
                padding = torch.zeros([x.shape[0], length - TIME, x.shape[2]]).to(x)
                out = torch.cat([x, padding], dim=1)
            else:
                length = TIME
                out = x
            out = out.reshape(B, length // period, period, N).permute(0, 3, 1, 2).contiguous()
            out = self.conv(out)
            out = out.permute(0, 2, 3, 1).reshape(B, -1, N)
            res.append(out[:, :TIME, :])
        res = torch.stack(res, dim=-1)
        period_weight = F.softmax(period_weight, dim=1)
        period_weight = period_weight.unsqueeze(1).unsqueeze(1).repeat(1, T, N, 1)
        res = torch.sum(res * period_weight, -1)
        return res + x

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        enc_out = self.tokens(x).transpose(1, 2)
        output = F.gelu(self.layer_norm(self.times_block(enc_out)))
        return self.projection(output.reshape(output.shape[0], -1))


class TapNet(nn.Module):
    """Zhang et al. 2020: groups of channels drawn at random, an LSTM, minus the distances to class prototypes."""

    def __init__(self) -> None:
        super().__init__()
        self.idx = [[2, 0], [3, 1], [0, 3]]
        self.lstm = nn.LSTM(TIME, 6, batch_first=True)
        self.conv_1_models = nn.ModuleList([nn.Conv1d(2, 8, kernel_size=8, dilation=1, stride=1) for _ in self.idx])
        self.conv_2, self.conv_3 = nn.Conv1d(8, 8, kernel_size=5), nn.Conv1d(8, 8, kernel_size=3)
        self.conv_bn_1, self.conv_bn_2, self.conv_bn_3 = nn.BatchNorm1d(8), nn.BatchNorm1d(8), nn.BatchNorm1d(8)
        layers = nn.Linear(30, 16), nn.LeakyReLU(), nn.BatchNorm1d(16), nn.Linear(16, 6)
        self.mapping = nn.Sequential(*layers)
        self.register_buffer("x_proto", torch.randn(CLASSES, 6))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        N = x.size(0)
        x_lstm = self.lstm(x)[0]
        x_lstm = x_lstm.mean(1)
        x_lstm = x_lstm.view(N, -1)
        for i in range(len(self.conv_1_models)):
            x_conv = self.conv_1_models[i](x[:, self.idx[i], :])
            x_conv = F.leaky_relu(self.conv_bn_1(x_conv))
            x_conv = F.leaky_relu(self.conv_bn_2(self.conv_2(x_conv)))
            x_conv = F.leaky_relu(self.conv_bn_3(self.conv_3(x_conv)))
            x_conv = torch.mean(x_conv, 2)
            x_conv_sum = x_conv if i == 0 else torch.cat([x_conv_sum, x_conv], dim=1)  # noqa: F821
        x = self.mapping(torch.cat([x_conv_sum, x_lstm], dim=1))
        n, m, d = x.size(0), self.x_proto.size(0), x.size(1)
        x, y = x.unsqueeze(1).expand(n, m, d), self.x_proto.unsqueeze(0).expand(n, m, d)
        return -torch.pow(x - y, 2).sum(2)


class USAD(nn.Module):
    """Audibert et al. 2020: the anomaly score (window,) of two decoders that share an encoder, which runs twice."""

    def __init__(self) -> None:
        super().__init__()
        sizes, wide = (32, 16, 8), CHANNELS * TIME

        def encoder() -> nn.Module:
            first = nn.Linear(wide, sizes[0]), nn.ReLU(True), nn.Linear(sizes[0], sizes[1]), nn.ReLU(True)
            return nn.Sequential(*first, nn.Linear(sizes[1], sizes[2]), nn.ReLU(True))

        def decoder() -> nn.Module:
            first = nn.Linear(sizes[2], sizes[1]), nn.ReLU(True), nn.Linear(sizes[1], sizes[0]), nn.ReLU(True)
            return nn.Sequential(*first, nn.Linear(sizes[0], wide), nn.Sigmoid())

        self.encoder, self.decoder1, self.decoder2 = encoder(), decoder(), decoder()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch = x.reshape([x.shape[0], CHANNELS * TIME])
        w1 = self.decoder1(self.encoder(batch))
        w2 = self.decoder2(self.encoder(w1))
        return 0.5 * torch.mean((batch - w1) ** 2, axis=1) + 0.5 * torch.mean((batch - w2) ** 2, axis=1)


class GatedBlock(nn.Module):
    """A dense block whose one half is gated by the other, mixed over time."""

    def __init__(self, seq_len: int, d_model: int, d_ffn: int) -> None:
        super().__init__()
        self.norm, self.sgu_norm = nn.LayerNorm(d_model), nn.LayerNorm(d_ffn)
        self.channel_proj1, self.channel_proj2 = nn.Linear(d_model, d_ffn * 2), nn.Linear(d_ffn, d_model)
        self.spatial_proj = nn.Conv1d(seq_len, seq_len, kernel_size=1)
        nn.init.constant_(self.spatial_proj.bias, 1.0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        residual = x
        x = F.gelu(self.channel_proj1(self.norm(x)))
        u, v = x.chunk(2, dim=-1)
        v = self.spatial_proj(self.sgu_norm(v))
        x = self.channel_proj2(u * v)
        return x + residual


class GMLP(nn.Module):
    """Liu et al. 2021, "Pay attention to MLPs", on patches of the window."""

    def __init__(self) -> None:
        super().__init__()
        self.patch_embed = nn.Linear(CHANNELS * 8, 8)
        self.model = nn.Sequential(GatedBlock(8, 8, 12), GatedBlock(8, 8, 12))
        self.norm, self.head = nn.LayerNorm(8), nn.Linear(8, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        patches = x.unfold(dimension=2, size=8, step=8)  # (window, channel, patch, time)
        patches = patches.transpose(1, 2).flatten(2)
        return self.head(self.norm(self.model(self.patch_embed(patches))).mean(dim=1))

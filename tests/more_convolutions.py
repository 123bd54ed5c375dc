"""Convolutional networks from their papers, small, spelled as their public implementations spell them."""

import torch
import torch.nn.functional as F
from torch import nn

from tests.architectures import CHANNELS, CLASSES, TIME


class MCDCNN(nn.Module):
    """Zheng et al. 2014: each channel has a network of its own, one dense network reads them all."""

    def __init__(self) -> None:
        super().__init__()

        def alone() -> nn.Module:
            layers = nn.Conv1d(1, 8, 5), nn.ReLU(), nn.MaxPool1d(2), nn.Conv1d(8, 8, 5), nn.ReLU(), nn.MaxPool1d(2)
            return nn.Sequential(*layers)

        self.branches = nn.ModuleList([alone() for _ in range(CHANNELS)])
        self.fc1 = nn.Linear(CHANNELS * 8 * 13, 32)
        self.fc2 = nn.Linear(32, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        outputs = []
        for i, branch in enumerate(self.branches):
            h = branch(x[:, i, :].unsqueeze(1))
            outputs.append(h.view(h.size(0), -1))
        return self.fc2(F.relu(self.fc1(torch.cat(outputs, dim=-1))))


class TimeCNN(nn.Module):
    """Zhao et al. 2017: sigmoids and average pooling, without batch norm or padding."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv1d(CHANNELS, 6, 7), nn.Conv1d(6, 12, 7)
        self.fc = nn.Linear(12 * 4, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.avg_pool1d(torch.sigmoid(self.conv1(x)), 3)
        x = F.avg_pool1d(torch.sigmoid(self.conv2(x)), 3)
        return torch.sigmoid(self.fc(torch.flatten(x, start_dim=1)))


class XCM(nn.Module):
    """Fauvel et al. 2021: a branch in two dimensions for the channels, one in one dimension for the time."""

    def __init__(self) -> None:
        super().__init__()
        self.conv2d, self.norm2d = nn.Conv2d(1, 8, (1, 13), padding="same"), nn.BatchNorm2d(8)
        self.point2d = nn.Conv2d(8, 1, 1)
        self.conv1d, self.norm1d = nn.Conv1d(CHANNELS, 8, 13, padding="same"), nn.BatchNorm1d(8)
        self.point1d = nn.Conv1d(8, 1, 1)
        self.conv, self.norm = nn.Conv1d(CHANNELS + 1, 8, 13, padding="same"), nn.BatchNorm1d(8)
        self.head = nn.Linear(8, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out1 = F.relu(self.point2d(F.relu(self.norm2d(self.conv2d(x[:, None]))))).squeeze(1)
        out2 = F.relu(self.point1d(F.relu(self.norm1d(self.conv1d(x)))))
        out = F.relu(self.norm(self.conv(torch.concat((out2, out1), dim=1))))
        return self.head(out.mean(-1))


class ShallowConvNet(nn.Module):
    """Schirrmeister et al. 2017: band power as the logarithm of averaged squares; the layout of braindecode."""

    def __init__(self) -> None:
        super().__init__()
        self.conv_time = nn.Conv2d(1, 8, (13, 1))
        self.conv_spat = nn.Conv2d(8, 8, (1, CHANNELS), bias=False)
        self.bnorm = nn.BatchNorm2d(8, momentum=0.1, affine=True)
        self.pool = nn.AvgPool2d((20, 1), (4, 1))
        self.drop = nn.Dropout(p=0.5)
        self.conv_classifier = nn.Conv2d(8, CLASSES, (9, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x.unsqueeze(-1).permute(0, 3, 2, 1)  # (window, 1, time, channel)
        x = self.bnorm(self.conv_spat(self.conv_time(x)))
        x = self.pool(x * x)
        x = self.drop(torch.log(torch.clamp(x, min=1e-6)))
        x = self.conv_classifier(x)
        return F.log_softmax(x, dim=1)[:, :, 0, 0]


class ModernBlock(nn.Module):
    """Large depthwise kernel, merged with a small one, then dense layers within features and within variables."""

    def __init__(self, n_features: int) -> None:
        super().__init__()
        wide, m = CHANNELS * n_features, CHANNELS
        self.large = nn.Sequential(nn.Conv1d(wide, wide, 9, padding=4, groups=wide, bias=False), nn.BatchNorm1d(wide))
        self.small = nn.Sequential(nn.Conv1d(wide, wide, 3, padding=1, groups=wide, bias=False), nn.BatchNorm1d(wide))
        self.norm = nn.BatchNorm1d(n_features)
        self.ffn1pw1, self.ffn1pw2 = nn.Conv1d(wide, 2 * wide, 1, groups=m), nn.Conv1d(2 * wide, wide, 1, groups=m)
        self.ffn2pw1 = nn.Conv1d(wide, 2 * wide, 1, groups=n_features)
        self.ffn2pw2 = nn.Conv1d(2 * wide, wide, 1, groups=n_features)
        self.act1, self.act2, self.drop = nn.GELU(), nn.GELU(), nn.Dropout(0.1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        input = x
        B, M, D, N = x.shape
        x = x.reshape(B, M * D, N)
        x = self.large(x) + self.small(x)
        x = x.reshape(B, M, D, N)
        x = x.reshape(B * M, D, N)
        x = self.norm(x)
        x = x.reshape(B, M, D, N)
        x = x.reshape(B, M * D, N)
        x = self.drop(self.ffn1pw2(self.act1(self.drop(self.ffn1pw1(x)))))
        x = x.reshape(B, M, D, N)
        x = x.permute(0, 2, 1, 3)
        x = x.reshape(B, D * M, N)
        x = self.drop(self.ffn2pw2(self.act2(self.drop(self.ffn2pw1(x)))))
        x = x.reshape(B, D, M, N)
        x = x.permute(0, 2, 1, 3)
        return input + x


class ModernTCN(nn.Module):
    """Luo and Wang 2024: each variable is cut into patches, which keep an axis of variables throughout."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv1d(1, 6, kernel_size=8, stride=4), nn.BatchNorm1d(6))
        self.stage = nn.ModuleList([ModernBlock(6), ModernBlock(6)])
        self.act_class, self.class_dropout = nn.GELU(), nn.Dropout(0.1)
        self.head_class = nn.Linear(CHANNELS * 6 * TIME // 4, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        B, M, _ = x.shape
        x = x.unsqueeze(-2)
        B, M, D, N = x.shape
        x = x.reshape(B * M, D, N)
        pad = x[:, :, -1:].repeat(1, 1, 4)
        x = self.stem(torch.cat([x, pad], dim=-1))
        _, D_, N_ = x.shape
        x = x.reshape(B, M, D_, N_)
        for block in self.stage:
            x = block(x)
        x = self.class_dropout(self.act_class(x))
        return self.head_class(x.reshape(x.shape[0], -1))


def hand_made(length: int, sign: float) -> torch.Tensor:
    """(1, channel, length) alternating weights of a filter that is not learned, the same in each channel."""
    row = torch.tensor([sign * (-1.0) ** i for i in range(length)])
    return row.repeat(1, CHANNELS, 1)


class LITE(nn.Module):
    """Ismail-Fawaz et al. 2023: hand-made filters beside three learned ones, then dilated separable convolutions."""

    def __init__(self) -> None:
        super().__init__()
        for length in (2, 4, 8):
            self.register_buffer(f"rising{length}", hand_made(length, 1.0))
            self.register_buffer(f"falling{length}", hand_made(length, -1.0))
        self.convs = nn.ModuleList([nn.Conv1d(CHANNELS, 4, k, padding="same", bias=False) for k in (20, 10, 5)])
        self.norm = nn.BatchNorm1d(18, eps=1e-3)
        self.separable, norms = nn.ModuleList(), nn.ModuleList()
        for n_in, kernel, dilation in ((18, 10, 2), (8, 5, 4)):
            depthwise = nn.Conv1d(n_in, n_in, kernel, padding="same", dilation=dilation, groups=n_in, bias=False)
            self.separable.append(nn.Sequential(depthwise, nn.Conv1d(n_in, 8, 1, bias=False)))
            norms.append(nn.BatchNorm1d(8, eps=1e-3))
        self.norms, self.output = norms, nn.Linear(8, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        fixed = [
            F.conv1d(x, getattr(self, name + str(length)), padding="same")
            for length in (2, 4, 8)
            for name in ("rising", "falling")
        ]
        hybrid = torch.relu(torch.cat(fixed, dim=1))
        x = torch.relu_(self.norm(torch.cat([conv(x) for conv in self.convs] + [hybrid], dim=1)))
        for separable, norm in zip(self.separable, self.norms, strict=True):
            x = norm(separable(x)).relu()
        return self.output(F.adaptive_avg_pool1d(x, 1).flatten(1))


class SamePadConv(nn.Module):
    """A dilated convolution whose surplus of an even receptive field is cut off."""

    def __init__(self, n_in: int, n_out: int, kernel_size: int, dilation: int) -> None:
        super().__init__()
        self.receptive_field = (kernel_size - 1) * dilation + 1
        self.conv = nn.Conv1d(n_in, n_out, kernel_size, padding=self.receptive_field // 2, dilation=dilation)
        self.remove = 1 if self.receptive_field % 2 == 0 else 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out = self.conv(x)
        if self.remove > 0:
            out = out[:, :, : -self.remove]
        return out


class DilatedBlock(nn.Module):
    """Two dilated convolutions, each after a GELU, and a shortcut."""

    def __init__(self, n_in: int, n_out: int, dilation: int, final: bool) -> None:
        super().__init__()
        self.conv1, self.conv2 = SamePadConv(n_in, n_out, 3, dilation), SamePadConv(n_out, n_out, 3, dilation)
        self.projector = nn.Conv1d(n_in, n_out, 1) if n_in != n_out or final else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        residual = x if self.projector is None else self.projector(x)
        x = F.gelu(x)
        x = self.conv1(x)
        x = F.gelu(x)
        x = self.conv2(x)
        return x + residual


class TS2Vec(nn.Module):
    """Yue et al. 2022: missing values are masked, a dilated encoder, maximum over time, a linear classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.input_fc = nn.Linear(CHANNELS, 8)
        blocks = DilatedBlock(8, 8, 1, False), DilatedBlock(8, 8, 2, False), DilatedBlock(8, 12, 4, True)
        self.feature_extractor, self.repr_dropout = nn.Sequential(*blocks), nn.Dropout(p=0.1)
        self.classifier = nn.Linear(12, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x.transpose(1, 2)
        nan_mask = ~x.isnan().any(axis=-1)
        x[~nan_mask] = 0
        x = self.input_fc(x)
        mask = x.new_full((x.size(0), x.size(1)), True, dtype=torch.bool)
        mask &= nan_mask
        x[~mask] = 0
        x = x.transpose(1, 2)
        x = self.repr_dropout(self.feature_extractor(x))
        out = x.transpose(1, 2)
        out = F.max_pool1d(out.transpose(1, 2), kernel_size=out.size(1)).transpose(1, 2).squeeze(1)
        return self.classifier(out)

"""Networks for EEG from their papers, small, spelled as their public implementations spell them."""

import math

import torch
import torch.nn.functional as F
from torch import nn

from tests.architectures import CHANNELS, CLASSES


class DeepSleepNet(nn.Module):
    """Supratak et al. 2017: small and large filters side by side, a bidirectional LSTM with a dense shortcut."""

    def __init__(self) -> None:
        super().__init__()

        def branch(kernel: int, stride: int, pool: int) -> nn.Sequential:
            first = nn.Conv1d(CHANNELS, 6, kernel, stride, padding=kernel // 2, bias=False), nn.BatchNorm1d(6)
            second = nn.Conv1d(6, 8, 5, padding=2, bias=False), nn.BatchNorm1d(8)
            pools = nn.MaxPool1d(pool, pool), nn.Dropout(0.5)
            return nn.Sequential(*first, nn.ReLU(True), *pools, *second, nn.ReLU(inplace=True), nn.MaxPool1d(2, 2))

        self.features1, self.features2 = branch(7, 1, 4), branch(21, 4, 2)
        self.dropout = nn.Dropout(0.5)
        self.blstm = nn.LSTM(8, 4, num_layers=2, batch_first=True, bidirectional=True, dropout=0.5)
        self.fc = nn.Sequential(nn.Linear(8, 8, bias=False), nn.BatchNorm1d(8), nn.ReLU(True))
        self.output = nn.Linear(8, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.cat((self.features1(x), self.features2(x)), dim=2)
        x = self.dropout(x)
        x_seq = x.transpose(1, 2)
        x_blstm, _ = self.blstm(x_seq)
        x_fc = self.fc(x_seq.reshape(-1, x_seq.size(2))).view(x_seq.size(0), -1, 8)
        x = torch.add(x_blstm, x_fc)
        return self.output(self.dropout(x[:, -1, :]))


class AttentionBlock(nn.Module):
    """Norm, attention with heads of their own width, shortcut; (window, feature, time) in and out."""

    def __init__(self, width: int, head_dim: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads, inner = num_heads, head_dim * num_heads
        self.ln = nn.LayerNorm(width, eps=1e-6)
        self.fc_q, self.fc_k, self.fc_v = nn.Linear(width, inner), nn.Linear(width, inner), nn.Linear(width, inner)
        self.fc_o, self.dropout, self.drop = nn.Linear(inner, width), nn.Dropout(0.5), nn.Dropout(0.3)

    def forward(self, X: torch.Tensor) -> torch.Tensor:
        X = X.permute(0, 2, 1)
        out = self.ln(X)
        Q, K, V = self.fc_q(out), self.fc_k(out), self.fc_v(out)
        Q_ = torch.cat(Q.chunk(self.num_heads, dim=-1), dim=0)
        K_ = torch.cat(K.chunk(self.num_heads, dim=-1), dim=0)
        V_ = torch.cat(V.chunk(self.num_heads, dim=-1), dim=0)
        W = torch.softmax(Q_.bmm(K_.transpose(-2, -1)) / math.sqrt(Q_.shape[-1]), -1)
        H = torch.cat(W.bmm(V_).chunk(self.num_heads, dim=0), dim=-1)
        out = self.dropout(self.fc_o(H))
        out = X + self.drop(out)
        return out.permute(0, 2, 1)


class CausalResidual(nn.Module):
    """Two causal convolutions, batch norm, ELU, and a shortcut."""

    def __init__(self, width: int, dilation: int) -> None:
        super().__init__()
        self.pad = 3 * dilation
        self.conv1 = nn.Conv1d(width, width, 4, dilation=dilation, padding=self.pad)
        self.conv2 = nn.Conv1d(width, width, 4, dilation=dilation, padding=self.pad)
        self.bn1, self.bn2, self.drop = nn.BatchNorm1d(width), nn.BatchNorm1d(width), nn.Dropout(0.3)

    def forward(self, X: torch.Tensor) -> torch.Tensor:
        out = self.drop(F.elu(self.bn1(self.conv1(X)[..., : -self.pad])))
        out = self.drop(F.elu(self.bn2(self.conv2(out)[..., : -self.pad])))
        return F.elu(X + out)


class ATCNet(nn.Module):
    """Altaheri et al. 2022: sliding windows over the features, each with attention and a causal network."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 4, (16, 1), padding="same", bias=False)
        self.conv2 = nn.Conv2d(4, 8, (1, CHANNELS), groups=4, bias=False)
        self.conv3 = nn.Conv2d(8, 8, (8, 1), padding="same", bias=False)
        self.bn1, self.bn2, self.bn3 = nn.BatchNorm2d(4, eps=1e-4), nn.BatchNorm2d(8), nn.BatchNorm2d(8)
        self.pool1, self.pool2, self.drop = nn.AvgPool2d((4, 1)), nn.AvgPool2d((2, 1)), nn.Dropout2d(0.3)
        self.n_windows = 3
        self.attention_blocks = nn.ModuleList([AttentionBlock(8, 4, 2) for _ in range(self.n_windows)])
        self.temporal = nn.ModuleList(
            [nn.Sequential(CausalResidual(8, 1), CausalResidual(8, 2)) for _ in range(self.n_windows)]
        )
        self.final_layers = nn.ModuleList([nn.Linear(8, CLASSES) for _ in range(self.n_windows)])

    def forward(self, X: torch.Tensor) -> torch.Tensor:
        X = X.transpose(1, 2)[:, None, :, :]
        X = self.bn1(self.conv1(X))
        X = self.drop(self.pool1(F.elu(self.bn2(self.conv2(X)))))
        conv_feat = self.drop(self.pool2(F.elu(self.bn3(self.conv3(X)))))
        conv_feat = conv_feat.view(*conv_feat.shape[:-1])
        size = conv_feat.shape[-1] - self.n_windows + 1
        sw_concat = []
        for w in range(self.n_windows):
            feat = conv_feat[..., w : w + size]
            tcn_feat = self.temporal[w](self.attention_blocks[w](feat))[..., -1]
            sw_concat.append(self.final_layers[w](tcn_feat))
        return torch.mean(torch.stack(sw_concat, dim=0), dim=0)


class MultiHeadAttention(nn.Module):
    """Attention by einsum, scaled by the root of the whole width."""

    def __init__(self, emb_size: int, num_heads: int) -> None:
        super().__init__()
        self.emb_size, self.num_heads = emb_size, num_heads
        self.keys, self.queries = nn.Linear(emb_size, emb_size), nn.Linear(emb_size, emb_size)
        self.values, self.projection = nn.Linear(emb_size, emb_size), nn.Linear(emb_size, emb_size)
        self.att_drop = nn.Dropout(0.5)

    def forward(self, x: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        b, n, _ = x.shape
        queries = self.queries(x).view(b, n, self.num_heads, -1).transpose(1, 2)
        keys = self.keys(x).view(b, n, self.num_heads, -1).transpose(1, 2)
        values = self.values(x).view(b, n, self.num_heads, -1).transpose(1, 2)
        energy = torch.einsum("bhqd, bhkd -> bhqk", queries, keys)
        if mask is not None:
            fill_value = torch.finfo(torch.float32).min
            energy.mask_fill(~mask, fill_value)  # type: ignore[operator]  # as published
        scaling = self.emb_size ** (1 / 2)
        att = F.softmax(energy / scaling, dim=-1)
        att = self.att_drop(att)
        out = torch.einsum("bhal, bhlv -> bhav ", att, values)
        out = out.transpose(1, 2).reshape(b, n, -1)
        return self.projection(out)


class ResidualAdd(nn.Module):
    """x + fn(x), in place."""

    def __init__(self, fn: nn.Module) -> None:
        super().__init__()
        self.fn = fn

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        res = x
        x = self.fn(x)
        x += res
        return x


class ErrorFunctionGELU(nn.Module):
    """GELU, written out."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        return input * 0.5 * (1.0 + torch.erf(input / math.sqrt(2.0)))


class EEGConformer(nn.Module):
    """Song et al. 2022: ShallowConvNet's convolutions make the tokens of a transformer; returns (features, classes)."""

    def __init__(self) -> None:
        super().__init__()
        layers = nn.Conv2d(1, 8, (1, 9)), nn.Conv2d(8, 8, (CHANNELS, 1)), nn.BatchNorm2d(8), nn.ELU()
        self.shallownet = nn.Sequential(*layers, nn.AvgPool2d((1, 12), (1, 4)), nn.Dropout(0.5))
        self.projection = nn.Conv2d(8, 8, (1, 1), stride=(1, 1))

        def block() -> nn.Module:
            attention = nn.Sequential(nn.LayerNorm(8), MultiHeadAttention(8, 2), nn.Dropout(0.5))
            dense = nn.Linear(8, 16), ErrorFunctionGELU(), nn.Dropout(0.5), nn.Linear(16, 8), nn.Dropout(0.5)
            return nn.Sequential(ResidualAdd(attention), ResidualAdd(nn.Sequential(nn.LayerNorm(8), *dense)))

        self.encoder = nn.Sequential(block(), block())
        self.fc = nn.Sequential(
            nn.Linear(8 * 12, 16), nn.ELU(), nn.Dropout(0.5), nn.Linear(16, 8), nn.ELU(), nn.Linear(8, CLASSES)
        )

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x = self.projection(self.shallownet(x.unsqueeze(1)))
        b, e, h, w = x.shape
        x = x.permute(0, 2, 3, 1).reshape(b, h * w, e)
        x = self.encoder(x)
        x = x.contiguous().view(x.size(0), -1)
        return x, self.fc(x)

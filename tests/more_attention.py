"""Networks with attention from their papers, small, spelled as their public implementations spell them."""

import math

import torch
import torch.nn.functional as F
from torch import nn

from tests.architectures import CHANNELS, CLASSES, TIME


class Encoder(nn.Module):
    """Serra et al. 2018: one half of the features is weighted in time by the softmax of the other half."""

    def __init__(self) -> None:
        super().__init__()

        def block(n_in: int, n_out: int, kernel: int) -> nn.Sequential:
            layers = nn.InstanceNorm1d(n_out, affine=True), nn.PReLU(num_parameters=n_out), nn.Dropout(0.2)
            return nn.Sequential(nn.Conv1d(n_in, n_out, kernel, padding="same"), *layers)

        self.conv1, self.conv2, self.conv3 = block(CHANNELS, 8, 5), block(8, 8, 11), block(8, 16, 21)
        self.dense, self.norm = nn.Linear(8, 8), nn.InstanceNorm1d(16, affine=True)
        self.output = nn.Linear(16 * 8, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.max_pool1d(self.conv1(x), 2)
        x = F.max_pool1d(self.conv2(x), 2)
        data, attention = self.conv3(x).chunk(2, dim=1)
        x = torch.mul(F.softmax(attention, dim=-1), data)
        x = self.norm(torch.sigmoid(self.dense(x.permute(0, 2, 1))))
        return self.output(x.reshape(len(x), -1))


class GraphAttention(nn.Module):
    """Attention between the rows of (window, node, value), scored by a network of each pair (GATv2)."""

    def __init__(self, n_nodes: int, n_values: int) -> None:
        super().__init__()
        self.num_nodes, self.n_values = n_nodes, n_values
        self.lin = nn.Linear(2 * n_values, 2 * n_values)
        self.a = nn.Parameter(torch.empty((2 * n_values, 1)))
        nn.init.xavier_uniform_(self.a.data, gain=1.414)
        self.bias = nn.Parameter(torch.zeros(n_nodes, n_nodes))
        self.leakyrelu, self.sigmoid = nn.LeakyReLU(0.2), nn.Sigmoid()

    def _make_attention_input(self, v: torch.Tensor) -> torch.Tensor:
        K = self.num_nodes
        blocks_repeating = v.repeat_interleave(K, dim=1)
        blocks_alternating = v.repeat(1, K, 1)
        combined = torch.cat((blocks_repeating, blocks_alternating), dim=2)
        return combined.view(v.size(0), K, K, 2 * self.n_values)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        a_input = self.leakyrelu(self.lin(self._make_attention_input(x)))
        e = torch.matmul(a_input, self.a).squeeze(3)
        e += self.bias
        attention = torch.softmax(e, dim=2)
        attention = torch.dropout(attention, 0.2, train=self.training)
        return self.sigmoid(torch.matmul(attention, x))


class MTADGAT(nn.Module):
    """Zhao et al. 2020: graph attention over channels and over time, a GRU, a forecast."""

    def __init__(self) -> None:
        super().__init__()
        self.padding = nn.ConstantPad1d(3, 0.0)
        self.conv, self.relu = nn.Conv1d(CHANNELS, CHANNELS, kernel_size=7), nn.ReLU()
        self.feature_gat, self.temporal_gat = GraphAttention(CHANNELS, TIME), GraphAttention(TIME, CHANNELS)
        self.gru = nn.GRU(3 * CHANNELS, 8, num_layers=1, batch_first=True)
        self.layers = nn.ModuleList([nn.Linear(8, 8), nn.Linear(8, CLASSES)])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.relu(self.conv(self.padding(x))).permute(0, 2, 1)
        h_feat = self.feature_gat(x.permute(0, 2, 1)).permute(0, 2, 1)
        h_temp = self.temporal_gat(x)
        h_cat = torch.cat([x, h_feat, h_temp], dim=2)
        out, h = self.gru(h_cat)
        out, h = out[-1, :, :], h[-1, :, :]
        h = h.view(x.shape[0], -1)
        for i in range(len(self.layers) - 1):
            h = self.relu(self.layers[i](h))
        return self.layers[-1](h)


class RelativeAttention(nn.Module):
    """Attention whose weights have a learned bias of the distance in time, added after the softmax (eRPE)."""

    def __init__(self, width: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads, self.scale = num_heads, width**-0.5
        self.key, self.value = nn.Linear(width, width, bias=False), nn.Linear(width, width, bias=False)
        self.query = nn.Linear(width, width, bias=False)
        self.relative_bias_table = nn.Parameter(0.02 * torch.randn(2 * TIME - 1, num_heads))
        distance = torch.arange(TIME)[:, None] - torch.arange(TIME)[None, :] + TIME - 1
        self.register_buffer("relative_index", distance.flatten().unsqueeze(1))
        self.dropout, self.to_out = nn.Dropout(0.01), nn.LayerNorm(width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch_size, seq_len, _ = x.shape
        k = self.key(x).reshape(batch_size, seq_len, self.num_heads, -1).permute(0, 2, 3, 1)
        v = self.value(x).reshape(batch_size, seq_len, self.num_heads, -1).transpose(1, 2)
        q = self.query(x).reshape(batch_size, seq_len, self.num_heads, -1).transpose(1, 2)
        attn = torch.matmul(q, k) * self.scale
        attn = nn.functional.softmax(attn, dim=-1)
        relative_bias = self.relative_bias_table.gather(0, self.relative_index.repeat(1, self.num_heads))
        relative_bias = relative_bias.view(TIME, TIME, -1).permute(2, 0, 1).unsqueeze(0)
        attn = attn + relative_bias
        attn = self.dropout(attn)
        out = torch.matmul(attn, v)
        out = out.transpose(1, 2)
        out = out.reshape(batch_size, seq_len, -1)
        return self.to_out(out)


class ConvTran(nn.Module):
    """Foumani et al. 2024: disjoint convolutions over time and channels, two kinds of positions, one transformer."""

    def __init__(self) -> None:
        super().__init__()
        self.embed_layer = nn.Sequential(
            nn.Conv2d(1, 16, kernel_size=[1, 8], padding="same"), nn.BatchNorm2d(16), nn.GELU()
        )
        self.embed_layer2 = nn.Sequential(nn.Conv2d(16, 8, kernel_size=[CHANNELS, 1]), nn.BatchNorm2d(8), nn.GELU())
        position = torch.arange(0, TIME, dtype=torch.float).unsqueeze(1)
        div_term = torch.exp(torch.arange(0, 8, 2).float() * (-math.log(10000.0) / 8))
        pe = torch.zeros(TIME, 8)
        pe[:, 0::2] = torch.sin((position * div_term) * (8 / TIME))
        pe[:, 1::2] = torch.cos((position * div_term) * (8 / TIME))
        self.register_buffer("pe", pe.unsqueeze(0))
        self.attention_layer = RelativeAttention(8, 2)
        self.LayerNorm, self.LayerNorm2 = nn.LayerNorm(8, eps=1e-5), nn.LayerNorm(8, eps=1e-5)
        layers = nn.Linear(8, 16), nn.ReLU(), nn.Dropout(0.01), nn.Linear(16, 8), nn.Dropout(0.01)
        self.FeedForward = nn.Sequential(*layers)
        self.gap, self.flatten, self.out = nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(8, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x.unsqueeze(1)
        x_src = self.embed_layer(x)
        x_src = self.embed_layer2(x_src).squeeze(2)
        x_src = x_src.permute(0, 2, 1)
        x_src_pos = x_src + self.pe
        att = x_src + self.attention_layer(x_src_pos)
        att = self.LayerNorm(att)
        out = att + self.FeedForward(att)
        out = self.LayerNorm2(out)
        out = out.permute(0, 2, 1)
        out = self.gap(out)
        out = self.flatten(out)
        return self.out(out)


class VariateLayer(nn.Module):
    """A layer of the transformer of the Time-Series-Library: einsum, pointwise convolutions, norms after the sums."""

    def __init__(self, width: int, n_heads: int) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.query_projection, self.key_projection = nn.Linear(width, width), nn.Linear(width, width)
        self.value_projection, self.out_projection = nn.Linear(width, width), nn.Linear(width, width)
        self.conv1, self.conv2 = nn.Conv1d(width, 2 * width, 1), nn.Conv1d(2 * width, width, 1)
        self.norm1, self.norm2, self.dropout = nn.LayerNorm(width), nn.LayerNorm(width), nn.Dropout(0.1)

    def attention(self, x: torch.Tensor) -> tuple[torch.Tensor, None]:
        B, L, _ = x.shape
        queries = self.query_projection(x).view(B, L, self.n_heads, -1)
        keys = self.key_projection(x).view(B, L, self.n_heads, -1)
        values = self.value_projection(x).view(B, L, self.n_heads, -1)
        scale = 1.0 / math.sqrt(queries.shape[-1])
        scores = torch.einsum("blhe,bshe->bhls", queries, keys)
        A = self.dropout(torch.softmax(scale * scores, dim=-1))
        V = torch.einsum("bhls,bshd->blhd", A, values)
        return self.out_projection(V.contiguous().view(B, L, -1)), None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        new_x, _ = self.attention(x)
        x = x + self.dropout(new_x)
        y = x = self.norm1(x)
        y = self.dropout(F.gelu(self.conv1(y.transpose(-1, 1))))
        y = self.dropout(self.conv2(y).transpose(-1, 1))
        return self.norm2(x + y)


class ITransformer(nn.Module):
    """Liu et al. 2024: attention between channels, each a token; windows are standardised by their own statistics."""

    def __init__(self) -> None:
        super().__init__()
        self.value_embedding, self.dropout = nn.Linear(TIME, 16), nn.Dropout(0.1)
        self.layers, self.norm = nn.ModuleList([VariateLayer(16, 2), VariateLayer(16, 2)]), nn.LayerNorm(16)
        self.projection = nn.Linear(16 * CHANNELS, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x_enc = x.permute(0, 2, 1)
        means = x_enc.mean(1, keepdim=True).detach()
        x_enc = x_enc - means
        stdev = torch.sqrt(torch.var(x_enc, dim=1, keepdim=True, unbiased=False) + 1e-5)
        x_enc /= stdev
        enc_out = self.dropout(self.value_embedding(x_enc.permute(0, 2, 1)))
        for layer in self.layers:
            enc_out = layer(enc_out)
        output = self.dropout(F.gelu(self.norm(enc_out)))
        return self.projection(output.reshape(output.shape[0], -1))

"""Networks with state spaces from their papers, small, spelled as their public implementations spell them."""

import math

import torch
import torch.nn.functional as F
from torch import nn

from tests.architectures import CHANNELS, CLASSES


class S4DLayer(nn.Module):
    """Gu et al. 2022: a long convolution in the frequency domain, its kernel from a diagonal state space."""

    def __init__(self, d_model: int, n_states: int) -> None:
        super().__init__()
        self.log_dt = nn.Parameter(torch.rand(d_model) * (math.log(0.1) - math.log(0.001)) + math.log(0.001))
        self.C = nn.Parameter(torch.view_as_real(torch.randn(d_model, n_states // 2, dtype=torch.cfloat)))
        self.log_A_real = nn.Parameter(torch.log(0.5 * torch.ones(d_model, n_states // 2)))
        self.A_imag = nn.Parameter(math.pi * torch.arange(n_states // 2).repeat(d_model, 1).float())
        self.D = nn.Parameter(torch.randn(d_model))
        self.activation, self.dropout = nn.GELU(), nn.Dropout(0.1)
        self.output_linear = nn.Sequential(nn.Conv1d(d_model, 2 * d_model, kernel_size=1), nn.GLU(dim=-2))

    def kernel(self, L: int) -> torch.Tensor:
        dt = torch.exp(self.log_dt)
        C = torch.view_as_complex(self.C)
        A = -torch.exp(self.log_A_real) + 1j * self.A_imag
        dtA = A * dt.unsqueeze(-1)
        K = dtA.unsqueeze(-1) * torch.arange(L, device=A.device)
        C = C * (torch.exp(dtA) - 1.0) / A
        return 2 * torch.einsum("hn, hnl -> hl", C, torch.exp(K)).real

    def forward(self, u: torch.Tensor) -> tuple[torch.Tensor, None]:
        L = u.size(-1)
        k = self.kernel(L=L)
        k_f = torch.fft.rfft(k, n=2 * L)
        u_f = torch.fft.rfft(u, n=2 * L)
        y = torch.fft.irfft(u_f * k_f, n=2 * L)[..., :L]
        y = y + u * self.D.unsqueeze(-1)
        y = self.dropout(self.activation(y))
        return self.output_linear(y), None


class S4D(nn.Module):
    """The example network of the S4 repository: encoder, layers with a norm after the sum, mean over time, decoder."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.decoder, self.drop = nn.Linear(CHANNELS, 8), nn.Linear(8, CLASSES), nn.Dropout1d(0.2)
        self.s4_layers = nn.ModuleList([S4DLayer(8, 16), S4DLayer(8, 16)])
        self.norms = nn.ModuleList([nn.LayerNorm(8), nn.LayerNorm(8)])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.encoder(x.transpose(1, 2))
        x = x.transpose(-1, -2)
        for layer, norm in zip(self.s4_layers, self.norms, strict=True):
            z = x
            z, _ = layer(z)
            z = self.drop(z)
            x = z + x
            x = norm(x.transpose(-1, -2)).transpose(-1, -2)
        x = x.transpose(-1, -2)
        return self.decoder(x.mean(dim=1))


class RMSNorm(nn.Module):
    """Zhang and Sennrich 2019."""

    def __init__(self, d_model: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(d_model))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-5) * self.weight


class MambaBlock(nn.Module):
    """A selective state space in a loop over time, as in mamba-minimal."""

    def __init__(self, d_model: int, d_inner: int, n_states: int) -> None:
        super().__init__()
        self.d_inner, self.n_states, self.dt_rank = d_inner, n_states, 2
        self.in_proj = nn.Linear(d_model, 2 * d_inner, bias=False)
        self.conv1d = nn.Conv1d(d_inner, d_inner, 4, groups=d_inner, padding=3)
        self.x_proj = nn.Linear(d_inner, self.dt_rank + 2 * n_states, bias=False)
        self.dt_proj, self.out_proj = nn.Linear(self.dt_rank, d_inner), nn.Linear(d_inner, d_model, bias=False)
        self.A_log = nn.Parameter(torch.log(torch.arange(1, n_states + 1).repeat(d_inner, 1).float()))
        self.D = nn.Parameter(torch.ones(d_inner))

    def selective_scan(
        self, u: torch.Tensor, delta: torch.Tensor, A: torch.Tensor, B: torch.Tensor, C: torch.Tensor
    ) -> torch.Tensor:
        (b, length, d_in), n = u.shape, A.shape[1]
        deltaA = torch.exp(torch.einsum("bld,dn->bldn", delta, A))
        deltaB_u = torch.einsum("bld,bln,bld->bldn", delta, B, u)
        x = torch.zeros((b, d_in, n), device=deltaA.device, dtype=deltaA.dtype)
        ys = []
        for i in range(length):
            x = deltaA[:, i] * x + deltaB_u[:, i]
            ys.append(torch.einsum("bdn,bn->bd", x, C[:, i, :]))
        return torch.stack(ys, dim=1) + u * self.D

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        _, length, _ = x.shape
        x, res = self.in_proj(x).split(split_size=[self.d_inner, self.d_inner], dim=-1)
        x = self.conv1d(x.transpose(1, 2))[:, :, :length].transpose(1, 2)
        x = F.silu(x)
        A = -torch.exp(self.A_log)
        delta, B, C = self.x_proj(x).split(split_size=[self.dt_rank, self.n_states, self.n_states], dim=-1)
        y = self.selective_scan(x, F.softplus(self.dt_proj(delta)), A, B, C)
        return self.out_proj(y * F.silu(res))


class Mamba(nn.Module):
    """Gu and Dao 2023: gated selective state spaces between norms, the last time step is classified."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Linear(CHANNELS, 6)
        self.mixers = nn.ModuleList([MambaBlock(6, 8, 4), MambaBlock(6, 8, 4)])
        self.norms, self.norm_f = nn.ModuleList([RMSNorm(6), RMSNorm(6)]), RMSNorm(6)
        self.lm_head = nn.Linear(6, CLASSES, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.embedding(x.mT)
        for mixer, norm in zip(self.mixers, self.norms, strict=True):
            x = mixer(norm(x)) + x
        return self.lm_head(self.norm_f(x)[:, -1])

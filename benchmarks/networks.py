"""Which networks does each method explain? Writes the table of docs/networks.md; some minutes of one core.

python -m benchmarks.networks
"""

import argparse
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from benchmarks.networks_of_today import N_CHANNELS, N_CLASSES, N_STEPS, NETWORKS, any_network
from clusterwhy import explain
from clusterwhy.errors import ClusterWhyError
from tests.architectures import CHANNELS, TIME
from tests.more_architectures import MORE_ARCHITECTURES, TARGETS, built

PAGE = Path(__file__).resolve().parents[1] / "docs" / "networks.md"
START, STOP = "<!-- table: python -m benchmarks.networks -->", "<!-- end of the table -->"
METHODS = {
    "LRP epsilon": "lrp_epsilon",
    "LRP z-plus, flat first": "lrp_epsilon_plus_flat",
    "LRP gamma, box first": "lrp_epsilon_gamma_box",
    "AttnLRP": "lrp_epsilon(attention=shared)",
    "difference": "difference",
    "gradients": "integrated_gradients",
    "guided backprop": "guided_backprop",
    "Grad-CAM": "grad_cam",
    "CRP": "crp",
}


def of_tsai() -> dict[str, Callable[[], nn.Module]]:
    """Networks of tsai by name, small."""
    from tsai.models.gMLP import gMLP
    from tsai.models.PatchTST import PatchTST
    from tsai.models.RNN_FCN import GRU_FCN, LSTM_FCN, MLSTM_FCN
    from tsai.models.TCN import TCN
    from tsai.models.TransformerModel import TransformerModel
    from tsai.models.TSiTPlus import TSiTPlus
    from tsai.models.TST import TST
    from tsai.models.TSTPlus import TSTPlus
    from tsai.models.XCM import XCM

    size, tst = (N_CHANNELS, N_CLASSES), {"d_model": 16, "n_heads": 2, "n_layers": 2, "d_ff": 16}
    fcn = {"conv_layers": [8, 8, 8], "hidden_size": 6}
    return {
        "tsai TSTPlus": lambda: TSTPlus(*size, N_STEPS, **tst),
        "tsai TSTPlus, key_padding_mask=False": lambda: TSTPlus(*size, N_STEPS, key_padding_mask=False, **tst),
        "tsai TST": lambda: TST(*size, N_STEPS, **tst),
        "tsai PatchTST": lambda: OneStep(PatchTST(*size, N_STEPS, pred_dim=4, patch_len=8, stride=4, **tst)),
        "tsai TSiTPlus": lambda: TSiTPlus(*size, N_STEPS, d_model=16, n_heads=2, depth=2),
        "tsai gMLP": lambda: gMLP(*size, N_STEPS, d_model=16, d_ffn=16, depth=2),
        "tsai LSTM_FCN": lambda: LSTM_FCN(*size, N_STEPS, **fcn),
        "tsai GRU_FCN": lambda: GRU_FCN(*size, N_STEPS, **fcn),
        "tsai MLSTM_FCN": lambda: MLSTM_FCN(*size, N_STEPS, se=4, **fcn),
        "tsai XCM": lambda: XCM(*size, N_STEPS, nf=6),
        "tsai TCN": lambda: TCN(*size, layers=[8, 8, 8], ks=3),
        "tsai TransformerModel": lambda: TransformerModel(*size, d_model=16, n_head=2, d_ffn=16, n_layers=1),
    }


class OneStep(nn.Module):
    """A forecast (window, channel, step) as (window, channel) of its first step."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        forecast: torch.Tensor = self.network(windows)
        return forecast[:, :, 0]


@dataclass(frozen=True)
class Case:
    """A network in evaluation mode, in float64, the shape (channel, time) of its windows, and what is explained."""

    name: str
    network: nn.Module
    shape: tuple[int, int] = (N_CHANNELS, N_STEPS)
    target: Any = 1


def cases() -> Iterator[Case]:
    """Each network."""
    for name in NETWORKS:
        yield Case(name, any_network(name))
    for name, make in of_tsai().items():
        torch.manual_seed(0)
        yield Case(name, make().double().eval())
    for name in MORE_ARCHITECTURES:
        yield Case(name, built(name), (CHANNELS, TIME), TARGETS.get(name, 1))


def outcome(case: Case, method: str) -> str:
    """`works`, or why not."""
    windows = np.random.default_rng(0).standard_normal((4, *case.shape))
    try:
        found = explain(case.network, windows, method, case.target, references=windows[:2])
    except ClusterWhyError as error:
        return str(error)
    except Exception as error:  # whatever else: the table shows it as what it is
        return f"a crash, to be reported: {type(error).__name__}: {error}"
    return "works" if np.isfinite(found.values).all() else "relevance is not finite"


def table() -> str:
    """Networks x methods in Markdown, with the reasons below."""
    reasons: list[str] = []
    lines = ["| network | " + " | ".join(METHODS) + " |", "|---" * (len(METHODS) + 1) + "|"]
    for case in tqdm(list(cases()), unit="network"):
        cells = []
        for method in METHODS.values():
            found = " ".join(outcome(case, method).replace("NetworkWithTarget", "the network").split())
            if found != "works" and found not in reasons:
                reasons.append(found)
            cells.append("works" if found == "works" else f"({reasons.index(found) + 1})")
        lines.append(f"| {case.name} | " + " | ".join(cells) + " |")
    notes = [f"{i}. {reason.replace('<', '&lt;')}" for i, reason in enumerate(reasons, start=1)]
    return "\n".join([*lines, "", "Reasons, as the error says them:", "", *notes])


def main() -> None:
    """Write the table between its marks in docs/networks.md."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    warnings.simplefilter("ignore")
    before, _, rest = PAGE.read_text().partition(START)
    _, _, after = rest.partition(STOP)
    PAGE.write_text(f"{before}{START}\n\n{table()}\n\n{STOP}{after}")


if __name__ == "__main__":
    main()

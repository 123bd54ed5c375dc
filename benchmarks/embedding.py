"""How fast are windows embedded, beside the bare network and beside hooks on a tsai learner?

The same InceptionTimePlus on the same windows: `clusterwhy`'s `embed` cuts windows out of the series as it goes; the
bare network gets batches that are cut already, in `torch.inference_mode`; the flow of DeepVATS (`get_enc_embs`) puts
windows into a tsai learner's data loader and takes the activation before the head by tsai's `get_acts_and_grads`.
Rounds are interleaved, the fastest counts. Five minutes on two cores:

    python -m benchmarks.embedding
    python -m benchmarks.embedding --quick    # few windows, one round; writes nothing
"""

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from torch import nn
from tqdm import tqdm

from benchmarks.figures import dots
from benchmarks.record import Result, fastest, miniature_table, record, shown
from benchmarks.studies import chosen
from clusterwhy.data.windows import windows_at
from clusterwhy.encoders.masked import MaskedEncoder, embed

SHAPES = ((6, 128), (38, 64), (38, 128))  # channels, samples
BATCH = 128
STRIDE = 16
N_WINDOWS, ROUNDS = 1024, 3


class WithHead(nn.Module):
    """A backbone and a head, as tsai's networks are."""

    def __init__(self, backbone: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.backbone, self.head = backbone, head

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        """(window, channel, time) -> (window, channel, time)."""
        predicted: torch.Tensor = self.head(self.backbone(windows))
        return predicted


def by_hooks(encoder: MaskedEncoder, windows: np.ndarray) -> np.ndarray:
    """(window, feature) as DeepVATS takes them: activations of the backbone, mean over time."""
    from tsai.basics import get_ts_dls, ts_learner
    from tsai.models.explainability import get_acts_and_grads

    network = WithHead(encoder.backbone, encoder.predictor)
    some = (list(range(len(windows) // 2)), list(range(len(windows) // 2, len(windows))))
    learner = ts_learner(get_ts_dls(windows, splits=some, bs=BATCH), network)
    loader = learner.dls.valid.new_dl(windows)
    loader.bs = BATCH
    found = [get_acts_and_grads(model=learner.model, modules=network.backbone, x=batch[0])[0] for batch in loader]
    embeddings: np.ndarray = torch.cat(found).mean(dim=2).cpu().numpy()
    return embeddings


def measure(channels: int, length: int, n_windows: int, rounds: int) -> list[dict[str, Any]]:
    """Windows per second of each way."""
    encoder = chosen()["encoder"].build(channels, length).eval()
    rng = np.random.default_rng(0)
    values = rng.standard_normal((n_windows * STRIDE + length, channels), dtype=np.float32)
    starts = np.arange(n_windows) * STRIDE
    windows = windows_at(values, starts, length)
    batches = torch.from_numpy(windows).split(BATCH)

    @torch.inference_mode()
    def bare() -> np.ndarray:
        return np.concatenate([encoder(batch).numpy() for batch in batches])

    ways: dict[str, Callable[[], np.ndarray]] = {
        "bare network": bare,
        "clusterwhy": lambda: embed(encoder, values, starts, length, BATCH),
        "hooks on a tsai learner": lambda: by_hooks(encoder, windows),
    }
    alike = [way() for way in ways.values()]
    for other in alike[1:]:
        np.testing.assert_allclose(other, alike[0], rtol=1e-3, atol=1e-4)
    best = fastest(dict(ways), rounds)
    rows = []
    for way, seconds in best.items():
        row = {"channels x samples": f"{channels} x {length}", "way": way, "windows / s": round(n_windows / seconds)}
        rows.append(row | {"time / bare network": seconds / best["bare network"]})
    return rows


def miniature() -> dict[str, float]:
    """Time of `embed` as a ratio to the bare network: one shape, few windows."""
    rows = {row["way"]: row["time / bare network"] for row in measure(*SHAPES[0], 512, 3)}
    return {"clusterwhy / bare network": rows["clusterwhy"]}


def section(result: Result) -> str:
    """Speed of each way, in Markdown."""
    table = result.table("ways")
    ratio = table.groupby("way")["time / bare network"].median()
    return f"""
The same network and windows, all with the same embeddings. `clusterwhy` cuts windows out of the series as it goes, so
that they are never in memory together; it takes {ratio["clusterwhy"]:.2f} of the time of the bare network on batches
that are cut already (median), activations by hooks, as DeepVATS takes them, {ratio["hooks on a tsai learner"]:.2f}:
these also compute gradients that nobody asked for.

{shown(table)}
"""


def figure(result: Result, figure: Figure) -> None:
    """Time of each way as a ratio to the bare network."""
    table = result.table("ways")
    panels = figure.subplots(1, len(SHAPES), sharey=True)
    figure.set_size_inches(9, 2)
    for axes, (shape, part) in zip(panels, table.groupby("channels x samples", sort=False), strict=True):
        dots(axes, part, "way", "time / bare network", {"clusterwhy"})
        axes.set(title=shape, xlabel="time / bare network")
        axes.set_xlim(left=0)


def main() -> None:
    """Measure and record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few windows, one round; writes nothing")
    quick, began = parser.parse_args().quick, time.monotonic()
    if quick:
        print(shown(pd.DataFrame(measure(*SHAPES[0], 256, 1))))
        return
    rows = [row for shape in tqdm(SHAPES, unit="shape") for row in measure(*shape, N_WINDOWS, ROUNDS)]
    table = pd.DataFrame(rows)
    tables = {"ways": table, "miniature": miniature_table(miniature())}
    record("embedding", "", began, {"windows": N_WINDOWS, "batch": BATCH, "rounds": ROUNDS}, tables, table)


if __name__ == "__main__":
    main()

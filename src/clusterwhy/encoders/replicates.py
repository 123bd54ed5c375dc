"""The training of one encoder of several, in this process or another."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from clusterwhy.artifacts.store import write_table
from clusterwhy.compute.seeding import seed_torch
from clusterwhy.data.storage import Prepared
from clusterwhy.encoders.starting import load_start
from clusterwhy.encoders.storage import encoder_folder, save_encoder


@dataclass(frozen=True)
class Training:
    """The training of one encoder, which stores it; can be sent to another process.

    Attributes:
        prepared: folder of the prepared series.
        settings: of the stage.
        encoder: the encoder's settings as plain values.
        which: 0, or the number of the replicate.
        out: folder of the encoder.
        kept: checkpoint, see `MaskedPrediction.train`.
        threads: that torch computes with: the same alone and beside others, so that the weights are.
    """

    prepared: Path
    settings: dict[str, Any]
    encoder: dict[str, Any]
    which: int
    out: Path
    kept: Path | None
    threads: int

    def __call__(self, report: Callable[[dict[str, float]], None] | None = None) -> tuple[pd.DataFrame, int]:
        """The history, and the number of parameters."""
        before = torch.get_num_threads()
        torch.set_num_threads(self.threads)
        data, seed = Prepared(self.prepared), self.settings["seed"] + self.which
        seed_torch(seed)
        settings = self.settings["encoder"]
        encoder = settings.build(len(data.channels), data.length)
        starts = data.starts[data.index["train"].to_numpy()]
        what = (encoder, data.scaled, starts, data.length, seed)
        noted: dict[str, Any] = {"channels": list(data.channels), "rate_hz": data.card.rate_hz}
        if start := self.settings["train"].start:
            noted["start"] = load_start(encoder, encoder_folder(Path(start), self.which))
        else:
            settings.load_given(encoder)
            settings.fit(*what)
        history = self.settings["train"].train(*what, report or (lambda row: None), self.kept)
        self.out.mkdir(exist_ok=True)
        save_encoder(self.out, encoder, settings.stored(self.encoder), len(data.channels), data.length, **noted)
        write_table(self.out / "history.csv", history)
        torch.set_num_threads(before)
        return history, sum(parameter.numel() for parameter in encoder.parameters())

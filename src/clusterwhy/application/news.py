"""What is new in a recording that a study is applied to: faults of sensors, drift, candidates for new states."""

from dataclasses import asdict
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from clusterwhy.application.applying import Application
from clusterwhy.application.candidates import Candidates, candidates, explain_candidates
from clusterwhy.application.drift import Reference, drift_table, spread_out
from clusterwhy.application.masking import MaskingCost, masking_cost
from clusterwhy.application.sensors import Sensor, sensor_checks
from clusterwhy.artifacts.store import write_json, write_table
from clusterwhy.clustering.base import NOISE
from clusterwhy.explanations.cluster_tables import ClusterExplanations
from clusterwhy.explanations.storage import save_clusters
from clusterwhy.explanations.units import Units
from clusterwhy.projection import Projection
from clusterwhy.types import FloatArray

FOLDER = "new"


class News:
    """What is new, written below `new/` of the application as it is computed."""

    def __init__(self, applied: Application) -> None:
        self.applied, self.folder = applied, applied.out / FOLDER

    @cached_property
    def checks(self) -> pd.DataFrame:
        """One row per channel and check that fails (`sensors.COLUMNS`); needs no encoder."""
        new, old = self.applied.data, self.applied.study.data
        sensors = [
            Sensor(name, new.values[:, i], old.values[:, i], new.card.units[i], old.card.units[i])
            for i, name in enumerate(old.channels)
            if name not in self.applied.masked
        ]
        found = sensor_checks(sensors, new.length)
        write_table(self.folder / "checks.csv", found)
        return found

    @cached_property
    def masking(self) -> MaskingCost | None:
        """What masking the channels that the recording lacks costs; None where it has all."""
        masked = self.applied.masked
        found = masking_cost(self.applied.study, masked, self.applied.limits) if masked else None
        write_json(self.folder / "masking.json", asdict(found) | {"says": found.says} if found else {"channels": []})
        return found

    @cached_property
    def drift(self) -> pd.DataFrame:
        """One row per channel, and one for the embedding (`drift.COLUMNS`)."""
        applied, study = self.applied, self.applied.study
        reference, channels = Reference.of(study.data), study.data.channels
        measured = [i for i, name in enumerate(channels) if name not in applied.masked]
        samples = spread_out(np.flatnonzero(reference.samples))
        new, old = applied.data.scaled[:, measured], study.data.scaled[samples][:, measured]
        points = self._points(reference)
        found = drift_table(tuple(channels[i] for i in measured), new, old, points, reference.says)
        write_table(self.folder / "drift.csv", found)
        return found

    def _points(self, reference: Reference) -> tuple[FloatArray, FloatArray]:
        """(window, feature) embeddings of the new windows and of the reference, standardised if the projection does."""
        projecting: Projection = self.applied.study.settings["projection"]
        known = self.applied.study.embeddings
        new, old = projecting.points(self.applied.embeddings, known), projecting.points(known)
        if projecting.standardise:
            new, old = reference.standardised(new, old), reference.standardised(old, old)
        return new, old[reference.windows]

    @cached_property
    def candidates(self) -> Candidates:
        """Dense groups among the windows of no known state, and why they are told apart from the study."""
        applied, study = self.applied, self.applied.study
        outside = np.flatnonzero(applied.placed.labels == NOISE)
        found = candidates(study, applied.embeddings, outside, applied.data.starts, applied.limits.risk)
        table = {"window": applied.data.index["window"], "candidate": found.labels}
        write_table(self.folder / "windows.parquet", pd.DataFrame(table))
        write_json(self.folder / "candidates.json", {"candidates": found.records})
        if found.records:
            card = study.data.card
            units = Units(card.channels, card.units, card.centre, card.scale, card.rate_hz)
            save_clusters(self.folder, self._explained(found), units)
        return found

    def _explained(self, found: Candidates) -> ClusterExplanations:
        fitted, new, replicates = self.applied.series(replicates=True)
        return explain_candidates(self.applied.study, [fitted, *replicates], new, found, self.applied.workers)

    @property
    def figures(self) -> dict[str, Any]:
        """For the metrics."""
        channels = self.drift[self.drift["kind"] == "channel"]
        embedding = self.drift[self.drift["kind"] == "embedding"].iloc[0]
        return {
            "n_sensor_faults": len(self.checks),
            "n_masked_channels": len(self.applied.masked),
            "n_drifted_channels": int(channels["drifted"].sum()),
            "embedding_drift": float(embedding["distance"]),
            "embedding_drifted": bool(embedding["drifted"]),
            "n_candidate_states": len(self.candidates.records),
        }

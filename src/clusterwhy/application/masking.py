"""What it costs to mask channels that a new recording lacks, measured on windows of the study."""

from dataclasses import dataclass, replace

import numpy as np

from clusterwhy.anomaly.relative import relative
from clusterwhy.application.fitted_study import FittedStudy
from clusterwhy.application.placing import NONE, place
from clusterwhy.application.settings import ApplicationSettings
from clusterwhy.compute.seeding import drawn

MOST = 500  # fitted windows that are masked


@dataclass(frozen=True)
class MaskingCost:
    """What becomes of fitted windows when channels are masked.

    Attributes:
        channels: that are masked.
        same_cluster: share of clustered windows that keep their cluster.
        unknown: share of windows that no longer belong to a known state.
        above_threshold, before: share of windows above the threshold, and without masking.
    """

    channels: tuple[str, ...]
    same_cluster: float
    unknown: float
    above_threshold: float
    before: float

    @property
    def says(self) -> str:
        """In words."""
        without = ", ".join(self.channels)
        return (
            f"Without {without}, {self.same_cluster:.0%} of the study's own windows keep their cluster, "
            f"{self.unknown:.0%} belong to no known state, and {self.above_threshold:.0%} are above the threshold "
            f"({self.before:.0%} with all channels)."
        )


def masking_cost(study: FittedStudy, masked: tuple[str, ...], settings: ApplicationSettings) -> MaskingCost:
    """Mask channels in up to `MOST` fitted windows, and place and score these again."""
    from clusterwhy.data.windows import windows_at
    from clusterwhy.encoders.masked import embed

    data, known = study.data, study.clusters.labels
    chosen = np.flatnonzero(drawn(len(known), min(MOST, len(known)), study.settings["seed"]))
    windows = windows_at(data.scaled, data.starts[chosen], data.length)
    windows[:, [data.channels.index(name) for name in masked]] = 0.0
    values, starts = windows.transpose(0, 2, 1).reshape(-1, windows.shape[1]), data.length * np.arange(len(chosen))
    embeddings = embed(study.encoder(), values, starts, data.length, 128)
    placed = place(study, embeddings, np.full(len(chosen), NONE), settings)
    new = replace(
        study.detector_input,
        values=values,
        starts=starts,
        embeddings=embeddings,
        projection=placed.projection,
        train=np.zeros(len(chosen), dtype=bool),
    )
    own = study.settings["detector"].score_new(new, study.learned, study.detector_input)
    scores = relative(own, study.usual(placed.labels)).windows
    clustered = known[chosen] >= 0
    return MaskingCost(
        channels=masked,
        same_cluster=float((placed.labels == known[chosen])[clustered].mean()) if clustered.any() else 1.0,
        unknown=float(placed.unknown.mean()),
        above_threshold=float((scores > study.threshold).mean()),
        before=float(study.scores["anomalous"].to_numpy()[chosen].mean()),
    )

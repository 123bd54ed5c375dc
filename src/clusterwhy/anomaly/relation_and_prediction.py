"""A score of three errors: does a channel agree with the others, with its own course, and with what is usual?"""

from functools import partial

import numpy as np
from pydantic import Field

from clusterwhy.anomaly.base import Detector, DetectorInput, Fitted, Scores
from clusterwhy.anomaly.detectors import PcaError, worst_stretches
from clusterwhy.anomaly.relation_and_shape import (
    relation_errors,
    relation_model,
    residual_errors,
    samples_inside,
    usual_sizes,
)
from clusterwhy.compute.seeding import drawn
from clusterwhy.types import FloatArray


class RelationAndPrediction(Detector):
    """Three errors for each channel, each over its usual size, on a log scale, added.

    `relation` and `residual` are those of `RelationAndShape`; `prediction` is that of the encoder in predicting hidden
    values, in the worst stretch of the window, as in `ClippedPredictionError`. The usual size is the `quantile` of the
    training windows; with log(1 + error / usual) one wild channel does not hide all others. The score is the mean over
    channels of the sum.
    """

    n_parts: int = Field(ge=2)
    block: int = Field(ge=1)
    stretch: int = Field(ge=1)
    explained_share: float = Field(gt=0.0, lt=1.0)
    quantile: float = Field(gt=0.0, lt=1.0)
    sample: int = Field(ge=2)
    batch_size: int = Field(ge=1)

    def score(self, inputs: DetectorInput) -> Scores:
        starts = inputs.starts[inputs.train]
        if len(starts) > self.sample:
            starts = starts[drawn(len(starts), self.sample, inputs.seed)]
        fitted = relation_model(samples_inside(inputs.values, starts, inputs.length))
        residual = PcaError(explained_share=self.explained_share, sample=self.sample).score(inputs)
        fitted |= {f"residual_{name}": values for name, values in residual.fitted.items()}
        errors = self._errors(inputs, fitted)
        fitted["usual"] = np.stack([usual_sizes(one[inputs.train], self.quantile) for one in errors])
        return self._scores(errors, fitted)

    def score_new(self, inputs: DetectorInput, fitted: Fitted, study: DetectorInput) -> Scores:
        return self._scores(self._errors(inputs, fitted), fitted)

    def _errors(self, inputs: DetectorInput, fitted: Fitted) -> list[FloatArray]:
        """Of relation, prediction and residual, (window, channel) each."""
        own = {name: getattr(self, name) for name in ("stretch", "n_parts", "block", "batch_size")}
        return [
            inputs.in_parts(lambda windows: relation_errors(windows, fitted)),
            inputs.over_windows(partial(worst_stretches, length=inputs.length, **own)),
            inputs.in_parts(lambda windows: residual_errors(windows, fitted)),
        ]

    def _scores(self, errors: list[FloatArray], fitted: Fitted) -> Scores:
        channels = sum(np.log1p(one / usual) for one, usual in zip(errors, fitted["usual"], strict=True))
        return Scores(np.asarray(channels).mean(axis=1), np.asarray(channels), fitted)

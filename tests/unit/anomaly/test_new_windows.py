"""Detectors on a recording that they were not fitted on."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

from clusterwhy.anomaly.base import Detector, DetectorInput, Scores
from clusterwhy.config import build_settings
from clusterwhy.encoders.inception_time import InceptionTime
from clusterwhy.errors import ConfigError
from tests.conftest import ROOT

DETECTORS = sorted((ROOT / "conf" / "detector").glob("*.yaml"))
LENGTH, N = 24, 60
UNORDERED = {"random", "matrix_profile"}


def detector(path: Path) -> Any:
    return build_settings({"detector": OmegaConf.to_container(OmegaConf.load(path))})["detector"]


@pytest.fixture(scope="module")
def study() -> DetectorInput:
    """What a detector is fitted on; the last windows are no training windows."""
    torch.manual_seed(0)
    encoder = InceptionTime(n_filters=4, depth=3, kernel_size=8, head_dropout=0.0).build(3, LENGTH).eval()
    rng = np.random.default_rng(0)
    values = rng.normal(size=(LENGTH * N, 3)).astype(np.float32)
    embeddings = (rng.normal(size=(N, 5)) + 20.0 * (np.arange(N) % 2)[:, None]).astype(np.float32)
    return DetectorInput(
        values=values,
        starts=LENGTH * np.arange(N),
        length=LENGTH,
        train=np.arange(N) < 50,
        embeddings=embeddings,
        projection=embeddings[:, :2],
        load_encoder=lambda: encoder,
        seed=0,
    )


@pytest.mark.parametrize("path", [p for p in DETECTORS if "glosh" not in p.stem], ids=lambda p: p.stem)
def test_new_windows_that_are_those_of_the_study_have_its_scores(study: DetectorInput, path: Path) -> None:
    fitted = detector(path).score(study)
    again = detector(path).score_new(study, fitted.fitted, study)
    np.testing.assert_allclose(again.windows, fitted.windows, atol=1e-6)
    if fitted.channels is not None:
        np.testing.assert_allclose(again.channels, fitted.channels, atol=1e-6)


# of noise no window has another shape than all others: for `matrix_profile` see test_matrix_profile.py
@pytest.mark.parametrize("path", [p for p in DETECTORS if p.stem not in UNORDERED], ids=lambda p: p.stem)
def test_a_new_window_unlike_all_ranks_first_by_what_was_learned_from_others(study: DetectorInput, path: Path) -> None:
    new = replace(study, values=study.values.copy(), embeddings=study.embeddings.copy(), train=np.zeros(N, dtype=bool))
    new.values[LENGTH * 20 : LENGTH * 21] += 9.0 * np.sign(study.values[LENGTH * 20 : LENGTH * 21])
    new.embeddings[20] += 50.0
    new = replace(new, projection=new.embeddings[:, :2])
    fitted = detector(path).score(study).fitted
    scores = detector(path).score_new(new, fitted, study)
    assert scores.windows.argmax() == 20
    # of the same window alone: nothing is fitted on the new recording
    alone = replace(new, starts=new.starts[20:21], embeddings=new.embeddings[20:21], projection=new.projection[20:21])
    found = detector(path).score_new(replace(alone, train=np.zeros(1, dtype=bool)), fitted, study)
    np.testing.assert_allclose(found.windows, scores.windows[20:21], rtol=1e-4)


def test_a_detector_of_ones_own_without_it_says_so(study: DetectorInput) -> None:
    class Own(Detector):
        def score(self, inputs: DetectorInput) -> Scores:
            return Scores(inputs.embeddings[:, 0])

    with pytest.raises(ConfigError, match="Own has no `score_new`"):
        Own().score_new(study, {}, study)

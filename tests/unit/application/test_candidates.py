"""Dense groups among windows of no known state."""

from typing import Any

import numpy as np
import pytest

from clusterwhy.application.candidates import candidates
from tests.unit.application.test_placing import LENGTH, blobs, study_of

RISK = 0.01


def found_in(rng: np.random.Generator, unknown: np.ndarray) -> Any:
    new = np.concatenate([blobs(rng, 100)[0], unknown.astype(np.float32)])
    outside = 100 + np.arange(len(unknown))
    return candidates(study_of(blobs(rng, 400)[0]), new, outside, LENGTH * np.arange(len(new)), RISK)


def test_a_dense_group_is_a_candidate_with_the_next_number(rng: np.random.Generator) -> None:
    group = np.full(8, 30.0) + rng.normal(size=(60, 8))
    found = found_in(rng, np.concatenate([group, 200.0 * rng.normal(size=(20, 8))]))
    (record,) = found.records
    assert record["candidate"] == 3 and record["n_windows"] >= 55 and record["share"] == record["n_windows"] / 180
    assert (found.labels[:100] == -1).all() and (found.labels[100:160] == 3).mean() > 0.9
    assert (found.labels[160:] == -1).all() and set(record["medoid_windows"]) <= set(range(100, 160))


def test_two_groups_are_two_candidates(rng: np.random.Generator) -> None:
    groups = [np.eye(8)[i] * 60.0 + rng.normal(size=(60, 8)) for i in (4, 5)]
    assert [record["candidate"] for record in found_in(rng, np.concatenate(groups)).records] == [3, 4]


@pytest.mark.parametrize(("spread", "n"), [(8.0, 80), (1.0, 12)])
def test_what_is_sparse_or_small_is_no_candidate(rng: np.random.Generator, spread: float, n: int) -> None:
    assert found_in(rng, np.full(8, 90.0) + spread * rng.normal(size=(n, 8))).records == []


def test_windows_that_share_samples_do_not_make_a_group_dense(rng: np.random.Generator) -> None:
    study = study_of(blobs(rng, 400)[0])
    # one place visited for 30 samples: neighbours in time are alike because they overlap
    new = (np.full(8, 90.0) + 0.01 * rng.normal(size=(60, 8))).astype(np.float32)
    assert candidates(study, new, np.arange(60), np.arange(60) // 2, RISK).records == []

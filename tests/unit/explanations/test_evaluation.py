"""Evaluation of explanations: curves solved by hand, randomised networks, a relevance budget that adds up."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from clusterwhy.attribution.base import AttributionTask
from clusterwhy.attribution.differences import DeepLift
from clusterwhy.attribution.lrp_variants import Lrp
from clusterwhy.explanations.embedded_series import EmbeddedSeries
from clusterwhy.explanations.evaluation import EvaluationSettings, evaluate_clusters
from clusterwhy.explanations.members import MemberSelection
from clusterwhy.explanations.relevance_budget import relevance_budget
from clusterwhy.explanations.sanity_checks import CellExplainer, SanityChecks, cell_correlation
from clusterwhy.explanations.settings import ExplanationSettings
from clusterwhy.explanations.target_heads import EmbeddingSum
from clusterwhy.explanations.targets import MembershipTarget
from clusterwhy.metrics.insertion_deletion import Cells, insertion_deletion
from clusterwhy.metrics.z_scores import cell_z_scores
from clusterwhy.propagation.canonizer import CanonizerSettings
from clusterwhy.propagation.composites import COMPOSITES
from clusterwhy.propagation.explainer import lrp
from tests.unit.propagation.test_relevance import made_encoder

SETTINGS = EvaluationSettings(
    n_windows=8,
    max_window_channels=100,
    n_stretches=8,
    randomise=(1.0,),
    draws=1,
    noise=0.05,
    n_clustered=100,
    resamples=0,
)


def task_of(network: nn.Module, references: np.ndarray, composite: str = "epsilon_plus") -> AttributionTask:
    return AttributionTask(network, COMPOSITES[composite], "auto", (np.full(3, -4.0), np.full(3, 4.0)), references)


def test_cells_are_stretches_of_channels() -> None:
    cells = Cells.of(7, 3)  # samples 0-1, 2-4, 5-6
    relevance = np.arange(14.0).reshape(1, 2, 7)
    assert cells.sums(relevance).tolist() == [[1.0, 9.0, 11.0, 15.0, 30.0, 25.0]]
    chosen = np.array([[False, True, False, False, False, True]])
    assert cells.masks(chosen)[0].astype(int).tolist() == [[0, 0, 1, 1, 1, 0, 0], [0, 0, 0, 0, 0, 1, 1]]


def test_insertion_and_deletion_solved_by_hand() -> None:
    # the target is the sum of four cells that are worth 4, 3, 2, 1; the baseline is worth nothing
    windows = np.array([[[4.0, 3.0], [2.0, 1.0]]])
    cells = Cells.of(2, 2)
    rankings = {"best": np.array([[4.0, 3.0, 2.0, 1.0]]), "worst": np.array([[1.0, 2.0, 3.0, 4.0]])}
    found = insertion_deletion(
        lambda x: x.sum(axis=(1, 2)) - 6.0, windows, {"zero": np.zeros((1, 2, 2))}, rankings, cells
    )
    # remaining 10, 6, 3, 1, 0 of 10 at equal steps
    assert found["zero", "best"].deletion == pytest.approx((0.5 + 0.6 + 0.3 + 0.1) / 4)
    assert found["zero", "worst"].deletion == pytest.approx((0.5 + 0.9 + 0.7 + 0.4) / 4)
    # restored 4, 7, 9, 10
    assert found["zero", "best"].insertion == pytest.approx((0.4 + 0.7 + 0.9 + 0.5) / 4)
    # a third is one cell: 10 - 4 - 6 = 0 is no longer above 0, 10 - 1 - 6 is
    assert found["zero", "best"].flip_rate == 1.0 and found["zero", "worst"].flip_rate == 0.0


def test_a_baseline_that_does_not_lower_the_target_has_no_curve() -> None:
    windows = np.ones((2, 1, 4))
    found = insertion_deletion(
        lambda x: x.sum(axis=(1, 2)), windows, {"higher": windows * 2}, {"any": np.ones((2, 4))}, Cells.of(4, 4)
    )
    assert np.isnan(found["higher", "any"].deletion) and np.isnan(found["higher", "any"].insertion)


def test_cell_correlation_is_a_rank_correlation_of_absolute_values() -> None:
    one = np.array([[1.0, -2.0, 3.0], [3.0, 1.0, 2.0]])
    assert cell_correlation(one, -(one**3)) == pytest.approx(1.0)
    assert cell_correlation(one[:1], np.array([[3.0, 2.0, 1.0]])) == pytest.approx(-1.0)
    assert np.isnan(cell_correlation(one, np.ones((2, 3))))


def test_sanity_checks_detect_relevance_that_ignores_the_weights(rng: np.random.Generator) -> None:
    windows, references = rng.normal(size=(4, 3, 32)), rng.normal(size=(8, 3, 32))
    network = nn.Sequential(made_encoder(3), EmbeddingSum()).eval()

    class Magnitude(Lrp):
        def explain(self, task: AttributionTask, windows: np.ndarray, seed: int) -> Any:
            found = super().explain(task, windows, seed)
            return type(found)(windows**2, found.target, found.bias_share)

    cells = Cells.of(32, 8)

    def checks(attributor: Lrp) -> dict[str, float]:
        explainer, task = CellExplainer(attributor, cells, 0), task_of(network, references)
        return SanityChecks((1.0,), 2, 0.01).run(explainer, task, network, windows, explainer.explain(task, windows))

    by_rule, by_magnitude = checks(Lrp(batch_size=4)), checks(Magnitude(batch_size=4))
    assert by_magnitude["randomised_100"] == pytest.approx(1.0)
    assert by_rule["randomised_100"] < 0.9
    assert by_rule["noisy"] > 0.9


def test_draws_of_random_networks_are_numbered(rng: np.random.Generator) -> None:
    """The mean over two draws is that of the first and the second one, and no others are the same."""
    windows, network = rng.normal(size=(3, 3, 32)), nn.Sequential(made_encoder(3), EmbeddingSum()).eval()
    explainer, task = CellExplainer(Lrp(batch_size=4), Cells.of(32, 8), 0), task_of(network, windows)
    relevance = explainer.explain(task, windows)

    def similarity(draws: int, first: int) -> float:
        checks = SanityChecks((1.0,), draws, 0.0)
        return checks.run(explainer, task, network, windows, relevance, first)["randomised_100"]

    first, second, fourth = (similarity(1, number) for number in (0, 1, 3))
    assert similarity(2, 0) == pytest.approx((first + second) / 2)
    assert len({first, second, fourth}) == 3


def test_noise_does_not_draw_other_references(rng: np.random.Generator) -> None:
    windows, references = rng.normal(size=(4, 3, 32)), rng.normal(size=(40, 3, 32))
    network = nn.Sequential(made_encoder(3), EmbeddingSum()).eval()
    explainer = CellExplainer(DeepLift(baseline="own_references", n_references=1, batch_size=4), Cells.of(32, 8), 0)
    task = task_of(network, references)
    found = SanityChecks((), 1, 1e-6).run(explainer, task, network, windows, explainer.explain(task, windows))
    assert found["noisy"] > 0.999


def test_the_relevance_budget_adds_up_to_the_gap(rng: np.random.Generator) -> None:
    windows = rng.normal(size=(4, 3, 32))
    network = nn.Sequential(made_encoder(3), EmbeddingSum()).eval()
    budget = relevance_budget(task_of(network, windows), windows)
    found = lrp(network, windows, None, "epsilon_plus", box=(np.full(3, -4.0), np.full(3, 4.0)))
    missing = (found.target - found.values.sum(axis=(1, 2))).mean() / np.abs(found.target).mean()
    assert budget["share"].sum() == pytest.approx(missing, abs=1e-9)
    assert budget[budget["category"] == "bias"]["share"].sum() == pytest.approx(
        (found.bias_share * found.target).mean() / np.abs(found.target).mean(), abs=1e-9
    )


def test_cells_unlike_other_windows_have_a_high_z(rng: np.random.Generator) -> None:
    rest = rng.normal(size=(50, 2, 8))
    window = rng.normal(size=(1, 2, 8))
    window[0, 1, 4:] += 5.0
    assert cell_z_scores(window, rest, Cells.of(8, 2))[0].argmax() == 3


def test_windows_of_each_cluster_fit_into_the_budget() -> None:
    assert SETTINGS.windows_of_each(n_clusters=2, n_channels=6) == 8  # 8 would fit, and no more are asked for
    assert SETTINGS.windows_of_each(n_clusters=4, n_channels=6) == 4  # 4 x 4 x 6 = 96
    assert SETTINGS.windows_of_each(n_clusters=9, n_channels=52) == 3
    assert SETTINGS.model_copy(update={"n_windows": 2}).windows_of_each(n_clusters=9, n_channels=52) == 2


def test_at_most_so_many_windows_are_clustered_again() -> None:
    assert SETTINGS.clustered(100, 0).all()
    drawn = SETTINGS.clustered(5000, 1)
    assert drawn.shape == (5000,) and drawn.sum() == 100
    np.testing.assert_array_equal(drawn, SETTINGS.clustered(5000, 1))


def test_the_evaluation_of_a_study_has_every_measure_with_its_baselines(rng: np.random.Generator) -> None:
    encoder, length = made_encoder(3).float(), 32
    time = np.arange(length)
    values = np.concatenate(
        [np.stack([np.sin(time * (1 + c)), 0 * time, 0 * time], axis=1) for c in [0] * 10 + [2] * 10]
    )
    values = (values + 0.1 * rng.normal(size=values.shape)).astype(np.float32)
    starts = np.arange(0, len(values) - length + 1, length)
    index = pd.DataFrame({"window": np.arange(20), "start": starts, "stop": starts + length, "train": True})
    windows = np.stack([values[s : s + length].T for s in starts])
    embeddings = encoder(torch.from_numpy(windows)).detach().numpy()
    settings = ExplanationSettings(
        target=MembershipTarget(n_prototypes=1, against="all", root="zero", sharpness=None),
        canonizer=CanonizerSettings(name="auto"),
        composite=COMPOSITES["epsilon_plus"],
        attributor=Lrp(batch_size=16),
        members=MemberSelection(rule="central", count=4, alignment="none"),
        seed=0,
    )
    evaluation = SETTINGS.model_copy(update={"n_windows": 4, "n_stretches": 4})
    labels = np.repeat([0, 1], 10)
    series = EmbeddedSeries(encoder, values, index, embeddings, ("a", "b", "c"), 0.05)
    replicates = [replace(series, encoder=made_encoder(3).float())]
    found = evaluate_clusters(series, labels, np.ones(20), settings, evaluation, replicates)
    curves = found.faithfulness[found.faithfulness["measure"] != "similarity"]
    assert len(curves) == 2 * 3 * 3 * 3  # cluster, measure, baseline, ranking
    assert set(curves["ranking"]) == {"relevance", "z_score", "random"}
    of_similarity = found.faithfulness["measure"] == "similarity"
    similarity = found.faithfulness[of_similarity].set_index(["cluster", "ranking"])["value"]
    assert set(similarity[0].index) == {"randomised_100", "other_target", "noisy", "encoder_seed_1"}
    # the same weights give the same relevance
    assert similarity[0, "encoder_seed_1"] == pytest.approx(1.0)
    assert set(found.budget["cluster"]) == {0, 1}
    assert set(found.faithfulness["n_windows"]) == {4}
    # two clusters of three channels: one window of each would fit, three are the fewest
    small = evaluation.model_copy(update={"max_window_channels": 7})
    fewer = evaluate_clusters(series, labels, np.ones(20), settings, small, [])
    assert set(fewer.faithfulness["n_windows"]) == {3}

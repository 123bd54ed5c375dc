"""The ranking of rules on what is known: the truth comes first, chance gains nothing, ties go to the cheapest."""

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from benchmarks.rules import CASE, COLUMNS, UNIT, Case, Group, cases, judged, run
from benchmarks.rules_tables import against_best, gained, mean_rank
from clusterwhy.explanations.target_function import target_function
from clusterwhy.explanations.target_heads import ClusterMembership
from clusterwhy.metrics.insertion_deletion import Cells
from tests.unit.propagation.test_relevance import made_encoder


def test_the_truth_gains_most_and_chance_nothing(rng: np.random.Generator) -> None:
    worth = rng.uniform(0.0, 1.0, (3, 16))  # (channel, time) of a linear judge
    windows, rest = 2.0 + rng.random((8, 3, 16)), 0.1 * rng.standard_normal((20, 3, 16))
    cells = Cells.of(16, 4)
    truth = cells.sums(worth * windows)
    rankings = {"truth": truth, "opposite": -truth, "blurred": truth + 5.0 * rng.standard_normal(truth.shape)}
    areas = judged(lambda x: (x * worth).sum(axis=(1, 2)), windows, rest, rankings, cells, [0, 0])
    rows = [
        {"subject": 1, "cluster": 0, "method": name, "randomised_25": np.nan, "randomised_100": np.nan} | found
        for name, found in areas.items()
    ]
    gains = gained(pd.DataFrame(rows)).set_index("method")["faithfulness"]
    assert gains["random"] == 0.0
    assert gains.idxmax() == "truth" and gains.idxmin() == "opposite"
    assert gains["truth"] > 0.05 > -0.05 > gains["opposite"]


def ranked(**gains: tuple[list[float], float]) -> pd.DataFrame:
    """Rows of composites: gains in the clusters of one subject, and what they cost."""
    return pd.DataFrame(
        [
            {"subject": 1, "cluster": cluster, "composite": name, "faithfulness": gain, "cost": cost}
            for name, (found, cost) in gains.items()
            for cluster, gain in enumerate(found)
        ]
    )


def test_the_cheapest_of_those_that_tie_with_the_best_wins() -> None:
    table = against_best(
        ranked(best=([0.3, 0.4, 0.35], 3.0), tied=([0.31, 0.38, 0.35], 1.5), cheap=([0.1, 0.2, 0.15], 1.0))
    ).set_index("composite")
    assert table["best"].idxmax() == "best" and table["winner"].idxmax() == "tied"
    assert table["tied"].to_dict() == {"best": True, "tied": True, "cheap": False}
    assert table.loc["cheap", "loss"] == pytest.approx(0.2)


def test_ranks_are_within_a_cluster_and_low_is_good_where_it_should_be_low() -> None:
    rows = pd.DataFrame({"subject": [1, 1, 2, 2], "cluster": 0, "deletion": [0.2, 0.1, 5.0, 6.0]})
    rows = rows.assign(insertion=rows["deletion"], flip_rate=np.nan, randomised=[0.1, 0.9, 0.1, 0.9], noisy=np.nan)
    rows = rows.assign(encoder_seed=np.nan, abs_gap=[0.0, 1.0, 1.0, 0.0], cost=[1.0, 2.0, 1.0, 2.0])
    assert mean_rank(rows).tolist() == [1.0, 2.0, 1.6, 1.4]


def test_a_cluster_of_random_windows_gives_every_figure_of_every_case(rng: np.random.Generator) -> None:
    encoder = made_encoder(3).float().requires_grad_(False)
    windows, rest = (rng.standard_normal((n, 3, 32), dtype=np.float32) for n in (4, 12))
    n_features = encoder(torch.from_numpy(windows)).shape[1]
    own, others = rng.standard_normal((2, n_features)), rng.standard_normal((4, n_features))
    network = nn.Sequential(encoder, ClusterMembership(own, others, "midpoint")).eval()
    box = windows.min(axis=(0, 2)), windows.max(axis=(0, 2))
    # the same encoder twice: trained with another seed, it would say something else
    group = Group(windows, rest, target_function(network, windows), {"membership": [network, network]}, box)
    tried = [case for case in cases(True) if case.method != "gradient"]
    table = pd.DataFrame(run(1, 0, group, tried, 4)).reindex(columns=COLUMNS).set_index("method")
    assert len(table) == len(tried) + 2 and table["failed"].isna().all()
    assert table["encoder_seed"].dropna().to_numpy() == pytest.approx(1.0)
    assert table.loc["difference", "abs_gap"] < 0.02 and table.loc["gradient x input", "abs_gap"] > 0.02
    assert (table["randomised_100"].dropna() < 0.999).all()


def test_every_composite_and_target_is_tried_once() -> None:
    tried = pd.DataFrame([case.key for case in cases(False)])
    assert not tried.duplicated().any() and list(tried) == CASE and UNIT == ["subject", "cluster"]
    grid = tried[(tried["canonizer"] == "auto") & (tried["attributor"] == "lrp")]
    assert len(grid) == grid["composite"].nunique() * grid["target"].nunique()
    assert isinstance(Case(**tried.iloc[0].to_dict()), Case)

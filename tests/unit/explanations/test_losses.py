"""Relevance that is lost on its way to the input is told in the table of a study, in a sentence and on the page."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

torch = pytest.importorskip("torch")

from clusterwhy.artifacts.store import write_json, write_table  # noqa: E402
from clusterwhy.attribution.base import Attributor  # noqa: E402
from clusterwhy.attribution.differences import DeepLift  # noqa: E402
from clusterwhy.attribution.lrp_variants import Lrp  # noqa: E402
from clusterwhy.explanations.clusters import explain_clusters  # noqa: E402
from clusterwhy.explanations.embedded_series import EmbeddedSeries  # noqa: E402
from clusterwhy.explanations.members import MemberSelection  # noqa: E402
from clusterwhy.explanations.settings import ExplanationSettings  # noqa: E402
from clusterwhy.explanations.targets import MembershipTarget  # noqa: E402
from clusterwhy.propagation.canonizer import CanonizerSettings  # noqa: E402
from clusterwhy.propagation.composites import COMPOSITES  # noqa: E402
from clusterwhy.report.trust import trust_table  # noqa: E402
from tests.synthetic_results import synthetic_results  # noqa: E402
from tests.unit.propagation.test_relevance import made_encoder  # noqa: E402

LENGTH = 32


@pytest.fixture
def series(rng: np.random.Generator) -> EmbeddedSeries:
    encoder = made_encoder(3).float()
    values = rng.normal(size=(20 * LENGTH, 3)).astype(np.float32)
    values[: 10 * LENGTH, 0] += 2.0
    starts = np.arange(20) * LENGTH
    index = pd.DataFrame({"window": np.arange(20), "start": starts, "stop": starts + LENGTH, "train": True})
    windows = np.stack([values[s : s + LENGTH].T for s in starts])
    embeddings = encoder(torch.from_numpy(windows)).detach().numpy()
    return EmbeddedSeries(encoder, values, index, embeddings, ("a", "b", "c"), 0.05)


def explained(series: EmbeddedSeries, attributor: Attributor, composite: str) -> Any:
    settings = ExplanationSettings(
        target=MembershipTarget(n_prototypes=1, against="all", root="zero", sharpness=None),
        canonizer=CanonizerSettings(name="auto"),
        composite=COMPOSITES[composite],
        attributor=attributor,
        members=MemberSelection(rule="central", count=4, alignment="none"),
        seed=0,
    )
    return explain_clusters(series, np.repeat([0, 1], 10), np.ones(20), settings)


def test_the_table_of_explained_windows_closes(series: EmbeddedSeries) -> None:
    found = explained(series, Lrp(batch_size=8), "epsilon_alpha2_beta1").windows
    np.testing.assert_allclose(found["lost_share"], found["gap"] - found["bias_share"])
    np.testing.assert_allclose(found["gap"], 1.0 - found["relevance_sum"] / found["target"], rtol=1e-5)


def shown(folder: Path, found: Any) -> dict[str, dict[str, str]]:
    """The rows of the page's table about lost relevance, by question."""
    study = synthetic_results(folder)
    write_table(folder / "explain" / "explained.parquet", found.windows)
    write_json(folder / "explain" / "clusters.json", {"clusters": found.clusters, "losses": found.losses})
    return {row["question"]: row for row in trust_table(study) if "lost" in row["question"]}


def test_losses_of_the_figures_are_told_with_the_cluster_and_the_step(series: EmbeddedSeries, tmp_path: Path) -> None:
    found = explained(series, Lrp(batch_size=8), "epsilon_alpha2_beta1")
    lost = found.windows["lost_share"].abs()
    assert lost.max() > 0.05  # alpha-beta loses what arrives at outputs without contributions of one sign
    assert len(found.losses) == 2 and found.losses[1].startswith("cluster 1, lost: ")
    (row,) = shown(tmp_path, found).values()
    assert row["question"].endswith("(the figures)")
    assert f"{lost.median():.0%} of the target (median; at most {lost.max():.0%})" in row["measured"]
    assert f"more than 5% in {(lost > 0.05).sum()} of 8 windows" in row["measured"]
    assert all(sentence in row["meaning"] for sentence in found.losses)


def test_losses_of_the_composite_are_told_apart_from_those_of_the_figures(
    series: EmbeddedSeries, tmp_path: Path
) -> None:
    differences = DeepLift(batch_size=8, baseline="references", n_references=2)
    found = explained(series, differences, "epsilon_alpha2_beta1")
    assert found.windows["lrp_lost_share"].abs().max() > 0.05 > found.windows["lost_share"].abs().max()
    assert [sentence.split("lost")[0] for sentence in found.losses] == [
        f"cluster {cluster}, LRP of the composite, " for cluster in (0, 1)
    ]
    (row,) = shown(tmp_path, found).values()
    assert row["question"].endswith("(LRP of the composite)")


def test_nothing_is_said_where_nothing_is_lost(series: EmbeddedSeries, tmp_path: Path) -> None:
    found = explained(series, Lrp(batch_size=8), "epsilon")
    assert not found.losses and not shown(tmp_path, found)

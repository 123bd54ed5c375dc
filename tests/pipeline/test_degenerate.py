"""Series without variety go through every stage: what is undefined is null with a reason, nowhere a number."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pandas as pd
import pytest

from tests.conftest import Checkout, make_checkout, stage_server
from tests.stage_server import StageServer

STAGES = (
    "prepare",
    "train",
    "embed",
    "project",
    "cluster",
    "score",
    "explain",
    "explain_windows",
    "evaluate",
    "report",
)
BLIP = 700
T = np.arange(1200)
NOISE = np.random.default_rng(0).normal(size=1200)
SERIES: dict[str, dict[str, np.ndarray]] = {
    # a strangest window equals its normal windows
    "sine": {"a": np.sin(2 * np.pi * T / 50)},
    "constant": {"a": np.full(1200, 7.3), "b": np.full(1200, -1.0)},
    "idle_but_for_a_blip": {"a": (T == BLIP).astype(float)},
    "one_channel_constant": {"a": np.sin(T / 5) + 0.2 * NOISE, "b": np.full(1200, 2.0)},
    "starts_idle": {"a": np.where(T < 700, 0.0, NOISE), "b": np.where(T < 700, 5.0, np.sin(T / 5))},
    "two_values": {"a": (T // 30 % 2).astype(float)},
    "quantised_repeats": {"a": np.tile(np.round(2 * NOISE[:100]) / 2, 12), "b": np.tile(np.round(NOISE[100:150]), 24)},
}
# a detector without scores per channel, an attributor without rules of its own to compare the composite's LRP with
CHOICES = {
    "one_channel_constant": {"detector": "nearest_neighbours", "attributor": "lrp"},
    "starts_idle": {"clusterer": "states"},
}


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    return make_checkout(tmp_path_factory.mktemp("degenerate") / "project")


@pytest.fixture(scope="module")
def server(checkout: Checkout) -> Iterator[StageServer]:
    with stage_server(checkout) as server:
        yield server


@pytest.fixture(scope="module")
def finished(checkout: Checkout, server: StageServer) -> Callable[[str], Path]:
    """The artifacts of a series after all stages."""

    def run(name: str) -> Path:
        columns = SERIES[name]
        usual = {"detector": "clipped_prediction", "attributor": "difference", "clusterer": "hdbscan"}
        checkout.choose(**usual | CHOICES.get(name, {}))
        table = pd.DataFrame({"time": np.arange(len(columns["a"])) / 20, **columns})
        table.to_csv(checkout.root / "data" / "pump.csv", index=False)
        for stage in STAGES:
            ended = server.run(f"pipeline.{stage}", "run=stage")
            assert ended.returncode == 0, f"{stage}: {ended.said}"
        return checkout.root / "artifacts"

    return run


def no_constant(text: str) -> NoReturn:
    raise AssertionError(f"{text} in JSON")


def missing(content: dict[str, Any], prefix: str = "") -> Iterator[str]:
    """Dotted names of the entries that are null."""
    for key, value in content.items():
        if isinstance(value, dict):
            yield from missing(value, f"{prefix}{key}.")
        elif value is None:
            yield f"{prefix}{key}"


def report_of(artifacts: Path, stage: str) -> dict[str, Any]:
    text = (artifacts.parent / "reports" / f"{stage}.json").read_text()
    found: dict[str, Any] = json.loads(text, parse_constant=no_constant)
    return found


def check_tables(artifacts: Path) -> None:
    """No cell is infinite, and the row of each empty one says why; bounds of an interval are empty with its middle."""
    tables = [*(artifacts / "explain").glob("*.csv"), *(artifacts / "explain").glob("*.parquet")]
    tables += [artifacts / "evaluate" / "faithfulness.csv"]
    for path in tables:
        table = pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path)
        numbers = table.drop(columns="undefined", errors="ignore").select_dtypes("number")
        assert not np.isinf(numbers).any(axis=None), path.name
        if "undefined" in table:
            for column in numbers:
                middle = re.sub("^absolute$", "signed", re.sub("_(low|high)$", "", column))
                said = table["undefined"].fillna("").str.contains(f"{middle}: ")
                assert (table[column].isna() == said).all(), (path.name, column)


@pytest.mark.parametrize("name", SERIES)
def test_a_series_without_variety_goes_through_every_stage(name: str, finished: Callable[[str], Path]) -> None:
    artifacts = finished(name)
    for stage in STAGES:
        report = report_of(artifacts, stage)
        reasons = report.pop("undefined", {})
        assert set(reasons) == set(missing(report)) and all(reasons.values()), stage
    check_tables(artifacts)
    page = (artifacts / "report" / "report.html").read_text()
    page = page.split('<section id="provenance">')[0]  # settings may be None
    shown = re.sub(r"<(script|style).*?</\1>", "", page, flags=re.DOTALL)
    assert not re.search(r"\b[+-]?(nan|inf|None|NaN|Infinity)\b", re.sub("<.*?>", " ", shown))
    CHECKS.get(name, lambda artifacts, shown: None)(artifacts, shown)


def check_sine(artifacts: Path, shown: str) -> None:
    report = report_of(artifacts, "explain")
    assert report["anomaly_median_abs_gap"] is None and "do not differ" in report["undefined"]["anomaly_median_abs_gap"]
    assert report["median_abs_gap"] < 0.05
    # no channel comes before the only one
    assert set(report["channel_deletion"].values()) == {None}
    assert "equals its nearest normal windows" in shown and "undefined" in shown


def check_starts_idle(artifacts: Path, shown: str) -> None:
    """States: idle, whose windows are all the same, and not."""
    clusters = pd.read_parquet(artifacts / "cluster" / "clusters.parquet")
    start = pd.read_parquet(artifacts / "prepare" / "windows.parquet")["start"]
    idle = clusters["cluster"][start + 64 <= 700]
    assert set(idle) == {0} and (clusters["cluster"][start >= 700] != 0).all()


def check_constant(artifacts: Path, shown: str) -> None:
    """All windows are the same: one cluster, and nothing to explain."""
    assert set(np.load(artifacts / "cluster" / "labels.npy").tolist()) == {0}
    report = report_of(artifacts, "cluster")
    assert report["n_clusters"] == 1 and report["silhouette_embeddings"] is None
    assert report_of(artifacts, "project")["trustworthiness"] is None
    assert report_of(artifacts, "explain")["n_explained"] == 0
    assert report_of(artifacts, "score")["n_segments"] == 0


def check_blip(artifacts: Path, shown: str) -> None:
    """By hand: the windows with the blip differ from all others, which are the same."""
    index = pd.read_parquet(artifacts / "prepare" / "windows.parquet")
    with_blip = ((index["start"] <= BLIP) & (index["stop"] > BLIP)).to_numpy()
    labels = np.load(artifacts / "cluster" / "labels.npy")
    assert with_blip.sum() == 4
    np.testing.assert_array_equal(labels, np.where(with_blip, -1, 0))
    anomalies = pd.read_parquet(artifacts / "explain" / "anomalies.parquet").set_index("window")
    assert anomalies["target"].idxmax() in np.flatnonzero(with_blip)
    assert anomalies["gap"].isna().equals(anomalies["target"] == 0)


def check_one_channel(artifacts: Path, shown: str) -> None:
    table = pd.read_csv(artifacts / "explain" / "importance.csv").set_index("channel")
    assert table.loc["b", "z_score"].isna().all() and table.loc["a", "z_score"].notna().all()


CHECKS = {
    "sine": check_sine,
    "constant": check_constant,
    "idle_but_for_a_blip": check_blip,
    "one_channel_constant": check_one_channel,
    "starts_idle": check_starts_idle,
}

"""`Study` on what `dvc repro` has made: the page of the docs runs, and numbers are those of the stages."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from clusterwhy import Study
from clusterwhy.application.settings import ApplicationSettings
from clusterwhy.artifacts.store import read_array
from clusterwhy.compute.workers import HERE
from clusterwhy.errors import ArtifactError, DataError, MethodError
from tests.conftest import ROOT, Checkout
from tests.contract.test_readme import python_blocks


@pytest.fixture(scope="module")
def loaded(study: Checkout) -> Study:
    return Study.load(study.root / "artifacts")


@pytest.fixture
def recording(study: Checkout) -> pd.DataFrame:
    """The study's own file."""
    return pd.read_csv(study.root / "data" / "pump.csv", index_col="time")


@pytest.fixture(scope="module")
def again(study: Checkout, loaded: Study, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The study applied to its own recording."""
    own = pd.read_csv(study.root / "data" / "pump.csv", index_col="time")
    yield loaded.apply(own, "own", tmp_path_factory.mktemp("applied") / "own", workers=HERE)


def test_the_python_of_the_page_about_notebooks_runs(study: Checkout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(study.root)
    names: dict[str, Any] = {}
    for block in python_blocks(ROOT / "docs" / "notebooks.md"):
        exec(block, names)
    assert len(names["found"].values) == 3 and len(names["applied"].windows) == 59
    assert names["lasso"].selected == []


def test_relevance_of_windows_is_that_of_the_stages(loaded: Study) -> None:
    explained = loaded.results.explained.iloc[[5, 0, 5]]  # any order, repeats
    found = loaded.relevance(explained["window"].tolist())
    assert found.windows["window"].tolist() == explained["window"].tolist()
    expected = np.asarray(loaded.results.relevance)[[5, 0, 5]]
    np.testing.assert_allclose(found.values, expected, atol=1e-5 * np.abs(expected).max())
    table = found.to_frame()
    window, channel = explained["window"].iloc[1], loaded.results.data.channels[2]
    own = table[(table["window"] == window) & (table["channel"] == channel)]
    np.testing.assert_allclose(own["relevance"], expected[1, 2], atol=1e-5)
    np.testing.assert_allclose(own["second"], np.arange(loaded.results.data.length) / 20)
    start = loaded.results.data.starts[window]
    values = loaded.results.data.values[start : start + loaded.results.data.length, 2]
    np.testing.assert_array_equal(own["value"], values)
    np.testing.assert_allclose(found.by_channel().iloc[0], expected[0].sum(axis=1), atol=1e-4)


def test_a_composite_changes_the_rules(loaded: Study) -> None:
    window = loaded.results.explained["window"].iloc[0]
    by_rules = loaded.relevance([window], composite="epsilon_gamma")
    assert not np.allclose(by_rules.values, loaded.relevance([window]).values)
    np.testing.assert_array_equal(by_rules.values, loaded.relevance([window], method="lrp_epsilon_gamma").values)


def test_wrong_questions_are_refused(loaded: Study) -> None:
    last = loaded.windows.index[-1]
    with pytest.raises(DataError, match=rf"ids of `study.windows` \(0 to {last}\), got \[{last + 1}, -1\]"):
        loaded.relevance([0, last + 1, -1])
    with pytest.raises(DataError, match="got none"):
        loaded.relevance([])
    for wrong in ([1.5], ["a"], loaded.windows["cluster"] == 0, loaded.windows.iloc[:2]):
        with pytest.raises(DataError, match="expected ids"):
            loaded.relevance(wrong)
    with pytest.raises(MethodError, match="no method 'lrp_gama'"):
        loaded.relevance([0], composite="gama")
    with pytest.raises(MethodError, match="a method or a composite"):
        loaded.relevance([0], method="gradient", composite="epsilon")


def test_a_study_with_missing_artifacts_is_refused(study: Checkout, tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="run the stage that writes them"):
        Study.load(tmp_path)
    shutil.copytree(study.root / "artifacts", tmp_path / "artifacts")
    (tmp_path / "artifacts" / "explain" / "importance.csv").unlink()
    (tmp_path / "artifacts" / "score" / "scores.parquet").write_bytes(b"no table")
    with pytest.raises(ArtifactError, match=r"(?s)scores.parquet.*importance.csv"):
        Study.load(tmp_path / "artifacts")


def test_its_own_recording_is_what_it_was_fitted_on(loaded: Study, again: Any) -> None:
    clustered = loaded.windows["cluster"] >= 0
    assert (again.windows["cluster"] == loaded.windows["cluster"])[clustered].mean() >= 0.99
    np.testing.assert_allclose(again.windows["score"], loaded.windows["score"], atol=1e-6)
    window = loaded.results.explained["window"].iloc[0]
    found, expected = again.relevance([window]).values, loaded.relevance([window]).values
    np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max())
    assert again.checks.empty and len(again.drift) == 4 and set(again.candidates["candidate"]) == {-1}
    assert "own" in repr(again) and again.masking == ""
    folder = again.results.out
    opened = loaded.application(folder)
    pd.testing.assert_frame_equal(opened.windows, again.windows)
    with pytest.raises(ArtifactError, match=r"study\.application"):
        Study.load(folder)
    with pytest.raises(ArtifactError, match="not the folder of an application"):
        loaded.application(folder.parent)


@pytest.mark.parametrize("clock", ["dates", "range"])
def test_a_table_may_have_dates_or_only_samples(loaded: Study, recording: pd.DataFrame, clock: str) -> None:
    part = recording.iloc[:200]
    dates = pd.to_datetime("2026-03-01", utc=True) + pd.to_timedelta(part.index, unit="s")
    table = part.set_index(dates) if clock == "dates" else part.reset_index(drop=True)
    applied = loaded.apply(table, workers=HERE)
    np.testing.assert_array_equal(applied.windows["cluster"], loaded.windows["cluster"].iloc[: len(applied.windows)])
    assert (str(applied.windows["start"].dtype) == "datetime64[ns, UTC]") == (clock == "dates")


def test_faults_of_a_table_are_listed(loaded: Study, recording: pd.DataFrame, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"(?s)'flow' is missing; is it 'flows' now.*'flows' is not in the study"):
        loaded.apply(recording.rename(columns={"flow": "flows"}))
    with pytest.raises(DataError, match="expected an index of dates"):
        loaded.apply(recording.set_index(recording.index.astype(str)))
    with pytest.raises(DataError, match="named by texts"):
        loaded.apply(recording.rename(columns={"flow": 3}))
    with pytest.raises(DataError, match="the folder is not empty"):
        (tmp_path / "kept.txt").touch()
        loaded.apply(recording, out=tmp_path)
    with pytest.raises(DataError, match="flow"):
        loaded.apply(recording.assign(flow=np.nan))
    with pytest.raises(DataError, match=r"(?s)^week 2/3.*samples per second"):
        loaded.apply(recording.iloc[::2], name="week 2/3")  # another rate, and no name of a file
    with pytest.raises(DataError, match="samples per second"):
        loaded.apply(recording.reset_index(drop=True).iloc[::2])
    with pytest.raises(DataError, match="samples per second"):
        loaded.apply(recording.set_index(pd.RangeIndex(len(recording), name="time")))  # seconds 0, 1, 2, ...
    with pytest.raises(DataError, match="got ndarray"):
        loaded.apply(recording.to_numpy())
    with pytest.raises(DataError, match="occur twice: flow"):
        loaded.apply(recording.rename(columns={"current": "flow"}))
    with pytest.raises(DataError, match="the folder is not empty"):
        loaded.apply(recording, out=tmp_path / "kept.txt")


def test_missing_channels_can_be_masked(loaded: Study, recording: pd.DataFrame) -> None:
    part = recording.iloc[:200].drop(columns="flow")
    with pytest.warns(UserWarning, match="Without flow"):
        applied = loaded.apply(part, settings=ApplicationSettings(missing_channels="mask"), workers=HERE)
    assert (np.asarray(read_array(applied.results.data.folder / "scaled.npy"))[:, 1] == 0).all()
    assert "flow" not in set(applied.windows["leading_channel"])
    assert applied.clusters["visits"].sum() >= 1  # clusters that do not occur are there, too

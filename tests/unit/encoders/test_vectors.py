"""Vectors that a user has already: read as they are, checked against the windows, and without a network."""

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from pydantic import ValidationError

from clusterwhy.encoders.masked import check_predicts, embed
from clusterwhy.encoders.storage import load_encoder, save_encoder, stored_settings
from clusterwhy.encoders.vectors import Vectors
from clusterwhy.encoders.without_network import lacks_network
from clusterwhy.errors import ArtifactError, ConfigError, DataError

N = 40
INDEX = pd.DataFrame({"window": np.arange(N), "start": 5 * np.arange(N), "stop": 5 * np.arange(N) + 10})
FEATURES = np.random.default_rng(0).normal(size=(N, 3))
CONFIG = {"_target_": "clusterwhy.encoders.vectors.Vectors"}


@pytest.fixture(autouse=True)
def networks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project's folder networks/, and the project as the working directory."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "networks"
    folder.mkdir()
    return folder


def table(**changes: Any) -> pd.DataFrame:
    return INDEX.assign(**{f"v{i}": FEATURES[:, i] for i in range(3)}).assign(**changes)


def stored(path: str) -> Vectors:
    """As the stage `train` stores them and `embed` finds them."""
    settings = Vectors(path=path)
    Path("train").mkdir()
    save_encoder(Path("train"), settings.build(2, 10), settings.stored(CONFIG | {"path": path}), 2, 10)
    found = stored_settings(Path("train"))[0]
    assert isinstance(found, Vectors)
    return found


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "int16"])
def test_an_array_is_taken_as_it_is(networks: Path, dtype: str) -> None:
    np.save(networks / "mine.npy", (10 * FEATURES).astype(dtype))
    found = stored("networks/mine.npy").given(INDEX)
    np.testing.assert_array_equal(found, (10 * FEATURES).astype(dtype).astype(np.float32))
    assert found.dtype == np.float32


@pytest.mark.parametrize("with_index", [True, False])
def test_columns_of_a_table_are_features_but_for_those_of_the_index(networks: Path, with_index: bool) -> None:
    made = table() if with_index else table().drop(columns=list(INDEX))
    made.to_parquet(networks / "mine.parquet")
    np.testing.assert_array_equal(stored("networks/mine.parquet").given(INDEX), FEATURES.astype(np.float32))


def test_all_that_is_wrong_with_an_array_is_one_message(networks: Path) -> None:
    wrong = FEATURES[:37].copy()
    wrong[[2, 5], 1] = np.nan, 1e300
    np.save(networks / "mine.npy", wrong)
    with pytest.raises(DataError) as raised:
        stored("networks/mine.npy").given(INDEX)
    assert len(raised.value.records) == 2
    assert "37 vectors for 40 windows: one for each row of artifacts/prepare/windows.parquet" in str(raised.value)
    assert "2 rows (2, 5) with values that are missing, infinite or too large" in str(raised.value)


def test_all_that_is_wrong_with_a_table_is_one_message(networks: Path, fault: Callable[..., None]) -> None:
    made = table(
        start=INDEX["start"] + 5 * (INDEX["window"] > 36), kind="a", v1=np.where(FEATURES[:, 1] > 0, 0.0, np.nan)
    )
    made.to_parquet(networks / "mine.parquet")
    with pytest.raises(DataError) as raised:
        stored("networks/mine.parquet").given(INDEX)
    said, n_wrong = str(raised.value), int((FEATURES[:, 1] <= 0).sum())
    assert "column 'start': 3 rows (37, 38, 39) of other windows than artifacts/prepare/windows.parquet" in said
    assert "column 'kind' holds" in said and f"{n_wrong} rows (" in said and len(raised.value.records) == 3
    fault("Input files", "vectors of other windows, with text and gaps", "embed", "one error that lists all faults")


def _zip(path: Path) -> None:
    np.savez(path.with_suffix(".npz"), a=FEATURES, b=FEATURES)
    path.with_suffix(".npz").rename(path)


WRONG: dict[str, tuple[Callable[[Path], object], str]] = {
    "one axis": (lambda path: np.save(path, FEATURES[:, 0]), "two features or more, got float64 (40,)"),
    "one feature": (lambda path: np.save(path, FEATURES[:, :1]), "got float64 (40, 1)"),
    "text": (lambda path: np.save(path, np.full((N, 2), "a")), "expected numbers"),
    "complex": (lambda path: np.save(path, FEATURES + 1j), "expected numbers"),
    "objects": (lambda path: np.save(path, FEATURES.astype(object), allow_pickle=True), "not a plain NumPy array"),
    "pickle": (lambda path: path.write_bytes(pickle.dumps(FEATURES)), "not a plain NumPy array"),
    "archive": (_zip, "not a plain NumPy array"),
    "truncated": (lambda path: np.save(path, FEATURES) or path.write_bytes(path.read_bytes()[:-8]), "not a plain"),
    "no Parquet": (lambda path: path.with_suffix(".parquet").write_bytes(b"PAR1"), "not readable as Parquet"),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_is_no_array_of_numbers_is_refused(networks: Path, what: str, fault: Callable[..., None]) -> None:
    make, told = WRONG[what]
    make(networks / "mine.npy")
    (name,) = [path.name for path in networks.iterdir()]
    with pytest.raises(DataError) as raised:
        stored(f"networks/{name}").given(INDEX)
    assert told in str(raised.value)
    fault("Input files", f"vectors: {what}", "embed", "refused in one sentence")


def test_a_file_that_is_missing_or_has_changed_is_told(networks: Path, fault: Callable[..., None]) -> None:
    with pytest.raises(DataError, match=r"networks/mine\.npy.*\n.*no such file"):
        Vectors(path="networks/mine.npy").stored(CONFIG)
    np.save(networks / "mine.npy", FEATURES)
    settings = stored("networks/mine.npy")
    np.save(networks / "mine.npy", FEATURES + 1)
    with pytest.raises(DataError, match="it has changed since the stage `train`"):
        settings.given(INDEX)
    fault("Input files", "vectors that are missing", "train", "refused in one sentence")
    fault("Input files", "vectors that changed after `train`", "embed", "refused: run `train` again")


@pytest.mark.parametrize(
    "path", ["vectors.npy", "/tmp/networks/a.npy", "networks/../a.npy", "networks/a.pkl", "data/a.npy", "networks"]
)
def test_only_files_that_the_pipeline_watches_are_accepted(path: str, fault: Callable[..., None]) -> None:
    with pytest.raises(ValidationError, match="notices changes only there"):
        Vectors(path=path)
    fault("Input files", "vectors outside networks/", "train", "refused: `dvc repro` would not notice changes")


def test_there_is_no_network(networks: Path, fault: Callable[..., None]) -> None:
    np.save(networks / "mine.npy", FEATURES)
    stored("networks/mine.npy")
    encoder = load_encoder(Path("train"))
    assert lacks_network(torch.nn.Sequential(encoder, torch.nn.ReLU())) and not lacks_network(torch.nn.ReLU())
    with pytest.raises(ConfigError, match="vectors were given without a network"):
        embed(encoder, np.zeros((20, 2), np.float32), np.array([0]), 10, 4)
    with pytest.raises(ConfigError, match="has no method `predict`: choose `detector: nearest_neighbours`, `glosh`"):
        from clusterwhy.encoders.masked import WITHOUT_PREDICTION

        check_predicts(encoder, "detector", WITHOUT_PREDICTION)
    assert stored_settings(Path("train"))[0].stored_fault == ""
    save_encoder(Path("train"), encoder, CONFIG | {"path": "networks/mine.npy"}, 2, 10)
    with pytest.raises(ArtifactError, match="no `sha256` of networks/mine"):
        load_encoder(Path("train"))
    fault("Damaged and hostile artifacts", "vectors without a checksum", "embed", "refused in one sentence")

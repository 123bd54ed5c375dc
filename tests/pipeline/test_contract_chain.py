"""A recording with gaps through all stages: a window id means the same samples everywhere."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from tests.conftest import ROOT, Checkout, MakeOnce, make_checkout, stage_server

# whatever a channel is called: no file is called by it, and no page, picture or template is made of it
CHANNELS = ["../../pressure", r"<b>flow</b> $\frac{1}{$ {{ 7 * 7 }}", "NUL %2e%2e%2fcurrent"]
DT_S = 0.05
STAGES = list(yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"])


def run_with_gaps(root: Path) -> None:
    """Run all stages on a CSV with missing rows and cells, which cut it into segments."""
    checkout = make_checkout(root)
    path = checkout.root / "data" / "pump.csv"
    table = pd.read_csv(path).set_axis(["time", *CHANNELS], axis=1)
    # filled: 3 rows and 4 cells; cut out: 40 and 100 rows, 30 cells of one channel
    table.loc[700:703, CHANNELS[1]] = np.nan
    table.loc[1500:1529, CHANNELS[2]] = np.nan
    table.drop(index=[*range(300, 303), *range(500, 540), *range(2000, 2100)]).to_csv(path, index=False)
    own = checkout.root / "conf" / "dataset" / "pump.yaml"
    own.write_text(own.read_text().replace("gaps: interpolate", "gaps: split"))
    # tests rerun it by DVC
    checkout.run("dvc", "repro", "prepare")
    with stage_server(checkout) as stages:
        for stage in STAGES[1:]:
            done = stages.run(f"pipeline.{stage}", "run=stage")
            assert done.returncode == 0, done.said


@pytest.fixture(scope="module")
def chain(made_once: MakeOnce, tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A checkout with the artifacts of a series with gaps; a copy of this worker's own."""
    return made_once("gaps", run_with_gaps).copy(tmp_path_factory.mktemp("gaps") / "project")


def windows(chain: Checkout) -> pd.DataFrame:
    return pd.read_parquet(chain.root / "artifacts/prepare/windows.parquet").set_index("window")


def recorded(chain: Checkout) -> pd.DataFrame:
    """The CSV by sample number of a recording without gaps."""
    table = pd.read_csv(chain.root / "data" / "pump.csv")
    return table.set_index(np.rint(table["time"] / DT_S).astype(int))[CHANNELS]


def test_each_window_holds_the_rows_of_its_time_stamps(chain: Checkout) -> None:
    known, index = recorded(chain), windows(chain)
    values, time = (np.load(chain.root / "artifacts/prepare" / name) for name in ("values.npy", "time.npy"))
    samples = np.rint(time / DT_S).astype(int)
    assert json.loads((chain.root / "artifacts/prepare/series.json").read_text())["segments"] == [0, 500, 1460, 1930]
    for start, stop in zip(index["start"], index["stop"], strict=True):
        inside = samples[start:stop]
        assert np.diff(inside).tolist() == [1] * 63
        assert not np.isin(inside, [*range(500, 540), *range(1500, 1530), *range(2000, 2100)]).any()
        rows = known.reindex(inside).to_numpy()
        there = ~np.isnan(rows)
        np.testing.assert_array_equal(values[start:stop][there], rows[there])
    expected = [np.interp([300, 301, 302], [299, 303], known.loc[[299, 303], channel]) for channel in CHANNELS]
    np.testing.assert_allclose(values[np.isin(samples, [300, 301, 302])], np.stack(expected, axis=1))


@pytest.mark.parametrize(
    ("artifact", "all_of_them"),
    [
        ("embed/window.npy", True),
        ("project/projection.csv", True),
        ("cluster/clusters.parquet", True),
        ("score/scores.parquet", True),
        ("explain/explained.parquet", False),
        ("explain/anomalies.parquet", False),
        ("explain/anomaly_channels.csv", False),
    ],
)
def test_the_windows_of_every_stage_are_those_of_prepare(chain: Checkout, artifact: str, all_of_them: bool) -> None:
    path = chain.root / "artifacts" / artifact
    readers: dict[str, Callable[[Path], pd.DataFrame]] = {
        ".npy": lambda file: pd.DataFrame({"window": np.load(file)}),
        ".csv": pd.read_csv,
        ".parquet": pd.read_parquet,
    }
    found, index = readers[path.suffix](path)["window"], windows(chain)
    assert len(found) and found.isin(index.index).all()
    if all_of_them:
        assert found.tolist() == index.index.tolist()


def test_stage_results_of_a_window_refer_to_its_samples(chain: Checkout) -> None:
    from clusterwhy.data.scaling import standardised
    from clusterwhy.data.storage import Prepared
    from clusterwhy.encoders.masked import embed
    from clusterwhy.encoders.storage import load_encoder

    artifacts, index = chain.root / "artifacts", windows(chain)
    data = Prepared(artifacts / "prepare")
    # from the rows of the CSV, by time stamp, to the row of the embedding
    scaled = standardised(recorded(chain).to_numpy(), data.card.centre, data.card.scale).astype(np.float32)
    at = pd.Series(np.arange(len(scaled)), index=recorded(chain).index)
    samples = np.rint(np.load(artifacts / "prepare/time.npy") / DT_S).astype(int)
    whole = [w for w in index.index if set(samples[index.at[w, "start"] : index.at[w, "stop"]]) <= set(at.index)]
    chosen = [w for w in whole if not np.isnan(scaled[at[samples[index.at[w, "start"] : index.at[w, "stop"]]]]).any()]
    starts = at[samples[index.loc[chosen, "start"]]].to_numpy()
    again = embed(load_encoder(artifacts / "train"), scaled, starts, 64, 64)
    kept = np.isin(np.load(artifacts / "embed/window.npy"), chosen)
    assert kept.sum() == len(chosen) > 50
    np.testing.assert_allclose(np.load(artifacts / "embed/embeddings.npy")[kept], again, rtol=1e-3, atol=1e-4)
    tables = {
        name: pd.read_parquet(artifacts / f"{name}.parquet").set_index("window")
        for name in ("cluster/clusters", "score/scores", "explain/explained", "explain/anomalies")
    }
    explained, anomalies = tables["explain/explained"], tables["explain/anomalies"]
    assert (tables["cluster/clusters"]["cluster"].loc[explained.index] == explained["cluster"]).all()
    np.testing.assert_allclose(tables["score/scores"]["score"].loc[anomalies.index], anomalies["score"])


def test_channels_keep_their_names_in_tables_and_page(
    chain: Checkout, fault: Callable[[str, str, str, str], None]
) -> None:
    about = json.loads((chain.root / "artifacts/prepare/series.json").read_text())
    assert about["channels"] == CHANNELS
    assert set(pd.read_csv(chain.root / "artifacts/explain/importance.csv")["channel"]) == set(CHANNELS)
    page = (chain.root / "artifacts/report/report.html").read_text()
    # the template's `{{ 7 * 7 }}` is shown, not computed
    shown = r"&lt;b&gt;flow&lt;/b&gt; $\frac{1}{$ "
    assert "<b>flow" not in page and shown + "{{ 7 * 7 }}" in page and shown + "49" not in page
    outside = {path.name for path in chain.root.parent.iterdir()} | {path.name for path in chain.root.iterdir()}
    assert not {name for name in outside if "pressure" in name or "flow" in name}
    fault("Hostile files", "channel names: paths, markup, formulas", "dvc repro", "shown literally")


@pytest.fixture
def broken(chain: Checkout) -> Iterator[Path]:
    path = chain.root / "data" / "pump.csv"
    kept = path.read_bytes()
    yield path
    path.write_bytes(kept)
    chain.run("dvc", "repro", "prepare")


def test_faults_are_written_as_json_until_the_data_is_repaired(
    chain: Checkout, broken: Path, fault: Callable[[str, str, str, str], None]
) -> None:
    report = chain.root / "reports" / "data_report.json"
    good = json.loads((chain.root / "artifacts/prepare/data_report.json").read_text())
    assert good["n_rows_read"] == 2257 and [channel["n_filled"] for channel in good["channels"]] == [3, 7, 3]
    assert [segment["stop"] for segment in good["segments"]] == [500, 1460, 1930, 2230] and not report.exists()
    lines = broken.read_text().splitlines()
    lines[5] = lines[5].rpartition(",")[0] + ",oops"
    broken.write_text("\n".join(lines))
    done = chain.run("dvc", "repro", "prepare", ok=False)
    assert done.returncode and "reports/data_report.json" in done.stdout + done.stderr
    found = json.loads(report.read_text())["faults"]
    assert [(entry["kind"], entry["column"], entry["rows"]) for entry in found] == [("not-numbers", CHANNELS[2], [4])]
    # unchanged, DVC would have nothing to do, and the stage would not run
    lines[5] = lines[5].replace("oops", "0.125")
    broken.write_text("\n".join(lines))
    chain.run("dvc", "repro", "prepare")
    assert not report.exists()
    fault("Input files", "a cell of text, in a whole run", "prepare", "refused: all faults in reports/data_report.json")

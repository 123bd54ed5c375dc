"""A supervised study from one command: what it leaves behind, and that its checkpoint needs nothing else."""

import json
import pickle
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from omegaconf import OmegaConf

from clusterwhy.classifiers.checkpoint import predict
from clusterwhy.config import build_settings
from clusterwhy.data.splits import covered
from clusterwhy.data.storage import Prepared
from clusterwhy.data.windows import windows_at
from pipeline._mistakes import mistakes_in
from pipeline.classify import _prepare
from tests.conftest import ROOT, Checkout, MakeOnce, make_checkout
from tests.pipeline.test_review import runs_of


def train(root: Path) -> None:
    checkout = make_checkout(root)
    path = checkout.root / "conf" / "classifier_training" / "small.yaml"
    path.write_text(path.read_text().replace("n_epochs: 60", "n_epochs: 12"))
    checkout.run("dvc", "repro", "studies/dvc.yaml:classify@ecg")


@pytest.fixture(scope="module")
def trained(made_once: MakeOnce, tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A checkout after the study `ecg` with a short training; a copy of this worker's own."""
    return made_once("ecg", train).copy(tmp_path_factory.mktemp("ecg") / "project")


def folder(checkout: Checkout) -> Path:
    return checkout.root / "artifacts" / "studies" / "ecg" / "classify"


def test_a_study_writes_its_artifacts_and_nothing_else(trained: Checkout) -> None:
    names = {str(path.relative_to(folder(trained))) for path in folder(trained).rglob("*") if path.is_file()}
    assert names >= {
        *("checkpoint/classifier.json", "checkpoint/classifier.safetensors", "history.csv", "predictions.parquet"),
        *("report.csv", "confusion.csv", "calibration.csv", "training.png", "training.svg", "test.png", "test.svg"),
    }
    assert [path.name for path in folder(trained).parent.iterdir()] == ["classify"], "the state of the training is left"
    assert [path.name for path in (trained.root / "artifacts").iterdir()] == ["studies"]
    assert json.loads(trained.run("dvc", "status", "--json", "studies/dvc.yaml:classify@ecg").stdout) == {}
    (run,) = runs_of(trained)
    assert run.run["job_type"] == "classify" and run.run["run_group"].startswith("ecg-")
    assert run.run["tags"] == ["ecg", "ecg_cnn", "basic_motions"]
    artifacts = {one["name"]: one["type"] for one in run.of("artifact")}
    assert artifacts["ecg-classifier"] == "model"
    assert {metric["name"]: metric["step_metric"] for metric in run.of("metric")}["validation_loss"] == "epoch"


def test_the_last_stage_sums_up_the_study_in_wandb(trained: Checkout, tmp_path: Path) -> None:
    checkout = trained.copy(tmp_path / "project")
    before = set((checkout.root / "wandb").glob("offline-run-*"))
    checkout.run("python", "-m", "pipeline.attribute", "study=ecg", "run=stage")
    (run,) = runs_of(checkout, before)
    assert run.run["job_type"] == "summary" and re.fullmatch(r"ecg-\w+-\w{6}", run.run["display_name"])
    known = json.loads((checkout.root / "reports" / "studies" / "ecg" / "classify.json").read_text())
    assert run.summary["balanced_accuracy"] == known["test"]["network"]["balanced_accuracy"]
    config = run.run["config"]["update"]
    assert config["choices"]["study"] == "ecg" and config["choices"]["classifier_training"] == "small"
    assert config["classifier"]["_target_"] and config["methods"]["_target_"]
    made = {one["name"]: one.get("use_after_commit", False) for one in run.of("artifact") if one["type"] != "run_table"}
    assert made == {"ecg-classifier": True, "ecg-classifier-explanations": False}


def test_the_checkpoint_predicts_what_the_study_predicted(trained: Checkout) -> None:
    data, table = Prepared(folder(trained)), pd.read_parquet(folder(trained) / "predictions.parquet")
    windows = windows_at(np.asarray(data.values), data.starts, data.length)
    found = predict(folder(trained) / "checkpoint", windows)
    columns = [f"probability_{name}" for name in found.classes]
    np.testing.assert_allclose(found.probabilities, table[columns], rtol=1e-4, atol=1e-6)
    assert list(found.names) == table["predicted"].tolist()


def test_metrics_are_those_of_the_predictions_on_held_out_groups(trained: Checkout) -> None:
    table = pd.read_parquet(folder(trained) / "predictions.parquet")
    test = table[table["split"] == "test"]
    metrics = json.loads((trained.root / "reports" / "studies" / "ecg" / "classify.json").read_text())
    assert metrics["test"]["network"]["accuracy"] == pytest.approx((test["label"] == test["predicted"]).mean())
    assert metrics["n_windows"] == {part: int((table["split"] == part).sum()) for part in metrics["n_windows"]}
    assert (table.groupby("group")["split"].nunique() == 1).all()
    counts = pd.read_csv(folder(trained) / "confusion.csv").set_index("true")
    np.testing.assert_array_equal(counts, pd.crosstab(test["label"], test["predicted"]).reindex_like(counts).fillna(0))
    assert metrics["test"].keys() == {"network", "network_as_trained", "random_forest", "logistic_regression"}


def test_the_scaler_is_fitted_on_the_training_windows_only(trained: Checkout) -> None:
    data = Prepared(folder(trained))
    inside = windows_at(np.asarray(data.values), data.starts[data.index["split"] == "train"], data.length)
    np.testing.assert_allclose(data.card.centre, inside.mean(axis=(0, 2)))
    np.testing.assert_allclose(data.card.scale, inside.std(axis=(0, 2)))


@pytest.fixture
def mistaken(trained: Checkout) -> Iterator[pd.DataFrame]:
    """Predictions of which two at least are wrong: two test windows get the label of another class."""
    path = folder(trained) / "predictions.parquet"
    kept, table = path.read_bytes(), pd.read_parquet(path)
    right = table.index[(table["split"] == "test") & (table["label"] == table["predicted"])][:2]
    classes = sorted(set(table["label"]))
    table.loc[right, "label"] = [classes[classes.index(own) - 1] for own in table.loc[right, "label"]]
    path.unlink()  # a link into DVC's cache
    table.to_parquet(path)
    yield table.set_index("window")
    path.unlink()
    path.write_bytes(kept)


def test_a_classifier_is_explained_by_concepts_of_each_layer_and_by_bins_of_time(
    trained: Checkout, mistaken: pd.DataFrame
) -> None:
    choices = ["methods.names=[lrp_epsilon_plus]", "methods.windows_per_class=4", "methods.bin_s=2.5"]
    stage = ["python", "-m", "pipeline.attribute", "study=ecg", "wandb.mode=disabled"]
    trained.run(*stage, *choices, "hydra.run.dir=outputs/concepts", "methods.contrast=[Running,Walking]")
    out = trained.root / "outputs" / "concepts"
    predictions = mistaken
    layers = json.loads((out / "layers.json").read_text())["explained"]
    assert len(layers) == 4 and all((out / f"layer_{n}.png").is_file() for n in range(4))
    concepts = pd.read_csv(out / "concepts.csv")
    assert list(pd.unique(concepts["layer"])) == layers
    shown = pd.read_csv(out / "concept_windows.csv")
    first = concepts[concepts["relevance_rank"] == 1].set_index(["group", "layer"])["concept"]
    for row in shown.itertuples():
        assert first[row[1], row.layer] == row.concept
        # windows by the ids of the study, of the class that they were predicted as
        assert predictions.loc[row.window, "predicted"] == row[1] and predictions.loc[row.window, "split"] == "test"
    assert set(shown["by"]) == {"relevance", "activation"} and set(shown["layer"]) == set(layers)
    for name in ("concept_differences", "time_bin_differences"):
        table = pd.read_csv(out / f"{name}.csv")
        assert set(table["group"]) == {"Running"} and set(table["against"]) == {"Walking"}
        assert np.allclose(table["first"] - table["second"], table["difference"], atol=1e-6)
    bins = pd.read_csv(out / "time_bins.csv")
    assert sorted(pd.unique(bins["start_s"])) == [0.0, 2.5, 5.0, 7.5]
    relevance = np.abs(np.load(out / "relevance.npy")[0])
    windows = pd.read_parquet(out / "windows.parquet")
    words = pd.read_csv(out / "time_bins_in_words.csv").set_index("class")["text"]
    for name in ("Running", "Walking"):
        own = relevance[windows["predicted"] == name].sum(axis=1).reshape(-1, 4, 25).sum(axis=2)
        best = int((own / own.sum(axis=1, keepdims=True)).mean(axis=0).argmax())
        assert f"stretch: {2.5 * best:.3g} to {2.5 * best + 2.5:.3g} s" in words[name]
    wrong = pd.read_csv(out / "mistakes.csv")
    test = predictions[predictions["split"] == "test"]
    assert set(wrong["window"]) == set(test.index[test["label"] != test["predicted"]])
    both = np.load(out / "mistakes.npy")
    assert both.shape == (wrong["explained"].sum(), 2, 6, 100)
    channels = pd.read_csv(out / "mistake_channels.csv")
    assert list(dict.fromkeys(channels["window"])) == wrong.loc[wrong["explained"], "window"].tolist()
    np.testing.assert_allclose(channels["for_true"], both[:, 1].sum(axis=2).ravel(), rtol=1e-3, atol=1e-4)
    assert len(list(out.glob("windows_*.png"))) == windows["predicted"].nunique()
    assert len(list(out.glob("mistakes_*.png"))) == wrong["label"].nunique() > 0
    done = trained.run(*stage, *choices, "methods.contrast=[Running,Flying]", ok=False)
    assert "`methods.contrast`: no window was predicted as Flying; there are Badminton, Running" in done.stderr


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("scaled.npy", pickle.dumps({"a": 1}), "is not a plain NumPy array"),
        ("predictions.parquet", pickle.dumps({"a": 1}), "is not a PARQUET table"),
        ("series.json", b'{"channels": ["../../x"]}', "no entry 'rate_hz'"),
    ],
)
def test_the_attribute_stage_refuses_invalid_artifacts(
    trained: Checkout, file: str, content: bytes, message: str, fault: Callable[[str, str, str, str], None]
) -> None:
    path = folder(trained) / file
    kept = path.read_bytes()
    path.unlink()
    path.write_bytes(content)
    done = trained.run("python", "-m", "pipeline.attribute", "study=ecg", "run=stage", "wandb.mode=disabled", ok=False)
    path.write_bytes(kept)
    assert done.returncode == 1 and message in done.stderr and "Traceback" not in done.stderr, done.stderr
    fault("Damaged and hostile artifacts", "another file instead", f"attribute (classify/{file})", "one error")


def test_the_surest_mistakes_of_each_class_are_explained() -> None:
    test = pd.DataFrame(
        {
            "window": [3, 5, 6, 8, 9],
            "label": ["a", "a", "b", "a", "b"],
            "predicted": ["b", "b", "a", "a", "c"],
            "code": [1, 1, 0, 0, 2],
            "probability_a": [0.4, 0.1, 0.7, 0.9, 0.1],
            "probability_b": [0.5, 0.9, 0.2, 0.1, 0.1],
            "probability_c": [0.1, 0.0, 0.1, 0.0, 0.8],
        }
    )
    found = mistakes_in(test, ("a", "b", "c"), 1)
    assert found["window"].tolist() == [5, 9, 6, 3] and found["explained"].tolist() == [True, True, False, False]
    assert found["of_predicted"].tolist() == [0.9, 0.8, 0.7, 0.5] and found["of_true"].tolist() == [0.1, 0.1, 0.2, 0.4]
    assert not mistakes_in(test.iloc[3:4], ("a", "b", "c"), 1)["explained"].any(), "no mistake, no row"


def test_a_train_and_a_test_file_are_the_parts_of_a_study(tmp_path: Path, rng: np.random.Generator) -> None:
    (tmp_path / "data").mkdir()
    for name, n in (("train", 400), ("test", 160)):
        table = pd.DataFrame(rng.normal(size=(n, 2)), columns=["a", "b"])
        table.assign(time=np.arange(n) / 10, state=np.repeat(["on", "off"], n // 2)).to_csv(
            tmp_path / "data" / f"{name}.csv", index=False
        )
    made: dict[str, Any] = {
        group: OmegaConf.to_container(OmegaConf.load(ROOT / "conf" / group / f"{option}.yaml"))
        for group, option in (("dataset", "csv"), ("scaler", "standard"), ("split", "named"), ("window", "short"))
    }
    made["dataset"] |= {"path": str(tmp_path / "data"), "label": "state"}
    made["window"] |= {"length": 16, "stride": 4}
    data = _prepare(SimpleNamespace(out=tmp_path, settings=build_settings(made) | {"seed": 0}))  # type: ignore[arg-type]
    index, names = data.index, np.array(data.card.group_names)
    assert set(names[index["group"]][index["split"] == "test"]) == {"test"}
    assert set(names[index["group"]][index["split"] != "test"]) == {"train"}
    assert set(index["split"]) == {"train", "validation", "test"}, "windows between the parts are left out"
    assert index["window"].tolist() == list(range(len(index)))
    fitted = covered(index[index["split"] == "train"], len(data.values))
    np.testing.assert_allclose(data.card.centre, np.asarray(data.values)[fitted].mean(axis=0))
    limit = index.loc[index["split"] == "validation", ["start", "stop"]]
    for start, stop in limit.itertuples(index=False):
        own = index[index["split"] == "train"]
        assert not ((own["start"] < stop) & (start < own["stop"])).any()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "You must specify 'study'"),
        (("study=nope",), "`study` has no option `nope`; it has ecg, "),
        (("study=ecg", "encoder=dcae"), "encoder"),
        (
            ("study=ecg", "window.length=50", "window.stride=50", "classifier.pool=4"),
            "windows of 50 samples are too short",
        ),
        (("study=ecg", "dataset.normal={from:0,to:20}"), "`normal` is not for supervised studies"),
        (("study=ecg", "split.test_share=0.9"), "split.test_share: Input should be less than or equal to 0.5"),
    ],
)
def test_bad_choices_end_with_one_clear_error(trained: Checkout, arguments: tuple[str, ...], message: str) -> None:
    done = trained.run("python", "-m", "pipeline.classify", *arguments, "wandb.mode=disabled", ok=False)
    assert done.returncode != 0
    assert message in done.stderr
    assert "Traceback" not in done.stderr

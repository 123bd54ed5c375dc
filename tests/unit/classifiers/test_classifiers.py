"""Classifiers: what they compute, how they learn, what their checkpoints remember, whether their figures are right."""

import json
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from omegaconf import OmegaConf

torch = pytest.importorskip("torch")
from sklearn.utils.class_weight import compute_class_weight  # noqa: E402

from clusterwhy import explain  # noqa: E402
from clusterwhy.artifacts.store import write_array  # noqa: E402
from clusterwhy.classifiers.checkpoint import ClassifierCard, load_classifier, predict, save_classifier  # noqa: E402
from clusterwhy.classifiers.ecg_cnn import EcgCnn  # noqa: E402
from clusterwhy.classifiers.hybrid import Hybrid  # noqa: E402
from clusterwhy.classifiers.training import ClassifierTraining, LabelledWindows, features_of, logits_of  # noqa: E402
from clusterwhy.classifiers.wide_cnn import WideCnn  # noqa: E402
from clusterwhy.config import build_settings  # noqa: E402
from clusterwhy.encoders.dcae import Dcae  # noqa: E402
from clusterwhy.encoders.masked import embed  # noqa: E402
from clusterwhy.encoders.training import MaskedPrediction  # noqa: E402
from clusterwhy.errors import ArtifactError, ConfigError, ShapeError, TrainingError  # noqa: E402
from clusterwhy.explanations.score_modules import SquaredPredictionError  # noqa: E402
from clusterwhy.metrics.calibration import (  # noqa: E402
    brier_score,
    expected_calibration_error,
    fit_temperature,
    reliability,
    softmax,
)
from clusterwhy.metrics.classification import baselines, confusion, measures, report  # noqa: E402
from clusterwhy.plots.classifier_pages import evaluation_page, training_page  # noqa: E402
from pipeline.predict import main as predict_command  # noqa: E402
from tests.conftest import ROOT  # noqa: E402

NETWORKS = sorted((ROOT / "conf" / "classifier").glob("*.yaml"))
CHANNELS, LENGTH, CLASSES = 3, 48, 3
NETWORK = {
    "_target_": "clusterwhy.classifiers.ecg_cnn.EcgCnn",
    **{"n_filters": [4, 4, 4, 4], "kernel_size": 5, "pool": 2, "n_hidden": 8, "dropout": 0.2},
}
FIT = ClassifierTraining(
    n_epochs=6,
    batch_size=16,
    learning_rate=1e-2,
    weight_decay=1e-2,
    schedule="one_cycle",
    class_weights="balanced",
    label_smoothing=0.0,
    noise=0.1,
    scale_spread=0.1,
    patience=6,
)


def plain(path: Path) -> Any:
    return OmegaConf.to_container(OmegaConf.load(path))


def build(config: Any, n_channels: int = CHANNELS, length: int = LENGTH, n_classes: int = CLASSES) -> Any:
    torch.manual_seed(0)
    return build_settings({"network": config})["network"].build(n_channels, length, n_classes)


def made(seed: int, n: int = 60) -> LabelledWindows:
    """Waves of three frequencies, of which the first is rare, one after the other."""
    rng = np.random.default_rng(seed)
    labels = rng.choice(CLASSES, size=n, p=[0.2, 0.4, 0.4])
    t = np.arange(LENGTH)
    waves = np.sin(2 * np.pi * (labels[:, None] + 1) * t / 24 + rng.uniform(0, 6, size=(n, 1)))
    values = waves.reshape(-1, 1) * [1.0, 0.5, 0.0] + 0.3 * rng.normal(size=(n * LENGTH, CHANNELS))
    return LabelledWindows(values.astype(np.float32), np.arange(n) * LENGTH, labels, LENGTH)


@pytest.mark.parametrize("path", NETWORKS, ids=lambda p: p.stem)
def test_each_network_gives_logits_of_each_window_for_itself(path: Path, rng: np.random.Generator) -> None:
    network = build(plain(path), length=512).eval()
    windows = torch.from_numpy(rng.normal(size=(5, CHANNELS, 512)).astype(np.float32))
    with torch.no_grad():
        features, logits = network.features(windows), network(windows)
        torch.testing.assert_close(network.head(features), logits)
        alone = torch.cat([network(window[None]) for window in windows])
    assert logits.shape == (5, CLASSES) and features.ndim == 2
    assert (logits.exp().sum(dim=1) - 1.0).abs().min() > 0.01 and (logits.sum(dim=1) - 1.0).abs().min() > 0.01
    torch.testing.assert_close(alone, logits, rtol=1e-4, atol=1e-5)
    linear = [module for module in network.head.modules() if isinstance(module, torch.nn.Linear)]
    assert [module.in_features for module in linear] == [features.shape[1]]


@pytest.mark.parametrize("path", [p for p in NETWORKS if p.stem != "hybrid"], ids=lambda p: p.stem)
def test_each_convolutional_network_can_be_explained(path: Path, rng: np.random.Generator) -> None:
    network = build(plain(path), length=512).eval()
    windows = rng.normal(size=(2, CHANNELS, 512)).astype(np.float32)
    found = explain(network, windows, target=1)
    np.testing.assert_allclose(found.target, network(torch.from_numpy(windows))[:, 1].detach(), rtol=1e-4, atol=1e-5)
    assert np.abs(found.values).max() > 0


def test_the_hybrid_network_can_be_traced_for_any_number_of_windows(rng: np.random.Generator) -> None:
    network = build(plain(ROOT / "conf" / "classifier" / "hybrid.yaml")).eval()
    traced = torch.fx.symbolic_trace(network)
    for n in (1, 4):
        windows = torch.from_numpy(rng.normal(size=(n, CHANNELS, LENGTH)).astype(np.float32))
        torch.testing.assert_close(traced(windows), network(windows))


def test_attention_weights_are_those_that_made_the_features(rng: np.random.Generator) -> None:
    network = (
        Hybrid(n_filters=[4, 4], kernel_size=5, n_hidden=6, n_heads=3, dropout=0.0).build(CHANNELS, LENGTH, 2).eval()
    )
    windows = torch.from_numpy(rng.normal(size=(2, CHANNELS, LENGTH)).astype(np.float32))
    weights = network.attention_weights(windows)
    assert weights.shape == (2, 3, LENGTH // 4, LENGTH // 4)
    torch.testing.assert_close(weights.sum(dim=3), torch.ones(2, 3, LENGTH // 4))
    with torch.no_grad():
        attention, x = network.body.attention, network.body.sequence(windows)
        values = x @ attention.in_proj_weight[24:].T + attention.in_proj_bias[24:]
        mixed = torch.einsum("whst,wthf->wshf", weights, values.unflatten(2, (3, 4))).flatten(2)
        torch.testing.assert_close(attention.out_proj(mixed).mean(dim=1), network.features(windows))


@pytest.mark.parametrize(
    ("settings", "shortest"),
    [
        (WideCnn(first_kernel=8, first_stride=2, n_filters=[4, 4, 4], kernel_size=3, n_hidden=4, dropout=0.0), 16),
        (EcgCnn(n_filters=[4] * 4, kernel_size=3, pool=3, n_hidden=4, dropout=0.0), 81),
        (Hybrid(n_filters=[4, 4, 4], kernel_size=3, n_hidden=4, n_heads=2, dropout=0.0), 8),
    ],
)
def test_windows_may_be_as_short_as_the_strides_allow(settings: Any, shortest: int) -> None:
    network = settings.build(CHANNELS, shortest, 2).eval()
    assert network(torch.zeros(1, CHANNELS, shortest)).shape == (1, 2)
    with pytest.raises(ConfigError, match=f"windows of {shortest - 1} samples are too short"):
        settings.build(CHANNELS, shortest - 1, 2)


@pytest.mark.parametrize("n_blocks", [1, 2, 5])
@pytest.mark.parametrize("name", ["ecg_cnn", "hybrid", "wide_cnn"])
def test_a_network_has_as_many_blocks_as_filters_are_named(name: str, n_blocks: int) -> None:
    config = plain(ROOT / "conf" / "classifier" / f"{name}.yaml") | {"n_filters": [4] * n_blocks}
    if name == "wide_cnn" and n_blocks == 1:
        with pytest.raises(ConfigError, match=r"network\.n_filters: List should have at least 2 items"):
            build(config, length=64)
        return
    network = build(config, length=64)
    assert sum(isinstance(module, torch.nn.Conv1d) for module in network.modules()) == n_blocks


@pytest.mark.parametrize(
    ("name", "setting", "value"),
    [
        *(("ecg_cnn", setting, value) for setting, value in [("kernel_size", 4), ("pool", 3), ("n_hidden", 5)]),
        *(("wide_cnn", setting, value) for setting, value in [("first_kernel", 20), ("kernel_size", 4)]),
        *(("hybrid", setting, value) for setting, value in [("kernel_size", 4), ("n_hidden", 6), ("n_layers", 3)]),
        ("fcn_plus", "arguments", {"layers": [8, 8, 8]}),
        ("inception_time_plus", "arguments", {"nf": 4, "depth": 3}),
        *(("resnet_plus", "arguments", {"nf": 4}), ("xception_time_plus", "arguments", {"nf": 4})),
    ],
)
def test_a_setting_changes_the_network(name: str, setting: str, value: Any, rng: np.random.Generator) -> None:
    config = plain(ROOT / "conf" / "classifier" / f"{name}.yaml")
    usual, changed = (build(one, length=128).eval() for one in (config, config | {setting: value}))
    windows = torch.from_numpy(rng.normal(size=(2, CHANNELS, 128)).astype(np.float32))
    assert usual(windows).shape == changed(windows).shape == (2, CLASSES)
    shapes, others = ([tuple(one.shape) for one in network.parameters()] for network in (usual, changed))
    assert shapes != others


def test_relevance_passes_all_layers_of_an_lstm(rng: np.random.Generator) -> None:
    settings = Hybrid(n_filters=[4], kernel_size=5, n_hidden=4, n_layers=2, n_heads=2, dropout=0.0)
    network = settings.build(CHANNELS, LENGTH, 2).eval()
    assert network.body.lstm.num_layers == 2
    windows = rng.normal(size=(2, CHANNELS, LENGTH)).astype(np.float32)
    found = explain(network, windows, "difference", 0, references=rng.normal(size=(3, CHANNELS, LENGTH)))
    assert np.abs(found.gap).max() < 1e-3


@pytest.mark.parametrize("arguments", [{"filters": 3}, {"layers": [8, 8]}])
def test_arguments_that_tsai_does_not_accept_are_refused(arguments: dict[str, Any]) -> None:
    config = plain(ROOT / "conf" / "classifier" / "fcn_plus.yaml") | {"arguments": arguments}
    with pytest.raises(ConfigError, match=r"classifier\.arguments.*\n.*FCNPlus does not accept them: \w+"):
        build(config)


def test_only_networks_of_the_list_are_taken_from_tsai() -> None:
    with pytest.raises(ConfigError, match=r"network\.name"):
        build(plain(ROOT / "conf" / "classifier" / "fcn_plus.yaml") | {"name": "system"})


def test_training_finds_what_tells_classes_apart_and_is_repeatable() -> None:
    networks = [build(NETWORK) for _ in range(2)]
    reported: list[dict[str, float]] = []
    fit = FIT.model_copy(update={"n_epochs": 12, "patience": 12})
    histories = [fit.train(network, (made(0, 90), made(1)), 0, reported.append) for network in networks]
    pd.testing.assert_frame_equal(*histories)
    for one, other in zip(networks[0].state_dict().values(), networks[1].state_dict().values(), strict=True):
        assert torch.equal(one, other)
    assert histories[0]["train_loss"].iloc[-1] < 0.5 * histories[0]["train_loss"].iloc[0]
    unseen = made(2)
    assert (logits_of(networks[0], unseen, 16).argmax(axis=1) == unseen.labels).mean() > 0.9
    assert len(reported) == 24 and not networks[0].training
    assert features_of(networks[0], unseen, 7).shape == (60, 8)


@pytest.mark.parametrize("schedule", ["one_cycle", "cosine"])
def test_an_interrupted_training_ends_with_the_same_weights(tmp_path: Path, schedule: str) -> None:
    fit = FIT.model_copy(update={"schedule": schedule})
    whole, halved = build(NETWORK), build(NETWORK)
    expected = fit.train(whole, (made(0), made(1)), 3, lambda row: None)

    def interrupt(row: dict[str, float]) -> None:
        if row["epoch"] == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit.train(halved, (made(0), made(1)), 3, interrupt, tmp_path / "state")
    epochs: list[float] = []
    again = build(NETWORK)
    found = fit.train(again, (made(0), made(1)), 3, lambda row: epochs.append(row["epoch"]), tmp_path / "state")
    assert epochs == [4, 5, 6]
    pd.testing.assert_frame_equal(found, expected, check_exact=True)
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[name]), name


def test_a_state_of_another_training_is_not_used_and_that_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    fit = FIT.model_copy(update={"n_epochs": 2})
    fit.train(build(NETWORK), (made(0), made(1)), 0, lambda row: None, tmp_path / "state")
    epochs: list[float] = []
    with caplog.at_level(logging.WARNING):
        fit.train(build(NETWORK), (made(0), made(1)), 1, lambda row: epochs.append(row["epoch"]), tmp_path / "state")
    assert epochs == [1, 2] and "training starts again" in caplog.text
    (tmp_path / "state").write_bytes(b"no state")
    with pytest.raises(ArtifactError, match="is not a training state"):
        fit.train(build(NETWORK), (made(0), made(1)), 1, lambda row: None, tmp_path / "state")


def test_training_stops_when_validation_gets_no_better_and_keeps_the_best_weights() -> None:
    train, validation = made(0), made(1)
    # labels that mean nothing: what is learned by heart makes validation worse
    rng = np.random.default_rng(0)
    noise = LabelledWindows(train.values, train.starts, rng.permutation(train.labels), LENGTH)
    network = build(NETWORK | {"dropout": 0.0})
    fit = FIT.model_copy(update={"n_epochs": 60, "patience": 3, "class_weights": "equal"})
    history = fit.train(network, (noise, validation), 0, lambda row: None)
    assert len(history) < 60 and len(history) - 1 - history["validation_loss"].argmin() == 3
    logits = torch.from_numpy(logits_of(network, validation, 16))
    loss = torch.nn.functional.cross_entropy(logits, torch.from_numpy(validation.labels))
    assert loss.item() == pytest.approx(history["validation_loss"].min(), rel=1e-5)
    assert fit.kept_epoch(history) == len(history) - 3

    # without patience: the whole schedule, and what it ends with
    network = build(NETWORK | {"dropout": 0.0})
    fit = FIT.model_copy(update={"n_epochs": 12, "patience": None, "class_weights": "equal"})
    history = fit.train(network, (noise, validation), 0, lambda row: None)
    logits = torch.from_numpy(logits_of(network, validation, 16))
    loss = torch.nn.functional.cross_entropy(logits, torch.from_numpy(validation.labels))
    assert fit.kept_epoch(history) == len(history) == 12
    assert (
        loss.item() == pytest.approx(history["validation_loss"].iloc[-1], rel=1e-5) != history["validation_loss"].min()
    )


def test_balanced_class_weights_are_those_of_scikit_learn() -> None:
    labels = made(0).labels
    expected = compute_class_weight("balanced", classes=np.arange(CLASSES), y=labels)
    np.testing.assert_allclose(FIT._loss(labels, CLASSES).weight.cpu(), expected, rtol=1e-6)


def test_a_training_that_leads_nowhere_says_so() -> None:
    data = made(0)
    broken = LabelledWindows(data.values * np.float32(np.nan), data.starts, data.labels, LENGTH)
    with pytest.raises(
        TrainingError, match=r"validation loss of epoch 1 is nan: lower `classifier_training.learning_rate` \(0.01\)"
    ):
        FIT.train(build(NETWORK), (broken, broken), 0, lambda row: None)
    with pytest.raises(ShapeError, match="expected labels 0 to 1, got 0 to 2"):
        FIT.train(build(NETWORK, n_classes=2), (data, data), 0, lambda row: None)


def card(**changes: Any) -> ClassifierCard:
    values: dict[str, Any] = {
        **{"network": NETWORK, "classes": ("a", "b", "c"), "channels": ("x", "y", "z"), "units": ("g", "g", "")},
        **{"length": LENGTH, "rate_hz": 50.0, "centre": (1.0, 2.0, 3.0), "scale": (1.0, 10.0, 0.1), "temperature": 2.0},
    }
    return ClassifierCard(**(values | changes))


def test_a_checkpoint_alone_predicts_what_the_network_predicted(tmp_path: Path, rng: np.random.Generator) -> None:
    network = build(NETWORK).eval()
    save_classifier(tmp_path, network, card())
    recorded = rng.normal(size=(9, CHANNELS, LENGTH)) * [[1.0], [10.0], [0.1]] + [[1.0], [2.0], [3.0]]
    scaled = (recorded - np.array([1.0, 2.0, 3.0])[:, None]) / np.array([1.0, 10.0, 0.1])[:, None]
    with torch.no_grad():
        logits = network(torch.from_numpy(scaled.astype(np.float32))).double()
    found = predict(tmp_path, recorded)
    np.testing.assert_allclose(found.probabilities, torch.softmax(logits / 2.0, dim=1), rtol=1e-6)
    assert found.names == tuple("abc"[i] for i in logits.argmax(dim=1))
    assert load_classifier(tmp_path).card == card()
    assert {path.name for path in tmp_path.iterdir()} == {"classifier.json", "classifier.safetensors"}


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((2, CHANNELS + 1, LENGTH), "channel 3, time 48"),
        ((2, CHANNELS, LENGTH - 1), "channel 3, time 48"),
        ((CHANNELS, LENGTH), "channels x, y, z at 50 Hz"),
        ((0, CHANNELS, LENGTH), "window >= 1"),
    ],
)
def test_windows_of_another_shape_are_refused(tmp_path: Path, shape: tuple[int, ...], message: str) -> None:
    save_classifier(tmp_path, build(NETWORK), card())
    with pytest.raises(ShapeError, match=message):
        predict(tmp_path, np.zeros(shape))


def test_windows_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    save_classifier(tmp_path, build(NETWORK), card())
    windows = np.zeros((1, CHANNELS, LENGTH))
    windows[0, 1, 2] = np.nan
    with pytest.raises(ShapeError, match="1 values of the windows are not finite"):
        predict(tmp_path, windows)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"network": {"_target_": "os.system"}}, "expected a class below clusterwhy"),
        (
            {"network": {"_target_": "clusterwhy.datasets.basic_motions.BasicMotions"}},
            "`network` is 'clusterwhy.datasets.basic_motions",
        ),
        ({"centre": [0.0]}, "one entry for each of 3 channels"),
        ({"surprise": 1}, "surprise"),
        ({"classes": ["a", "b"]}, "does not fit"),
        ({"classes": ["a", "b", "c\n"]}, "invalid class names"),
        ({"channels": ["x", "y", "z" * 300]}, "invalid channel names"),
        ({"length": 10**12}, "less than or equal to"),
        ({"temperature": 0.0}, "greater than 0"),
    ],
)
def test_a_card_that_was_tampered_with_is_refused(
    tmp_path: Path, change: dict[str, Any], message: str, fault: Callable[[str, str, str, str], None]
) -> None:
    save_classifier(tmp_path, build(NETWORK), card())
    path = tmp_path / "classifier.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(ArtifactError, match=message):
        load_classifier(tmp_path)
    (entry,) = change
    fault("Damaged and hostile artifacts", f"another {entry}: {message}", "predict (classifier.json)", "one error")


def test_a_missing_or_broken_checkpoint_is_named(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"no artifact .*classifier.json"):
        load_classifier(tmp_path)
    save_classifier(tmp_path, build(NETWORK), card())
    (tmp_path / "classifier.safetensors").write_bytes(b"\x80\x04K\x01.")
    with pytest.raises(ArtifactError, match="does not fit"):
        load_classifier(tmp_path)


def test_the_command_writes_a_row_for_each_window(
    tmp_path: Path, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    save_classifier(tmp_path / "checkpoint", build(NETWORK), card())
    windows = rng.normal(size=(4, CHANNELS, LENGTH))
    write_array(tmp_path / "windows.npy", windows)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["predict", "checkpoint", "windows.npy", "out.csv"])
    predict_command()
    table = pd.read_csv("out.csv", float_precision="round_trip")
    pd.testing.assert_frame_equal(table, predict(tmp_path / "checkpoint", windows).table(), check_dtype=False)
    write_array(tmp_path / "windows.npy", windows[:, :2])
    with pytest.raises(SystemExit, match="1"):
        predict_command()
    assert "error: expected windows" in capsys.readouterr().err


def test_temperature_is_found_again(rng: np.random.Generator) -> None:
    logits = rng.normal(size=(20_000, 3)) * 2.0
    labels = np.array([rng.choice(3, p=row) for row in softmax(logits, 1.0)])
    assert fit_temperature(logits * 2.5, labels) == pytest.approx(2.5, rel=0.05)


def test_a_few_windows_without_a_mistake_do_not_make_probabilities_certain() -> None:
    labels = np.array([0, 1, 2, 0])
    logits = np.eye(3)[labels] * 8.0
    mended = softmax(logits, fit_temperature(logits, labels))
    # the smoothed truth: (4 + 1) / (4 + 3) for the true class
    np.testing.assert_allclose(mended.max(axis=1), 5 / 7, rtol=1e-3)


def test_calibration_by_hand() -> None:
    probabilities = np.array([[0.95, 0.05], [0.92, 0.08], [0.35, 0.65], [0.5, 0.5]])
    table = reliability(probabilities, np.array([0, 1, 1, 1]), 10)
    assert table["n_windows"].tolist() == [1, 1, 2]
    np.testing.assert_allclose(table["low"], [0.4, 0.6, 0.9])
    np.testing.assert_allclose(table["accuracy"], [0.0, 1.0, 0.5])
    np.testing.assert_allclose(table["confidence"], [0.5, 0.65, 0.935])
    assert expected_calibration_error(table) == pytest.approx((0.5 + 0.35 + 2 * 0.435) / 4)
    expected = 2 * (0.05**2 + 0.92**2 + 0.35**2 + 0.5**2) / 4
    assert brier_score(probabilities, np.array([0, 1, 1, 1])) == pytest.approx(expected)


def test_measures_by_hand() -> None:
    probabilities = np.array([[0.9, 0.1], [0.6, 0.4], [0.7, 0.3], [0.2, 0.8], [0.8, 0.2]])
    found = measures(probabilities, np.array([0, 0, 1, 1, 0]))
    assert found["accuracy"] == pytest.approx(4 / 5) and found["balanced_accuracy"] == pytest.approx(3 / 4)
    # of the six pairs of a window of each class one is in the wrong order, for either class
    assert found["macro_f1"] == pytest.approx((6 / 7 + 2 / 3) / 2)
    assert found["macro_auroc"] == pytest.approx(5 / 6)
    assert found["log_loss"] == pytest.approx(-np.log([0.9, 0.6, 0.3, 0.8, 0.8]).mean())


def test_report_and_confusion_count_windows_under_their_names() -> None:
    names = ("accuracy", "x", "never")
    labels, predicted = np.array([0, 0, 0, 1, 2]), np.array([0, 0, 1, 1, 0])
    table = confusion(labels, predicted, names)
    assert table["true"].tolist() == list(names)
    np.testing.assert_array_equal(table[list(names)], [[2, 1, 0], [0, 1, 0], [1, 0, 0]])
    rows = report(labels, predicted, names).set_index("class")
    np.testing.assert_allclose(rows.loc["accuracy", ["precision", "recall"]].astype(float), [2 / 3, 2 / 3])
    np.testing.assert_allclose(rows.loc["x", ["precision", "recall"]].astype(float), [1 / 2, 1.0])
    assert rows["n_windows"].tolist() == [3, 1, 1, 5, 5]


def test_baselines_tell_waves_apart() -> None:
    train, test = made(0), made(1)
    found = baselines(train.windows(slice(None)).numpy(), train.labels, test.windows(slice(None)).numpy(), 0)
    assert set(found) == {"random_forest", "logistic_regression"}
    assert all((p.argmax(axis=1) == test.labels).mean() > 0.9 for p in found.values())


def test_pictures_hold_the_numbers_and_are_the_same_each_time(tmp_path: Path) -> None:
    history = pd.DataFrame({"epoch": [1, 2, 3], "validation_loss": [3.0, 1.0, 2.0], "train_loss": [3.0, 2.0, 1.0]})
    history = history.assign(train_accuracy=[0.1, 0.2, 0.3], validation_accuracy=[0.1, 0.3, 0.2])
    counts = confusion(np.array([0, 0, 1]), np.array([0, 1, 1]), ("$a_1$", "b"))
    bins = pd.DataFrame({"confidence": [0.4, 0.8], "accuracy": [0.5, 0.7], "n_windows": [3, 9], "probabilities": "x"})
    for name in ("one", "other"):
        evaluation_page(tmp_path / name, counts, bins)
        training_page(tmp_path / f"{name}_training", history, 2)
    for ending in (".png", ".svg", "_training.png", "_training.svg"):
        assert (tmp_path / f"one{ending}").read_bytes() == (tmp_path / f"other{ending}").read_bytes()
    assert "selected: epoch 2" in (tmp_path / "one_training.svg").read_text()
    assert "$a_1$" in (tmp_path / "one.svg").read_text()


DCAE = Dcae(delta=16, n_filters=[16, 16], kernel_sizes=[5, 3], pools=[2, 2], output_kernel=3)


def test_the_autoencoder_learns_embeds_and_can_be_explained() -> None:
    data = made(0)
    torch.manual_seed(0)
    encoder = DCAE.build(CHANNELS, LENGTH)
    fit = MaskedPrediction(
        **{"n_steps": 80, "batch_size": 16, "learning_rate": 1e-2, "weight_decay": 0.0, "mask_share": 0.4},
        **{"mask_length": 3.0, "same_mask_for_channels": False, "validation_share": 0.2, "n_reports": 2},
        **{"validation_windows": 8, "flat_gain": None},
    )
    history = fit.train(encoder, data.values, data.starts, LENGTH, 0, lambda row: None)
    assert history["validation_loss"].iloc[-1] < 0.7 * history["validation_loss"].iloc[0]
    embeddings = embed(encoder, data.values, data.starts, LENGTH, 16)
    assert embeddings.shape == (60, 16)
    windows = data.windows(slice(0, 4)).numpy()
    found = explain(encoder.cpu(), windows, target=2)
    np.testing.assert_allclose(found.target, embeddings[:4, 2], rtol=1e-4, atol=1e-5)
    # the decoder's operations have rules, too
    error = SquaredPredictionError(encoder, LENGTH, 4, 3, np.ones(CHANNELS)).eval()
    assert (explain(error, windows, canonizer="auto").target > 0).all()


@pytest.mark.parametrize("length", [12, 13, 17, 40])
def test_the_autoencoder_gives_back_windows_of_any_length(length: int) -> None:
    encoder = DCAE.build(CHANNELS, length).eval()
    assert encoder.predict(torch.zeros(2, CHANNELS, length)).shape == (2, CHANNELS, length)


def test_a_step_of_the_bottleneck_is_spread_over_its_samples() -> None:
    from clusterwhy.encoders.dcae import Repeated

    maps = torch.arange(6.0).reshape(1, 2, 3)
    expected = maps.repeat_interleave(3, dim=2)[:, :, :8]
    assert torch.equal(Repeated(3, 8)(maps), expected)


def test_too_short_windows_for_the_autoencoder_are_refused() -> None:
    with pytest.raises(ConfigError, match="leave 1 step after the pools"):
        DCAE.build(CHANNELS, 4)
    with pytest.raises(ConfigError, match="kernel sizes must be odd"):
        build_settings(
            {"encoder": DCAE.model_dump() | {"_target_": "clusterwhy.encoders.dcae.Dcae", "kernel_sizes": [4, 3]}}
        )

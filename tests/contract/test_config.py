"""Every file of conf/ builds, and what is wrong is refused before any work."""

import logging.config
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from clusterwhy.attribution.registry import ATTRIBUTORS
from clusterwhy.config import Settings, build_settings
from clusterwhy.errors import ConfigError
from clusterwhy.propagation.composites import COMPOSITES
from pipeline._parameters import check_overrides, owned, register_params, register_studies
from tests.conftest import ROOT

CHOICES = sorted(p for p in (ROOT / "conf").glob("*/*.yaml") if "# @package _global_" not in p.read_text())
GLOBALS = sorted(p for p in (ROOT / "conf").glob("*/*.yaml") if p not in CHOICES)


def plain(path: Path) -> dict[str, Any]:
    found: Any = OmegaConf.to_container(OmegaConf.load(path), resolve=True)
    return found


@pytest.mark.parametrize("path", CHOICES, ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_every_choice_builds_its_settings(path: Path) -> None:
    made = build_settings({path.parent.name: plain(path)})[path.parent.name]
    assert isinstance(made, Settings)


@pytest.mark.parametrize("path", CHOICES, ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_every_choice_refuses_an_unknown_key(path: Path) -> None:
    group = path.parent.name
    with pytest.raises(ConfigError, match=rf"{group}\.surprise"):
        build_settings({group: plain(path) | {"surprise": 1}})


@pytest.mark.parametrize("path", GLOBALS, ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_every_run_sweep_and_preset_composes(path: Path) -> None:
    register_params()
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3", job_name="explain"):
        found = compose("config", overrides=[f"{path.parent.name}={path.stem}"])
    assert found.seed == 0 and found.encoder._target_


@pytest.mark.parametrize(
    ("preset", "attributor", "composite", "canonizer"),
    [
        ("notebook_1", "Lrp", ("z_plus", "flat"), "none"),
        ("notebook_2", "SmoothGrad", None, "none"),
        ("notebook_3", "Lrp", ("gamma", "box"), "zennit_sequential"),
        ("notebook_4", "Lrp", ("gamma", "box"), "zennit_sequential"),
    ],
)
def test_presets_are_the_notebooks_options(
    preset: str, attributor: str, composite: tuple[str, str] | None, canonizer: str
) -> None:
    register_params()
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3", job_name="explain"):
        config = compose("config", overrides=[f"preset={preset}"])
    names = ("attributor", "composite", "canonizer", "target")
    made = build_settings({name: OmegaConf.to_container(config[name], resolve=True) for name in names})
    assert type(made["attributor"]).__name__ == attributor and made["canonizer"].name == canonizer
    assert type(made["target"]).__name__ == "ReconstructionTarget"
    if composite is None:
        assert made["attributor"].has_own_rules and made["attributor"].samples == 10
    else:
        assert (made["composite"].convolution, made["composite"].first_layer) == composite


def test_the_log_of_a_manual_run_keeps_its_end(tmp_path: Path, fault: Callable[..., None]) -> None:
    register_params()
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3", job_name="explain"):
        found: Any = compose("config", return_hydra_config=True)
    settings: Any = OmegaConf.to_container(found.hydra.job_logging.handlers.file)
    most, n_old = settings["maxBytes"], settings["backupCount"]
    assert 0 < most * (1 + n_old) <= 30_000_000
    path = tmp_path / "explain.log"
    small = {key: value for key, value in settings.items() if key != "formatter"} | {"maxBytes": 1000}
    handler = logging.config.DictConfigurator({}).configure_handler(small | {"filename": str(path)})
    for line in range(500):
        handler.emit(logging.LogRecord("x", logging.INFO, "", 0, "line %d of some length", (line,), None))
    handler.close()
    files = sorted(tmp_path.iterdir())
    assert [file.name for file in files] == ["explain.log", *(f"explain.log.{i + 1}" for i in range(n_old))]
    assert all(file.stat().st_size <= 1000 for file in files) and "line 499 " in path.read_text()
    fault("Interruptions, disk and memory", "an ever-growing log", "any stage, by hand", "its last 30 MB are kept")


@pytest.mark.parametrize("study", OmegaConf.load(ROOT / "studies" / "params.yaml").studies)
def test_every_study_composes_to_its_options(study: str) -> None:
    register_studies()
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3", job_name="classify"):
        found: Any = compose("study", overrides=[f"study={study}", "run=stage"], return_hydra_config=True)
    choices = OmegaConf.load(ROOT / "studies" / "params.yaml").studies[study]
    groups = owned("classify") - {"seed"}
    assert {group: found.hydra.runtime.choices[group] for group in groups} == {g: choices[g] for g in groups}
    assert found.seed == choices.seed
    assert OmegaConf.to_container(found)["place"] == f"studies/{study}/${{hydra:job.name}}"
    made = build_settings({group: OmegaConf.to_container(found[group], resolve=True) for group in groups})
    assert all(isinstance(value, Settings) for value in made.values())


def test_every_fault_is_listed_by_its_full_key() -> None:
    config = {
        "window": {"_target_": "clusterwhy.data.windows.WindowSettings", "length": "long", "stride": 0},
        "encoder": {"_target_": "os.system", "command": "true"},
    }
    with pytest.raises(ConfigError) as caught:
        build_settings(config)
    assert len(caught.value.faults) == 3
    for part in ("window.length", "window.stride", "encoder._target_: expected a class below clusterwhy."):
        assert part in str(caught.value)


@pytest.mark.parametrize(
    "target",
    ["os.system", "clusterwhy.artifacts.store.write_text", "clusterwhy.nowhere.Thing", "clusterwhy.data.nobody", 3],
)
def test_only_settings_of_the_library_are_built(target: object) -> None:
    with pytest.raises(ConfigError, match=r"encoder\._target_"):
        build_settings({"encoder": {"_target_": target}})


def test_overrides_of_another_stage_are_refused() -> None:
    check_overrides("explain", ["composite=epsilon", "composite.epsilon=1.0", "seed=1", "wandb.mode=disabled"])
    with pytest.raises(ConfigError) as caught:
        check_overrides("explain", ["clusterer.min_samples=5", "+window.length=3", "composite=epsilon"])
    assert len(caught.value.faults) == 2
    assert owned("embed") == set()


def test_a_stage_of_studies_owns_its_groups_the_seed_and_the_study() -> None:
    assert owned("classify") == {"dataset", "scaler", "window", "split", "classifier", "classifier_training", "seed"}
    check_overrides("classify", ["study=ecg", "classifier_training.n_epochs=3", "classifier=hybrid", "run=stage"])
    with pytest.raises(ConfigError, match="`encoder=dcae`: not a parameter of the stage `classify`"):
        check_overrides("classify", ["encoder=dcae"])
    with pytest.raises(ConfigError, match="`study=ecg`: not a parameter of the stage `explain`"):
        check_overrides("explain", ["study=ecg"])


# names for use without the pipeline; a file of conf/ needs none
@pytest.mark.parametrize("name", COMPOSITES)
def test_composites_of_the_library_are_those_of_conf(name: str) -> None:
    path = ROOT / "conf" / "composite" / f"{name}.yaml"
    assert build_settings({"composite": plain(path)})["composite"] == COMPOSITES[name]


@pytest.mark.parametrize("name", sorted(ATTRIBUTORS))
def test_attributors_of_the_library_are_those_of_conf(name: str) -> None:
    made = build_settings({"attributor": plain(ROOT / "conf" / "attributor" / f"{name}.yaml")})["attributor"]
    assert made == ATTRIBUTORS[name]


@pytest.mark.parametrize(
    ("old", "values", "name"),
    [
        ("clusterwhy.relevance.attributors.Once", {}, "lrp"),
        ("clusterwhy.relevance.attributors.Smooth", {"n_samples": 20, "noise_share": 0.1}, "smooth"),
        ("clusterwhy.relevance.attributors.Contrast", {"n_references": 64}, "contrast"),
        ("clusterwhy.relevance.attributors.Difference", {"n_references": 8}, "difference"),
        ("clusterwhy.relevance.perturbations.DeepLift", {"baseline": "zero", "n_references": 8}, "deep_lift"),
        ("clusterwhy.relevance.gradients.Gradient", {}, "gradient"),
        ("clusterwhy.relevance.gradients.GuidedBackpropagation", {}, "guided_backprop"),
        ("clusterwhy.attribution.gradients.GuidedBackpropagation", {}, "guided_backprop"),
        ("clusterwhy.relevance.conditional.Crp", {"layer": None, "concepts": None}, "crp"),
    ],
)
def test_an_attributor_of_version_0_1_means_the_same_method(old: str, values: dict[str, Any], name: str) -> None:
    # references were the same for all windows then
    then = {"baseline": "references", "n_references": 8} if name == "difference" else {}
    expected = ATTRIBUTORS[name].model_copy(update=then)
    assert build_settings({"attributor": {"_target_": old, "batch_size": 64, **values}})["attributor"] == expected


@pytest.mark.parametrize(
    ("old", "file"),
    [
        ("clusterwhy.encoders.supervised.SupervisedFit", "classifier_training/standard"),
        ("clusterwhy.relevance.evidence.EvidenceSettings", "evaluation/standard"),
    ],
)
def test_settings_of_version_0_1_are_found_under_their_new_name(old: str, file: str) -> None:
    values = plain(ROOT / "conf" / f"{file}.yaml")
    assert build_settings({"group": values | {"_target_": old}}) == build_settings({"group": values})

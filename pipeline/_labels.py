"""What runs are found by in W&B: the study, names, groups, tags, notes and configuration."""

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra.conf import HydraConf
from omegaconf import OmegaConf

from clusterwhy.config import build_settings
from clusterwhy.tracking.run import RunLabels, WandbSettings
from pipeline._parameters import ROOT, groups
from pipeline._paths import run_group

SUMMARY = "summary"
# the last stages of the pipelines: their runs sum up the study
LAST = ("report", "apply", "attribute")
TAGGED = ("recording", "classifier", "composite", "attributor", "preset")
SUMMARY_TAGS = ("dataset", "encoder", "projection", "clusterer", "detector", "target")
BY_HAND = "by_hand"
# choices that change no result
WITHOUT_EFFECT = {"run", "sweep", "wandb", "workers"}
NOT_SETTINGS = ("sweep=", "run=", "wandb", "workers", "hydra")


def study_name(stage: str, choices: Mapping[str, Any]) -> str:
    """What the study is called: its entry in studies/params.yaml, or the dataset of params.yaml."""
    if choices.get("study"):
        return str(choices["study"])
    # an application is of the study of params.yaml, and has a dataset of its own
    chosen: Any = OmegaConf.load(ROOT / "params.yaml") if stage == "apply" else choices
    return str(chosen["dataset"])


def run_labels(stage: str, hydra_config: HydraConf, own: Mapping[str, Any], body: Callable[..., Any]) -> RunLabels:
    """The labels of a stage's run, of the last stage's run in `dvc repro`, or of a job of a sweep.

    Args:
        own: groups and parameters of the stage.
        body: its main function, whose module says what the stage does.
    """
    choices: Any = hydra_config.runtime.choices
    by_dvc, study = choices.run == "stage", study_name(stage, choices)
    recording = str(choices.get("recording") or "")
    group = run_group("studies", study) if choices.get("study") else run_group("", recording)
    name, job, tagged = f"{stage}-{group}", stage, {*own, "preset", "recording"}
    tags = [study]
    if by_dvc and stage in LAST:
        job, name = SUMMARY, group if choices.get("study") else f"{study}-{group}"
        tagged |= {*TAGGED, *SUMMARY_TAGS}
    tags += [str(choices[key]) for key in (*TAGGED, *SUMMARY_TAGS) if choices.get(key) and key in tagged]
    if not by_dvc:
        tags.append(BY_HAND)
    if hydra_config.mode is not None and hydra_config.mode.name == "MULTIRUN":
        group = sweep_group(Path(hydra_config.sweep.dir))
        name = changed(hydra_config.overrides.task)[:120] or name
        tags.append("sweep")
    doc = (sys.modules[body.__module__].__doc__ or "").strip().splitlines()
    return RunLabels(job, name, group, tuple(tags), doc[0] if doc else "")


def run_config(labels: RunLabels, choices: Mapping[str, Any], own: Mapping[str, Any], whole: Any) -> dict[str, Any]:
    """The configuration of a run, with the name of each chosen option; the whole of it for a summary."""
    known = groups() - WITHOUT_EFFECT
    summary = labels.job == SUMMARY
    names = {key: choices[key] for key in choices if key in known | {"study", "recording"} and choices[key]}
    if not summary:
        names = {key: option for key, option in names.items() if key in own}
    content = {key: value for key, value in whole.items() if key not in {"wandb", "workers", "place"}}
    return {"choices": names} | (content if summary else dict(own))


def sweep_group(folder: Path) -> str:
    """The W&B group of the jobs of a multirun and its ranking."""
    return f"sweep-{folder.name}"


def changed(overrides: Sequence[str]) -> str:
    """The overrides of a sweep's job that change its result, in one line."""
    return ", ".join(override for override in overrides if not override.startswith(NOT_SETTINGS))


def wandb_settings() -> WandbSettings:
    """The settings of W&B for commands that Hydra does not start.

    Raises:
        ConfigError: they are not valid.
    """
    config = OmegaConf.to_container(OmegaConf.load(ROOT / "conf" / "wandb" / "default.yaml"), resolve=True)
    found: WandbSettings = build_settings({"wandb": config})["wandb"]
    return found

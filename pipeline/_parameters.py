"""Parameters of the stages, from dvc.yaml, params.yaml, studies/params.yaml and conf/."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import OmegaConf

from clusterwhy.errors import ConfigError

ROOT = Path(__file__).resolve().parents[1]
# not tracked by DVC: they affect where a run writes or what a manual run compares, not the result of a stage
UNTRACKED = {"run", "sweep", "wandb", "workers", "hydra", "preset"}


def groups() -> set[str]:
    """The config groups: the folders of conf/."""
    return {folder.name for folder in (ROOT / "conf").iterdir() if folder.is_dir()}


def _stages() -> tuple[dict[str, Any], dict[str, Any]]:
    """The stages of dvc.yaml, and those of each study in studies/dvc.yaml."""
    files = (ROOT / "dvc.yaml", ROOT / "studies" / "dvc.yaml")
    own, of_studies = (yaml.load(path.read_text(), Loader=yaml.CSafeLoader)["stages"] for path in files)
    return own, {name: stage["do"] for name, stage in of_studies.items()}


def declared(stage: str) -> dict[str, Any]:
    """The entry of a stage in dvc.yaml or studies/dvc.yaml."""
    own, of_studies = _stages()
    found: dict[str, Any] = own[stage] if stage in own else of_studies[stage]
    return found


def _params(entry: Mapping[str, Any]) -> set[str]:
    names: list[str] = []
    for param in entry.get("params", []):
        for file, keys in param.items() if isinstance(param, dict) else [("", [param])]:
            names += [Path(file).parts[1]] if keys is None else [key.split(".")[-1] for key in keys]
    return set(names)


def owned(stage: str) -> set[str]:
    """The parameters that a stage depends on, by dvc.yaml."""
    return _params(declared(stage))


def parameters() -> tuple[set[str], set[str]]:
    """The keys allowed in params.yaml, and in a study of studies/params.yaml: those that any stage depends on."""
    own, of_studies = _stages()
    return set().union(*map(_params, own.values())), set().union(*map(_params, of_studies.values()))


def parse_overrides(arguments: list[str]) -> list[Override]:
    """The overrides among command-line arguments, parsed by Hydra; flags such as `--multirun` are skipped.

    Raises:
        ConfigError: lists the arguments that Hydra cannot parse.
    """
    parser, found, faults = OverridesParser.create(), [], []
    for argument in arguments:
        if argument.startswith("-") or not ("=" in argument or argument.startswith("~")):
            continue
        try:
            found += parser.parse_overrides([argument])
        except HydraException as error:
            faults.append(f"`{argument}`: {str(error).splitlines()[0]}")
    if faults:
        raise ConfigError("command line", faults)
    return found


def check_overrides(stage: str, overrides: list[str]) -> None:
    """Refuse overrides that have no effect on a stage.

    Raises:
        ConfigError: an override names a parameter of another stage.
    """
    own = owned(stage) | ({"study"} if "${key}" in declared(stage)["cmd"] else set())
    faults = [
        f"`{override.input_line}`: not a parameter of the stage `{stage}` (it has {', '.join(sorted(own))}), so it has "
        "no effect here; use `dvc exp run -S ...`"
        for override in parse_overrides(overrides)
        if override.key_or_group.split(".")[0].split("/")[0] not in own | UNTRACKED
    ]
    if faults:
        raise ConfigError("command line", faults)


def register_params() -> None:
    """Add params.yaml to Hydra's defaults list; a key named like a config group selects its option."""
    # OmegaConf, because PyYAML reads 1e-6 as a string
    params: Any = OmegaConf.to_container(OmegaConf.load(ROOT / "params.yaml"))
    chosen = [key for key in params if key in groups()]
    defaults = [{key: params.pop(key)} for key in chosen]
    node = {"defaults": [*defaults, "_self_"], "place": "${hydra:job.name}", **params}
    ConfigStore.instance().store("params", node)


def register_studies() -> None:
    """Register each study of studies/params.yaml as an option of the config group `study`."""
    studies: Any = OmegaConf.to_container(OmegaConf.load(ROOT / "studies" / "params.yaml"))
    for study, choices in studies["studies"].items():
        defaults = [{f"/{key}": option} for key, option in choices.items() if key in groups()]
        values = {key: value for key, value in choices.items() if key not in groups()}
        node = {"defaults": [*defaults, "_self_"], "place": f"studies/{study}/${{hydra:job.name}}", **values}
        ConfigStore.instance().store(study, node, group="study", package="_global_")

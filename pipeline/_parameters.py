"""What dvc.yaml, params.yaml, studies/params.yaml and conf/ say of a stage."""

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
# not tracked by DVC: they change where a run writes or what a run by hand compares, never a stage
UNTRACKED = {"run", "sweep", "wandb", "workers", "hydra", "preset"}


def groups() -> set[str]:
    """The folders of conf/."""
    return {folder.name for folder in (ROOT / "conf").iterdir() if folder.is_dir()}


def _stages() -> tuple[dict[str, Any], dict[str, Any]]:
    """What dvc.yaml says of its stages, and studies/dvc.yaml of the stages of each study."""
    files = (ROOT / "dvc.yaml", ROOT / "studies" / "dvc.yaml")
    own, of_studies = (yaml.load(path.read_text(), Loader=yaml.CSafeLoader)["stages"] for path in files)
    return own, {name: stage["do"] for name, stage in of_studies.items()}


def declared(stage: str) -> dict[str, Any]:
    """What dvc.yaml says of a stage, or studies/dvc.yaml of a stage of each study."""
    own, of_studies = _stages()
    found: dict[str, Any] = own[stage] if stage in own else of_studies[stage]
    return found


def _params(about: Mapping[str, Any]) -> set[str]:
    names: list[str] = []
    for entry in about.get("params", []):
        for file, keys in entry.items() if isinstance(entry, dict) else [("", [entry])]:
            names += [Path(file).parts[1]] if keys is None else [key.split(".")[-1] for key in keys]
    return set(names)


def owned(stage: str) -> set[str]:
    """The parameters that dvc.yaml says a stage depends on."""
    return _params(declared(stage))


def parameters() -> tuple[set[str], set[str]]:
    """All that params.yaml may hold, and all that a study of studies/params.yaml may: what any stage depends on."""
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
    """Make params.yaml part of Hydra's defaults list: keys named like a group choose its option."""
    # OmegaConf, since PyYAML reads 1e-6 as a string
    params: Any = OmegaConf.to_container(OmegaConf.load(ROOT / "params.yaml"))
    chosen = [key for key in params if key in groups()]
    defaults = [{key: params.pop(key)} for key in chosen]
    node = {"defaults": [*defaults, "_self_"], "place": "${hydra:job.name}", **params}
    ConfigStore.instance().store("params", node)


def register_studies() -> None:
    """Make each study of studies/params.yaml an option of Hydra's group `study`."""
    studies: Any = OmegaConf.to_container(OmegaConf.load(ROOT / "studies" / "params.yaml"))
    for study, choices in studies["studies"].items():
        defaults = [{f"/{key}": option} for key, option in choices.items() if key in groups()]
        values = {key: value for key, value in choices.items() if key not in groups()}
        node = {"defaults": [*defaults, "_self_"], "place": f"studies/{study}/${{hydra:job.name}}", **values}
        ConfigStore.instance().store(study, node, group="study", package="_global_")

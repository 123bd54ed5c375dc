"""Parameters of the stages, from dvc.yaml, params.yaml, those of studies/ and applications/, and conf/."""

import re
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
# folders with a dvc.yaml of their own -> the group that chooses one of their entries, and the key of these
ENTRIES = {"studies": "study", "applications": "recording"}
KEYS = {"studies": "studies", "applications": "recordings"}
NAME = re.compile(r"\w{1,60}", re.ASCII)  # option names are file names, study names are folder names
# former names of groups -> their names today
RENAMED = {"evidence": "evaluation", "fit": "classifier_training", "network": "classifier"}
UNTRACKED = {"run", "sweep", "wandb", "workers", "hydra", "preset"}


def groups() -> set[str]:
    """The config groups: the folders of conf/."""
    return {folder.name for folder in (ROOT / "conf").iterdir() if folder.is_dir()}


def options(group: str) -> list[str]:
    """The options of a group: the files of its folder, or the studies or recordings."""
    for folder, kind in ENTRIES.items():
        if kind == group:
            content: Any = OmegaConf.load(ROOT / folder / "params.yaml")
            return sorted(content[KEYS[folder]])
    return sorted(path.stem for path in (ROOT / "conf" / group).glob("*.yaml"))


def _stages(folder: str = "") -> dict[str, Any]:
    """The stages of dvc.yaml, or those of each study or recording in the dvc.yaml of a folder."""
    path = ROOT / folder / "dvc.yaml"
    stages = yaml.load(path.read_text(), Loader=yaml.CSafeLoader)["stages"]
    return {name: stage.get("do", stage) for name, stage in stages.items()}


def declared(stage: str) -> dict[str, Any]:
    """The entry of a stage in dvc.yaml, studies/dvc.yaml or applications/dvc.yaml."""
    found: dict[str, Any] = (_stages() | _stages("studies") | _stages("applications"))[stage]
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


def parameters(folder: str = "") -> set[str]:
    """The keys allowed in params.yaml, or in an entry of that of a folder: those that any of its stages depends on."""
    return set().union(*map(_params, _stages(folder).values()))


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
            name, _, value = argument.partition("=")
            faults.append(
                f"`{argument}`: Hydra cannot read it ({str(error).splitlines()[0].partition(':')[0]}); put a "
                f"value of other characters than letters, digits and _-./ in two pairs of quotes: '{name}=\"{value}\"'"
            )
    if faults:
        raise ConfigError("command line", faults)
    return found


def check_overrides(stage: str, overrides: list[str]) -> None:
    """Refuse overrides that have no effect on a stage.

    Raises:
        ConfigError: an override names a parameter of another stage.
    """
    own = owned(stage) | {group for group in ENTRIES.values() if f"{group}=${{key}}" in declared(stage)["cmd"]}
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


def register_entries(folder: str) -> None:
    """Register each study of studies/params.yaml, or recording of applications/params.yaml, as an option of a group."""
    group = ENTRIES[folder]
    found: Any = OmegaConf.to_container(OmegaConf.load(ROOT / folder / "params.yaml"))
    # the choices of a study are all of its own, those of a recording replace some of params.yaml
    prefix = "/" if folder == "studies" else "override /"
    for name, choices in found[KEYS[folder]].items():
        defaults = [{f"{prefix}{key}": option} for key, option in choices.items() if key in groups()]
        values = {key: value for key, value in choices.items() if key not in groups()}
        node = {"defaults": [*defaults, "_self_"], "place": f"{folder}/{name}/${{hydra:job.name}}", **values}
        ConfigStore.instance().store(name, node, group=group, package="_global_")


def register_studies() -> None:
    """Register the studies as options of the config group `study`."""
    register_entries("studies")


def register_recordings() -> None:
    """Register params.yaml, and the recordings as options of the config group `recording`."""
    register_params()
    register_entries("applications")

"""Guards against untrusted configuration, which may select options and set values but must not run code."""

import re
from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Any

import yaml

from clusterwhy.config import near
from clusterwhy.errors import ConfigError
from pipeline import _parameters
from pipeline._parameters import ENTRIES, KEYS, NAME, RENAMED, groups, parameters

MAX_BYTES = 100_000  # of one file
# below `hydra`, Hydra and Python's logging instantiate what these keys name, before any code of this project runs
INSTANTIATING = ("_target_", "()", "class")
ALLOWED_TARGETS = {"pipeline.rank.RankWhenDone", "logging.StreamHandler", "logging.handlers.RotatingFileHandler"}
GLOBAL = {"run", "sweep", "preset"}  # groups whose files may set their package


def check_files() -> None:
    """Refuse YAML that is invalid, creates objects, expands when parsed, or refers to files outside conf/.

    Tags and anchors are not allowed; without them a file cannot be much larger in memory than on disk.

    Raises:
        ConfigError: lists every fault of params.yaml, those of studies/ and applications/, and conf/.
    """
    root = _parameters.ROOT
    faults: list[str] = []
    known, own = parameters(), [root / folder / "params.yaml" for folder in ENTRIES]
    for path in (root / "params.yaml", *own, *sorted((root / "conf").rglob("*.yaml"))):
        name = path.relative_to(root)
        found = list(_shape_faults(path, str(name)))
        if not found:
            content = yaml.load(path.read_text(), Loader=yaml.CSafeLoader) or {}
            if name.parts[0] == "conf":
                found = list(_option_faults(name, path.read_text(), content))
            elif len(name.parts) == 1:
                found = list(_choice_faults("params.yaml", content, known))
            else:
                found = list(_entry_faults(name.parts[0], content))
        faults += found
    if faults:
        raise ConfigError("configuration", faults)


def _shape_faults(path: Path, name: str) -> Iterator[str]:
    if path.stat().st_size > MAX_BYTES:
        yield f"{name}: {path.stat().st_size} bytes, more than {MAX_BYTES}"
        return
    try:
        for position, event in enumerate(yaml.parse(path.read_text(), Loader=yaml.CSafeLoader)):
            if position == 2 and not isinstance(event, yaml.MappingStartEvent | yaml.DocumentEndEvent):
                yield f"{name}: expected `key: value`, got {type(event).__name__.removesuffix('Event')}"
                return
            marks = {kind for kind in ("anchor", "tag") if getattr(event, kind, None)}
            if marks:
                where = f"{name}, line {event.start_mark.line + 1}" if event.start_mark else name
                yield f"{where}: {' and '.join(sorted(marks))}; only plain values are allowed"
                return
        dates = list(_dates(yaml.load(path.read_text(), Loader=yaml.CSafeLoader)))
        yield from (f'{name}: put dates in quotes: "{one}"; DVC cannot store them otherwise' for one in dates)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        yield f"{name}: {' '.join(str(error).split())}"


def _dates(content: object) -> Iterator[str]:
    if isinstance(content, date):  # also with a time of day
        yield str(content)
    elif isinstance(content, Mapping | list):
        for value in content.values() if isinstance(content, Mapping) else content:
            yield from _dates(value)


def _option_faults(name: Path, text: str, content: Mapping[str, Any]) -> Iterator[str]:
    group = name.parts[1] if len(name.parts) > 2 else ""
    # anywhere: Hydra also finds it after spaces, empty lines and other comments
    for package in re.findall(r"@package\s*(\S*)", text):
        if package != "_global_" or group not in GLOBAL:
            yield f"{name}: `@package {package}`; only {', '.join(sorted(GLOBAL))} may have `@package _global_`"
    defaults = content.get("defaults", [])
    for entry in defaults if isinstance(defaults, list) else [defaults]:
        if re.search(r"[@\\]|\.\.", str(entry)):
            yield f"{name}: `defaults` with {entry!r}; expected group and option name only"
    if "hydra" in content and group not in GLOBAL:
        yield f"{name}: sets `hydra`, which only files of {', '.join(sorted(GLOBAL))} may"
    of_hydra = content if group == "hydra" else content.get("hydra")
    for target in sorted(set(_targets(of_hydra)) - ALLOWED_TARGETS):
        yield f"{name}: Hydra would instantiate {target}; expected {', '.join(sorted(ALLOWED_TARGETS))}"


def _targets(content: object) -> Iterator[str]:
    if isinstance(content, Mapping):
        yield from (str(content[key]) for key in INSTANTIATING if key in content)
        for value in content.values():
            yield from _targets(value)
    elif isinstance(content, list):
        for value in content:
            yield from _targets(value)
    elif isinstance(content, str) and content.startswith("ext://") and not content.startswith("ext://sys.std"):
        yield content


def _choice_faults(where: str, content: Mapping[str, Any], known: set[str]) -> Iterator[str]:
    for key, value in content.items():
        if key in RENAMED:
            yield f"{where}: `{key}` is called `{RENAMED[key]}` now; rename the key and the folder conf/{key}"
        elif key not in known:
            meant = near(str(key), known)
            yield f"{where}: {key!r} is not a parameter{meant}; expected one of {', '.join(sorted(known))}"
        elif key in groups() and not (isinstance(value, str) and NAME.fullmatch(value)):
            yield f"{where}: `{key}: {value}`; expected the name of a file in conf/{key}, without its folder"


def _entry_faults(folder: str, content: Mapping[str, Any]) -> Iterator[str]:
    key, kind = KEYS[folder], ENTRIES[folder]
    entries = content.get(key)
    if not isinstance(entries, Mapping):
        yield f"{folder}/params.yaml: expected `{key}:` with the name of each {kind}"
        return
    known = parameters(folder)
    for name, choices in entries.items():
        where = f"{folder}/params.yaml, {name!r}"
        if not NAME.fullmatch(str(name)):
            yield f"{where}: expected a name of letters, digits and _, as it is also a folder name"
        elif not isinstance(choices, Mapping):
            yield f"{where}: expected a mapping of groups to options"
        else:
            yield from _choice_faults(where, choices, known)

"""Checks the command line of a stage before Hydra reads it."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import yaml
from hydra.core.override_parser.types import Override, QuotedString, ValueType

from clusterwhy.config import near
from clusterwhy.errors import ConfigError
from pipeline import _parameters
from pipeline._parameters import ENTRIES, NAME, RENAMED, groups, options, parameters, parse_overrides

OTHERS = {"hydra", "place"}  # neither groups nor parameters


def check_choices(arguments: list[str]) -> None:
    """Refuse groups, options and keys that do not exist, and options such as `dataset=../../elsewhere`.

    Raises:
        ConfigError: lists them, each with the name that was probably meant.
    """
    overrides = parse_overrides(arguments)
    faults = [fault for override in overrides for fault in _faults(override, overrides)]
    if faults:
        raise ConfigError("command line", faults)


def _faults(override: Override, overrides: list[Override]) -> Iterator[str]:
    said, name = str(override.input_line), override.key_or_group
    top, *keys = re.split(r"[.@/]", name)
    choosable = {*groups(), *ENTRIES.values()}
    known = choosable | OTHERS | parameters() | parameters("studies") | parameters("applications")
    if top in RENAMED:
        yield f"`{said}`: the group `{top}` is called `{RENAMED[top]}` now"
    elif top not in known:
        yield f"`{said}`: `{top}` is neither a group of conf/ nor a parameter{near(top, known)}"
    elif name in choosable:
        chosen = _options(override)
        if not all(map(NAME.fullmatch, chosen)):
            yield f"`{said}`: expected the name of a file in conf/{name}, without its folder"
        elif unknown := set(chosen) - {*options(name), "null"}:
            yield from (_unknown_option(said, name, option) for option in sorted(unknown))
    elif top in choosable and not override.is_add() and not override.is_delete():
        yield from _key_faults(said, top, keys, overrides)


def _unknown_option(said: str, group: str, option: str) -> str:
    known = options(group)
    return f"`{said}`: `{group}` has no option `{option}`{near(option, known)}; it has {', '.join(known)}"


def _key_faults(said: str, group: str, keys: list[str], overrides: list[Override]) -> Iterator[str]:
    """A key that no chosen option of the group has."""
    contents = [content for option in _chosen(group, overrides) if (content := _content(group, option)) is not None]
    if not contents:
        return
    known: set[str] = set()
    for content in contents:
        part: Any = content
        for key in keys[:-1]:
            part = part.get(key) if isinstance(part, Mapping) else None
        if not isinstance(part, Mapping) or keys[-1] in part:
            return
        known |= {str(key) for key in part if key != "_target_"}
    yield f"`{said}`: `{group}` has no `{'.'.join(keys)}`{near(keys[-1], known)}; it has {', '.join(sorted(known))}"


def _chosen(group: str, overrides: list[Override]) -> list[str]:
    named = [option for override in overrides if override.key_or_group == group for option in _options(override)]
    if named or group in ENTRIES.values():
        return named
    # those of a study or of a recording are in its entry
    if any(override.key_or_group in ENTRIES.values() for override in overrides):
        return []
    params = yaml.load((_parameters.ROOT / "params.yaml").read_text(), Loader=yaml.CSafeLoader) or {}
    return [str(params[group])] if group in params else []


def _content(group: str, option: str) -> Mapping[str, Any] | None:
    """What the file of an option says; None where it is made of others."""
    path = _parameters.ROOT / "conf" / group / f"{option}.yaml"
    content = yaml.load(path.read_text(), Loader=yaml.CSafeLoader) if path.is_file() else None
    return content if isinstance(content, Mapping) and "defaults" not in content else None


def _options(override: Override) -> list[str]:
    if override.is_delete() or override.value_type is ValueType.GLOB_CHOICE_SWEEP:
        return []  # Hydra matches the pattern against the names of the group only
    values = override.sweep_iterator() if override.is_choice_sweep() else [override.value()]
    return [
        "null" if value is None else value.text if isinstance(value, QuotedString) else str(value) for value in values
    ]

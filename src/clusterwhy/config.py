"""Settings: validated before any data is read, built from `_target_` through an allow-list."""

import importlib
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from clusterwhy.errors import ConfigError

ALLOWED_PREFIXES = ("clusterwhy.",)


class Settings(BaseModel):
    """The base of every choice in `conf/`: unknown keys are errors, values never change afterwards."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def _resolve(path: object, key: str) -> type[Settings]:
    if not isinstance(path, str) or not path.startswith(ALLOWED_PREFIXES):
        raise LookupError(f"{key}._target_: expected a class below {', '.join(ALLOWED_PREFIXES)}*, got {path!r}")
    module_name, _, name = path.rpartition(".")
    try:
        found = getattr(importlib.import_module(module_name), name)
    except (ImportError, AttributeError):
        raise LookupError(f"{key}._target_: no class {path!r}") from None
    if not (isinstance(found, type) and issubclass(found, Settings)):
        raise LookupError(f"{key}._target_: {path!r} is not a Settings class")
    return found


def build_settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """Turn each group of a composed configuration into its settings object.

    Args:
        config: group name -> mapping with a `_target_` and its arguments. Values that are not
            mappings with a `_target_` are passed through.

    Raises:
        ConfigError: lists every unknown class, unknown key and value out of range, by full key.
    """
    built: dict[str, Any] = {}
    faults: list[str] = []
    for group, node in config.items():
        if not (isinstance(node, Mapping) and "_target_" in node):
            built[group] = node
            continue
        arguments = {key: value for key, value in node.items() if key != "_target_"}
        try:
            built[group] = _resolve(node["_target_"], group).model_validate(arguments)
        except LookupError as error:
            faults.append(str(error))
        except ValidationError as error:
            for fault in error.errors():
                where = ".".join([group, *(str(part) for part in fault["loc"])])
                faults.append(f"{where}: {fault['msg']} (got {fault['input']!r})")
    if faults:
        raise ConfigError("configuration", faults)
    return built

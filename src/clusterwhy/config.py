"""Settings: validated before any data is read, and built from `_target_` by an allow-list."""

import difflib
import importlib
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from clusterwhy.errors import ConfigError

ALLOWED_PREFIXES = ("clusterwhy.",)
# old module -> current module, for classes named in stored encoders, checkpoints and users' YAML files of version 0.1
RENAMED_MODULES = {
    "clusterwhy.data.benchmarks": "clusterwhy.datasets.benchmarks",
    "clusterwhy.data.motions": "clusterwhy.datasets.basic_motions",
    "clusterwhy.data.tables": "clusterwhy.readers.tables",
    "clusterwhy.data.watch": "clusterwhy.datasets.watch",
    "clusterwhy.encoders.ecg_cnn": "clusterwhy.classifiers.ecg_cnn",
    "clusterwhy.encoders.hybrid": "clusterwhy.classifiers.hybrid",
    "clusterwhy.encoders.supervised": "clusterwhy.classifiers.training",
    "clusterwhy.encoders.tsai_classifier": "clusterwhy.classifiers.tsai",
    "clusterwhy.encoders.wide_cnn": "clusterwhy.classifiers.wide_cnn",
    "clusterwhy.relevance.activations": "clusterwhy.attribution.activations",
    "clusterwhy.relevance.anomalies": "clusterwhy.explanations.anomaly_targets",
    "clusterwhy.relevance.attributors": "clusterwhy.attribution.lrp_variants",
    "clusterwhy.relevance.comparison": "clusterwhy.explanations.comparison",
    "clusterwhy.relevance.composites": "clusterwhy.propagation.composites",
    "clusterwhy.relevance.conditional": "clusterwhy.attribution.crp",
    "clusterwhy.relevance.gradients": "clusterwhy.attribution.gradients",
    "clusterwhy.relevance.perturbations": "clusterwhy.attribution.perturbations",
    "clusterwhy.tracking": "clusterwhy.tracking.run",
    "clusterwhy.workers": "clusterwhy.compute.workers",
}
# classes that had another name, and what their name said -> today's class and arguments
GUIDED = "clusterwhy.attribution.rectified.GuidedBackpropagation"
DEEP_LIFT = "clusterwhy.attribution.differences.DeepLift"
RENAMED_CLASSES: dict[str, tuple[str, dict[str, Any]]] = {
    "clusterwhy.attribution.gradients.GradientTimesSign": ("clusterwhy.attribution.signs.GradientTimesSign", {}),
    "clusterwhy.attribution.gradients.GuidedBackpropagation": (GUIDED, {}),
    "clusterwhy.clustering.Hdbscan": ("clusterwhy.clustering.density.Hdbscan", {}),
    "clusterwhy.encoders.supervised.SupervisedFit": ("clusterwhy.classifiers.training.ClassifierTraining", {}),
    "clusterwhy.relevance.attributors.Difference": (DEEP_LIFT, {"baseline": "references"}),
    "clusterwhy.relevance.attributors.Once": ("clusterwhy.attribution.lrp_variants.Lrp", {}),
    "clusterwhy.relevance.gradients.GuidedBackpropagation": (GUIDED, {}),
    "clusterwhy.relevance.evidence.EvidenceSettings": ("clusterwhy.explanations.evaluation.EvaluationSettings", {}),
    "clusterwhy.relevance.perturbations.DeepLift": (DEEP_LIFT, {}),
}


class Settings(BaseModel):
    """Base class of every option in `conf/`: unknown keys are errors, values are immutable."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def _resolve(path: object, key: str) -> type[Settings]:
    if not isinstance(path, str) or not path.startswith(ALLOWED_PREFIXES):
        raise LookupError(f"{key}._target_: expected a class below {', '.join(ALLOWED_PREFIXES)}*, got {path!r}")
    module_name, _, name = path.rpartition(".")
    module_name = RENAMED_MODULES.get(module_name, module_name)
    try:
        found = getattr(importlib.import_module(module_name), name)
    except (ImportError, AttributeError):
        raise LookupError(f"{key}._target_: no class {path!r}") from None
    if not (isinstance(found, type) and issubclass(found, Settings)):
        raise LookupError(f"{key}._target_: {path!r} is not a Settings class")
    return found


def near(name: str, known: Iterable[str]) -> str:
    """The question which of the known names was meant, where one is alike."""
    found = difflib.get_close_matches(name, list(known), 1)
    return f" (did you mean `{found[0]}`?)" if found else ""


def build_settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """Turn each group of a composed configuration into its settings object.

    Args:
        config: group name -> mapping with a `_target_` and its arguments. Values without a `_target_` are passed
            through.

    Raises:
        ConfigError: lists every unknown class, unknown key and invalid value by its full key.
    """
    built: dict[str, Any] = {}
    faults: list[str] = []
    for group, node in config.items():
        if not (isinstance(node, Mapping) and "_target_" in node):
            built[group] = node
            continue
        path, implied = RENAMED_CLASSES.get(str(node["_target_"]), (node["_target_"], {}))
        arguments = implied | {key: value for key, value in node.items() if key != "_target_"}
        fields: list[str] = []
        try:
            kind = _resolve(path, group)
            fields = [str(field.alias or name) for name, field in kind.model_fields.items()]
            built[group] = kind.model_validate(arguments)
        except LookupError as error:
            faults.append(str(error))
        except ValidationError as error:
            for fault in error.errors():
                where = ".".join([group, *(str(part) for part in fault["loc"])])
                meant = near(str(fault["loc"][-1]), fields) if fault["type"] == "extra_forbidden" else ""
                faults.append(f"{where}: {fault['msg']}{meant} (got {fault['input']!r})")
    if faults:
        raise ConfigError("configuration", faults)
    return built

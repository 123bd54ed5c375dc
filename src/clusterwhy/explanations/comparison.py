"""Compare attribution methods on the same windows of a classifier: relevance, faithfulness and agreement."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from pydantic import Field, field_validator, model_validator

from clusterwhy.artifacts.undefined import Undefined, defined_or
from clusterwhy.attribution.registry import Method, method_of
from clusterwhy.config import Settings
from clusterwhy.errors import CompositeError, MethodError
from clusterwhy.explanations.randomisation import randomised
from clusterwhy.explanations.target_function import target_function
from clusterwhy.metrics.channel_deletion import NO_FALL
from clusterwhy.metrics.insertion_deletion import Cells, insertion_deletion
from clusterwhy.metrics.rank_correlation import rank_correlation
from clusterwhy.metrics.z_scores import cell_z_scores
from clusterwhy.propagation.losses import losses_in
from clusterwhy.propagation.relevance import NOTHING
from clusterwhy.types import FloatArray, IntArray

if TYPE_CHECKING:
    from torch import nn

log = logging.getLogger(__name__)
AREAS, SANITY, SUMS = ("deletion", "insertion"), ("randomised", "randomised_absolute"), ("gap", "lost_share")
WHY = {
    **dict.fromkeys(AREAS, NO_FALL),
    **dict.fromkeys(SANITY, "relevance is constant"),
    **dict.fromkeys((*SUMS, "bias_share"), "the target is 0, or what biases absorb is not known"),
}
ABOUT_NOTHING = ("n_without_relevance", "note")  # columns of the quality
RANDOM, Z_SCORE = "random", "z_score"  # rankings that every method is compared with


class MethodSettings(Settings):
    """A choice of `conf/methods`: the methods that explain a classifier, and on how many windows.

    Averages are drawn of the first method. `n_references` windows of other classes are what methods compare with;
    `n_stretches` cut a window's time into cells for insertion and deletion. Concepts of `layers` are ranked (null: up
    to six convolutions, spread over the depth of the network) and shown by `n_concept_windows` windows of each class.
    `contrast` names two classes, such as good and bad, whose concepts and bins of time are compared (null: each class
    with all others); `bin_s` is the length of these bins (null: a tenth of a window). Of the misclassified windows of
    each class, the `n_mistakes` that the network is surest of are explained for both classes. Shapley values of up to
    `n_shapley` windows of each class are drawn as dots.
    """

    names: tuple[str, ...] = Field(min_length=1)
    windows_per_class: int = Field(ge=1)
    n_references: int = Field(ge=1)
    n_stretches: int = Field(ge=1)
    n_concept_windows: int = Field(ge=1)
    layers: tuple[str, ...] | None = Field(default=None, min_length=1)
    contrast: tuple[str, str] | None = None
    bin_s: float | None = Field(default=None, gt=0.0)
    n_mistakes: int = Field(default=3, ge=0)
    n_shapley: int = Field(default=100, ge=1)

    @model_validator(mode="before")
    @classmethod
    def _one_layer(cls, values: Any) -> Any:
        """`layer` of version 0.1 as `layers`."""
        if not isinstance(values, Mapping) or "layer" not in values:
            return values
        rest = {key: value for key, value in values.items() if key != "layer"}
        return rest | ({} if values["layer"] is None else {"layers": [values["layer"]]})

    @field_validator("names")
    @classmethod
    def _known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        faults = []
        for name in names:
            try:
                method_of(name)
            except MethodError as error:
                faults.append(str(error))
        if len(set(names)) < len(names):
            faults.append("a method is listed twice")
        if faults:
            raise ValueError("; ".join(faults))
        return names

    def choose(self, labels: IntArray, seed: int, most: int | None = None) -> IntArray:
        """Positions of up to `most` windows of each class, in a seeded draw, class by class.

        Args:
            labels: (window,) class.
            most: None: `windows_per_class`. More windows begin with those of fewer.
        """
        rng, count = np.random.default_rng(seed), self.windows_per_class if most is None else most
        chosen = [rng.permutation(np.flatnonzero(labels == c))[:count] for c in np.unique(labels)]
        return np.concatenate(chosen)


@dataclass(frozen=True)
class Comparison:
    """Explanations of the same windows by several methods.

    Attributes:
        relevance: method -> (window, channel, time), of the logit of the predicted class.
        quality: one row per method and class. `gap`, median |1 - sum of relevance / target|, for methods whose
            relevance should add up to the target; `bias_share`, its median where known; `lost_share`, the median size
            of the rest of the gap, which is told in the log where it is large; `deletion` and `insertion`
            (areas, with windows of other classes as the baseline); `randomised`, rank correlation of relevance with
            that of the network with all weights re-initialised, and `randomised_absolute`, the same of |relevance|,
            both for the first class; `n_without_relevance`, windows whose relevance is 0 everywhere, and `note`, why
            they are, where known. Rows of `random` and `z_score` have areas only.
        agreement: (method, method) mean rank correlation of relevance.
        failures: methods that cannot explain this network -> why.
    """

    relevance: dict[str, FloatArray]
    quality: pd.DataFrame
    agreement: pd.DataFrame
    failures: dict[str, str]

    def figures(self) -> dict[str, dict[str, float | Undefined]]:
        """Method -> measure -> mean over classes; a measure that does not apply to a method is left out."""
        means = (
            self.quality.drop(columns=["class", *ABOUT_NOTHING], errors="ignore").groupby("method", sort=False).mean()
        )
        found = {}
        for name, row in means.iterrows():
            asked = [*AREAS]
            if name in self.relevance:
                asked += [*SANITY, *(SUMS if method_of(str(name)).adds_up else ())]
            known = [key for key in row.index if key in asked or np.isfinite(row[key])]
            found[str(name)] = {str(key): defined_or(float(row[key]), WHY[str(key)]) for key in known}
        return found


def compare(
    network: "nn.Module",
    windows: FloatArray,
    predicted: IntArray,
    references: Mapping[int, FloatArray],
    settings: MethodSettings,
    seed: int,
) -> Comparison:
    """Explain windows by every method.

    Args:
        network: (window, channel, time) -> (window, class), in evaluation mode.
        windows: (window, channel, time), scaled as in training.
        predicted: (window,) class whose logit is explained.
        references: class -> (reference, channel, time) windows of other classes.
        seed: of random numbers in methods, of the random ranking and of re-initialised weights.
    """
    from clusterwhy.compute.progress import progress

    asked = _Classified(network, windows, predicted, references)
    random_network = randomised(network, windows, 1.0, seed)
    cells, first = Cells.of(windows.shape[2], settings.n_stretches), next(iter(references))
    found: dict[str, FloatArray] = {}
    failures: dict[str, str] = {}
    rows: list[dict[str, Any]] = []
    for name in progress(settings.names, desc="explain", unit="method"):
        method, parts = method_of(name), np.zeros_like(windows)
        try:
            for c, others in references.items():
                mine = predicted == c
                # random weights double the cost, so they are tried on one class only
                networks = (network, random_network) if c == first else (network,)
                parts[mine], row = _by(method, networks, windows[mine], (c, others), seed)
                rows.append({"method": name, "class": c, **row})
        except (CompositeError, MethodError) as error:
            log.warning("%s: %s", name, error)
            failures[name] = str(error)
            rows = [row for row in rows if row["method"] != name]
            continue
        found[name] = parts
    areas = _areas(asked, found, cells, seed)
    quality = areas.merge(pd.DataFrame(rows), how="left", on=["method", "class"]) if rows else areas
    if rows:
        quality["note"] = quality["note"].fillna("")
    agreement = pd.DataFrame(
        {second: {first: rank_correlation(a, b) for first, a in found.items()} for second, b in found.items()}
    )
    return Comparison(found, quality, agreement, failures)


def _by(
    method: Method,
    networks: "tuple[nn.Module, ...]",
    windows: FloatArray,
    against: tuple[int, FloatArray],
    seed: int,
) -> tuple[FloatArray, dict[str, Any]]:
    """Relevance by one method for one class, and its figures."""
    unit, others = against
    own, *of_random = (method.explain(network, windows, unit, others, seed) for network in networks)
    adds_up = method.adds_up
    for note in losses_in(own.provenance):
        log.warning("%s, class %d: %s", method.name, unit, note)
    row: dict[str, Any] = {
        "gap": _median(np.abs(own.gap)) if adds_up else float("nan"),
        "bias_share": _median(own.bias_share),
        "lost_share": _median(np.abs(own.lost_share)) if adds_up else float("nan"),
        "n_without_relevance": int((~own.values.any(axis=(1, 2))).sum()),
        "note": own.provenance.get(NOTHING, ""),
    }
    for other in of_random:
        row["randomised"] = rank_correlation(own.values, other.values)
        row["randomised_absolute"] = rank_correlation(np.abs(own.values), np.abs(other.values))
    return own.values, row


def _median(shares: FloatArray) -> float:
    """Median over windows whose target is not 0; NaN where there is none."""
    known = shares[np.isfinite(shares)]
    return float(np.median(known)) if len(known) else float("nan")


@dataclass(frozen=True)
class _Classified:
    """Windows to explain, as the arguments of `compare`."""

    network: "nn.Module"
    windows: FloatArray
    predicted: IntArray
    references: Mapping[int, FloatArray]


def _areas(asked: _Classified, found: Mapping[str, FloatArray], cells: Cells, seed: int) -> pd.DataFrame:
    """Insertion and deletion of the windows of each class in the order of each method."""
    from clusterwhy.propagation.targets import with_target

    rng, rows = np.random.default_rng(seed), []
    for c, others in asked.references.items():
        mine = asked.predicted == c
        own = asked.windows[mine]
        rankings = {name: cells.sums(values[mine]) for name, values in found.items()}
        rankings |= {RANDOM: rng.random((len(own), own.shape[1] * cells.n_stretches))}
        rankings |= {Z_SCORE: cell_z_scores(own, others, cells)}
        baseline = {"windows": others[rng.integers(0, len(others), len(own))]}
        curves = insertion_deletion(target_function(with_target(asked.network, c), own), own, baseline, rankings, cells)
        rows += [
            {"method": name, "class": c, "deletion": curve.deletion, "insertion": curve.insertion}
            for (_, name), curve in curves.items()
        ]
    return pd.DataFrame(rows)

"""Many methods on the same windows of a classifier: their relevance side by side, and how far each can be trusted."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from pydantic import Field, field_validator

from clusterwhy.attribution.registry import Method, method_of
from clusterwhy.config import Settings
from clusterwhy.errors import CompositeError, MethodError
from clusterwhy.explanations.evaluation import Cells, cell_z, insertion_deletion, randomised, similarity
from clusterwhy.types import FloatArray, IntArray

if TYPE_CHECKING:
    from torch import nn

log = logging.getLogger(__name__)
RANDOM, Z_SCORE = "random", "z_score"  # the rankings that every method is held against


class MethodSettings(Settings):
    """A choice of `conf/methods`: by what a classifier is explained, and on how many windows.

    The first method is the one that averages are drawn of. `n_references` windows of other classes stand for what is
    usual; `n_stretches` cut a window's time into cells for insertion and deletion. `layer` is the one whose concepts
    are shown (null: the last convolution), by `n_concept_windows` windows of each class.
    """

    names: tuple[str, ...] = Field(min_length=1)
    windows_per_class: int = Field(ge=1)
    n_references: int = Field(ge=1)
    n_stretches: int = Field(ge=1)
    layer: str | None
    n_concept_windows: int = Field(ge=1)

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
            faults.append("a method is named twice")
        if faults:
            raise ValueError("; ".join(faults))
        return names

    def choose(self, labels: IntArray, seed: int) -> IntArray:
        """Positions of up to `windows_per_class` windows of each class, in a seeded draw, class by class."""
        rng = np.random.default_rng(seed)
        chosen = [rng.permutation(np.flatnonzero(labels == c))[: self.windows_per_class] for c in np.unique(labels)]
        return np.concatenate(chosen)


@dataclass(frozen=True)
class Comparison:
    """What the methods say of the same windows.

    Attributes:
        relevance: method -> (window, channel, time), of the logit of the class that was predicted.
        quality: one row per method and class. `gap`, median |1 - sum of relevance / target|, where relevance is to
            add up to the target; `bias_share`, its median where known; `deletion` and `insertion` (areas, with
            windows of other classes as the fill); `randomised`, rank correlation of relevance with that of the network
            with all weights drawn anew, and `randomised_absolute`, the same of |relevance|, both for the first class.
            Rows of `random` and `z_score` have areas alone.
        agreement: (method, method) mean rank correlation of relevance.
        failures: methods that this network cannot be explained by -> why.
    """

    relevance: dict[str, FloatArray]
    quality: pd.DataFrame
    agreement: pd.DataFrame
    failures: dict[str, str]


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
        seed: of what methods draw, of the random ranking and of the drawn weights.
    """
    from tqdm import tqdm

    shuffled = randomised(network, 1.0, seed)
    cells, first = Cells.of(windows.shape[2], settings.n_stretches), next(iter(references))
    found: dict[str, FloatArray] = {}
    failures: dict[str, str] = {}
    rows: list[dict[str, Any]] = []
    for name in tqdm(settings.names, desc="explain", unit="method", disable=None):
        method, parts = method_of(name), np.zeros_like(windows)
        try:
            for c, others in references.items():
                mine = predicted == c
                # one class says enough of random weights, and they double the cost
                networks = (network, shuffled) if c == first else (network,)
                parts[mine], row = _by(method, networks, windows[mine], (c, others), seed)
                rows.append({"method": name, "class": c, **row})
        except (CompositeError, MethodError) as error:
            log.warning("%s: %s", name, error)
            failures[name] = str(error)
            rows = [row for row in rows if row["method"] != name]
            continue
        found[name] = parts
    areas = _areas(network, windows, predicted, references, found, cells, seed)
    quality = areas.merge(pd.DataFrame(rows), how="left", on=["method", "class"]) if rows else areas
    agreement = pd.DataFrame(
        {second: {first: similarity_signed(a, b) for first, a in found.items()} for second, b in found.items()}
    )
    return Comparison(found, quality, agreement, failures)


def _by(
    method: Method,
    networks: "tuple[nn.Module, ...]",
    windows: FloatArray,
    against: tuple[int, FloatArray],
    seed: int,
) -> tuple[FloatArray, dict[str, float]]:
    """Relevance by one method for one class, and what is to be said of it."""
    unit, others = against
    own, *randomly = (method.explain(network, windows, unit, others, seed) for network in networks)
    promises = method.attributor.complete
    row = {
        "gap": float(np.median(np.abs(own.gap))) if promises else float("nan"),
        "bias_share": float(np.median(own.bias_share)),
    }
    for other in randomly:
        row["randomised"] = similarity_signed(own.values, other.values)
        row["randomised_absolute"] = similarity(_flat(own.values), _flat(other.values))
    return own.values, row


def _areas(
    network: "nn.Module",
    windows: FloatArray,
    predicted: IntArray,
    references: Mapping[int, FloatArray],
    found: Mapping[str, FloatArray],
    cells: Cells,
    seed: int,
) -> pd.DataFrame:
    """Insertion and deletion of each class' windows in the order of each method."""
    from clusterwhy.explanations.clusters import fast_target
    from clusterwhy.propagation.inputs import with_target

    rng, rows = np.random.default_rng(seed), []
    for c, others in references.items():
        mine = predicted == c
        own = windows[mine]
        rankings = {name: cells.sums(values[mine]) for name, values in found.items()}
        rankings |= {RANDOM: rng.random((len(own), windows.shape[1] * (len(cells.edges) - 1)))}
        rankings |= {Z_SCORE: cell_z(own, others, cells)}
        fill = {"windows": others[rng.integers(0, len(others), len(own))]}
        curves = insertion_deletion(fast_target(with_target(network, c), own), own, fill, rankings, cells)
        rows += [
            {"method": name, "class": c, "deletion": curve.deletion, "insertion": curve.insertion}
            for (_, name), curve in curves.items()
        ]
    return pd.DataFrame(rows)


def similarity_signed(first: FloatArray, second: FloatArray) -> float:
    """Mean rank correlation (Spearman) of relevance (window, channel, time); NaN where one is constant."""
    from scipy.stats import spearmanr

    def one(a: FloatArray, b: FloatArray) -> float:
        return float("nan") if np.ptp(a) == 0 or np.ptp(b) == 0 else float(spearmanr(a, b).statistic)

    return float(np.nanmean([one(a, b) for a, b in zip(_flat(first), _flat(second), strict=True)] or [np.nan]))


def _flat(values: FloatArray) -> FloatArray:
    return values.reshape(len(values), -1)

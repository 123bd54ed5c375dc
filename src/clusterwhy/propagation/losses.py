"""Relevance that is lost on its way to the input, told in a result's notes."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from clusterwhy.metrics.shares import TOLERATED_LOSS
from clusterwhy.types import FloatArray, IntArray

if TYPE_CHECKING:
    from clusterwhy.propagation.engine import RelevanceBudget

LOST, MISSING = "lost:", "missing:"  # beginnings of the notes
CATEGORIES = {
    "sum": "a sum without a positive part: `residual: norm` shares it by contribution",
    "stabilizer": "no contributions of the sign that the rule shares, or an output near 0",
    "norm": "a mean near 0",
    "route": "padding",
    "sign": "signs in place of values, which do not add up to the target",
    "softmax": "a softmax or its logarithm, expanded to first order: explain the logits",
}


def losses_in(provenance: Mapping[str, Any]) -> list[str]:
    """Those of a result's notes that tell of lost relevance."""
    return [note for note in provenance.get("notes", []) if note.startswith((LOST, MISSING))]


def loss_note(lost_share: FloatArray, budget_of: "Callable[[IntArray], RelevanceBudget]") -> str | None:
    """What is lost, and at which steps; None where it is at most `TOLERATED_LOSS` in every window.

    Args:
        lost_share: (window,) as in `Relevance`.
        budget_of: the relevance budget of the windows at given positions.
    """
    lossy = np.flatnonzero(np.abs(lost_share) > TOLERATED_LOSS)
    if not len(lossy):
        return None
    worst = lossy[np.argsort(-np.abs(lost_share[lossy]))][:32]
    steps: dict[str, list[str]] = {}
    for name, kind in _leading(budget_of(worst)):
        steps.setdefault(CATEGORIES.get(kind, kind), []).append(name)
    places = "; ".join(f"{', '.join(names)} ({reason})" for reason, names in steps.items())
    return f"{_figures(LOST, lost_share, lossy)}, most of it at {places}"


def gap_note(gap: FloatArray, reason: str) -> str | None:
    """How far relevance is from the target where nothing tells what took the rest; None as in `loss_note`."""
    open_ = np.flatnonzero(np.abs(gap) > TOLERATED_LOSS)
    return f"{_figures(MISSING, gap, open_)}; {reason}" if len(open_) else None


def _figures(word: str, shares: FloatArray, above: IntArray) -> str:
    sizes = np.abs(shares)
    return (
        f"{word} {np.nanmedian(sizes):.0%} of the target (median; at most {np.nanmax(sizes):.0%}), more than "
        f"{TOLERATED_LOSS:.0%} in {len(above)} of {len(shares)} windows"
    )


def _leading(budget: "RelevanceBudget") -> list[tuple[str, str]]:
    """(step, category) of up to three steps that lose most, each of at least a tenth of the greatest loss."""
    amounts: dict[tuple[str, str], float] = {}
    for name, kind, amount in budget.entries:
        if kind not in ("bias", "constant"):  # told as shares of their own
            amounts[name, kind] = amounts.get((name, kind), 0.0) + float(amount.abs().sum())
    leading = sorted(amounts, key=lambda place: -amounts[place])[:3]
    return [place for place in leading if amounts[place] >= amounts[leading[0]] / 10]

"""What sets two groups of windows apart, in sentences and as a figure."""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from clusterwhy.data.windows import windows_at
from clusterwhy.explanations.contrasts import THESE, Contrast
from clusterwhy.plots import figures
from clusterwhy.plots.names import shown, with_unit
from clusterwhy.plots.saving import save
from clusterwhy.report.study_results import StudyResults
from clusterwhy.report.summaries import leading_sentence, property_sentences
from clusterwhy.types import FloatArray, IntArray

BARELY = 0.6  # balanced accuracy up to which two groups are barely told apart
MOST_DRAWN = 1000  # windows of a group
COLOURS = ("#0072B2", "#D55E00")


def contrast_sentences(found: Contrast, properties: pd.DataFrame, these: str, those: str, window_s: float) -> list[str]:
    """What sets `these` apart from `those`, how surely, and how faithful that is.

    Args:
        properties: of both groups, in units.
        window_s: length of a window in seconds.
    """
    explained = found.explained
    lines = [_accuracy(found.accuracy)]
    own = explained.importance[explained.importance["cluster"] == THESE]
    if not len(own) or own["signed"].isna().all():
        return [*lines, f"Nothing sets `{these}` apart from `{those}` for these encoders: no window has relevance."]
    lines.append(f"`{these}`, unlike `{those}`: {leading_sentence(own)}.")
    for differs in property_sentences(properties[properties["cluster"] == THESE], window_s):
        lines.append(f"{differs}.")
    quality = explained.quality[explained.quality["cluster"] == THESE]
    area = quality.set_index("ranking")["channel_deletion"].dropna()
    if len(area):
        values = ", ".join(f"{name.replace('_', '-')} {area[name]:.2f}" for name in ("z_score", "random"))
        lines.append(f"Channel deletion {area['relevance']:.2f} (lower is more faithful; {values}).")
    return lines


def _accuracy(accuracy: float) -> str:
    if accuracy != accuracy:
        return "Whether the groups can be told apart is not known: one of them lies in too few stretches of time."
    said = f"A classifier of raw windows tells the groups apart: balanced accuracy {accuracy:.0%} (chance 50%)"
    return f"{said}, which is hardly: what follows says little." if accuracy <= BARELY else f"{said}."


def contrast_figure(
    found: Contrast, study: StudyResults, names: tuple[str, str], positions: tuple[IntArray, IntArray], stem: Path
) -> None:
    """Channel shares of the first group with intervals, its mean relevance, and both groups in the leading channel."""
    explained, data, clock = found.explained, study.data, study.window_clock
    if THESE not in explained.clusters:
        return
    figure = Figure(figsize=(12, max(2.6, 0.22 * len(data.channels) + 1.3)), layout="constrained")
    bars, panel, lines = figure.subplots(1, 3, width_ratios=[1, 1.7, 1.7])
    figures.draw_importance(bars, explained.importance, THESE)
    bars.set_xlabel("relevance (share of |relevance|)", fontsize=8)
    relevance = explained.maps[explained.clusters.index(THESE)]
    limit = float(np.nanquantile(np.abs(relevance), 0.999)) or 1.0
    image = figures.draw_map(panel, relevance, data.channels, clock.scaled(study.window_s), limit)
    panel.set_xlabel(f"time in window ({clock.unit})", fontsize=8)
    bar = figure.colorbar(image, ax=panel)
    bar.set_label("mean relevance\n(% of |relevance|; red supports)", fontsize=7)
    bar.ax.tick_params(labelsize=6)
    own = explained.importance[explained.importance["cluster"] == THESE]
    channel = data.channels.index(str(own["channel"].iloc[own["signed"].argmax()]))
    times = clock.scaled(np.arange(data.length) / data.card.rate_hz)
    for name, own_positions, colour in zip(names, positions, COLOURS, strict=True):
        chosen = own_positions[:: -(-len(own_positions) // MOST_DRAWN)]
        _draw_group(
            lines, times, windows_at(data.values[:, [channel]], data.starts[chosen], data.length)[:, 0], colour, name
        )
    lines.set_xlabel(f"time in window ({clock.unit}); median and half of the windows", fontsize=8)
    lines.set_ylabel(with_unit(data.channels[channel], data.card.units[channel]).replace("\n", " "), fontsize=8)
    lines.tick_params(labelsize=6)
    lines.legend(fontsize=7, frameon=False, loc="lower left", bbox_to_anchor=(0, 1), ncols=2, borderaxespad=0)
    save(figure, stem)


def _draw_group(ax: Axes, times: FloatArray, values: FloatArray, colour: str, name: str) -> None:
    """Median and quartiles of one channel over windows (window, time)."""
    low, middle, high = np.nanquantile(values, [0.25, 0.5, 0.75], axis=0)
    ax.fill_between(times, low, high, color=colour, alpha=0.2, linewidth=0)
    ax.plot(times, middle, color=colour, linewidth=1.2, label=f"{shown(name, 40)} ({len(values)})")

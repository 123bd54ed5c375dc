"""Does relevance per frequency name the frequency that tells classes apart?

Two small networks learn made-up classes of which two are oscillations of a known frequency in known channels. All
channels of all windows hold a louder hum, which says nothing, and noise. Relevance per frequency of unseen windows is
compared with the power of the same windows. A minute of one core:

    python -m benchmarks.frequencies
"""

import argparse
import functools
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from tqdm import tqdm

from benchmarks.planted_classes import LENGTH, N_CHANNELS, SUPPORT, PlantedClasses, planted_classes
from benchmarks.randomisation import Case, classifier
from benchmarks.record import Result, record, shown, with_interval
from clusterwhy import explain
from clusterwhy.attribution.frequencies import (
    FrequencyRelevance,
    difference_by_frequency,
    relevance_by_frequency,
)
from clusterwhy.plots.frequencies import draw_channels, draw_frames
from clusterwhy.types import FloatArray

NETWORKS = ("MLP", "attention")
RATE_HZ, PER_CLASS, N_REFERENCES, WIDTH_HZ = 100.0, 20, 4, 3.0
HUM_HZ, HUMS = 30.0, (0.0, 0.75)  # the second has more power than a tone, which is short
# class -> frequency of its oscillation, whose phase and amplitude vary
TONES = {0: RATE_HZ / 6.0, 2: RATE_HZ / 18.0}
METHODS = ("gradient_x_input", "lrp_epsilon", "lrp_epsilon_plus", "deep_lift")
DIFFERENCE, POWER = "difference", "power of the windows"


WORDS = ("no hum", "hum")
COLUMNS = [f"leading, {words}" for words in WORDS]


def hummed(hum: float, n_per_class: int, seed: int) -> PlantedClasses:
    """Made-up classes with a hum of this amplitude and random phase in each channel."""
    made = planted_classes(n_per_class, seed)
    phases = np.random.default_rng(seed).uniform(0.0, 2.0 * np.pi, (*made.windows.shape[:2], 1))
    wave = hum * np.sin(2.0 * np.pi * HUM_HZ / RATE_HZ * np.arange(LENGTH) + phases)
    return replace(made, windows=(made.windows + wave).astype(np.float32))


@functools.cache
def trained(name: str, hum: float) -> tuple[Case, float]:
    """A small network that learned classes with a hum, and its accuracy."""
    return classifier(name, functools.partial(hummed, hum))


def spectra(network: Any, windows: FloatArray, others: FloatArray, unit: int) -> dict[str, FloatArray]:
    """Method -> (window, channel, frequency)."""
    found = {}
    for name in METHODS:
        cells = explain(network, windows, name, unit).values
        found[name] = relevance_by_frequency(cells, windows, RATE_HZ).values
    found[DIFFERENCE] = difference_by_frequency(network, windows, others, RATE_HZ, unit).values
    found[POWER] = relevance_by_frequency(windows**2, windows, RATE_HZ).values
    return found


def rows_of(name: str, hum: float) -> Iterator[dict[str, Any]]:
    """One row per class, method and window."""
    case, accuracy = trained(name, hum)
    planted, elsewhere = hummed(hum, PER_CLASS, 20), hummed(hum, 4, 21)
    frequencies = np.fft.rfftfreq(LENGTH, 1.0 / RATE_HZ)
    for unit, tone in TONES.items():
        network, windows = case.networks[unit][0], planted.windows[planted.labels == unit]
        others = elsewhere.windows[elsewhere.labels != unit][:: len(SUPPORT) - 1][:N_REFERENCES]
        near, channels = np.abs(frequencies - tone) <= WIDTH_HZ, list(SUPPORT[unit][0])
        for method, values in spectra(network, windows, others, unit).items():
            for i, one in enumerate(values):
                channel, at = np.unravel_index(one.argmax(), one.shape)
                size = np.abs(one)
                yield {
                    "network": name,
                    "hum": hum,
                    "accuracy": accuracy,
                    "class": unit,
                    "method": method,
                    "window": i,
                    "leading": float(bool(near[at]) and channel in channels),
                    "share": float(size[channels][:, near].sum() / size.sum()),
                }


def example() -> tuple[FrequencyRelevance, FrequencyRelevance]:
    """Relevance of one window of the fast oscillation: of all channels, and of short frames."""
    case, _ = trained("attention", HUMS[1])
    network, window = case.networks[0][0], hummed(HUMS[1], 1, 20).windows[:1]
    cells = explain(network, window, "deep_lift", 0).values
    return (
        relevance_by_frequency(cells, window, RATE_HZ),
        relevance_by_frequency(cells, window, RATE_HZ, frame=32),
    )


def section(result: Result) -> str:
    """The conclusion, then the table."""
    table = result.table("methods").set_index("method")
    ours, power = (table.loc[name, COLUMNS].astype(float) for name in ("deep_lift", POWER))
    chance = result.setup["bins of a tone"] / (LENGTH // 2 + 1)
    return f"""
Relevance per frequency (of `deep_lift`) has its largest value at the frequency and channel of the class in
{ours[COLUMNS[0]]:.0%} of the windows, and in {ours[COLUMNS[1]]:.0%} where a hum that says nothing has more power; the
power of the same windows in {power[COLUMNS[0]]:.0%} and {power[COLUMNS[1]]:.0%}.

{len(NETWORKS)} networks ({", ".join(NETWORKS)}; accuracy {result.setup["accuracy"]:.2f} or more), {PER_CLASS} unseen
windows of each of two classes: an oscillation of {TONES[0]:.1f} Hz in one channel of {N_CHANNELS}, and one of
{TONES[2]:.1f} Hz in two, at {RATE_HZ:.0f} samples per second, without and with a hum of {HUM_HZ:.0f} Hz in all channels
(amplitude {HUMS[1]}). `leading`: share of windows whose largest value lies within {WIDTH_HZ:.0f} Hz of the tone, in its
channel ({chance:.0%} of the frequencies are as near). `share`: of |relevance| there. Brackets: 95 % bootstrap intervals
over windows.

{shown(result.table("methods"))}

`leading` by class (frequency of its tone):

{shown(result.table("classes"))}
"""


def figure(result: Result, figure: Figure) -> None:
    """One window by channel and frequency, and its first channel by time and frequency."""
    figure.set_size_inches(9, 3)
    stored = {name: result.table(name) for name in ("example", "frames")}
    left, right = figure.subplots(1, 2)
    whole = stored["example"].pivot(index="channel", columns="frequency", values="relevance")
    short = stored["frames"].pivot(index="time", columns="frequency", values="relevance")
    found = FrequencyRelevance(
        whole.to_numpy()[None, :, None, :], whole.columns.to_numpy(), np.array([LENGTH / 2 / RATE_HZ]), np.zeros((1, 1))
    )
    frames = FrequencyRelevance(
        short.to_numpy()[None, None], short.columns.to_numpy(), short.index.to_numpy(), np.zeros((1, 1))
    )
    image = draw_channels(left, found, 0, [f"channel {i}" for i in whole.index])
    left.set_title(f"all channels; the class has {TONES[0]:.1f} Hz in channel 0", fontsize=9)
    figure.colorbar(image, ax=left, label="relevance (logit)")
    image = draw_frames(right, frames, 0, 0)
    first, last = (sample / RATE_HZ for sample in SUPPORT[0][1])
    right.set_title(f"channel 0 in short frames; the tone lasts from {first:.2f} to {last:.2f} s", fontsize=9)
    figure.colorbar(image, ax=right, label="relevance (logit)")


def _example_tables() -> dict[str, pd.DataFrame]:
    whole, short = example()
    hz = whole.frequencies_hz
    return {
        "example": pd.DataFrame(
            [
                {"channel": c, "frequency": f, "relevance": float(whole.values[0, c, k])}
                for c in range(N_CHANNELS)
                for k, f in enumerate(hz)
            ]
        ),
        "frames": pd.DataFrame(
            [
                {"time": t, "frequency": f, "relevance": float(short.frames[0, 0, i, k])}
                for i, t in enumerate(short.times_s)
                for k, f in enumerate(short.frequencies_hz)
            ]
        ),
    }


def main() -> None:
    """Train, explain, compare."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    began = time.monotonic()
    cases = [(name, hum) for name in NETWORKS for hum in HUMS]
    runs = pd.DataFrame([row for case in tqdm(cases, unit="network", disable=None) for row in rows_of(*case)])
    each = []
    for hum, words in zip(HUMS, WORDS, strict=True):
        own = runs[runs["hum"] == hum].rename(columns={name: f"{name}, {words}" for name in ("leading", "share")})
        each.append(with_interval(own, ["method"], [f"leading, {words}", f"share, {words}"]).set_index("method"))
    methods = pd.concat(each, axis=1).sort_values(COLUMNS[1], ascending=False).reset_index()
    named = runs.assign(
        tone=[f"{TONES[c]:.1f} Hz, {WORDS[HUMS.index(h)]}" for c, h in zip(runs["class"], runs["hum"], strict=True)]
    )
    classes = named.pivot_table("leading", "method", "tone", sort=False).reset_index()
    near = np.abs(np.fft.rfftfreq(LENGTH, 1.0 / RATE_HZ) - TONES[0]) <= WIDTH_HZ
    setup: dict[str, Any] = {
        "networks": len(NETWORKS),
        "windows": PER_CLASS * len(TONES),
        "bins of a tone": int(near.sum()),
    }
    setup["accuracy"] = float(runs["accuracy"].min())
    record("frequencies", "", began, setup, {"methods": methods, "classes": classes, **_example_tables()}, runs)


if __name__ == "__main__":
    main()

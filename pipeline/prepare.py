"""Read a dataset, check it, scale it on its training span, cut windows."""

import logging
from collections.abc import Sequence

import numpy as np

from clusterwhy.artifacts.counts import counted
from clusterwhy.artifacts.store import write_json
from clusterwhy.artifacts.undefined import defined_or
from clusterwhy.data.periods import WindowOfRecording, period_of, repeats_says
from clusterwhy.data.series import constant_channels, without_channels
from clusterwhy.data.storage import save_prepared
from clusterwhy.data.windows import BeatWindows, window_index
from clusterwhy.errors import SHOWN
from clusterwhy.readers.data_report import data_report
from pipeline._data_report import NAME, faults_reported
from pipeline._stage import StageRun, stage

log = logging.getLogger("clusterwhy")


@stage
def main(run: StageRun) -> None:
    with faults_reported(run):
        _prepare(run)


def _prepare(run: StageRun) -> None:
    series = run.settings["dataset"].read()
    write_json(run.out / NAME, data_report(series))
    _tell(series.notes)
    scaler, window = run.settings["scaler"], run.settings["window"]
    constant = constant_channels(series.fitted_values)
    names = [series.channels[i] for i in constant]
    if constant and scaler.constant_channels == "drop":
        series = without_channels(series, constant)
    if constant:
        log.warning(
            "constant in the training span, %s: %s",
            "dropped" if scaler.constant_channels == "drop" else "kept",
            ", ".join(names),
        )
    period = period_of(series)
    if isinstance(window, WindowOfRecording):
        window = window.of(series, period)
    index = window_index(series, window)
    centre, scale = scaler.fit(series.fitted_values)
    repeats = repeats_says(period, window.length, series.rate_hz, isinstance(window, BeatWindows))
    data = save_prepared(run.out, series, index, window, centre, scale, names, repeats)
    covered = int((np.diff(np.append(index["start"], np.inf)).clip(max=window.length)).sum())
    run.metrics = {
        "n_samples": len(series.values),
        "n_channels": len(series.channels),
        "rate_hz": series.rate_hz,
        "n_windows": len(index),
        "n_train_windows": int(index["train"].sum()),
        "n_samples_in_no_window": len(series.values) - covered,
        "n_constant_channels": len(constant),
        "period": defined_or(None if period is None else period.samples, "nothing repeats in the recording"),
    }
    n_samples, n_channels = series.values.shape
    size = f"{counted(n_samples, 'sample')} x {counted(n_channels, 'channel')}"
    log.info("%s: %s, %s", series.name, size, counted(len(index), "window"))
    log.info("%s", data.fitted_says())
    log.info("%s", repeats or "Nothing repeats in the recording: no length of windows follows from it.")


def _tell(notes: Sequence[str]) -> None:
    """What was left out or changed, one line each."""
    for note in notes[:SHOWN]:
        log.warning("%s", note)
    if len(notes) > SHOWN:
        log.warning("and %d more notes in %s", len(notes) - SHOWN, NAME)


if __name__ == "__main__":
    main()

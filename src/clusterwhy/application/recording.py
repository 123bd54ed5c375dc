"""A new recording as a study reads it: its channels, its rate, its scaler, its windows."""

import difflib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from clusterwhy.artifacts.schemas import SeriesCard
from clusterwhy.data.series import Series
from clusterwhy.data.storage import Prepared, save_prepared
from clusterwhy.data.windows import WindowSettings, window_index
from clusterwhy.errors import DataError, Fault
from clusterwhy.readers.policies import Policies

RATE_TOLERANCE = 0.01  # of the rate: windows have as many samples as those of the study
MEMORY = {"memory_share"}  # a policy that belongs to the machine


def by_policies_of(dataset: Any, study: Any) -> tuple[Any, list[str]]:
    """A dataset with the policies of the study's, and which of its own differ, one sentence each.

    Datasets without policies, such as the bundled ones, are as they are.
    """
    if not (isinstance(dataset, Policies) and isinstance(study, Policies)):
        return dataset, []
    names = [name for name in Policies.model_fields if name not in MEMORY]
    other = {name: getattr(study, name) for name in names if getattr(study, name) != getattr(dataset, name)}
    told = [f"`{name}: {value}` of the study is used, not `{getattr(dataset, name)}`" for name, value in other.items()]
    return dataset.model_copy(update=other), told


def admitted(series: Series, card: SeriesCard) -> Series:
    """The series with the channels of the study, in their order, and no training span.

    Raises:
        DataError: lists missing and added channels, and another rate.
    """
    if faults := [*_channel_faults(series.channels, card), *_rate_faults(series.rate_hz, card)]:
        raise DataError(series.name, faults)
    order = [series.channels.index(name) for name in card.channels]
    return replace(
        series,
        values=series.values[:, order],
        channels=tuple(card.channels),
        units=tuple(card.units),
        train_stop=len(series.values),
    )


def _channel_faults(channels: tuple[str, ...], card: SeriesCard) -> Iterator[Fault]:
    known = {*card.channels, *card.constant_channels}
    missing = [name for name in card.channels if name not in channels]
    added = [name for name in channels if name not in known]
    for name in missing:
        alike = difflib.get_close_matches(name, added, n=1)
        renamed = f"; is it {alike[0]!r} now?" if alike else ""
        yield Fault("missing-channel", f"the study's channel {name!r} is missing{renamed}", column=name)
    for name in added:
        advice = "name it in `dataset.leave_out`, or fit a new study"
        yield Fault("added-channel", f"channel {name!r} is not in the study: {advice}", column=name)


def _rate_faults(rate_hz: float, card: SeriesCard) -> Iterator[Fault]:
    if abs(rate_hz - card.rate_hz) > RATE_TOLERANCE * card.rate_hz:
        yield Fault(
            "other-rate",
            f"{rate_hz:.6g} samples per second, the study has {card.rate_hz:.6g}: resample the file to that rate, or "
            "fit a study with `irregular: resample`, which then reads every recording at its `resample_hz`",
        )


def save_recording(folder: Path, series: Series, card: SeriesCard) -> Prepared:
    """Scale by the study's scaler, cut its windows, and write what `prepare` would.

    Args:
        folder: the output folder.
        series: of `admitted`.
        card: of the study.

    Raises:
        DataError: the recording is shorter than a window.
    """
    window = WindowSettings(length=card.length, stride=card.stride)
    index = window_index(series, window).assign(train=False)
    centre, scale = np.asarray(card.centre), np.asarray(card.scale)
    return save_prepared(folder, replace(series, train_stop=0), index, window, centre, scale, card.constant_channels)

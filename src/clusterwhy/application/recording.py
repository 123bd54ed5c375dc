"""A new recording as a study reads it: its channels, its rate, its scaler, its windows."""

import difflib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from clusterwhy.application.settings import ApplicationSettings
from clusterwhy.artifacts.cards import SeriesCard
from clusterwhy.data.normal import Dataset
from clusterwhy.data.series import Series
from clusterwhy.data.storage import Prepared, save_prepared, window_of
from clusterwhy.data.windows import window_index
from clusterwhy.errors import DataError, Fault
from clusterwhy.readers.part import Part
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


def without_normal(dataset: Any, study: Any) -> tuple[Any, list[str]]:
    """A dataset without a known-good period of its own, and a sentence if it has another than the study's."""
    if not isinstance(dataset, Dataset) or not dataset.normal:
        return dataset, []
    told = "`normal` of the recording is not used: the study's own is what everything was fitted on"
    same = isinstance(study, Dataset) and study.normal == dataset.normal
    return dataset.model_copy(update={"normal": ()}), [] if same else [told]


def without_range_of(dataset: Any, study: Any) -> tuple[Any, list[str]]:
    """A dataset that reads the whole of another recording, if its range is that of the study's; a sentence then."""
    if not (isinstance(dataset, Part) and isinstance(study, Part)):
        return dataset, []
    if dataset.span.is_open or dataset.span != study.span or dataset.source == study.source:
        return dataset, []
    same = f"`from` and `to` are those of the study's recording, {study.source}"
    told = f"{same}: {dataset.source} is read from beginning to end"
    return dataset.model_copy(update={"from_": None, "to": None}), [told]


def admitted(series: Series, card: SeriesCard, settings: ApplicationSettings) -> Series:
    """The series with the channels of the study, in their order, and no training span.

    A masked channel has the study's centre everywhere, which is 0 in scaled units.

    Raises:
        DataError: lists missing and added channels that are faults, and another rate.
    """
    missing, added = channel_differences(series.channels, card)
    wrong_missing = missing if settings.missing_channels == "error" or len(missing) == len(card.channels) else []
    wrong_added = added if settings.added_channels == "error" else []
    if faults := [*_channel_faults(wrong_missing, wrong_added, added), *_rate_faults(series.rate_hz, card)]:
        raise DataError(series.name, faults)
    values, units = np.tile(np.asarray(card.centre), (len(series.values), 1)), list(card.units)
    for i, name in enumerate(card.channels):
        if name not in missing:
            found = series.channels.index(name)
            values[:, i], units[i] = series.values[:, found], series.units[found] or units[i]
    told = [f"channel {name!r} is missing and masked: at its mean in the study" for name in missing]
    told += [f"channel {name!r} is not in the study and left out" for name in added]
    return replace(
        series,
        values=values,
        channels=tuple(card.channels),
        units=tuple(units),
        train_stop=len(series.values),
        notes=(*series.notes, *told),
    )


def channel_differences(channels: tuple[str, ...], card: SeriesCard) -> tuple[list[str], list[str]]:
    """Channels of the study that are missing, and those that it does not know."""
    known = {*card.channels, *card.constant_channels}
    return [name for name in card.channels if name not in channels], [name for name in channels if name not in known]


def _channel_faults(missing: list[str], wrong_added: list[str], added: list[str]) -> Iterator[Fault]:
    for name in missing:
        alike = difflib.get_close_matches(name, added, n=1)
        renamed = (
            f"; is it {alike[0]!r} now?" if alike else " (`application.missing_channels: mask` goes on without it)"
        )
        yield Fault("missing-channel", f"the study's channel {name!r} is missing{renamed}", column=name)
    for name in wrong_added:
        advice = "name it in `dataset.leave_out`, set `application.added_channels: leave_out`, or fit a new study"
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
    window = window_of(card)
    index = window_index(series, window).assign(train=False)
    centre, scale = np.asarray(card.centre), np.asarray(card.scale)
    return save_prepared(folder, replace(series, train_stop=0), index, window, centre, scale, card.constant_channels)

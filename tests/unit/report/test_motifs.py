"""Motifs and discords on the page: only where the detector wrote them, each over its stretch."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from clusterwhy.anomaly.motifs import COLUMNS
from clusterwhy.artifacts.store import write_table
from clusterwhy.report.motifs import MOST_CHANNELS, motifs
from clusterwhy.report.study_results import StudyResults
from clusterwhy.study import tables
from tests.synthetic_results import synthetic_results


def with_motifs(root: Path, channels: tuple[str, ...], compared: str) -> StudyResults:
    """Each channel has one motif and one discord, the last channel the greatest one."""
    synthetic_results(root, channels=channels, start="2024-03-01T12:00:00")
    rows = [
        (name, kind, 1, 2, 32, 421, distance, compared)
        for i, name in enumerate(channels)
        for kind, distance in (("motif", 0.5), ("discord", 2.0 + i))
    ]
    write_table(root / "score" / "motifs.csv", pd.DataFrame(rows, columns=COLUMNS))
    return StudyResults.of(root)


@pytest.mark.parametrize("compared", ["shapes", "values"])
def test_a_window_is_drawn_over_its_stretch_with_times_and_values(tmp_path: Path, compared: str) -> None:
    study = with_motifs(tmp_path, ("pressure", "flow", "current"), compared)
    shown = motifs(study)
    assert shown is not None and shown["shapes"] == (compared == "shapes") and shown["n_more"] == 0
    assert [one["name"] for one in shown["channels"]] == ["pressure", "flow", "current"]
    flow = shown["channels"][1]
    (motif,), (discord,) = flow["motifs"], flow["discords"]
    assert flow["unit"] == "bar" and (motif["window"], motif["distance"], discord["distance"]) == (2, 0.5, 3.0)
    assert motif["stretches"][0]["when"] == "2024-03-01 12:00:03.200 to 12:00:06.300 UTC"
    values = study.data.values[421:453, 1]
    assert motif["stretches"][1]["values"] == f"{values.min():.3g} to {values.max():.3g}"
    # lines are as they were compared: shapes fill the height each, values have one scale
    heights = [
        np.ptp([float(pair.split(",")[1]) for pair in motif[line][1:].split("L")]) for line in ("line", "beside")
    ]
    ratio = np.ptp(study.data.values[32:64, 1]) / np.ptp(values)
    if compared == "values":
        assert heights[0] / heights[1] == pytest.approx(ratio, rel=0.1)
    else:
        assert min(heights) > 40


def test_without_the_detector_there_is_no_section_and_an_empty_table(tmp_path: Path) -> None:
    study = synthetic_results(tmp_path)
    assert motifs(study) is None and tables.motifs(study).empty
    found = tables.motifs(with_motifs(tmp_path / "other", ("pressure", "flow", "current"), "shapes"))
    assert found.loc[("flow", "discord", 1), "nearest"] == pd.Timestamp("2024-03-01T12:00:42.1", tz="UTC")


def test_of_many_channels_those_with_the_greatest_discords_are_drawn(tmp_path: Path) -> None:
    names = tuple(f"channel {i}" for i in range(MOST_CHANNELS + 2))
    shown = motifs(with_motifs(tmp_path, names, "values"))
    assert shown is not None and shown["n_more"] == 2
    assert [one["name"] for one in shown["channels"]] == list(names[2:])

"""What each recording of a study holds."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd

from clusterwhy.annotations.annotated import Annotated
from clusterwhy.artifacts.store import write_array
from clusterwhy.report.recordings import recordings_table, shown_recordings


def a_study(folder: Path) -> Any:
    """Three recordings in one series; the second one is too short for a window."""
    write_array(folder / "time.npy", np.arange(100.0))
    starts = np.array([0, 10, 70, 80])
    index = pd.DataFrame({"start": starts, "stop": starts + 20})
    data = SimpleNamespace(
        groups=np.array([0, 0, 2, 2]),
        card=SimpleNamespace(group_names=["a", "short", "c"]),
        index=index,
        folder=folder,
    )
    scores = pd.DataFrame({"anomalous": [False, True, False, False]})
    summary = {"clusters": [{"cluster": 0}, {"cluster": 1}]}
    names = {"annotated": Annotated(), "cluster_name": Annotated().name}
    return SimpleNamespace(data=data, scores=scores, summary=summary, labels=np.array([0, 0, 1, -1]), **names)


def test_a_row_has_the_shares_of_its_windows_and_none_is_left_out(tmp_path: Path) -> None:
    table = recordings_table(a_study(tmp_path))
    assert table is not None
    rows = table.set_index("recording")
    assert rows.index.tolist() == ["a", "c", "short"] and rows["windows"].tolist() == [2, 2, 0]
    assert rows.loc["a", ["anomalous", "noise", "cluster_0", "cluster_1"]].tolist() == [0.5, 0.0, 1.0, 0.0]
    assert rows.loc["c", ["anomalous", "noise", "cluster_0", "cluster_1"]].tolist() == [0.0, 0.5, 0.0, 0.5]
    assert rows.loc["short"].drop("windows").isna().all()
    shown = shown_recordings(a_study(tmp_path), table)
    assert shown is not None and len(shown["rows"]) == 3 and shown["n_more"] == 0

"""Figures of compared methods: means over classes, null with a reason where they apply and have no value."""

import numpy as np
import pandas as pd
import torch
from torch import nn

from clusterwhy.artifacts.undefined import Undefined
from clusterwhy.explanations.comparison import Comparison, MethodSettings, compare

NAN = float("nan")
SETTINGS = {"n_references": 2, "n_stretches": 4, "n_concept_windows": 1}


def test_more_windows_begin_with_those_of_fewer(rng: np.random.Generator) -> None:
    how, labels = MethodSettings(names=("gradient",), windows_per_class=3, **SETTINGS), rng.integers(0, 2, 40)
    few, many = how.choose(labels, 0), how.choose(labels, 0, 100)
    for code in (0, 1):
        own, all_own = few[labels[few] == code], many[labels[many] == code]
        assert len(own) == 3 and own.tolist() == all_own[:3].tolist()
        assert sorted(all_own) == np.flatnonzero(labels == code).tolist()


def test_quality_tells_which_method_gives_nothing_and_why(rng: np.random.Generator) -> None:
    network = nn.Sequential(nn.Conv1d(2, 3, 3), nn.ReLU(), nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(3, 2))
    with torch.no_grad():
        network[4].weight.fill_(-1.0)
    windows = rng.standard_normal((4, 2, 16)).astype(np.float32)
    how = MethodSettings(names=("grad_cam(layer='1')", "gradient"), windows_per_class=4, **SETTINGS)
    found = compare(network.eval(), windows, np.zeros(4, dtype=int), {0: windows[:2]}, how, 0)
    rows = found.quality.set_index("method")
    assert (
        rows["n_without_relevance"].iloc[:2].tolist() == [4, 0] and rows["note"].iloc[1] == rows["note"].iloc[-1] == ""
    )
    assert "and Grad-CAM keeps only what is (ReLU)" in rows["note"].iloc[0]
    assert not {"note", "n_without_relevance"} & set(found.figures()["gradient"])


def test_what_applies_is_a_figure_or_has_a_reason_and_the_rest_is_left_out() -> None:
    columns = ["method", "class", "gap", "bias_share", "lost_share", "deletion", "insertion"]
    columns += ["randomised", "randomised_absolute"]
    rows = [
        ("lrp_epsilon", 0, 0.1, 0.25, 0.0, 0.2, 0.8, 0.1, 0.2),
        ("lrp_epsilon", 1, 0.3, 0.75, 0.2, 0.4, 0.6, NAN, NAN),
        ("gradient", 0, NAN, NAN, NAN, NAN, NAN, NAN, NAN),
        ("random", 0, NAN, NAN, NAN, 0.5, 0.5, NAN, NAN),
    ]
    nothing = np.zeros((1, 1, 4))
    quality = pd.DataFrame(rows, columns=columns)
    found = Comparison({"lrp_epsilon": nothing, "gradient": nothing}, quality, pd.DataFrame(), {}).figures()
    assert found["lrp_epsilon"] == {
        **{"gap": 0.2, "bias_share": 0.5, "lost_share": 0.1, "deletion": 0.30000000000000004, "insertion": 0.7},
        **{"randomised": 0.1, "randomised_absolute": 0.2},
    }
    assert found["random"] == {"deletion": 0.5, "insertion": 0.5}
    # its relevance adds up to nothing, so there is no gap to ask for
    assert set(found["gradient"]) == {"deletion", "insertion", "randomised", "randomised_absolute"}
    assert found["gradient"]["randomised"] == Undefined("relevance is constant")

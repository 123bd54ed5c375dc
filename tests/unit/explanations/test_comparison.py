"""Figures of compared methods: means over classes, null with a reason where they apply and have no value."""

import numpy as np
import pandas as pd

from clusterwhy.artifacts.undefined import Undefined
from clusterwhy.explanations.comparison import Comparison

NAN = float("nan")


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

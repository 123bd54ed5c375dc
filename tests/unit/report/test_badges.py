"""The badge of a cluster is never kinder than any judge."""

import pandas as pd
import pytest

from clusterwhy.report.trust import earned

KIND = ("better", 0.4, 0.5)


def judged(*judges: tuple[str, float, float]) -> pd.DataFrame:
    """One cluster: the verdict on relevance, its area, and that of random orders, by each judge."""
    rows = [
        {"judge": f"judge {i}", "ranking": ranking, "area": area, "verdict": said}
        for i, (verdict, own, random) in enumerate(judges)
        for ranking, area, said in (("relevance", own, verdict), ("z_score", 0.5, ""), ("random", random, "worse"))
    ]
    return pd.DataFrame(rows, columns=["judge", "ranking", "area", "verdict"])


@pytest.mark.parametrize(
    ("judges", "kind", "words"),
    [
        ([KIND, KIND], "better", "better than z-score: 2 of 2 judges"),
        ([KIND], "better", "better than z-score: 1 of 1 judge"),
        ([KIND, ("not told apart", 0.49, 0.6)], "not told apart", "not told apart from z-score: 1 of 2 judges"),
        ([KIND, ("worse", 0.55, 0.6)], "worse", "worse than z-score: 1 of 2 judges"),
        ([KIND, ("better", 0.4, 0.39)], "random", "no better than random: 1 of 2 judges"),
        ([("worse", 0.7, 0.6), ("better", 0.4, 0.39)], "worse", "worse than z-score: 1 of 2 judges"),
        ([KIND, ("", float("nan"), float("nan"))], "better", "better than z-score: 1 of 1 judge"),
        ([("", float("nan"), float("nan"))], "unjudged", "order of channels not judged"),
        ([], "unjudged", "order of channels not judged"),
    ],
)
def test_the_least_favourable_judge_counts(judges: list[tuple[str, float, float]], kind: str, words: str) -> None:
    assert earned(judged(*judges)) == (kind, words)

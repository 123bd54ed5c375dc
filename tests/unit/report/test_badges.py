"""The badge of a cluster is never kinder than any judge, that of an anomaly says whether the alarm ends."""

import pandas as pd
import pytest

from clusterwhy.report.trust import earned, ends_alarm

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


@pytest.mark.parametrize(
    ("without", "kind", "words"),
    [
        ((0.8, 1.5, 2.0), "better", "no alarm without them: 0.8"),
        ((0.8, 0.7, 0.9), "better", "no alarm without them: 0.8"),
        ((1.5, 1.2, 2.0), "not told apart", "still an alarm without them: 1.5"),
        ((1.5, 0.9, 2.0), "worse", "still an alarm without them: 1.5"),
        ((2.6, 0.9, 2.7), "random", "no lower without them: 2.6"),
        ((2.1, 0.9, 2.0), "random", "no lower than without random channels: 2.1"),
    ],
)
def test_an_alarm_that_ends_without_its_leading_channels_is_explained(
    without: tuple[float, float, float], kind: str, words: str
) -> None:
    names = ("without_leading", "without_highest_z", "without_random")
    row = pd.Series({"score": 2.5} | dict(zip(names, without, strict=True)))
    found = ends_alarm(row, 1.0)
    assert found is not None and (found["kind"], found["words"]) == (kind, words)
    assert "score 2.5, threshold 1" in found["figures"]
    # no alarm, nothing to end; a study of before has no figures; a score that depends on what was fitted
    assert ends_alarm(row, 2.5) is None
    assert ends_alarm(row.drop("without_highest_z"), 1.0) is None
    assert ends_alarm(row.replace(without[0], float("nan")), 1.0) is None

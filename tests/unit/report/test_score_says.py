"""The page says what scores are relative to, and for which clusters that is all windows."""

from pathlib import Path

import pytest

from clusterwhy.artifacts.store import write_json
from clusterwhy.report.study_results import StudyResults
from tests.synthetic_results import synthetic_results


@pytest.mark.parametrize(
    ("usual", "said"),
    [
        ({}, ""),
        ({"-1": 1.0, "0": 2.0, "1": 1.5, "2": 0.5}, "A score is that of the detector over what is usual: 1 is usual."),
        (
            {"-1": 1.0, "1": 1.5},
            "A score is that of the detector over what is usual: 1 is usual. All training windows are what is usual "
            "for cluster 0, 2: none of them is there.",
        ),
    ],
)
def test_what_a_score_is_relative_to(usual: dict[str, float], said: str, tmp_path: Path) -> None:
    synthetic_results(tmp_path)
    segments = {"threshold": 8.0, "usual": usual, "relative_to": "over what is usual" if usual else "", "segments": []}
    write_json(tmp_path / "score" / "segments.json", segments)
    assert StudyResults.of(tmp_path).score_says == said

"""One of a kind is no plural, in logs and on the page."""

import re
from pathlib import Path

import pytest

from clusterwhy.artifacts.counts import counted
from clusterwhy.artifacts.store import write_json
from clusterwhy.report.page import write_page, write_pictures
from clusterwhy.report.study_results import StudyResults
from tests.conftest import ROOT
from tests.synthetic_results import synthetic_results

NOUNS = "alarm|cluster|window|pattern|segment|channel|recording|method|anomalous window|anomalous segment"


@pytest.mark.parametrize(("n", "said"), [(0, "0 clusters"), (1, "1 cluster"), (2, "2 clusters")])
def test_a_count_says_how_many_of_what(n: int, said: str) -> None:
    assert counted(n, "cluster") == said


def test_no_log_message_has_a_plural_behind_a_number_of_its_own() -> None:
    files = [*(ROOT / "pipeline").glob("*.py"), *(ROOT / "src" / "clusterwhy").rglob("*.py")]
    found = {
        f"{file.name}: {message}"
        for file in files
        for message in re.findall(r'log\.info\(\s*"([^"]*)"', file.read_text())
        if re.search(rf"(?<!of )%d (?:{NOUNS})s\b", message)
    }
    assert found == set()


def test_the_page_counts_one_of_each_kind_in_the_singular(tmp_path: Path) -> None:
    summary = synthetic_results(tmp_path / "artifacts").summary
    for record in summary["clusters"]:
        record["n_windows"] = 1
    write_json(tmp_path / "artifacts" / "cluster" / "summary.json", summary)
    results = StudyResults.of(tmp_path / "artifacts")
    write_pictures(results, tmp_path)
    write_page(results, tmp_path)
    page = re.sub(r"<script.*?</script>", "", (tmp_path / "report.html").read_text(), flags=re.DOTALL)
    assert len(re.findall(r"\b1 window\b", page)) >= 2 * len(summary["clusters"]), "on tiles and cards"
    assert re.findall(rf"(?<![\d.,])1 (?:{NOUNS})s\b", page) == []


def test_the_headline_counts_one_cluster_and_one_segment(tmp_path: Path) -> None:
    summary = synthetic_results(tmp_path).summary
    assert "form 3 clusters;" in StudyResults.of(tmp_path).headline
    write_json(tmp_path / "cluster" / "summary.json", summary | {"clusters": summary["clusters"][:1]})
    headline = StudyResults.of(tmp_path).headline
    assert "form 1 cluster;" in headline and "; 1 segment is anomalous" in headline, headline

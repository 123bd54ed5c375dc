"""The examples of the docs run from top to bottom, and the table beside them names tests that are there."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import ROOT, Checkout

EXAMPLES = ROOT / "docs" / "examples"
LEFT = {  # pictures that each leaves
    "any_network": {"lrp.png"},
    "concepts": {"bins.png", "composites.png", "concepts.png", "differences.png", "first_concept.png", "window.png"},
    "hybrid_classifier": {"attention.png", "grad_cam.png", "lrp_epsilon_plus.png", "shap_all_classes.png"},
}


def run(example: str, folder: Path) -> str:
    """What an example prints, run as its first lines say."""
    command = [sys.executable, str(EXAMPLES / f"{example}.py")]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.mark.parametrize("example", LEFT)
def test_an_example_without_a_study_runs(example: str, tmp_path: Path) -> None:
    (tmp_path / "conf").symlink_to(ROOT / "conf")
    said = run(example, tmp_path)
    left = {path.name for path in tmp_path.rglob("outputs/examples/*/*.png")}
    assert left >= LEFT[example]
    if example == "any_network":
        assert "no method 'shap' (near: gradient_shap, shapley_sampling)" in said
        assert re.search(r"^lrp_deep_taylor +\d+% ", said, re.MULTILINE)
    if example == "concepts":
        assert float(said.split("training accuracy ")[1].split()[0]) > 0.9
    if example == "hybrid_classifier":
        assert "epoch 12: loss" in said and "weighted avg" in said


def test_the_example_of_a_study_runs_on_any_finished_study(study: Checkout) -> None:
    said = run("operating_states", study.root)
    assert "two leading channels" in said and "threshold" in said
    assert (study.root / "outputs" / "examples" / "operating_states" / "options.png").is_file()


@pytest.mark.parametrize("preset", ["notebook_1", "notebook_2", "notebook_3"])
def test_the_notebooks_options_explain_a_study(preset: str, study: Checkout) -> None:
    study.run(
        "python", "-m", "pipeline.explain", f"preset={preset}", "wandb.mode=disabled", "hydra.run.dir=outputs/own"
    )
    assert np.load(study.root / "outputs" / "own" / "relevance.npy").any()


def test_every_row_of_the_table_of_systems_names_a_test_that_is_there() -> None:
    text = (ROOT / "docs" / "coming_from.md").read_text()
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("|") and "|---" not in line]
    rows = [row for row in rows if len(row) == 3 and row[-1] != "test"]
    assert len(rows) > 25
    missing = [row[-1] for row in rows if not (ROOT / "tests" / row[-1].strip("`")).is_file()]
    assert not missing
    shown = set(re.findall(r"examples/(\w+)\.py", text))
    assert shown == {path.stem for path in EXAMPLES.glob("*.py")} == {*LEFT, "operating_states"}

"""dvc.yaml, studies/dvc.yaml and applications/dvc.yaml say of each stage exactly what it depends on."""

import ast
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import ROOT

LIBRARY = ROOT / "src" / "clusterwhy"
STUDIES = yaml.safe_load((ROOT / "studies" / "params.yaml").read_text())["studies"]
RECORDINGS = yaml.safe_load((ROOT / "applications" / "params.yaml").read_text())["recordings"]


def stages_of_each(folder: str) -> dict[str, dict[str, Any]]:
    stages = yaml.safe_load((ROOT / folder / "dvc.yaml").read_text())["stages"]
    return {name: stage["do"] for name, stage in stages.items()}


STUDY_STAGES = stages_of_each("studies")
APPLICATION_STAGES = stages_of_each("applications")
ROOT_STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
STAGES: dict[str, dict[str, Any]] = ROOT_STAGES | STUDY_STAGES | APPLICATION_STAGES
# rooms that every stage goes through; a change there is checked by the tests, and would rerun everything
EVERYWHERE = {"__init__.py", "artifacts", "config.py", "errors.py", "tracking", "types.py"}


def module_file(module: str) -> Path | None:
    path = (ROOT / "src" / Path(*module.split("."))).with_suffix(".py")
    return path if path.is_file() else None


def imported(path: Path) -> set[str]:
    """First-party modules that a file imports when it runs, also inside functions."""
    tree = ast.parse(path.read_text())
    for_types = {
        node
        for branch in ast.walk(tree)
        if isinstance(branch, ast.If) and isinstance(branch.test, ast.Name) and branch.test.id == "TYPE_CHECKING"
        for statement in branch.body
        for node in ast.walk(statement)
    }
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node not in for_types:
            found |= {m for m in (node.module, *(f"{node.module}.{a.name}" for a in node.names)) if module_file(m)}
    return {module for module in found if module.startswith("clusterwhy.")}


def groups(stage: str) -> list[str]:
    entries = [entry for entry in STAGES[stage].get("params", []) if isinstance(entry, dict)]
    return [file.split("/")[1] for entry in entries for file, keys in entry.items() if keys is None]


def needed(stage: str) -> set[str]:
    """Every room (folder, or module of its own) that a stage reaches, by imports or the `_target_`s of its groups."""
    todo = imported(ROOT / "pipeline" / f"{stage}.py")
    for group in groups(stage):
        for path in (ROOT / "conf" / group).glob("*.yaml"):
            todo.add(yaml.safe_load(path.read_text())["_target_"].rpartition(".")[0])
    seen: set[str] = set()
    while todo:
        module = todo.pop()
        if module not in seen:
            seen.add(module)
            path = module_file(module)
            assert path is not None, module
            todo |= imported(path)
    rooms = {path.relative_to(LIBRARY).parts[0] for m in seen if (path := module_file(m))}
    return {f"src/clusterwhy/{room}" for room in rooms - EVERYWHERE}


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_depends_on_each_room_that_it_imports_from(stage: str) -> None:
    declared = {dep for dep in STAGES[stage]["deps"] if dep.startswith("src/")}
    assert declared == needed(stage)
    assert f"pipeline/{stage}.py" in STAGES[stage]["deps"]


def test_contributing_says_which_stages_an_edit_reruns() -> None:
    rows: dict[str, list[str]] = {}
    for stage, content in (ROOT_STAGES | APPLICATION_STAGES).items():
        for dep in content["deps"]:
            if dep.startswith("src/"):
                rows.setdefault(dep.removeprefix("src/clusterwhy/"), []).append(stage)
    expected = [f"| `{room}` | {', '.join(stages)} |" for room, stages in sorted(rows.items())]
    text = (ROOT / "CONTRIBUTING.md").read_text().split("<!-- reruns -->")[1].split("<!-- /reruns -->")[0]
    assert text.strip().splitlines()[2:] == expected, "\n".join(expected)


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_depends_on_each_artifact_that_it_takes(stage: str) -> None:
    tree = ast.parse((ROOT / "pipeline" / f"{stage}.py").read_text())
    folder = "artifacts/studies/${key}" if stage in STUDY_STAGES else "artifacts"
    taken = {
        f"{folder}/{node.args[0].value}"
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "take"
        and isinstance(node.args[0], ast.Constant)
    }
    assert {dep for dep in STAGES[stage]["deps"] if dep.startswith("artifacts/")} == taken


def test_every_choice_of_params_yaml_belongs_to_a_stage() -> None:
    params = set(yaml.safe_load((ROOT / "params.yaml").read_text()))
    plain = {name for stage in ROOT_STAGES for name in STAGES[stage].get("params", []) if isinstance(name, str)}
    assert {group for stage in ROOT_STAGES for group in groups(stage)} | plain == params


def test_all_stages_have_names_of_their_own() -> None:
    assert len(STAGES) == len(ROOT_STAGES) + len(STUDY_STAGES) + len(APPLICATION_STAGES)


@pytest.mark.parametrize("recording", RECORDINGS)
def test_a_recording_chooses_one_file_of_each_group_that_its_stage_uses(recording: str) -> None:
    assert set(RECORDINGS[recording]) == set(groups("apply"))
    for group, option in RECORDINGS[recording].items():
        assert (ROOT / "conf" / group / f"{option}.yaml").is_file()


def test_recordings_write_to_separate_folders() -> None:
    (stage,) = APPLICATION_STAGES.values()
    assert all("/applications/${key}/" in path for path in [*stage["outs"], *stage["metrics"]])
    assert "recording=${key}" in stage["cmd"]


@pytest.mark.parametrize("study", STUDIES)
def test_a_study_chooses_one_file_of_each_group_that_its_stages_use(study: str) -> None:
    used = {group for stage in STUDY_STAGES for group in groups(stage)}
    assert set(STUDIES[study]) == used | {"seed"}
    assert all((ROOT / "conf" / group / f"{STUDIES[study][group]}.yaml").is_file() for group in used)


@pytest.mark.parametrize("stage", STUDY_STAGES)
def test_studies_write_to_separate_folders(stage: str) -> None:
    written = [*STUDY_STAGES[stage]["outs"], *STUDY_STAGES[stage]["metrics"]]
    assert all("/studies/${key}/" in path for path in written)
    assert "study=${key}" in STUDY_STAGES[stage]["cmd"]

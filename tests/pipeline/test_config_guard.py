"""Configuration that somebody else wrote: it chooses and sets; what could do more is refused before Hydra reads it."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from clusterwhy.errors import ConfigError
from pipeline import _parameters
from pipeline._command_line import check_choices
from pipeline._config_guard import MAX_BYTES, check_files
from pipeline._help import stage_help
from tests.conftest import ROOT, Checkout
from tests.stage_server import StageServer

AREA = "Hostile files"
CALLBACK = "hydra:\n  callbacks:\n    x:\n      _target_: os.system\n      command: touch taken\n"
BOMB = "a: &a [1, 1]\nb: &b [*a, *a]\nc: [*b, *b]\n"

# what is wrong, file, text that is put at its end (or, after a bar, its whole content), what is said
CASES = [
    (
        "a tag that creates an object",
        "conf/dataset/csv.yaml",
        "x: !!python/object/apply:os.system [ls]\n",
        "tag; only plain",
    ),
    ("a custom tag", "params.yaml", "x: !mine 1\n", "tag; only plain"),
    ("anchors that expand exponentially", "conf/window/short.yaml", BOMB, "anchor; only plain"),
    ("anchors that expand exponentially", "studies/params.yaml", BOMB, "anchor; only plain"),
    ("100 kB and more", "conf/window/short.yaml", "# " + "x" * MAX_BYTES, f"more than {MAX_BYTES}"),
    ("a date without quotes", "conf/dataset/csv.yaml", "x: {from: 2024-03-01}\n", 'put dates in quotes: "2024-03-01"'),
    ("invalid YAML", "conf/window/short.yaml", "x: [1,\n", "while parsing a flow"),
    ("deeply nested lists", "conf/window/short.yaml", "|" + "[" * 90_000, "window/short.yaml"),
    ("bytes that are not text", "conf/window/short.yaml", b"\xff\xfe\x00x", "can't decode"),
    ("a list instead of an object", "params.yaml", "|- seed\n- 1\n", "expected `key: value`"),
    ("a number instead of an object", "conf/window/short.yaml", "|5\n", "expected `key: value`"),
    ("an option outside conf/", "params.yaml", "|window: ../../elsewhere/window\n", "without its folder"),
    ("an absolute option", "params.yaml", "|window: /etc/passwd\n", "without its folder"),
    ("an option with backslashes", "params.yaml", "|window: ..\\\\..\\\\window\n", "without its folder"),
    ("an option with percent signs", "params.yaml", "|window: '%2e%2e%2fwindow'\n", "without its folder"),
    ("an option with a NUL", "params.yaml", '|window: "short\\0"\n', "without its folder"),
    ("an option that is a list", "params.yaml", "|window: [short]\n", "without its folder"),
    ("an output path", "params.yaml", "place: ../../elsewhere\n", "'place' is not a parameter"),
    ("a callback for Hydra", "params.yaml", CALLBACK, "'hydra' is not a parameter"),
    ("a callback for Hydra", "conf/window/short.yaml", CALLBACK, "sets `hydra`, which only files of"),
    (
        "a callback for Hydra",
        "conf/preset/own.yaml",
        "# @package _global_\n" + CALLBACK,
        "Hydra would instantiate os.system",
    ),
    ("a callback for Hydra", "conf/config.yaml", CALLBACK, "Hydra would instantiate os.system"),
    (
        "a callback for Hydra",
        "conf/hydra/callbacks/x.yaml",
        "x:\n  _target_: os.system\n",
        "Hydra would instantiate os.system",
    ),
    (
        "a package of Hydra's",
        "conf/window/own.yaml",
        "# @package hydra.callbacks.x\n_target_: os.system\n",
        "`@package hydra",
    ),
    (
        "a package after spaces",
        "conf/window/own.yaml",
        "\n  ## @package hydra.callbacks.x\n_target_: os.system\n",
        "`@package hydra",
    ),
    (
        "folders to search for options",
        "conf/config.yaml",
        "hydra:\n  searchpath: ['file:///elsewhere']\n",
        "sets `hydra`, which only files of",
    ),
    (
        "a global package",
        "conf/window/own.yaml",
        "# @package _global_\nplace: ../../elsewhere\n",
        "`@package _global_`",
    ),
    (
        "an option elsewhere in Hydra",
        "conf/window/own.yaml",
        "defaults:\n  - /window@hydra.callbacks.x: short\n",
        "`defaults` with",
    ),
    (
        "an option outside conf/",
        "conf/window/own.yaml",
        "defaults:\n  - ../../../elsewhere/window\n",
        "`defaults` with",
    ),
    (
        "a study called ../",
        "studies/params.yaml",
        "|studies:\n  ../../elsewhere:\n    seed: 0\n",
        "expected a name of letters",
    ),
    (
        "a study of 300 characters",
        "studies/params.yaml",
        f"|studies:\n  {'x' * 300}:\n    seed: 0\n",
        "expected a name of letters",
    ),
    (
        "a study with an output path",
        "studies/params.yaml",
        "|studies:\n  a:\n    place: ../x\n",
        "'place' is not a parameter",
    ),
    ("a study that is a number", "studies/params.yaml", "|studies:\n  a: 1\n", "expected a mapping of groups"),
    ("a recording called ../", "applications/params.yaml", "|recordings:\n  ../x: {}\n", "expected a name of letters"),
    (
        "a recording with another encoder",
        "applications/params.yaml",
        "|recordings:\n  a:\n    encoder: dcae\n",
        "'encoder' is not a parameter",
    ),
    ("no studies", "studies/params.yaml", "|study: 1\n", "expected `studies:`"),
]


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The project's configuration in a folder of its own."""
    for folder in ("conf", "studies", "applications"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy(ROOT / name, tmp_path)
    monkeypatch.setattr(_parameters, "ROOT", tmp_path)
    return tmp_path


@pytest.mark.parametrize(("what", "file", "text", "told"), CASES, ids=[f"{case[1]}-{case[0]}" for case in CASES])
def test_configuration_that_does_more_than_select_options_is_refused(
    root: Path, what: str, file: str, text: str | bytes, told: str, fault: Callable[[str, str, str, str], None]
) -> None:
    path = root / file
    path.parent.mkdir(parents=True, exist_ok=True)
    kept = path.read_bytes() if path.exists() else b""
    new = text.encode() if isinstance(text, str) else text
    path.write_bytes(new[1:] if new.startswith(b"|") else kept + b"\n" + new if kept else new)
    with pytest.raises(ConfigError) as caught:
        check_files()
    assert all(line.startswith(file) for line in caught.value.faults) and told in str(caught.value), caught.value
    fault(AREA, f"YAML: {what}", file, "refused before Hydra reads it")


def test_the_configuration_of_the_project_is_accepted(root: Path) -> None:
    check_files()
    (root / "params.yaml").write_text("seed: 1\nwindow: short\nranking: null\n")
    (root / "conf" / "window" / "own.yaml").write_text("defaults:\n  - short\nlength: 32\n")
    check_files()


def test_faults_of_all_files_are_reported_at_once(root: Path) -> None:
    (root / "conf" / "window" / "short.yaml").write_text("[1")
    (root / "params.yaml").write_text("windw: short\nseeds: 1\n")
    with pytest.raises(ConfigError) as caught:
        check_files()
    assert len(caught.value.faults) == 3


@pytest.mark.parametrize(
    "argument", ["dataset=../../elsewhere/x", "+dataset=/etc/x", "window=..", "study=../x", "composite=epsilon,../x"]
)
def test_options_on_the_command_line_must_be_plain_names(argument: str) -> None:
    with pytest.raises(ConfigError, match="without its folder"):
        check_choices(["seed=1", argument])
    check_choices(
        [
            "composite=epsilon,epsilon_plus",
            "dataset.path=../data/x.csv",
            "composite=glob(*)",
            "hydra.run.dir=/elsewhere/x",
        ]
    )


def test_a_renamed_group_is_named(root: Path) -> None:
    with pytest.raises(ConfigError, match="`evidence` is called `evaluation` now"):
        check_choices(["evidence.resamples=1"])
    (root / "params.yaml").write_text("evidence: standard\n")
    with pytest.raises(ConfigError, match="`evidence` is called `evaluation` now"):
        check_files()


@pytest.mark.parametrize(
    ("argument", "told"),
    [
        ("composit=epsilon", r"`composit` is neither a group of conf/ nor a parameter \(did you mean `composite`\?\)"),
        ("seeds=1", r"`seeds` is neither .* \(did you mean `seed`\?\)"),
        (
            "composite=epsilom",
            r"`composite` has no option `epsilom` \(did you mean `epsilon`\?\); it has deep_taylor, epsilon, ",
        ),
        ("composite=epsilon,epsilom", "has no option `epsilom`"),
        ("study=ecgs", r"`study` has no option `ecgs` \(did you mean `ecg`\?\)"),
        ("composite.epsilom=1", r"`composite` has no `epsilom` \(did you mean `epsilon`\?\); it has .*first_layer"),
        ("dataset.skip=1", "`dataset` has no `skip`; it has "),  # of the dataset in params.yaml, not of csv
    ],
)
def test_a_mistyped_name_on_the_command_line_is_told_with_what_there_is(root: Path, argument: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told) as caught:
        check_choices(["seed=1", argument])
    assert len(caught.value.faults) == 1


def test_a_value_that_hydra_cannot_read_is_told_with_the_quotes_that_it_needs(root: Path) -> None:
    with pytest.raises(ConfigError, match=r"""`dataset.separator=;`: .* quotes: 'dataset.separator=";"'"""):
        check_choices(["dataset=csv", "dataset.separator=;"])


def test_names_that_there_are_pass(root: Path) -> None:
    check_choices(
        ["dataset=csv", 'dataset.separator=";"', "+dataset.new=1", "~sweep", "sweep=null", "hydra.verbose=true"]
    )
    check_choices(["study=ecg", "classifier.anything=1"])  # what a study chooses is in its entry
    check_choices(["recording=watch_other_person", "composite=epsilon,epsilon_plus", "composite.epsilon=1e-3,1e-2"])
    check_choices(["workers.backend=processes", "wandb.mode=disabled", "run=stage", "members=glob(*)"])


STAGES = [*_parameters._stages(), *_parameters._stages("studies"), *_parameters._stages("applications")]


@pytest.mark.parametrize("stage", STAGES)
def test_help_tells_what_a_stage_does_and_takes(stage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    said = stage_help(stage, (ROOT / "pipeline" / f"{stage}.py").read_text().split('"""')[1])
    assert len(said.splitlines()) <= 25
    assert all(f"\n  {name} " in said for name in _parameters.owned(stage)), said


def test_help_needs_no_hydra_and_starts_nothing(stages: StageServer) -> None:
    done = stages.run("pipeline.explain", "--help", "composit=nothing")
    assert done.returncode == 0 and done.said.startswith("explain: Explain clusters"), done.said
    assert "*difference" in done.said


@pytest.fixture
def precious(study: Checkout) -> Iterator[Path]:
    """A folder of the user's, and a preset that somebody gave them."""
    folder, preset = study.root / "precious", study.root / "conf" / "preset" / "own.yaml"
    folder.mkdir()
    (folder / "work.txt").write_text("years of it")
    preset.write_text("# @package _global_\nplace: ../precious\n")
    yield folder
    shutil.rmtree(folder)
    preset.unlink()


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("hydra.run.dir=precious", "`run=stage` writes to"),
        ("preset=own", "expected prepare, studies/<study>/prepare or"),
    ],
)
def test_a_stage_clears_no_folder_but_its_own(
    stages: StageServer, precious: Path, override: str, told: str, fault: Callable[[str, str, str, str], None]
) -> None:
    done = stages.run("pipeline.prepare", "run=stage", override)
    assert done.returncode == 1 and told in done.said, done.said
    assert (precious / "work.txt").read_text() == "years of it"
    fault(AREA, f"another folder to clear, by {override.partition('=')[0]}", "prepare", "refused; nothing is cleared")

"""Two finished studies side by side, or two recordings that a study was applied to: clusters, channels, alarms."""

import argparse
import logging
import sys
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
from omegaconf import OmegaConf

from clusterwhy.artifacts.store import read_json, read_table
from clusterwhy.config import build_settings
from clusterwhy.errors import ArtifactError
from clusterwhy.tracking.checksums import dvc_md5
from clusterwhy.tracking.names import Collection
from clusterwhy.tracking.run import RunLabels, WandbSettings, track
from pipeline._console import one_message
from pipeline._labels import BY_HAND, study_name, wandb_settings
from pipeline._parameters import ROOT
from pipeline._paths import git_revision, main_root, run_group
from pipeline._revisions import copy_artifacts

if TYPE_CHECKING:
    from clusterwhy import Study

log = logging.getLogger("clusterwhy")
EXAMPLES = """
A and B are folders of finished studies (artifacts) or of applications (artifacts/applications/march/apply, or one
below outputs/apply), or revisions, branches and DVC experiments whose artifacts are in the DVC cache. An application
needs its study: the folder that it lies in, `--study`, or artifacts.

examples:
  python -m pipeline.compare HEAD~1 artifacts
  python -m pipeline.compare artifacts brave-exp
  python -m pipeline.compare artifacts artifacts/applications/march/apply
  python -m pipeline.compare artifacts/applications/february/apply artifacts/applications/march/apply
"""


def main() -> None:
    """Compare two results."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("a", metavar="A", help="folder of a study or an application, revision or experiment")
    parser.add_argument("b", metavar="B", help="what it is compared with")
    parser.add_argument("--study", type=Path, help="folder of the study that A or B, or both, are an application of")
    parser.add_argument("--out", type=Path, help="default: outputs/compare/<time>")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    out = options.out or ROOT / "outputs" / "compare" / datetime.now().strftime("%Y-%m-%d_%H-%M-%S")
    with one_message():
        run(options.a, options.b, options.study, out)


def run(a: str, b: str, study: Path | None, out: Path) -> None:
    """Compare, print what was found, and write tables, a figure and a page into a new folder."""
    from clusterwhy.study.comparison import sentences
    from clusterwhy.study.comparison.writing import write_comparison

    mpl.use("agg")
    if out.exists():
        raise ArtifactError(f"{out} exists: give `--out` a folder that does not, or leave it out")
    tracking = wandb_settings()
    with TemporaryDirectory(prefix="clusterwhy-") as copies:
        first, second = both((a, b), study, Path(copies))
        found = first.compare(second, build_settings({"workers": _default_workers()})["workers"])
        write_comparison(found, out, (a, b))
        told = [*sentences.comparable(found), "", *sentences.clusters(found), *sentences.pairs(found)]
        told += ["", sentences.alarms(found), "", *sentences.metric_lines(found.metrics)]
    sys.stdout.write("\n".join(told) + "\n")
    log.info("open %s", out / "comparison.html")
    _track(tracking, out, "\n".join(told))


def _track(settings: WandbSettings, out: Path, text: str) -> None:
    """Record the comparison as a W&B run, whose notes are what was printed."""
    from clusterwhy.study.comparison.writing import TABLES

    choices: Any = OmegaConf.to_container(OmegaConf.load(ROOT / "params.yaml"))
    study, found = study_name("compare", choices), read_json(out / "comparison.json")
    name = f"{found['a']} beside {found['b']}"[:120]
    labels = RunLabels("compare", name, run_group(), (study, "compare", BY_HAND), text)
    asked = {key: found.pop(key) for key in ("a", "b", "matched_by")}
    with track(settings, main_root(), labels, asked, {"git_revision": git_revision()}) as tracker:
        tracker.summarise(found)
        for table in TABLES:
            tracker.table(table, read_table(out / f"{table}.csv"))
        for picture in sorted(out.glob("*.png")):
            tracker.figure(picture.stem, picture)
        tracker.page("comparison", out / "comparison.html")
        tracker.artifact(Collection.of("compare", study, by_hand=True), out)


def both(names: tuple[str, str], study: Path | None, copies: Path) -> "tuple[Study, Study]":
    """Both results.

    Args:
        copies: folder for artifacts of revisions.

    Raises:
        ArtifactError: lists the faults of both.
    """
    found, faults = [], []
    for letter, name in zip("ab", names, strict=True):
        folder = Path(name)
        try:
            if not folder.is_dir():
                folder = copies / letter
                copy_artifacts(name, folder)
            found.append(_loaded(folder, study))
        except ArtifactError as error:
            faults.append(str(error))
    if faults:
        raise ArtifactError("\n".join(dict.fromkeys(faults)))
    first, second = found
    return first, second


def _loaded(folder: Path, study: Path | None) -> "Study":
    """The study or the application in a folder."""
    from clusterwhy import Study

    if (folder / "classify").is_dir():
        raise ArtifactError(
            f"{folder} is of a supervised study, which has no clusters: expected artifacts of `dvc repro`"
        )
    if not (folder / "new").is_dir():
        return Study.load(folder)
    above = [path for path in folder.absolute().parents if (path / "cluster").is_dir()]
    fitted = study or (above[0] if above else ROOT / "artifacts")
    loaded = Study.load(fitted)
    known = read_json(folder / "provenance.json")["inputs_md5"]
    if other := [stage for stage, md5 in known.items() if dvc_md5(fitted / stage) != md5]:
        raise ArtifactError(
            f"{folder} is an application of another study than {fitted} ({', '.join(other)} differ): "
            "name the folder of its study with `--study`"
        )
    return loaded.application(folder)


def _default_workers() -> Any:
    return OmegaConf.to_container(OmegaConf.load(ROOT / "conf" / "workers" / "default.yaml"), resolve=True)


if __name__ == "__main__":
    main()

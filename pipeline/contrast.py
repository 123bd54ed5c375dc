"""Why are these windows not like those? Two groups of windows of a finished study, explained against each other."""

import argparse
import logging
import sys
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import OmegaConf

from clusterwhy.annotations.annotated import Sources
from clusterwhy.annotations.located import Interval, Span
from clusterwhy.artifacts.counts import counted
from clusterwhy.artifacts.store import (
    UNFINISHED,
    read_array,
    read_table,
    replace_folder,
    write_array,
    write_json,
    write_table,
)
from clusterwhy.artifacts.validation import check_folder
from clusterwhy.config import build_settings
from clusterwhy.data.series import in_spans
from clusterwhy.data.storage import Prepared
from clusterwhy.errors import ArtifactError
from clusterwhy.explanations.window_groups import HELP, WindowFacts, window_groups, with_names
from clusterwhy.report.study_results import StudyResults
from clusterwhy.tracking.names import Collection
from clusterwhy.tracking.run import RunLabels, WandbSettings, track
from clusterwhy.types import BoolArray
from pipeline._console import one_message
from pipeline._labels import BY_HAND, study_name, wandb_settings
from pipeline._parameters import ROOT
from pipeline._paths import git_revision, main_root, run_group

log = logging.getLogger("clusterwhy")
EXAMPLES = """
examples:
  python -m pipeline.contrast cluster:2 cluster:5
  python -m pipeline.contrast "cluster:2 time:2024-03" "cluster:2 time:2024-02"
  python -m pipeline.contrast anomalies before:1d
  python -m pipeline.contrast noise cluster:1
  python -m pipeline.contrast "cluster:'pump starts'" cluster:idle      # names of annotations.yaml

"""


def window_facts(study: StudyResults) -> WindowFacts:
    """What windows of a study can be chosen by."""
    data, time = study.data, read_array(study.folders["prepare"] / "time.npy")
    labels, own = data.labels, study.annotated
    return WindowFacts(
        labels=np.asarray(study.labels),
        anomalous=study.scores["anomalous"].to_numpy(dtype=bool),
        named=None if labels is None else np.array(data.card.label_names, dtype=object)[labels],
        seconds=study.seconds,
        stamps=np.asarray(time[data.starts]) if np.issubdtype(time.dtype, np.integer) else None,
        window_s=study.window_s,
        names={cluster: one.name for cluster, one in own.clusters.items() if one.name},
        segments=_windows_within(data, own.segments),
        events=_windows_within(data, own.events),
    )


def _windows_within(data: Prepared, intervals: Iterable[Interval]) -> dict[str, BoolArray]:
    """Name -> (window,) whether the centre of a window is in an interval of that name."""
    spans: dict[str, list[Span]] = {}
    for one in intervals:
        if one.name:
            spans.setdefault(one.name, []).extend(one.spans)
    centres = data.starts + data.length // 2
    return {name: in_spans(own, len(data.values))[centres] for name, own in spans.items()}


def run(artifacts: Path, these: str, those: str, out: Path) -> None:
    """Explain both groups and write tables, relevance and a figure into a folder."""
    from clusterwhy.encoders.storage import load_encoder
    from clusterwhy.encoders.without_network import check_network
    from clusterwhy.explanations.contrasts import THESE, THOSE, contrast
    from clusterwhy.explanations.embedded_series import EmbeddedSeries
    from clusterwhy.explanations.settings import ExplanationSettings
    from clusterwhy.explanations.units import Units
    from clusterwhy.report.contrasts import contrast_figure, contrast_sentences

    if out.exists():
        raise ArtifactError(f"{out} exists: give `--out` a folder that does not, or leave it out")
    tracking = wandb_settings()
    study, sizes = StudyResults.of(artifacts, Sources.beside(artifacts)), dict[str, Any]()
    for stage in ("prepare", "train", "embed", "cluster", "score", "explain"):
        check_folder(stage, artifacts / stage, sizes)
    encoder = load_encoder(artifacts / "train")
    check_network(encoder)
    facts = window_facts(study)
    first, second = window_groups(facts, these, those)
    for sentence in study.annotated.told:
        log.warning("%s", sentence)
    given, (these, those) = (these, those), (with_names(facts, these), with_names(facts, those))
    log.info("%s of `%s` against %d of `%s`", counted(len(first), "window"), these, len(second), those)
    data, config = study.data, study.provenance("explain")["config"]
    workers = build_settings({"workers": _default_workers()})["workers"]
    settings = ExplanationSettings.of(build_settings({name: config[name] for name in ExplanationSettings.names()}))
    series = EmbeddedSeries.of(data, encoder, study.embeddings)
    replicates = series.replicates(artifacts / "train", artifacts / "embed")
    found = contrast(series, first, second, settings, replicates, workers)
    card, explained = data.card, found.explained
    properties = Units(card.channels, card.units, card.centre, card.scale, card.rate_hz).told(explained.properties)
    final, out = out, out.with_name(f"{out.name}{UNFINISHED}")
    out.mkdir(parents=True, exist_ok=True)
    called = {THESE: these, THOSE: those}
    tables = {"importance": explained.importance, "quality": explained.quality, "properties": properties}
    for name, table in tables.items():
        write_table(out / f"{name}.csv", table.assign(group=table["cluster"].map(called)))
    write_table(out / "explained.parquet", explained.windows)
    write_array(out / "relevance.npy", explained.relevance)
    accuracy = found.accuracy if found.accuracy == found.accuracy else None
    asked = {"given_these": given[0], "given_those": given[1]}
    groups = asked | {
        "these": these,
        "those": those,
        "n_these": len(first),
        "n_those": len(second),
        "accuracy": accuracy,
    }
    write_json(out / "contrast.json", groups)
    sentences = contrast_sentences(found, properties, these, those, study.window_s)
    sys.stdout.writelines(f"{sentence}\n" for sentence in sentences)
    contrast_figure(found, study, (these, those), (first, second), out / "contrast")
    replace_folder(out, final)
    log.info("tables and contrast.png in %s", final)
    _track(tracking, final, groups | config, sentences)


def _track(settings: WandbSettings, out: Path, config: dict[str, Any], sentences: list[str]) -> None:
    """Record the contrast as a W&B run, whose notes are its sentences."""
    choices: Any = OmegaConf.to_container(OmegaConf.load(ROOT / "params.yaml"))
    study = study_name("contrast", choices)
    name = f"{config['these']} against {config['those']}"[:120]
    labels = RunLabels("contrast", name, run_group(), (study, "contrast", BY_HAND), "\n\n".join(sentences))
    with track(settings, main_root(), labels, config, {"git_revision": git_revision()}) as tracker:
        tracker.summarise({key: config[key] for key in ("n_these", "n_those", "accuracy")})
        for table in ("importance", "quality", "properties"):
            tracker.table(table, read_table(out / f"{table}.csv"))
        if (picture := out / "contrast.png").is_file():
            tracker.figure("contrast", picture)
        tracker.artifact(Collection.of("contrast", study, by_hand=True), out)


def _default_workers() -> Any:
    return OmegaConf.to_container(OmegaConf.load(ROOT / "conf" / "workers" / "default.yaml"), resolve=True)


def main() -> None:
    """Contrast two groups of windows."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES + HELP, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("these", help="the group that is explained")
    parser.add_argument("those", help="what it is compared with")
    parser.add_argument("--artifacts", type=Path, default=ROOT / "artifacts", help="of a finished `dvc repro`")
    parser.add_argument("--out", type=Path, help="default: outputs/contrast/<time>")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    out = options.out or ROOT / "outputs" / "contrast" / datetime.now().strftime("%Y-%m-%d_%H-%M-%S")
    with one_message():
        run(options.artifacts, options.these, options.those, out)


if __name__ == "__main__":
    main()

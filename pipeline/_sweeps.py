"""Sweeps of `explain`: what they change, and their summary in W&B."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from omegaconf import DictConfig, OmegaConf

from clusterwhy.artifacts.store import read_table
from clusterwhy.config import build_settings
from clusterwhy.tracking.names import Collection
from clusterwhy.tracking.run import RunLabels, WandbSettings, track
from pipeline._labels import SUMMARY, WITHOUT_EFFECT, study_name, sweep_group
from pipeline._parameters import groups, parse_overrides
from pipeline._paths import git_revision, main_root

AREA = "channel_deletion.relevance"
# name in W&B -> ranking whose channel deletion, in the first job, it is
FIRST = {
    "channel_deletion": "relevance",
    "channel_deletion_lrp": "lrp",
    "channel_deletion_z_score": "z_score",
    "channel_deletion_random": "random",
}
OWN_RULES = (
    "the attributor `{name}` has rules of its own: composites do not change what is ranked, only LRP beside it "
    "(columns `lrp`); `attributor=lrp` ranks the composites themselves"
)


def jobs_of(folder: Path) -> list[Path]:
    """The folders of finished jobs of a multirun, in their order."""
    return sorted((path.parent for path in folder.glob("*/metrics.json")), key=lambda path: int(path.name))


def composites_without_effect(config: DictConfig) -> str:
    """A sentence if a multirun is about to sweep composites for an attributor that does not use them; else ""."""
    swept = set(config.hydra.sweeper.get("params") or {})
    given = parse_overrides(list(config.hydra.overrides.task))
    swept |= {one.key_or_group for one in given if one.is_sweep_override()}
    roots = {str(key).split(".")[0] for key in swept}
    if "composite" not in roots or roots & {"attributor", "preset"} or "attributor" not in config:
        return ""
    return _own_rules(OmegaConf.to_container(config.attributor), str(config.hydra.runtime.choices.attributor))


def _own_rules(attributor: Any, name: str) -> str:
    built = build_settings({"attributor": attributor})["attributor"]
    return OWN_RULES.format(name=name) if built.has_own_rules else ""


def ranked_by(folder: Path, overall: pd.DataFrame) -> str:
    """What orders the jobs of a finished sweep, in a sentence.

    Args:
        overall: one row per job.
    """
    if AREA not in overall:
        return "No job has a channel deletion to be ranked by."
    unused = _composites_unused(folder)
    if len(overall) < 2 or overall[AREA].nunique(dropna=False) > 1:
        order = "Ranked by channel deletion (lower is more faithful)."
    elif unused:
        order = "Ranked by channel deletion of LRP (lower is more faithful)."
    else:
        order = "What was changed does not change the order of channels: channel deletion is the same in all jobs."
    return f"{order} {unused[:1].upper()}{unused[1:]}." if unused else order


def _composites_unused(folder: Path) -> str:
    """A sentence if jobs differ in their composite, and their attributor does not use it; else ""."""
    composites: dict[str, set[str]] = {}
    settings = {}
    for choices, config in map(_described, jobs_of(folder)):
        name = str(choices.get("attributor"))
        composites.setdefault(name, set()).add(str(config.get("composite")))
        settings[name] = config.get("attributor")
    said = [_own_rules(settings[name], name) for name, own in composites.items() if len(own) > 1]
    return next(filter(None, said), "")


def _described(job: Path) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """Choices and configuration of a job."""
    hydra: Any = OmegaConf.to_container(OmegaConf.load(job / ".hydra" / "hydra.yaml"))
    config: Any = OmegaConf.to_container(OmegaConf.load(job / ".hydra" / "config.yaml"))
    return hydra["hydra"]["runtime"]["choices"], config


def _config(described: Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]]) -> dict[str, Any]:
    """What the jobs share, with the names of choices, and the options of each group that differs (`swept`)."""
    known = (groups() - WITHOUT_EFFECT) | {"preset"}
    choices = [{key: one[key] for key in one if key in known and one[key]} for one, _ in described]
    without = {*WITHOUT_EFFECT, "place"}
    settings = [{key: one[key] for key in one if key not in without} for _, one in described]
    shared = _shared(choices)
    swept = {key: sorted({str(one.get(key)) for one in choices}) for key in sorted(set().union(*choices) - set(shared))}
    return {"choices": shared, "swept": swept} | _shared(settings)


def _shared(found: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What is the same in all jobs."""
    first, *others = found
    return {key: value for key, value in first.items() if all(one.get(key) == value for one in others)}


def track_sweep(tracking: WandbSettings, folder: Path, table: pd.DataFrame, said: str) -> None:
    """Record the summary of a sweep: the ranking as a table with pictures, as a chart, and what the jobs share.

    Args:
        table: of `pipeline.rank`, one row per job and cluster and one, `all`, per job.
        said: what orders the jobs.
    """
    described = [_described(job) for job in jobs_of(folder)]
    study, group, config = study_name("explain", described[0][0]), sweep_group(folder), _config(described)
    overall = table[table["cluster"] == "all"].dropna(axis=1, how="all").drop(columns="cluster")
    chosen = config["choices"]
    tags = (study, "sweep", *(str(chosen[key]) for key in ("attributor", "composite", "target") if key in chosen))
    labels = RunLabels(SUMMARY, f"{study}-{group}", group, tags, f"{len(overall)} jobs. {said}")
    first = overall.iloc[0]
    best = {name: first.get(f"channel_deletion.{of}") for name, of in FIRST.items()}
    with track(tracking, main_root(), labels, config, {"git_revision": git_revision()}) as tracker:
        tracker.table("ranking", overall, {"leading_channels": _pictures(folder, overall)})
        tracker.table("ranking_by_cluster", table[table["cluster"] != "all"].dropna(axis=1, how="all"))
        tracker.figure("ranking_figure", folder / "ranking.png")
        if AREA in overall:
            tracker.bars("ranking_chart", overall, "job", AREA, "channel deletion (lower is more faithful)")
        tracker.summarise({"n_jobs": len(overall), "first_job": first["job"]} | best)
        tracker.artifact(Collection.of("rank", study), folder / "ranking.csv")


def _pictures(folder: Path, overall: pd.DataFrame) -> list[Path | None]:
    """A picture of the leading channels of each job, in the order of the ranking, written into the job's folder."""
    from clusterwhy.report.rules import leading_picture

    places = [folder / str(number) for number in overall["number"]]
    tables = [read_table(place / "importance.csv") for place in places]
    limit = max((float(table["signed"].abs().max()) for table in tables if table["signed"].notna().any()), default=1.0)
    titles = zip(tables, overall["job"], places, strict=True)
    return [leading_picture(table, job, limit or 1.0, place / "leading_channels") for table, job, place in titles]

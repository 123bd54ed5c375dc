"""What a reviewer finds in W&B after a repro, sweep, contrast or application, read back from the offline records."""

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from PIL import Image, ImageChops

from pipeline._headlines import HEADLINES
from tests.conftest import ROOT, Checkout

VALID = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
OF_WANDB = {"_wandb", "_runtime", "_step", "_timestamp"}
# what the study has nothing for: labels, marked anomalies, a classifier
NOT_IN_A_CSV = {"ami", "ami_untrained", "ami_spectral", "ami_raw", "auroc", "auroc_pca", "average_precision"}
NOT_IN_A_CSV |= {"balanced_accuracy", "temperature"}


@dataclass(frozen=True)
class Recorded:
    """A run as wandb's own reader has it."""

    folder: Path
    records: list[dict[str, Any]]

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [record[kind] for record in self.records if record["type"] == kind]

    @cached_property
    def run(self) -> dict[str, Any]:
        """With the notes and configuration that it ended with."""
        found: dict[str, Any] = {}
        for run in self.of("run"):
            found |= run
        return found

    @cached_property
    def summary(self) -> dict[str, Any]:
        """Name -> value, or of a figure, page or table what is known of its file."""
        found: dict[str, Any] = {}
        for one in self.of("summary"):
            for path, value in one["update"].items():
                name, _, key = path.partition(".")
                if key:
                    found.setdefault(name, {})[key] = value
                else:
                    found[name] = value
        return found

    def media(self, key: str) -> Path:
        """The file behind a figure, page or table."""
        return self.folder / "files" / str(self.summary[key]["path"])

    def files(self, key: str) -> dict[str, Path]:
        """Name -> file of the artifact of a table, which W&B shows; the study may have been copied."""
        (made,) = [one for one in self.of("artifact") if one["name"] == f"run-{self.run['run_id']}-{key}"]
        root = self.folder.parent
        entries = made["manifest"]["contents"]
        return {one["path"]: root / str(one["local_path"]).rpartition("/wandb/")[2] for one in entries}

    def table(self, key: str) -> pd.DataFrame:
        content = json.loads(self.files(key)[f"{key}.table.json"].read_text(), parse_constant=pytest.fail)
        return pd.DataFrame(content["data"], columns=content["columns"])


def recorded(checkout: Checkout, folder: Path) -> Recorded:
    lines = checkout.run("wandb", "leet", "inspect", "--json", str(folder)).stdout.splitlines()
    return Recorded(folder, [json.loads(line) for line in lines])


def runs_of(checkout: Checkout, since: set[Path] | None = None) -> list[Recorded]:
    folders = set((checkout.root / "wandb").glob("offline-run-*")) - (since or set())
    return [recorded(checkout, folder) for folder in sorted(folders)]


@pytest.fixture(scope="module")
def runs(fresh_study: Checkout) -> dict[str, Recorded]:
    """Job type -> run of the first `dvc repro`."""
    return {one.run["job_type"]: one for one in runs_of(fresh_study)}


@pytest.fixture(scope="module")
def summary(runs: dict[str, Recorded]) -> Recorded:
    return runs["summary"]


def test_all_names_can_be_sorted_and_filtered_by(runs: dict[str, Recorded]) -> None:
    for run in runs.values():
        rows = [key for row in run.of("history") for key in row["item"]]
        keys = {*run.summary, *(key.partition(".")[0] for key in rows)}
        assert {key for key in keys - OF_WANDB if not VALID.fullmatch(key)} == set(), run.run["job_type"]


def test_all_runs_have_the_study_for_a_tag_and_notes(runs: dict[str, Recorded]) -> None:
    assert {run.run["tags"][0] for run in runs.values()} == {"pump"}
    assert all(run.run["notes"] for run in runs.values())
    assert runs["cluster"].run["notes"] == "Cluster the windows."
    assert "difference" in runs["explain"].run["tags"] and "epsilon_plus" in runs["explain"].run["tags"]


def test_the_summary_has_the_whole_configuration_with_the_names_of_choices(summary: Recorded) -> None:
    assert re.fullmatch(r"pump-\w+-\w{6}", summary.run["display_name"])
    config = summary.run["config"]["update"]
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    groups = {path.name for path in (ROOT / "conf").iterdir() if path.is_dir()}
    chosen = config["choices"]
    assert set(chosen) == set(params) & groups
    assert (chosen["dataset"], chosen["encoder"], chosen["composite"]) == (
        "pump",
        "inception_time_small",
        "epsilon_plus",
    )
    assert set(params) <= set(config)
    assert set(config) - set(params) == {"_wandb", "choices", "dvc_exp_name", "git_revision"}
    assert config["window"]["length"] == 64 and config["composite"]["_target_"] and config["encoders"] == 2
    assert not {"wandb", "workers", "place"} & set(config)


def test_the_summary_has_the_headline_figures_of_all_stages(summary: Recorded, fresh_study: Checkout) -> None:
    reports = {path.stem: json.loads(path.read_text()) for path in (fresh_study.root / "reports").glob("*.json")}
    # clusters in too few places of the series have no judge; how many there are differs between processors
    judged = reports["evaluate"]["judged"]["accuracy"]
    assert summary.summary.get("judged_accuracy") == judged
    unjudged = {"judged_accuracy"} if judged is None else set()
    assert set(HEADLINES) - set(summary.summary) == NOT_IN_A_CSV | unjudged
    assert summary.summary["n_clusters"] == reports["cluster"]["n_clusters"]
    assert summary.summary["channel_deletion"] == reports["explain"]["channel_deletion"]["relevance"]
    assert summary.summary["stability"] == reports["evaluate"]["stability"]["jaccard"]


def test_the_summary_has_the_page_and_what_it_says_first(summary: Recorded, fresh_study: Checkout) -> None:
    page = fresh_study.root / "artifacts" / "report" / "report.html"
    assert summary.summary["report"]["_type"] == "html-file"
    assert summary.media("report").read_bytes() == page.read_bytes()
    assert "windows of 64 samples form" in summary.run["notes"] and "Is relevance conserved?" in summary.run["notes"]


def test_clusters_and_anomalies_are_tables_with_pictures_in_their_rows(
    summary: Recorded, fresh_study: Checkout
) -> None:
    report = fresh_study.root / "artifacts" / "report"
    for key, stem in (("clusters", "cluster_{cluster}"), ("anomalies", "anomaly_{window}")):
        table, files = summary.table(key), summary.files(key)
        assert table.columns[0] == "picture" and len(table) > 1
        for row in table.to_dict("records"):
            picture = report / f"{stem.format(**row)}.png"
            shown, whole = Image.open(files[row["picture"]["path"]]), Image.open(picture)
            assert shown.size == (-(-whole.width // 2), -(-whole.height // 2))
            assert ImageChops.difference(shown, whole.convert("RGB").reduce(2)).getbbox() is None
    clusters, anomalies = summary.table("clusters"), summary.table("anomalies")
    assert clusters["leading"].str.contains("pressure|flow|current").all() and clusters["when"].str.len().min() > 0
    assert anomalies["rank"].tolist()[0] == 1 and anomalies["score"].is_monotonic_decreasing


def test_figures_have_names_that_are_the_same_in_every_study(summary: Recorded, fresh_study: Checkout) -> None:
    pictures = {
        key for key, value in summary.summary.items() if isinstance(value, dict) and value.get("format") == "png"
    }
    anomalies = summary.table("anomalies")
    assert pictures == {"overview", *(f"cluster_{cluster}" for cluster in summary.table("clusters")["cluster"])} | {
        f"anomaly_rank_{rank}" for rank in anomalies["rank"]
    }
    highest = fresh_study.root / "artifacts" / "report" / f"anomaly_{anomalies['window'][0]}.png"
    assert summary.summary["anomaly_rank_1"]["sha256"] == hashlib.sha256(highest.read_bytes()).hexdigest()


def test_artifacts_have_types_of_their_content_and_names_of_the_study(runs: dict[str, Recorded]) -> None:
    made = {a["name"]: a["type"] for run in runs.values() for a in run.of("artifact") if not a.get("use_after_commit")}
    assert {name: kind for name, kind in made.items() if kind != "run_table"} == {
        "pump-dataset": "dataset",
        "pump-encoder": "model",
        "pump-embeddings": "embeddings",
        "pump-projection": "projection",
        "pump-clusters": "clusters",
        "pump-scores": "scores",
        "pump-explanations": "explanations",
        "pump-window-explanations": "explanations",
        "pump-evaluation": "evaluation",
    }


def test_training_is_drawn_over_its_steps(runs: dict[str, Recorded]) -> None:
    drawn_over = {one["name"]: one["step_metric"] for one in runs["train"].of("metric")}
    assert drawn_over["validation_loss"] == drawn_over["replicate_1_validation_loss"] == "step"
    last = [row["item"] for row in runs["train"].of("history") if "validation_loss" in row["item"]][-1]
    assert last["step"] > 1


def test_a_repro_stays_below_twenty_megabytes(fresh_study: Checkout) -> None:
    files = [path for path in (fresh_study.root / "wandb").rglob("*") if path.is_file() and not path.is_symlink()]
    assert sum(path.stat().st_size for path in files) < 20e6
    kept = [path for path in files if path.parent.name == "files" and path.parents[1].name == "artifacts"]
    assert len({hashlib.md5(path.read_bytes()).hexdigest() for path in kept}) == len(kept) > 30


@pytest.fixture
def records_of(study: Checkout) -> Callable[..., list[Recorded]]:
    """Runs that a command of this worker's study records, in their order."""

    def run(*command: str) -> list[Recorded]:
        before = set((study.root / "wandb").glob("offline-run-*"))
        study.run("python", "-m", *command)
        return runs_of(study, before)

    return run


def test_a_sweep_is_one_group_with_a_summary_that_shows_the_leading_channels_of_each_rule(
    study: Checkout, records_of: Callable[..., list[Recorded]]
) -> None:
    rules = ["epsilon", "epsilon_plus_flat"]
    out = study.root / "outputs" / "sweep"
    *jobs, summary = records_of(
        "pipeline.explain", "sweep=lrp_rules", f"composite={','.join(rules)}", f"hydra.sweep.dir={out}"
    )
    assert [job.run["display_name"] for job in jobs] == [f"composite={rule}" for rule in rules]
    assert {run.run["run_group"] for run in (*jobs, summary)} == {"sweep-sweep"}
    assert all({"pump", "sweep", "lrp"} <= set(run.run["tags"]) for run in (*jobs, summary))
    assert (summary.run["job_type"], summary.run["display_name"]) == ("summary", "pump-sweep-sweep")
    assert summary.run["notes"] == "2 jobs. Ranked by channel deletion (lower is more faithful)."
    config = summary.run["config"]["update"]
    assert config["swept"] == {"composite": rules} and "composite" not in config
    assert config["choices"]["attributor"] == "lrp" and config["attributor"]["_target_"].endswith(".Lrp")
    ranking, files = summary.table("ranking"), summary.files("ranking")
    assert ranking["rank"].tolist() == sorted(ranking["rank"]) and set(ranking["job"]) == {
        f"composite={r}" for r in rules
    }
    for row in ranking.to_dict("records"):
        shown = Image.open(files[row["leading_channels"]["path"]])
        whole = Image.open(out / str(row["number"]) / "leading_channels.png")
        assert ImageChops.difference(shown, whole.convert("RGB").reduce(2)).getbbox() is None
        leading = pd.read_csv(out / str(row["number"]) / "leading_channels.csv")
        importance = pd.read_csv(out / str(row["number"]) / "importance.csv").set_index(["cluster", "channel"])
        first = leading[leading["place"] == 1].set_index("cluster")
        assert (first["signed"] == importance["signed"].groupby("cluster").max()).all()
        by_cluster = summary.table("ranking_by_cluster").query("job == @row['job']").set_index("cluster")["leading"]
        assert all(by_cluster[str(cluster)].startswith(channel) for cluster, channel in first["channel"].items())
    assert summary.summary["channel_deletion"] == ranking["channel_deletion_relevance"].min()
    (chart,) = [one for one in summary.of("config") if "_wandb.visualize.ranking_chart" in one["update"]]
    fields = chart["update"]["_wandb.visualize.ranking_chart"]["panel_config"]["fieldSettings"]
    assert set(fields.values()) <= set(summary.table("ranking").columns)


def test_a_contrast_is_a_run_with_its_sentences(records_of: Callable[..., list[Recorded]], tmp_path: Path) -> None:
    (run,) = records_of("pipeline.contrast", "cluster:0", "cluster:1", "--out", str(tmp_path / "out"))
    assert run.run["job_type"] == "contrast" and run.run["display_name"] == "cluster:0 against cluster:1"
    assert {"pump", "by_hand"} <= set(run.run["tags"]) and "`cluster:0`, unlike `cluster:1`:" in run.run["notes"]
    assert run.summary["contrast"]["format"] == "png" and run.summary["n_these"] > 0
    written = pd.read_csv(tmp_path / "out" / "importance.csv")
    assert run.table("importance")["channel"].tolist() == written["channel"].tolist()
    assert [artifact["name"] for artifact in run.of("artifact")][-1] == "pump-contrast-adhoc"


def test_a_comparison_is_a_run_with_its_page(records_of: Callable[..., list[Recorded]], tmp_path: Path) -> None:
    out = tmp_path / "out"
    (run,) = records_of("pipeline.compare", "artifacts", "artifacts", "--out", str(out))
    assert run.run["job_type"] == "compare" and run.run["display_name"] == "artifacts beside artifacts"
    assert {"pump", "by_hand"} <= set(run.run["tags"]) and "cluster" in run.run["notes"]
    agreement = json.loads((out / "comparison.json").read_text())
    assert run.summary["ari"] == agreement["ari"] == 1.0
    assert run.media("comparison").read_bytes() == (out / "comparison.html").read_bytes()
    written = pd.read_csv(out / "channels.csv")
    assert run.table("channels")["channel"].tolist() == written["channel"].tolist()
    assert [artifact["name"] for artifact in run.of("artifact")][-1] == "pump-comparison-adhoc"


def test_an_application_is_a_run_with_its_page_and_the_studys_artifacts_as_inputs(
    study: Checkout, records_of: Callable[..., list[Recorded]]
) -> None:
    out = study.root / "outputs" / "applied"
    (run,) = records_of("pipeline.apply", "dataset.path=data/pump.csv", f"hydra.run.dir={out}")
    assert run.run["tags"] == ["pump", "by_hand"] and run.run["config"]["update"]["choices"]["dataset"] == "pump"
    assert run.media("report").read_bytes() == (out / "report" / "report.html").read_bytes()
    first = run.table("anomalies")["window"][0]
    highest = out / "report" / f"anomaly_{first}.png"
    assert run.summary["anomaly_rank_1"]["sha256"] == hashlib.sha256(highest.read_bytes()).hexdigest()
    assert run.summary["overview"]["format"] == "png" and "read, placed and scored" in run.run["notes"]
    artifacts = {
        one["name"]: one.get("use_after_commit", False) for one in run.of("artifact") if one["type"] != "run_table"
    }
    assert artifacts.pop("pump-application-adhoc") is False
    assert {"pump-encoder", "pump-clusters", "pump-explanations"} < set(artifacts) and all(artifacts.values())

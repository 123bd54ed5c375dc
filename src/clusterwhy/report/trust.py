"""Whether to believe the page: questions, what was measured, and what that says."""

from collections.abc import Iterator

import pandas as pd

from clusterwhy.report.study_results import StudyResults

Answer = tuple[str, str, str]


def trust_table(study: StudyResults) -> list[dict[str, str]]:
    """A row for each question that the artifacts can answer."""
    rows = [
        *_sums(study),
        *_detection(study),
        *_channels(study),
        *_stability(study),
        *_likeness(study),
        *_labels(study),
    ]
    return [dict(zip(("question", "measured", "says"), row, strict=True)) for row in rows]


def _sums(study: StudyResults) -> Iterator[Answer]:
    if len(study.explained):
        gap, bias = study.explained["gap"].abs().median(), study.explained["bias_share"].median()
        yield (
            "Does relevance add up?",
            f"median |1 − sum / target| {gap:.2g}; biases keep {bias:.1%}",
            "All evidence is accounted for." if gap < 0.05 else "Some evidence is lost on its way.",
        )


def _detection(study: StudyResults) -> Iterator[Answer]:
    rows = study.results[study.results["question"] == "detection"].set_index("method")
    if "ours" in rows.index and rows["auroc"].notna().all():
        area = rows["auroc"]
        best = str(area.drop("ours").idxmax())
        yield (
            "Do scores find what experts marked?",
            f"{_listed(area)} (area under ROC of samples; 1 is best)",
            "Better than the plain scores."
            if area["ours"] > area[best]
            else f"No better than {best}: a plain score would do.",
        )


def _channels(study: StudyResults) -> Iterator[Answer]:
    for question, name in (("explanation", "clusters"), ("anomaly explanation", "anomalies")):
        rows = study.results[study.results["question"] == question].set_index("method")
        if "replacement_area" not in rows or rows["replacement_area"].isna().all():
            continue
        area = rows["replacement_area"]
        says = "Better than chance, no better than the z-score: look at both."
        if area["relevance"] >= area["random"]:
            says = "No better than chance: do not rely on this ranking."
        elif area["relevance"] < area["z_score"]:
            says = "Better than chance and than the z-score."
        measured = f"{_listed(area)} (area as channels are replaced; lower is better)"
        yield f"Do the leading channels matter for {name}?", measured, says


def _stability(study: StudyResults) -> Iterator[Answer]:
    if len(study.stability):
        again = study.stability.groupby("cluster")["jaccard"].mean()
        unsure = ", ".join(str(cluster) for cluster in again.index[again < 0.75])
        yield (
            "Are the clusters there again in other samples of the windows?",
            f"mean overlap {again.mean():.2f}, of the least stable one {again.min():.2f} (Jaccard)",
            f"Not surely cluster {unsure}." if unsure else "All of them.",
        )


def _likeness(study: StudyResults) -> Iterator[Answer]:
    similar = study.evidence[study.evidence["measure"] == "similarity"].groupby("ranking")["value"].mean()
    seeds = similar[similar.index.str.startswith("encoder_seed_")]
    if len(seeds):
        similar["other seeds"] = seeds.mean()
    for ranking, question, says in (
        ("randomised_100", "Does relevance depend on what the network learned?", "low: it does; near 1: it does not"),
        ("noisy", "Does a little noise change the picture?", "near 1: it does not"),
        ("other seeds", "Would another training say the same?", "near 1: it would"),
    ):
        if ranking in similar:
            yield question, f"rank correlation {similar[ranking]:.2f}", says


def _labels(study: StudyResults) -> Iterator[Answer]:
    for method in ("ours", "untrained encoder", "spectral features"):
        rows = study.results[(study.results["question"] == "clusters") & (study.results["method"] == method)]
        if len(rows):
            yield f"Do clusters match the labels? ({method})", f"AMI {rows['ami'].iloc[0]:.2f}", "1: exactly"


def _listed(values: "pd.Series[float]") -> str:
    return ", ".join(f"{name} {value:.2f}" for name, value in values.items())

"""How far the results can be trusted: questions, what was measured, and what it means."""

from collections import Counter
from collections.abc import Iterator

import numpy as np
import pandas as pd

from clusterwhy.artifacts.counts import counted
from clusterwhy.explanations.leading import COLUMNS
from clusterwhy.explanations.replicates import leading_channels
from clusterwhy.metrics.shares import TOLERATED_LOSS
from clusterwhy.metrics.verdicts import BETTER, EQUAL, WORSE, compared
from clusterwhy.report.study_results import StudyResults
from clusterwhy.report.summaries import undefined

Answer = tuple[str, str, str]
RANDOM, UNJUDGED = "random", "unjudged"
KINDS = (WORSE, RANDOM, EQUAL, BETTER)  # the least favourable first
NO_ANSWER = "These data do not answer it."


def trust_table(study: StudyResults) -> list[dict[str, str]]:
    """One row per question that the artifacts can answer: `question`, `measured`, `meaning`."""
    rows = [
        *_sums(study),
        *_losses(study),
        *_detection(study),
        *_channels(study),
        *_judged(study),
        *_leading(study),
        *_stability(study),
        *_hidden(study),
        *_similarity(study),
        *_labels(study),
    ]
    return [dict(zip(("question", "measured", "meaning"), row, strict=True)) for row in rows]


def earned(judged: pd.DataFrame) -> tuple[str, str]:
    """What judges say of one cluster's order of channels, the least favourable judge first: a kind and words.

    It is better only if every judge says so, and finds it ahead of random orders, too.

    Args:
        judged: rows of one cluster, of judges that took no part in the explanation.
    """
    found = [_by_judge(own) for _, own in judged.groupby("judge", sort=False)]
    found = [one for one in found if one]
    if not found:
        return UNJUDGED, "order of channels not judged"
    worst = min(found, key=KINDS.index)
    of = f"{found.count(worst)} of {len(found)} judge{'s' if len(found) > 1 else ''}"
    return worst, f"{'no better than random' if worst == RANDOM else compared(worst, 'z-score')}: {of}"


def ends_alarm(anomaly: pd.Series, threshold: float) -> dict[str, str] | None:
    """Whether an alarm ends when its leading channels are as in a normal window: a kind, words, and all figures.

    It is better if it ends, worse if it goes on and as many channels of the highest z-scores end it, and random if the
    score does not fall, or as many random channels lower it as far.

    Args:
        anomaly: a row of `anomalies.parquet`.

    Returns:
        None where it is not an alarm, or the score was not explained.
    """
    scores = [float(anomaly.get(name, np.nan)) for name in COLUMNS]
    if not (np.isfinite(scores).all() and anomaly["score"] > threshold):
        return None
    leading, z_score, chance = scores
    figures = (
        f"score {anomaly['score']:.3g}, threshold {threshold:.3g}; with the leading channels as in the normal window "
        f"that fits best {leading:.3g}, with as many of the highest z-scores {z_score:.3g}, with as many others at "
        f"random {chance:.3g}"
    )
    if leading <= threshold:
        kind, words = BETTER, f"no alarm without them: {leading:.3g}"
    elif leading >= anomaly["score"]:
        kind, words = RANDOM, f"no lower without them: {leading:.3g}"
    elif leading >= chance:
        kind, words = RANDOM, f"no lower than without random channels: {leading:.3g}"
    else:
        kind, words = WORSE if z_score <= threshold else EQUAL, f"still an alarm without them: {leading:.3g}"
    return {"kind": kind, "words": words, "figures": figures}


def _by_judge(own: pd.DataFrame) -> str:
    """The verdict of one judge, "" where it is undefined."""
    rows = own.set_index("ranking")
    area = rows["area"].astype(float)
    if not np.isfinite(area.get("relevance", np.nan)):
        return ""
    said = str(rows.loc["relevance", "verdict"])
    return said if said == WORSE or area["relevance"] < area.get("random", np.inf) else RANDOM


def _sums(study: StudyResults) -> Iterator[Answer]:
    if len(study.explained):
        gap, bias = study.explained["gap"].abs().median(), study.explained["bias_share"].median()
        absorbed = f"biases absorb {bias:.1%}" if bias == bias else "what biases absorb is not known"
        whole = "Relevance accounts for the whole target."
        part = "Part of the target is not attributed to the input."
        if gap == gap:
            measured, meaning = f"median |1 − sum / target| {gap:.2g}; {absorbed}", whole if gap < 0.05 else part
        else:
            measured, meaning = f"undefined: {undefined(study.explained)}", NO_ANSWER
        yield "Is relevance conserved?", measured, meaning


def _losses(study: StudyResults) -> Iterator[Answer]:
    for name, column in (("the figures", "lost_share"), ("LRP of the composite", "lrp_lost_share")):
        shares = study.explained.get(column, pd.Series(dtype=float)).abs()
        above = int((shares > TOLERATED_LOSS).sum())
        if above:
            mine = [sentence for sentence in study.losses if ("LRP of the" in sentence) == (column == "lrp_lost_share")]
            yield (
                f"Is relevance lost on the way to the input? ({name})",
                f"{shares.median():.0%} of the target (median; at most {shares.max():.0%}), more than "
                f"{TOLERATED_LOSS:.0%} in {above} of {counted(len(shares), 'window')}",
                "; ".join(["Part of the target reaches no channel", *mine]),
            )


def _detection(study: StudyResults) -> Iterator[Answer]:
    rows = study.results[study.results["question"] == "detection"].set_index("method")
    if "ours" not in rows.index:
        return
    question = "Do the scores detect the labelled anomalies?"
    if "auroc" not in rows or rows["auroc"].isna().any():
        yield question, f"undefined: {undefined(rows)}", NO_ANSWER
    else:
        area = rows["auroc"]
        best = str(area.drop("ours").idxmax())
        yield (
            question,
            f"{_listed(area)} (area under the ROC curve, by sample; 1 is best)",
            "Better than the baseline scores."
            if area["ours"] > area[best]
            else f"Not better than {best}: that baseline would suffice.",
        )


def _channels(study: StudyResults) -> Iterator[Answer]:
    for question, name in (("explanation", "clusters"), ("anomaly explanation", "anomalies")):
        rows = study.results[study.results["question"] == question].set_index("method")
        asked = f"Do the leading channels matter for {name}?"
        if not len(rows) or "channel_deletion" not in rows:
            continue
        area = rows["channel_deletion"]
        if area.isna().any():
            yield asked, f"undefined: {undefined(rows)}", NO_ANSWER
            continue
        meaning = "Better than random, not better than the z-score: consult both."
        if area["relevance"] >= area["random"]:
            meaning = "Not better than random: do not rely on this ranking."
        elif area["relevance"] < area["z_score"]:
            meaning = "Better than random and than the z-score."
        measured = f"{_listed(area)} (area under the curve while channels are replaced; lower is better)"
        yield asked, measured, meaning


def _judged(study: StudyResults) -> Iterator[Answer]:
    """What judges that took no part in the explanation say of the order of channels."""
    for judge, own in study.judged.groupby("judge", sort=False):
        areas = own.groupby("ranking", sort=False)["area"].mean().drop("|relevance|", errors="ignore")
        if areas.isna().any():
            yield f"Is the order of channels right? ({judge})", f"undefined: {undefined(own)}", NO_ANSWER
            continue
        relevance = own[own["ranking"] == "relevance"]
        parts = []
        for verdict in (BETTER, EQUAL, WORSE):
            clusters = relevance.loc[relevance["verdict"] == verdict, "cluster"].tolist()
            if clusters:
                named = "all" if len(clusters) == len(relevance) else study.cluster_names(clusters)
                parts.append(f"{compared(verdict, 'the z-score')} in {len(clusters)} of {len(relevance)} ({named})")
        yield (
            f"Is the order of channels right? ({judge})",
            f"{_listed(areas)} (area while channels are replaced by those of windows that fit; lower is better)",
            f"{'; '.join(parts)}.".capitalize(),
        )


def _leading(study: StudyResults) -> Iterator[Answer]:
    own = study.importance
    if not len(own):
        return
    question, encoders = "Would another training name the same leading channel?", int(own["encoders"].iloc[0])
    if encoders < 2:
        yield question, "one encoder was trained", "Not known: set `encoders` in params.yaml to 3 or more."
        return
    groups = {int(cluster): leading_channels(own[own["cluster"] == cluster]) for cluster in own["cluster"].unique()}
    doubtful = [
        f"{study.cluster_name(cluster)}: {', '.join(names[:4])}" for cluster, names in groups.items() if len(names) > 1
    ]
    yield (
        question,
        f"certain in {len(groups) - len(doubtful)} of {counted(len(groups), 'cluster')}, by {encoders} encoders",
        f"Not told apart: {'; '.join(doubtful)}." if doubtful else "Yes, with 95 % confidence.",
    )


def _stability(study: StudyResults) -> Iterator[Answer]:
    if len(study.stability):
        again = study.stability.groupby("cluster")["jaccard"].mean()
        uncertain = study.cluster_names(again.index[again < 0.75])
        yield (
            "Are the clusters stable when the windows are resampled?",
            f"mean Jaccard overlap {again.mean():.2f}, least stable cluster {again.min():.2f} "
            f"({study.stability['n_windows'].max()} of {len(study.labels)} windows each time)",
            f"Uncertain: {uncertain}." if uncertain else "All are stable.",
        )


def _hidden(study: StudyResults) -> Iterator[Answer]:
    if not study.looked_inside:
        return
    inside = Counter(study.hidden_groups["cluster"].tolist())
    told = [f"{study.cluster_name(cluster)}: {counted(count, 'group')}" for cluster, count in inside.items()]
    yield (
        "Do clusters hide states that single channels show?",
        f"{counted(inside.total(), 'cluster')} of level, spread and change of channels inside clusters of the study",
        f"{'; '.join(told)}: look at their cards, or choose `encoder: statistics`."
        if told
        else "No: no such group lies inside a cluster.",
    )


def _similarity(study: StudyResults) -> Iterator[Answer]:
    similar = study.faithfulness[study.faithfulness["measure"] == "similarity"].groupby("ranking")["value"].mean()
    n_windows = study.faithfulness.groupby("cluster")["n_windows"].first().sum()
    seeds = similar[similar.index.str.startswith("encoder_seed_")]
    if len(seeds):
        similar["other seeds"] = seeds.mean()
    for ranking, question, meaning in (
        ("randomised_100", "Does relevance depend on the weights of the encoder?", "low: yes; near 1: no"),
        ("other_target", "Does relevance depend on the cluster that is asked about?", "low: yes; near 1: no"),
        ("noisy", "Is relevance robust to small noise?", "near 1: yes"),
        ("other seeds", "Is relevance reproducible with an encoder of another seed?", "near 1: yes"),
    ):
        if ranking in similar:
            known = similar[ranking] == similar[ranking]
            where = f"({n_windows} of {len(study.explained)} explained windows)"
            measured = f"rank correlation {similar[ranking]:.2f} {where}"
            yield question, measured if known else "undefined: relevance is constant", meaning if known else NO_ANSWER


def _labels(study: StudyResults) -> Iterator[Answer]:
    for method in ("ours", "untrained encoder", "spectral features"):
        rows = study.results[(study.results["question"] == "clusters") & (study.results["method"] == method)]
        if len(rows):
            ami, asked = rows["ami"].iloc[0], f"Do clusters match the labels? ({method})"
            known = ami == ami
            yield (
                asked,
                f"AMI {ami:.2f}" if known else f"undefined: {undefined(rows)}",
                "1: perfect agreement" if known else NO_ANSWER,
            )


def _listed(values: "pd.Series[float]") -> str:
    return ", ".join(f"{name} {value:.2f}" for name, value in values.items())

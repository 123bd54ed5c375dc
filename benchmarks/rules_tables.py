"""The tables, text and picture of `benchmarks.rules`, from its runs."""

import pandas as pd
from matplotlib.figure import Figure
from omegaconf import OmegaConf

from benchmarks.record import ROOT, Result, mean_interval, shown, with_interval
from benchmarks.record import runs as recorded

BASELINES = ("mean", "noise", "windows")
CURVES = [f"{measure}_{baseline}" for measure in ("deletion", "insertion", "flip_rate") for baseline in BASELINES]
# the sign makes higher better
MEASURES = {
    "deletion": 1,
    "insertion": 1,
    "flip_rate": 1,
    "randomised": -1,
    "noisy": 1,
    "encoder_seed": 1,
    "abs_gap": -1,
    "cost": -1,
}
UNIT = ["subject", "cluster"]
CASE = ["method", "composite", "canonizer", "target", "attributor"]
FIGURES = ["mean_rank", "faithfulness", *(name for name in MEASURES if name != "abs_gap")]
COLUMNS = [*UNIT, *CASE, *CURVES, "abs_gap", "bias_share", "randomised_25", "randomised_100", "noisy", "encoder_seed"]
COLUMNS += ["cost", "failed"]
WORDS = {"mean_rank": "mean rank", "faithfulness": "gain", "flip_rate": "flips", "encoder_seed": "seed"}
WORDS |= {"abs_gap": "gap", "bias_share": "bias"}
NOTEBOOK = ("notebook_gamma_box", "notebook_plus_flat")
HOOKED = ("epsilon_plus", "epsilon_gamma_box", *NOTEBOOK)  # by zennit's hooks without our canonizer, too
# targets as `benchmarks.planted` calls them
PLANTED = {
    "membership": "membership",
    "membership from zero": "membership_zero",
    "distance": "distance",
    "embedding sum": "embedding_sum",
}


def default() -> str:
    """The composite of params.yaml."""
    return str(OmegaConf.load(ROOT / "params.yaml")["composite"])


def gained(runs: pd.DataFrame) -> pd.DataFrame:
    """Runs with what they gain over random orders in the same cluster, mean over baselines; higher is better."""
    chance = runs[runs["method"] == "random"].set_index(UNIT)[CURVES]
    gains = runs[CURVES] - chance.loc[pd.MultiIndex.from_frame(runs[UNIT])].to_numpy()
    found = runs.assign(randomised=runs[["randomised_25", "randomised_100"]].mean(axis=1))
    for measure, sign in (("deletion", -1), ("insertion", 1), ("flip_rate", 1)):
        found[measure] = sign * gains[[f"{measure}_{baseline}" for baseline in BASELINES]].mean(axis=1)
    return found.assign(faithfulness=found[["deletion", "insertion"]].mean(axis=1))


def mean_rank(rows: pd.DataFrame) -> pd.Series:
    """(row,) mean over measures of the rank among the rows of the same cluster; 1 is best."""
    by_unit = rows.groupby(UNIT)
    ranks = {name: by_unit[name].rank(ascending=sign < 0) for name, sign in MEASURES.items()}
    return pd.DataFrame(ranks).mean(axis=1)


def against_best(rows: pd.DataFrame) -> pd.DataFrame:
    """One row per composite: what it loses to the most faithful one in the same clusters, whether they tie, cost.

    They tie where the interval holds 0. The `winner` is the cheapest of those that tie with the best.
    """
    wide = rows.pivot(index=UNIT, columns="composite", values="faithfulness")
    subjects = wide.index.to_frame()["subject"]
    best = max(wide, key=lambda name: mean_interval(wide[name], subjects)[0])
    found = []
    for name in wide:
        loss, low, high = mean_interval(wide[best] - wide[name], subjects)
        found.append({"composite": name, "loss": loss, "loss low": low, "loss high": high, "tied": low <= 0})
    table = pd.DataFrame(found).assign(best=lambda t: t["composite"] == best)
    table["cost"] = table["composite"].map(rows.groupby("composite")["cost"].mean())
    cheapest = table.loc[table[table["tied"]]["cost"].idxmin(), "composite"]
    return table.assign(winner=table["composite"] == cheapest).sort_values("loss")


def summary(rows: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """One row per value of `by`: means with intervals over clusters, medians of the gap and the share of biases."""
    table = with_interval(rows, by, [name for name in FIGURES if name in rows], "subject")
    return table.merge(rows.groupby(by, sort=False)[["abs_gap", "bias_share"]].median().reset_index(), on=by)


def paired(rows: pd.DataFrame, first: pd.Series, second: pd.Series) -> tuple[float, float, float]:
    """Difference of the faithfulness of two selections of rows in the same clusters, with its interval."""
    values = [rows[chosen].set_index(UNIT)["faithfulness"] for chosen in (first, second)]
    difference = (values[0] - values[1]).reset_index()
    return mean_interval(difference["faithfulness"], difference["subject"])


def planted() -> pd.DataFrame:
    """(composite, target) precision of the channels of planted faults by LRP, from `benchmarks.planted`."""
    every = recorded("planted")
    names = every["method"].str.extract(r"^LRP (?P<composite>\w+), (?P<target>[^,]+)$")
    names["target"] = names["target"].map(PLANTED)
    return names.assign(planted=every["precision"]).groupby(["composite", "target"])["planted"].mean().reset_index()


def tables(runs: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The ranking of composites, what they lose to the best, and tables of attributors, targets and all else."""
    words = [*CASE, "failed"]
    found = gained(runs.assign(**runs[words].astype(object).where(runs[words].notna(), "").to_dict("series")))
    lrp, own, auto = found["method"].eq("LRP"), found["target"].eq("membership"), found["canonizer"].eq("auto")
    plain, usual = found["attributor"].eq("lrp"), found["composite"].eq(default())
    rows = found[lrp & own & auto & plain]
    rows = rows.assign(mean_rank=mean_rank(rows))
    where = planted()
    difference = found["method"].eq("difference")
    targets = []
    for name, part in found[usual & auto | difference].groupby("attributor", sort=False):
        table = with_interval(part, ["target"], ["faithfulness"], "subject").set_index("target")
        targets.append(table.rename(columns=lambda column, name=name: column.replace("faithfulness", name)))
    first = paired(found, difference & own, lrp & own & auto & plain & usual)
    return {
        "composites": summary(rows, ["composite"])
        .merge(where[where["target"] == "membership"].drop(columns="target"), "left", "composite")
        .sort_values("mean_rank"),
        "against_best": against_best(rows),
        "attributors": summary(found[lrp & own & auto & ~plain], ["attributor", "composite"]),
        "targets": pd.concat(targets, axis=1)
        .reset_index()
        .merge(where[where["composite"] == default()].drop(columns="composite"), "left", "target"),
        "grid": found[lrp & auto & plain].pivot_table("faithfulness", "composite", "target").reset_index(),
        "canonizers": summary(
            found[lrp & own & plain & found["composite"].isin(HOOKED)].sort_values(["composite", "canonizer"]),
            ["composite", "canonizer"],
        ),
        "others": summary(found[(own & ~lrp) | found["target"].eq("")], ["method"]).sort_values(
            "faithfulness", ascending=False
        ),
        "difference": pd.DataFrame([dict(zip(("gain", "gain low", "gain high"), first, strict=True))]),
        "failed": found[found["failed"].ne("")].groupby(CASE)["cluster"].count().reset_index(name="clusters"),
    }


def _short(table: pd.DataFrame, columns: list[str], intervals: tuple[str, ...] = ("faithfulness",)) -> str:
    """The columns of a table with the intervals of some."""
    ends = [f"{name} {end}" for name in intervals for end in ("low", "high")]
    return shown(table[[name for name in table if name in {*columns, *ends}]], 2, WORDS)


def section(result: Result) -> str:
    """What explains clusters best, in Markdown."""
    composites, against = result.table("composites"), result.table("against_best").set_index("composite")
    others, difference = result.table("others").set_index("method"), result.table("difference").iloc[0]
    best, winner = against.index[against["best"]][0], against.index[against["winner"]][0]
    tied = [name for name in against.index[against["tied"]] if name != best]
    ours = against.loc[default()]
    lost = f"{ours['loss']:.3f} ({ours['loss low']:.3f}, {ours['loss high']:.3f})"
    first = composites["composite"].iloc[0]
    judgement = f"The default is `{default()}`{', the first of the ranking' if first == default() else ''}."
    if winner != default():
        gaps = composites.set_index("composite")["abs_gap"]
        judgement += (
            f" It gains {lost} less than `{best}`{', a tie' if ours['tied'] else ''}, costs "
            f"{ours['cost'] / against.loc[winner, 'cost']:.1f} times what `{winner}` costs, and misses "
            f"{gaps[default()]:.2f} of the target where `{winner}` misses {gaps[winner]:.2f}."
        )
    gain = f"{difference['gain']:.3f} ({difference['gain low']:.3f}, {difference['gain high']:.3f})"
    ahead = others.index[others["faithfulness"] > others.loc["difference", "faithfulness"]]
    failed = result.table("failed")
    broken = f"{len(failed)} cases failed in some cluster." if len(failed) else "No case failed."
    figures = ["mean_rank", "faithfulness", "flip_rate", "randomised", "noisy", "encoder_seed"]
    figures += ["abs_gap", "bias_share", "cost", "planted"]
    return f"""
Whatever is explained, one judge says how faithful it is: membership of the cluster while cells (a channel in an eighth
of the window) are replaced, most relevant first, and put back. *Gain* is the mean of the areas that deletion loses and
insertion gains beside random orders in the same cluster, over three baselines (channel means, noise, windows outside).
*Flips* are windows that leave the cluster with a third of the cells replaced, beside random. Rank correlation of
|relevance| with that of *randomised* networks (should be low), of *noisy* windows and of an encoder of another *seed*
(should be high). *Gap* and *bias*: medians of what is missing of the target, and what biases absorbed. *Cost*: of one
plain forward and backward pass. *Planted*: precision in [planted faults](#are-planted-faults-found). The mean rank,
over all but bias and planted, is the ranking. By the gain alone, the highest wins, and of those whose paired difference
to it has an interval that holds 0, the cheapest.

{_short(composites, ["composite", *figures], ("mean_rank", "faithfulness"))}

The best mean rank has `{first}`. The highest gain has `{best}`; not told from it:
{", ".join(f"`{name}`" for name in tied) or "none"}; by the gain alone, the choice were `{winner}`. {judgement}

Other attributors with the same target:

{_short(result.table("attributors"), ["attributor", "composite", *figures])}

Targets by `{default()}` (`difference` has rules of its own), gain; planted faults by LRP:

{shown(result.table("targets"))}

Gain of every composite for every target, by LRP:

{shown(result.table("grid"))}

Canonizers, `none` and `zennit_sequential` by zennit's hooks:

{_short(result.table("canonizers"), ["composite", "canonizer", *figures])}

Everything else, for the same target where it has one:

{_short(result.table("others"), ["method", *figures])}

The default attributor, `difference`, gains {gain} more than LRP by `{default()}` in the same clusters.
Ahead of it in this table: {", ".join(ahead) or "nothing"}. {broken}
"""


def figure(result: Result, figure: Figure) -> None:
    """Composites by what they gain over random orders, and what they cost."""
    table = result.table("composites").sort_values("faithfulness")
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=(3, 1))
    ends = [table["faithfulness"] - table["faithfulness low"], table["faithfulness high"] - table["faithfulness"]]
    left.errorbar(table["faithfulness"], table["composite"], xerr=ends, fmt="o", color="#0072B2", capsize=3)
    left.axvline(0.0, color="0.6", linewidth=0.8)
    left.set_xlabel("gain over random orders (area of the curves, 95 % interval)")
    right.plot(table["cost"], table["composite"], "s", color="#D55E00")
    right.set_xlim(left=0.0)
    right.set_xlabel("cost (plain passes)")
    for axes in (left, right):
        axes.grid(axis="y", color="0.9")
        axes.set_axisbelow(True)

"""What does a finished study say of new data, and what does that cost?

Four questions: does a study applied to its own recording repeat itself; do the clusters of the first half of each
exercise of a watch recording fit the second half, beside a study fitted on that half; are faults of a made-up plant
found, and blamed on the right channel, by a study of a normal day; does the time grow linearly? Half an hour on two
cores:

    python -m benchmarks.application
    python -m benchmarks.application --only plant own   # some parts: own, halves, plant, blame, growth
"""

import argparse
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from benchmarks import plant
from benchmarks.application_parts import (
    BEGINS,
    FAULTY_S,
    KEPT,
    LEFT_OUT,
    N_CHANNELS,
    NORMAL_S,
    REACH,
    REACHES,
    SUBJECTS,
    blame,
    growth,
    halves,
    own,
    plants,
)
from benchmarks.record import Result, record, shown

PARTS: dict[str, Callable[[], Iterator[dict[str, Any]]]] = {
    "own": own,
    "halves": halves,
    "plant": plants,
    "blame": blame,
    "growth": growth,
}
METHODS = {
    "ours": "score of the study",
    "unknown state": "unknown state",
    "PCA error": "PCA error",
    "mean |z|": "mean |z|",
}


def tables(found: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """The tables of the page, of the parts that were measured."""
    made = {name: found[name] for name in ("own", "growth") if name in found}
    if "halves" in found:
        rows = found["halves"]
        made |= {"halves": rows.drop(columns=[c for c in rows if " beyond " in c]), "reach": _by_reach(rows)}
    if "plant" in found:
        made |= {"plant": _by_method(found["plant"]), "faults": _by_fault(found["plant"], found.get("blame"))}
    return made


def _by_reach(rows: pd.DataFrame) -> pd.DataFrame:
    """Share of windows beyond each reach: of exercises that the study has seen, and of others."""
    columns = {"of known exercises": "known beyond", "of exercises never seen": "unknown beyond"}
    found = [
        {"reach": reach} | {says: float(rows[f"{column} {reach}"].mean()) for says, column in columns.items()}
        for reach in REACHES
    ]
    return pd.DataFrame(found)


def _by_method(rows: pd.DataFrame) -> pd.DataFrame:
    found = []
    for method, own_rows in rows[rows["method"].isin(METHODS)].groupby("method", sort=False):
        share, kind = own_rows["above threshold"], own_rows["kind"]
        found.append(
            {
                "method": METHODS[str(method)],
                "faulty windows found, process": share[kind == "process"].mean(),
                "faulty windows found, sensor": share[kind == "sensor"].mean(),
                "false alarms": share[kind == "normal"].mean(),
            }
        )
    return pd.DataFrame(found)


def _by_fault(rows: pd.DataFrame, blamed: pd.DataFrame | None) -> pd.DataFrame:
    """Share of windows found and rank of the first true channel, by fault."""
    faulty = rows[rows["fault"] != "none"]
    shares = faulty.pivot(index="fault", columns="method", values="above threshold")
    ranks = faulty.pivot(index="fault", columns="method", values="rank")
    order = faulty["fault"].drop_duplicates()
    columns = {
        "kind": faulty.drop_duplicates("fault").set_index("fault")["kind"],
        "found": shares["ours"],
        "found by PCA": shares["PCA error"],
        "found by |z|": shares["mean |z|"],
        "rank by parts of the score": ranks["ours"],
        "rank by PCA": ranks["PCA error"],
        "rank by |z|": ranks["mean |z|"],
    }
    if blamed is not None:
        columns["rank by relevance"] = blamed.set_index("fault")["rank by relevance"]
    return pd.DataFrame(columns).loc[order].reset_index(names="fault")


def section(result: Result) -> str:
    """Markdown."""
    parts = {"own": _own, "halves": _halves, "plant": _plant, "growth": _growth}
    return "\n".join(say(result) for name, say in parts.items() if name in result.tables)


def _own(result: Result) -> str:
    rows = result.table("own")
    return f"""
Applied to its own recording, a study gives {rows["same label"].iloc[0]:.1%} of its clustered windows their own label
and its scores to within {rows["largest difference of scores"].iloc[0]:.1g}; {rows["same label"].iloc[1]:.1%} of the
labels also if it is not told that it has seen the windows.

{shown(rows, 4)}
"""


def _halves(result: Result) -> str:
    return f"""
Watch recordings, fitted on the first half of each exercise and applied to the second: agreement (AMI) of clusters with
the exercises that were fitted. `placed` is what an application says; `nothing unknown` is the same without the limit of
known states; `refit` is a study fitted on the second half itself.

{shown(result.table("halves"), 3)}

Share of windows of second halves that lie beyond a reach, of exercises that were fitted and of two that were left out;
the default is {REACH}.

{shown(result.table("reach"), 3)}
"""


def _plant(result: Result) -> str:
    table, faults = result.table("plant").set_index("method"), result.table("faults")
    ours, pca = table.loc["score of the study"], table.loc["PCA error"]
    ranks = [f"{column.removeprefix('rank by ')} {faults[column].mean():.2f}" for column in faults if "rank" in column]
    return f"""
A made-up plant of {result.setup["channels of the plant"]} coupled channels, fitted on a normal run: shares of faulty
windows above the threshold, and of windows of an unseen normal run. All thresholds are fitted in the same way on the
normal run. The study finds {ours["faulty windows found, process"]:.0%} (process) and
{ours["faulty windows found, sensor"]:.0%} (sensors) with {ours["false alarms"]:.1%} false alarms, PCA error
{pca["faulty windows found, process"]:.0%} and {pca["faulty windows found, sensor"]:.0%} with {pca["false alarms"]:.1%}.

{shown(result.table("plant"), 3)}

By fault, with the mean rank of the first channel by which an operator would tell it, in the two highest scores (1 is
the best of {result.setup["channels of the plant"]}). Means: {", ".join(ranks)}.

{shown(faults, 2)}
"""


def _growth(result: Result) -> str:
    rows = result.table("growth")
    slowest, fastest = rows["windows per second"].min(), rows["windows per second"].max()
    return f"""
Time and memory for windows of {N_CHANNELS} channels: between {slowest:.0f} and {fastest:.0f} windows per second, on a
machine that did other work beside it.

{shown(rows, 2)}
"""


def figure(result: Result, figure: Figure) -> None:
    """Found and false alarms by method; seconds by number of windows."""
    left, right = figure.subplots(1, 2)
    if "plant" in result.tables:
        table = result.table("plant")
        at = np.arange(len(table))[::-1]
        for i, kind in enumerate(("faulty windows found, process", "faulty windows found, sensor", "false alarms")):
            left.barh(at + 0.25 - 0.25 * i, table[kind], 0.25, label=kind)
        left.set(yticks=at, yticklabels=table["method"], xlabel="share of windows")
        left.legend(frameon=False, fontsize=7, loc="upper center", bbox_to_anchor=(0.5, 1.2))
    if "growth" in result.tables:
        rows = result.table("growth")
        for step in ("embed s", "place s", "score s"):
            right.plot(rows["windows"], rows[step], marker="o", label=step.removesuffix(" s"))
        right.set(xlabel=f"windows of {N_CHANNELS} channels", ylabel="seconds")
        right.legend(frameon=False)


def main() -> None:
    """Measure each part, or take it from where it was kept."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=PARTS, nargs="*", default=[])
    only, began = parser.parse_args().only, time.monotonic()
    found = {}
    for name in only or PARTS:
        path = KEPT / f"{name}.csv"
        if not path.is_file():
            rows = pd.DataFrame(list(PARTS[name]()))
            path.parent.mkdir(parents=True, exist_ok=True)
            rows.to_csv(path, index=False)
        found[name] = pd.read_csv(path)
        print(found[name].round(3).to_string(), end="\n\n")
    halved = {"subjects": len(SUBJECTS), "exercises left out": len(LEFT_OUT)} if "halves" in found else {}
    setup = {
        **halved,
        "channels of the plant": len(plant.CHANNELS),
        "normal run (s)": NORMAL_S,
        "faulty runs (s, fault from)": f"{FAULTY_S}, {BEGINS}",
        "time": "of the parts that were not kept",
    }
    every = pd.concat([rows.assign(part=name) for name, rows in found.items()], ignore_index=True)
    record("application", f"--only {' '.join(only)}" if only else "", began, setup, tables(found), every)


if __name__ == "__main__":
    main()

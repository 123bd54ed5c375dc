"""Does the first screen of the page answer: which states, when, which channels and how, which anomalies?

Two made-up recordings with an answer sheet (`benchmarks.first_screen_cases`): a grid like ETTh1 (17,420 hours of seven
meters) and a process like Tennessee Eastman (six runs, 52 sensors), each through the whole pipeline as it is by
default, and with `encoder=statistics`; windows of 64 samples, a stride of 16. The tiles of the page are compared with
the sheet. Ten minutes on two cores:

    python -m benchmarks.first_screen
    python -m benchmarks.first_screen --keep FOLDER    # begun again with the same folder, it goes on from there
"""

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from sklearn.metrics import adjusted_mutual_info_score
from tqdm import tqdm

from benchmarks.first_screen_cases import CASES, AnswerSheet, Known
from benchmarks.kept import add_keep
from benchmarks.record import ROOT, Result, record, shown
from clusterwhy.report.study_results import StudyResults
from clusterwhy.report.tiles import Tiles
from tests.conftest import Checkout, make_checkout

DONE = re.compile(r"(\w+) done in ([\d.]+) s")
LENGTH, STRIDE = 64, 16
FOUND = 0.5  # least overlap (Jaccard) of the windows of a state and a cluster


def repro(folder: Path, sheet: AnswerSheet, choices: dict[str, Any]) -> tuple[Checkout, dict[str, float]]:
    """A copy of the project with the recording after `dvc repro`, and the seconds of each stage and of all."""
    checkout, times = Checkout(folder / "project"), folder / "seconds.json"
    if times.is_file():
        return checkout, json.loads(times.read_text())
    shutil.rmtree(folder, ignore_errors=True)
    checkout = make_checkout(folder / "project")
    shutil.copytree(ROOT / "conf", checkout.root / "conf", dirs_exist_ok=True)
    shutil.copy(ROOT / "params.yaml", checkout.root)
    (checkout.root / "data" / "pump.csv").unlink()
    recordings = checkout.root / "data" / "runs"
    recordings.mkdir()
    for number, table in enumerate(sheet.tables):
        table.to_csv(recordings / f"run_{number}.csv", index=False)
    text = (ROOT / "conf" / "dataset" / "csv.yaml").read_text().replace("data/own.csv", "data/runs")
    (checkout.root / "conf" / "dataset" / "own.yaml").write_text(text.replace("time: time ", "time: date "))
    checkout.set("window/short", length=LENGTH, stride=STRIDE)
    checkout.choose(dataset="own", window="short", **choices)
    # as many threads as by default
    environment = {key: value for key, value in checkout.environment.items() if not key.endswith("_NUM_THREADS")}
    began = time.perf_counter()
    command = [sys.executable, "-m", "dvc", "repro"]
    done = subprocess.run(command, cwd=checkout.root, env=environment, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"dvc repro failed\n{(done.stdout + done.stderr)[-3000:]}")
    seconds = {stage: float(found) for stage, found in DONE.findall(done.stdout + done.stderr)}
    seconds["all"] = time.perf_counter() - began
    times.write_text(json.dumps(seconds))
    return checkout, seconds


def judged(study: StudyResults, sheet: AnswerSheet) -> Iterator[dict[str, Any]]:
    """One row per state and event: what the tiles say of it, and whether that is right."""
    tiles, truth = Tiles(study).shown(), sheet.truth()
    starts = study.data.starts
    inside = np.stack([truth[starts + i] for i in range(study.data.length)])
    # of windows that are in one state for most of their time
    share = [(inside == number).mean(axis=0) for number in range(len(sheet.states) + 1)]
    for number, state in enumerate(sheet.states, start=1):
        own = share[number] > FOUND
        shown = [("cluster", study.labels == one["cluster"], one) for one in tiles["clusters"]]
        shown += [("group in a cluster", *group) for group in _groups(study, tiles["clusters"])]
        overlaps = [(own & windows).sum() / max((own | windows).sum(), 1) for _, windows, _ in shown]
        best = int(np.argmax(overlaps))
        told, _, tile = shown[best]
        row = {"kind": "state", "what": state.name, "told as": told, "overlap": overlaps[best]}
        yield row | _leading(tile, state)
    for event in sheet.events:
        near = [one for one in study.segments if _touches(one, event)]
        at = [one for one in tiles["anomalies"] if any(segment["peak_window"] == one["window"] for segment in near)]
        row = {"kind": "event", "what": event.name, "overlap": float(bool(near))}
        yield row | (_leading(at[0], event) if at else {"tile": False})


def _groups(study: StudyResults, tiles: list[dict[str, Any]]) -> Iterator[tuple[np.ndarray, dict[str, Any]]]:
    """The windows of each group that a tile tells of, and what it says, as if it were a tile with one channel."""
    for tile in tiles:
        numbers = study.hidden_groups.loc[study.hidden_groups["cluster"] == tile["cluster"], "group"]
        for number, row in zip(numbers, tile["hidden"], strict=True):
            windows = study.hidden_windows.loc[study.hidden_windows["group"] == number, "window"]
            yield np.isin(np.arange(len(study.labels)), windows), {"lanes": [row]}


def _touches(segment: dict[str, Any], known: Known) -> bool:
    return any(segment["start"] < stop and segment["stop"] > first for first, stop in known.spans)


def _leading(tile: dict[str, Any], known: Known) -> dict[str, Any]:
    """What the first channel of a tile is and does."""
    lanes = tile["lanes"]
    if not lanes:
        return {"tile": True, "channel": "", "right channel": False, "words": "", "right words": False}
    first = lanes[0]
    return {
        "tile": True,
        "channel": first["channel"],
        "right channel": first["channel"] in known.channels,
        "words": first["words"],
        "values": first["values"],
        "right words": any(word in first["words"] for word in known.words) if known.words else np.nan,
        "badge": tile["badge"]["words"] if "badge" in tile else "",
    }


def of_study(study: StudyResults, sheet: AnswerSheet) -> dict[str, Any]:
    """Figures of a whole recording."""
    truth, middle = sheet.truth(), study.data.starts + study.data.length // 2
    known = truth[middle] >= 0
    events = [segment for segment in study.segments if any(_touches(segment, event) for event in sheet.events)]
    return {
        "windows": len(study.labels),
        "states": len(sheet.states) + 1,
        "clusters": len(study.summary["clusters"]),
        "noise": float((study.labels < 0).mean()),
        "AMI": adjusted_mutual_info_score(truth[middle][known], study.labels[known]),
        "alarms": len(study.segments),
        "alarms at events": len(events),
    }


def section(result: Result) -> str:
    """Conclusion, answers, seconds."""
    answers, parts = result.table("answers"), []
    for name, own in answers.groupby("study", sort=False):
        states, events = (own[own["kind"] == kind] for kind in ("state", "event"))
        known = states[states["overlap"] >= FOUND]
        told = {column: int(known[column].astype(float).sum()) for column in ("right channel", "right words")}
        parts.append(
            f"- **{name}**: {len(known)} of {len(states)} states have a cluster of their own, or are a group that the "
            f"tile of a cluster names ({(known['told as'] != 'cluster').sum()}; an overlap of {FOUND} or more), the "
            f"first channel of {told['right channel']} of these is a right one, what it does is right in "
            f"{told['right words']}. "
            f"{int(events['overlap'].sum())} of {len(events)} short events raise an alarm, "
            f"{int(events['tile'].astype(float).sum())} of them have a tile, "
            f"{int(events['right channel'].astype(float).sum())} with the right channel first."
        )
    return f"""
{chr(10).join(parts)}

{shown(answers.drop(columns="values").fillna({"told as": "", "channel": "", "words": "", "badge": ""}))}

The recordings, each by `dvc repro` with the choices of the default study, windows of {LENGTH} samples and a stride of
{STRIDE}:

{shown(result.table("studies"))}

Seconds of each stage, and of all with the start of stages:

{shown(result.table("seconds"), 0)}
"""


def figure(result: Result, drawing: Figure) -> None:
    """Overlap of each state, coloured by how it is told and whether its channel is right."""
    answers = result.table("answers")
    states = answers[answers["kind"] == "state"]
    drawing.set_size_inches(8, 4)
    axes = drawing.subplots()
    right, inside = states["right channel"].astype(bool), states["told as"] != "cluster"
    colours = np.where(right, np.where(inside, "#56B4E9", "#0072B2"), "#D55E00")
    at = np.arange(len(states))[::-1]
    axes.barh(at, states["overlap"], color=colours)
    axes.axvline(FOUND, color="0.5", linewidth=1)
    axes.set(yticks=at, yticklabels=states["study"] + ": " + states["what"], xlim=(0, 1))
    axes.set_xlabel(
        "overlap (Jaccard) of a state with its cluster\n"
        "light blue: with a group inside a cluster; orange: another channel is named first"
    )


def main() -> None:
    """Make, run, compare, record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_keep(parser)
    keep, began = parser.parse_args().keep, time.monotonic()
    rows: list[dict[str, Any]] = []
    studies, seconds = [], []
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as temporary:
        for name, (make, choices) in tqdm(CASES.items(), unit="study", disable=None):
            sheet, folder = make(), (keep or Path(temporary)).resolve() / name.replace(", ", "-")
            checkout, spent = repro(folder, sheet, choices)
            study = StudyResults.of(checkout.root / "artifacts")
            rows += [{"study": name} | row for row in judged(study, sheet)]
            studies.append({"study": name} | of_study(study, sheet))
            seconds.append({"study": name} | spent)
    answers = pd.DataFrame(rows)
    print(answers.to_string())
    tables = {"answers": answers, "studies": pd.DataFrame(studies), "seconds": pd.DataFrame(seconds)}
    began -= sum(one["all"] for one in seconds) if keep else 0.0
    record("first_screen", "", began, {"studies": len(CASES)}, tables, answers)


if __name__ == "__main__":
    main()

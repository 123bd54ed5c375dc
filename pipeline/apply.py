"""Apply the finished study to a new recording: known states, anomaly scores and why, without training."""

import logging
import time

import matplotlib as mpl

from clusterwhy.annotations.annotated import Sources
from clusterwhy.application.applying import Application
from clusterwhy.application.fitted_study import FittedStudy
from clusterwhy.application.news import News
from clusterwhy.application.recording import (
    admitted,
    by_policies_of,
    channel_differences,
    save_recording,
    without_normal,
    without_range_of,
)
from clusterwhy.artifacts.counts import counted
from clusterwhy.artifacts.store import write_json
from clusterwhy.data.series import Series
from clusterwhy.data.storage import Prepared
from clusterwhy.readers.data_report import data_report
from clusterwhy.report.annotations import annotation_figures
from clusterwhy.report.application_results import ApplicationResults
from clusterwhy.report.page import write_page, write_pictures
from pipeline._data_report import NAME, faults_reported
from pipeline._parameters import ROOT
from pipeline._stage import StageRun, application_stage
from pipeline._summary import track_study

log = logging.getLogger("clusterwhy")


@application_stage
def main(run: StageRun) -> None:
    study = _study(run)
    with faults_reported(run):
        data, masked = _read(run, study)
    began = time.monotonic()
    applied = Application(study, data, run.out, run.settings["workers"], run.settings["application"], masked)
    news = News(applied)
    if news.masking:
        log.warning("%s", news.masking.says)
    for row in news.checks.itertuples():
        log.warning("%s: channel %r %s", row.check, row.channel, row.says)
    placed, scores = applied.placed, applied.scores
    seconds = time.monotonic() - began
    log.info("embedded, placed and scored %s in %.1f s", counted(len(data.index), "window"), seconds)
    run.tracker.summarise({"application_s": seconds})
    run.metrics = {
        "n_windows": len(data.index),
        "in_clusters": {
            str(cluster): int((placed.labels == cluster).sum()) for cluster in range(len(study.clusters.persistence))
        },
        "noise_share": float((placed.labels < 0).mean()),
        "unknown_share": float(placed.unknown.mean()),
        "n_fitted_before": int((placed.twins >= 0).sum()),
        "threshold": study.threshold,
        "anomalous_share": float((scores.windows > study.threshold).mean()),
    }
    log.info(
        "%.1f %% in known states, %.1f %% further from them than they reach, %.1f %% above the threshold",
        *(100 * share for share in (1 - run.metrics["noise_share"], run.metrics["unknown_share"])),
        100 * run.metrics["anomalous_share"],
    )
    run.metrics |= news.figures
    log.info(
        "drifted from the study (reference: %s): %s; %s for new states",
        news.drift["reference"].iloc[0],
        counted(run.metrics["n_drifted_channels"], "channel"),
        counted(run.metrics["n_candidate_states"], "candidate"),
    )
    run.tracker.table("drift", news.drift)
    _explain(run, applied)
    mpl.use("agg")
    results = ApplicationResults.in_folder(run.out, run.inputs, Sources.beside(ROOT / "artifacts"))
    for sentence in (*results.annotated.told, *results.annotated.outside):
        log.warning("%s", sentence)
    (run.out / "report").mkdir(exist_ok=True)
    write_pictures(results, run.out / "report")
    run.metrics |= {"n_bytes": write_page(results, run.out / "report")} | annotation_figures(results)
    names = track_study(run.tracker, results, run.out / "report")
    for picture in sorted((run.out / "report").glob("*.png")):
        run.tracker.figure(names.get(picture.stem, picture.stem), picture)
    log.info("open %s", run.final / "report" / "report.html")


def _study(run: StageRun) -> FittedStudy:
    """The finished study, each of whose stages is an input."""
    run.take("prepare"), run.take("train"), run.take("embed"), run.take("project")
    run.take("cluster"), run.take("score"), run.take("explain"), run.take("explain_windows")
    study = FittedStudy(run.inputs)
    study.check_network()
    return study


def _read(run: StageRun, study: FittedStudy) -> tuple[Prepared, tuple[str, ...]]:
    """The recording, with the study's policies, channels, scaler and windows, and the channels that are masked."""
    dataset = run.settings["dataset"]
    for adapted in (by_policies_of, without_normal, without_range_of):
        dataset, told = adapted(dataset, study.settings["dataset"])
        for sentence in told:
            log.warning("%s", sentence)
    series: Series = dataset.read()
    write_json(run.out / NAME, data_report(series))
    card = study.data.card
    data = save_recording(run.out / "prepare", admitted(series, card, run.settings["application"]), card)
    n_samples, n_channels = data.scaled.shape
    size = f"{counted(n_samples, 'sample')} x {counted(n_channels, 'channel')}"
    log.info("%s: %s, %s", series.name, size, counted(len(data.index), "window"))
    log.info("%s", study.data.fitted_says("the study was fitted"))
    return data, tuple(channel_differences(series.channels, card)[0])


def _explain(run: StageRun, applied: Application) -> None:
    from clusterwhy.application.writing import write_explanations

    found = write_explanations(applied)
    n_clusters, n_anomalies = found.pop("n_clusters"), found.pop("n_anomalies")
    run.metrics |= {"explained": found}
    anomalies = f"{n_anomalies} anomal{'y' if n_anomalies == 1 else 'ies'}"
    log.info("explained windows of %s and %s", counted(n_clusters, "cluster"), anomalies)


if __name__ == "__main__":
    main()

"""Write the figures and the HTML page."""

import logging

import matplotlib as mpl

from clusterwhy.annotations.annotated import Sources
from clusterwhy.report.annotations import annotation_figures
from clusterwhy.report.page import write_page, write_pictures
from clusterwhy.report.ranking import read_ranking
from clusterwhy.report.study_results import StudyResults
from clusterwhy.tracking.checksums import dvc_md5
from pipeline._parameters import ROOT
from pipeline._paths import main_root
from pipeline._stage import StageRun, stage
from pipeline._summary import track_study

log = logging.getLogger("clusterwhy")


@stage
def main(run: StageRun) -> None:
    mpl.use("agg")
    earlier = (run.take("prepare"), run.take("train"), run.take("embed"), run.take("project"), run.take("cluster"))
    later = (run.take("score"), run.take("explain"), run.take("explain_windows"), run.take("evaluate"))
    folders = {folder.name: folder for folder in (*earlier, *later)}
    study = StudyResults(folders, sources=Sources.beside(ROOT / "artifacts"))
    for sentence in (*study.annotated.told, *study.annotated.outside):
        log.warning("%s", sentence)
    ranking = None
    if named := run.settings["ranking"]:
        ranking = read_ranking(main_root() / named, {folder.name: dvc_md5(folder) for folder in run.used})
    write_pictures(study, run.out)
    run.metrics = {"n_bytes": write_page(study, run.out, ranking)} | annotation_figures(study)
    run.figure_names = track_study(run.tracker, study, run.out)
    log.info("open %s", run.final / "report.html")


if __name__ == "__main__":
    main()

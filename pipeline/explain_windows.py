"""Explain windows one by one, up to a budget: why each is in its cluster, or what keeps it from the nearest one."""

import logging

from clusterwhy.artifacts.counts import counted
from clusterwhy.artifacts.store import read_array, read_json, read_table
from clusterwhy.artifacts.undefined import median_of
from clusterwhy.config import build_settings
from clusterwhy.data.storage import Prepared
from pipeline._stage import StageRun, stage

log = logging.getLogger("clusterwhy")


@stage
def main(run: StageRun) -> None:
    from clusterwhy.encoders.storage import load_encoder
    from clusterwhy.explanations.embedded_series import EmbeddedSeries
    from clusterwhy.explanations.every_window import explain_every_window
    from clusterwhy.explanations.noise import noise_table
    from clusterwhy.explanations.settings import ExplanationSettings
    from clusterwhy.explanations.storage import known_windows, save_windows

    data, encoder = Prepared(run.take("prepare")), load_encoder(run.take("train"))
    series = EmbeddedSeries.of(data, encoder, read_array(run.take("embed") / "embeddings.npy"))
    labels = read_table(run.take("cluster") / "clusters.parquet")["cluster"].to_numpy()
    explain = run.take("explain")
    # as their clusters were explained
    config = read_json(explain / "provenance.json")["config"]
    settings = build_settings({name: config[name] for name in ExplanationSettings.names()})
    found = explain_every_window(
        series,
        labels,
        ExplanationSettings.of(settings),
        run.settings["coverage"],
        known_windows(explain),
        run.settings["workers"],
        series.replicates(run.inputs / "train", run.inputs / "embed"),
    )
    noise = noise_table(found.windows, found.channels, series.channels)
    save_windows(run.out, found, noise, len(labels))
    n_explained, gap = len(found.windows), found.windows["gap"].abs()
    none = "the target is 0 in every window" if n_explained else "no cluster is explained"
    run.metrics = {
        "n_windows": n_explained,
        "covered_share": n_explained / len(labels),
        "n_noise": int((found.windows["cluster"] == -1).sum()),
        "median_abs_gap": median_of(gap, none),
    }
    run.tracker.table("noise", noise)
    which = "" if n_explained == len(labels) else f", {run.settings['coverage'].max_windows} at most (`coverage`)"
    log.info("explained %d of %s one by one%s", n_explained, counted(len(labels), "window"), which)


if __name__ == "__main__":
    main()

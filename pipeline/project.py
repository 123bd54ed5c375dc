"""Project embeddings to two dimensions."""

import logging

import pandas as pd

from clusterwhy.artifacts.store import read_array, write_array, write_table
from clusterwhy.artifacts.undefined import defined_or
from clusterwhy.projection import trustworthiness
from pipeline._stage import StageRun, stage

log = logging.getLogger("clusterwhy")


@stage
def main(run: StageRun) -> None:
    folder = run.take("embed")
    embeddings = read_array(folder / "embeddings.npy")
    seed = run.settings["seed"]
    settings = run.settings["projection"]
    projection, fitted = settings.fit(embeddings, seed), settings.fitted(len(embeddings), seed)
    write_array(run.out / "projection.npy", projection)
    x, y = projection.T
    points = pd.DataFrame({"window": read_array(folder / "window.npy"), "x": x, "y": y, "fitted": fitted})
    write_table(run.out / "projection.csv", points)
    measured = trustworthiness(settings.points(embeddings), projection, 15, seed)
    run.metrics = {
        "n_fitted": int(fitted.sum()),
        "trustworthiness": defined_or(measured, "all windows have the same embedding"),
    }
    if not fitted.all():
        log.info(
            "fitted on %d of %d windows, drawn at random (projection.sample); the others are placed beside them",
            fitted.sum(),
            len(fitted),
        )


if __name__ == "__main__":
    main()

"""Project embeddings to two dimensions."""

import pandas as pd

from clusterwhy.artifacts.store import read_array, write_array, write_table
from clusterwhy.artifacts.undefined import defined_or
from clusterwhy.projection import trustworthiness
from pipeline._stage import StageRun, stage


@stage
def main(run: StageRun) -> None:
    folder = run.take("embed")
    embeddings = read_array(folder / "embeddings.npy")
    seed = run.settings["seed"]
    settings = run.settings["projection"]
    projection = settings.fit(embeddings, seed)
    write_array(run.out / "projection.npy", projection)
    points = pd.DataFrame({"window": read_array(folder / "window.npy"), "x": projection[:, 0], "y": projection[:, 1]})
    write_table(run.out / "projection.csv", points)
    measured = trustworthiness(settings.points(embeddings), projection, 15, seed)
    run.metrics = {"trustworthiness": defined_or(measured, "all windows have the same embedding")}


if __name__ == "__main__":
    main()

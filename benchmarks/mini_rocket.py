"""How many fixed kernels do clusters need, and what do they cost beside InceptionTime?

AMI of clusters (projection and clusterer of `params.yaml`, one seed) with labelled states, for MiniRocket of several
sizes and for InceptionTime untrained: the series of `benchmarks.clusters`, and every third of ../shared/data/states,
some 1,000 windows each, a window labelled by the state of its middle. The last columns are CPU milliseconds of
embedding one window of 128 samples, with one thread. It prints and writes nothing; a quarter of an hour on one core:

    python -m benchmarks.mini_rocket
    python -m benchmarks.mini_rocket --quick    # three series, two sizes
"""

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from benchmarks.labelled import SERIES, SHARED
from benchmarks.record import DATA, shown
from benchmarks.studies import chosen
from clusterwhy.compute.seeding import seed_torch
from clusterwhy.data.windows import WindowSettings, window_index
from clusterwhy.encoders.base import EncoderSettings
from clusterwhy.encoders.inception_time import InceptionTime
from clusterwhy.encoders.masked import embed
from clusterwhy.encoders.mini_rocket import MiniRocket
from clusterwhy.metrics.clusters import cluster_again, label_agreement

SIZES = (1, 3, 12, 48)
MOST_WINDOWS = 1000
EVERY = 3  # of the series of states
CHANNELS, LENGTH = (6, 38), 128  # of the windows whose time is taken
Case = tuple[np.ndarray, np.ndarray, int, np.ndarray]  # (time, channel) values, starts, length, (window,) truth


def encoders(sizes: tuple[int, ...]) -> dict[str, EncoderSettings]:
    """Name -> settings."""
    small = {f"MiniRocket, {84 * size} features": MiniRocket(per_kernel=size) for size in sizes}
    return {**small, "InceptionTime, untrained": InceptionTime(n_filters=32, depth=6, kernel_size=40, head_dropout=0.1)}


def embedded(settings: EncoderSettings, values: np.ndarray, starts: np.ndarray, length: int) -> np.ndarray:
    """(window, feature) without training."""
    seed_torch(0)
    encoder = settings.build(values.shape[1], length)
    settings.fit(encoder, values, starts, length, 0)
    return embed(encoder, values, starts, length, 128)


def labelled(name: str) -> Case:
    """A series of `benchmarks.clusters`."""
    read, length, stride, _ = SERIES[name]
    series, settings = read(), chosen()
    centre, scale = settings["scaler"].fit(series.fitted_values)
    index = window_index(series, WindowSettings(length=length, stride=stride))
    values = ((series.values - centre) / scale).astype(np.float32)
    return values, index["start"].to_numpy(), length, index["label"].to_numpy()


def states(path: Path) -> Case:
    """A series of ../shared/data/states."""
    with np.load(path) as file:
        values, labels, length = file["values"], file["labels"], max(9, int(file["window"]))
    stride = max(1, length // 4, len(values) // MOST_WINDOWS)
    starts = np.arange(0, len(values) - length + 1, stride)
    scaled = (values - values.mean(axis=0)) / np.maximum(values.std(axis=0), 1e-9)
    return scaled.astype(np.float32), starts, length, labels[starts + length // 2]


def cases(quick: bool) -> Iterator[tuple[str, str, Case]]:
    """Suite, name and content of each series that is there."""
    for name in SERIES:
        if (DATA.is_dir() or name not in SHARED) and (not quick or name in ("watch 1", "basic motions")):
            yield "labelled", name, labelled(name)
    for path in sorted((DATA / "states").glob("*.npz"))[: 1 if quick else None : EVERY]:
        yield path.stem.partition("_")[0], path.stem, states(path)


def cpu_ms(sizes: tuple[int, ...], channels: int) -> dict[str, float]:
    """CPU milliseconds of embedding one window of 128 samples, the fastest of three times 1,000."""
    values = np.random.default_rng(0).standard_normal((4000 + LENGTH, channels), dtype=np.float32)
    found = {}
    for name, settings in encoders(sizes).items():
        encoder, took = settings.build(channels, LENGTH), []
        for _ in range(3):
            began = time.process_time()
            embed(encoder, values, np.arange(0, 4000, 4), LENGTH, 128)
            took.append(time.process_time() - began)
        found[name] = min(took)
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="three series, two sizes")
    quick = parser.parse_args().quick
    sizes = (1, 12) if quick else SIZES
    rows, settings = [], chosen()
    for suite, name, (values, starts, length, truth) in tqdm(cases(quick), unit="series"):
        index = pd.DataFrame({"start": starts, "stop": starts + length})
        for encoder, choice in encoders(sizes).items():
            points = embedded(choice, values, starts, length)
            labels = cluster_again(points, index, settings["projection"], settings["clusterer"], 0)
            rows.append(
                {"encoder": encoder, "suite": suite, "series": name, "ami": label_agreement(truth, labels)["ami"]}
            )
    table = pd.DataFrame(rows)
    found = table.pivot_table("ami", "encoder", "suite", sort=False)
    found.columns = [
        f"{suite} ({count})" for suite, count in table.groupby("suite", sort=False)["series"].nunique().items()
    ]
    print(shown(found.assign(**{f"ms, {n} channels": pd.Series(cpu_ms(sizes, n)) for n in CHANNELS}).reset_index()))


if __name__ == "__main__":
    main()

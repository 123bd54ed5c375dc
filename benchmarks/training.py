"""How fast does the encoder learn, beside tsai's learner with its MVP callback and its defaults?

The same InceptionTimePlus on the same windows, the same number of steps of 64 windows. One judge for both, which takes
no part in the clock: the error at hidden values of held-out windows, hidden as MVP hides by default (15 %). Seconds are
those of the processor, with one thread, so that other work on the machine does not count. An hour of one core:

    python -m benchmarks.training --keep FOLDER    # finished runs are kept here, and taken from here
    python -m benchmarks.training --quick          # one subject, a tenth of the steps; writes nothing
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from torch import nn
from tqdm import tqdm

from benchmarks.kept import add_keep, kept
from benchmarks.record import Result, miniature_table, record, shown, with_interval
from benchmarks.studies import chosen
from clusterwhy.compute.seeding import seed_torch
from clusterwhy.data.windows import window_index, windows_at

SUBJECTS, SEEDS = (1, 2, 3), (0, 1, 2)
BATCH, HELD_OUT, EVERY = 64, 0.1, 10
OURS, TSAI = "clusterwhy", "tsai's learner, MVP"


class Judge:
    """Judges predictions at intervals; the clock stands still meanwhile."""

    def __init__(self, windows: np.ndarray) -> None:
        from tsai.callback.MVP import create_mask

        seed_torch(0)
        self.windows = torch.from_numpy(windows)
        self.mask = create_mask(self.windows, r=0.15, lm=3)
        self.began, self.judging, self.history = time.process_time(), 0.0, list[dict[str, float]]()

    def __call__(self, network: nn.Module, predict: Callable[[torch.Tensor], torch.Tensor], step: int) -> None:
        stopped = time.process_time()
        was_training = network.training
        network.eval()
        with torch.inference_mode():
            error = (predict(self.windows.masked_fill(self.mask, 0.0)) - self.windows)[self.mask].square().mean().item()
        network.train(was_training)
        self.history.append({"step": step, "seconds": stopped - self.began - self.judging, "error": error})
        self.judging += time.process_time() - stopped


def ours(study: dict[str, Any], n_steps: int, seed: int) -> list[dict[str, float]]:
    """Our loop with the settings of conf/train."""
    seed_torch(seed)
    encoder = chosen()["encoder"].build(*study["windows"].shape[1:])
    settings = chosen(train={"n_steps": n_steps, "batch_size": BATCH, "n_reports": n_steps // EVERY})["train"]
    judge = Judge(study["held_out"])
    windows = (study["values"], study["starts"], study["windows"].shape[2])
    settings.train(encoder, *windows, seed, lambda row: judge(encoder, encoder.predict, int(row["step"])))
    return judge.history


def by_tsai(study: dict[str, Any], n_steps: int, seed: int) -> list[dict[str, float]]:
    """`fit_one_cycle` of tsai's learner with MVP, all by their defaults."""
    from fastai.callback.core import Callback
    from tsai.basics import get_ts_dls, ts_learner
    from tsai.callback.MVP import MVP
    from tsai.models.InceptionTimePlus import InceptionTimePlus

    class Watch(Callback):  # type: ignore[misc]
        order = 80  # after MVP

        def before_fit(self) -> None:
            self.step = 0

        def after_batch(self) -> None:
            if self.training:
                self.step += 1
                if self.step % EVERY == 0 or self.step == 1:
                    judge(self.learn.model, self.learn.model, self.step)

    seed_torch(seed)
    windows, made = study["windows"], chosen()["encoder"]
    order = np.random.default_rng(seed).permutation(len(windows))
    n_valid = round(HELD_OUT * len(windows))
    splits = order[n_valid:].tolist(), order[:n_valid].tolist()
    steps_per_epoch = max(1, len(splits[0]) // BATCH)
    with tempfile.TemporaryDirectory() as folder:
        loaders = get_ts_dls(windows, splits=splits, bs=BATCH)
        network = InceptionTimePlus(
            windows.shape[1], 2, seq_len=windows.shape[2], nf=made.n_filters, ks=made.kernel_size
        )
        judge = Judge(study["held_out"])
        learner = ts_learner(loaders, network, cbs=[MVP(target_dir=folder), Watch()])
        with learner.no_bar(), learner.no_logging():
            learner.fit_one_cycle(max(1, round(n_steps / steps_per_epoch)), 1e-3)
    return judge.history


def prepared(subject: int) -> dict[str, Any]:
    """Windows to learn from and windows to be judged by, which overlap none of them."""
    settings = chosen(dataset={"subject": subject})
    series = settings["dataset"].read()
    centre, scale = settings["scaler"].fit(series.fitted_values)
    values = ((series.values - centre) / scale).astype(np.float32)
    index, length = window_index(series, settings["window"]), settings["window"].length
    starts = index["start"].to_numpy()[index["train"].to_numpy()]
    later = starts >= np.quantile(starts, 1 - HELD_OUT)
    learned = starts[starts + length <= starts[later].min()]
    windows = windows_at(values, learned, length)
    return {
        "values": values,
        "starts": learned,
        "windows": windows,
        "held_out": windows_at(values, starts[later], length),
    }


def runs_of(subject: int, seed: int, n_steps: int) -> pd.DataFrame:
    """Both histories."""
    study = prepared(subject)
    histories = {OURS: ours(study, n_steps, seed), TSAI: by_tsai(study, n_steps, seed)}
    rows = [{"subject": subject, "seed": seed, "method": m} | row for m, rows in histories.items() for row in rows]
    return pd.DataFrame(rows)


def tables(every: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """End of each run, and when ours reached the error that tsai's learner ended with."""
    rows = []
    for (subject, seed), run in every.groupby(["subject", "seed"]):
        own, other = run[run["method"] == OURS], run[run["method"] == TSAI]
        goal = other["error"].iloc[-1]
        reached = own[own["error"] <= goal]["seconds"]
        rows.append(
            {
                "subject": str(subject),
                "seed": str(seed),
                "error, tsai": goal,
                "error, ours": own["error"].iloc[-1],
                "seconds, tsai": other["seconds"].iloc[-1],
                "seconds, ours": own["seconds"].iloc[-1],
                "ours to tsai's error (s)": reached.iloc[0] if len(reached) else np.nan,
                "ratio": reached.iloc[0] / other["seconds"].iloc[-1] if len(reached) else np.nan,
            }
        )
    ends = pd.DataFrame(rows)
    over_runs = with_interval(ends.assign(what="mean"), ["what"], list(ends.columns[2:]))
    return {"ends": ends, "mean": over_runs, "curves": every[["subject", "seed", "method", "seconds", "error"]]}


def miniature() -> dict[str, float]:
    """Seconds of our loop as a ratio to tsai's learner: one subject, twenty steps."""
    ends = tables(runs_of(SUBJECTS[0], 0, 20))["ends"]
    return {"seconds, ours / tsai": float(ends["seconds, ours"].iloc[0] / ends["seconds, tsai"].iloc[0])}


def section(result: Result) -> str:
    """When each error was reached, in Markdown."""
    return f"""
Mean squared error at hidden values of held-out windows, in units of the scaled channels squared, after equally many
steps, and how many seconds of a processor ours takes to the error that tsai's learner ends with (`ratio`: of tsai's
seconds; empty where it never gets there):

{shown(result.table("ends"))}

{shown(result.table("mean"))}
"""


def figure(result: Result, figure: Figure) -> None:
    """Error over seconds, one panel per subject."""
    curves = result.table("curves")
    panels = figure.subplots(1, curves["subject"].nunique(), sharey=True)
    figure.set_size_inches(9, 3)
    for axes, (subject, part) in zip(panels, curves.groupby("subject"), strict=True):
        for (method, seed), run in part.groupby(["method", "seed"], sort=False):
            label = method if seed == 0 else None
            axes.plot(run["seconds"], run["error"], color="#D55E00" if method == OURS else "#0072B2", label=label)
        axes.set(title=f"subject {subject}", xlabel="seconds of a processor", yscale="log")
        axes.grid(alpha=0.3)
    panels[0].set_ylabel("error at hidden values")
    panels[0].legend(frameon=False)


def main() -> None:
    """Train and record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one subject, a tenth of the steps; writes nothing")
    add_keep(parser)
    options, began = parser.parse_args(), time.monotonic()
    torch.set_num_threads(1)
    n_steps, keep = chosen()["train"].n_steps, options.keep
    if options.quick:
        print(shown(tables(runs_of(SUBJECTS[0], 0, n_steps // 10))["ends"]))
        return
    jobs = [(subject, seed) for subject in SUBJECTS for seed in SEEDS]
    made = [
        kept(keep and keep / f"training-{subject}-{seed}.csv", partial(runs_of, subject, seed, n_steps))
        for subject, seed in tqdm(jobs, unit="run")
    ]
    every = pd.concat([rows for _, rows in made])
    began = time.monotonic() - sum(seconds for seconds, _ in made)
    setup = {"subjects": len(SUBJECTS), "seeds": len(SEEDS), "steps": n_steps, "batch": BATCH}
    record("training", "", began, setup, tables(every) | {"miniature": miniature_table(miniature())}, every)


if __name__ == "__main__":
    main()

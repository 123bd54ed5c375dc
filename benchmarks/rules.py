"""Which LRP rules explain clusters of time series best? Composites, canonizers, targets, attributors, other methods.

Three smartwatch subjects, clusters found as the pipeline does. Whatever is explained, one judge says how faithful it
is: how fast membership of the cluster falls while cells (one channel in an eighth of the window) are replaced, and
rises while they are put back, always less what random orders do in the same cluster. Beside that: relevance of
networks whose layers are drawn anew, of noisy windows and of an encoder trained with another seed, what relevance
misses of its target, and what it costs. About three quarters of an hour on one core:

    python -m benchmarks.rules
    python -m benchmarks.rules --quick      # one subject, two composites, two windows per cluster; writes nothing
    python -m benchmarks.rules --tables     # the tables again, from benchmarks/results/rules.csv.gz
"""

import argparse
import time
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Literal, get_args

import numpy as np
import pandas as pd
import torch
from omegaconf import OmegaConf
from torch import nn
from tqdm import tqdm

from benchmarks.planted import gradients
from benchmarks.record import ROOT, fastest, read, record
from benchmarks.record import runs as recorded
from benchmarks.rules_tables import BASELINES, CASE, COLUMNS, HOOKED, NOTEBOOK, UNIT, default, figure, section, tables
from benchmarks.studies import chosen, study
from clusterwhy.attribution.base import AttributionTask, Attributor
from clusterwhy.config import build_settings
from clusterwhy.errors import CompositeError
from clusterwhy.explanations.replacements import fitting_windows
from clusterwhy.explanations.sanity_checks import CellExplainer, cell_correlation
from clusterwhy.explanations.target_function import TargetFunction, target_function
from clusterwhy.explanations.targets import FAITHFULNESS_TARGET
from clusterwhy.metrics.insertion_deletion import Cells, cell_baselines, insertion_deletion
from clusterwhy.metrics.z_scores import cell_z_scores
from clusterwhy.propagation.relevance import Relevance
from clusterwhy.types import FloatArray

__all__ = ["figure", "main", "section"]
SUBJECTS, SEED, N_WINDOWS, N_RANDOM = (1, 2, 3), 0, 5, 4
SMOOTHED = ("epsilon", "epsilon_plus", "epsilon_gamma")
Kind = Literal["gradient", "gradient x input", "integrated gradients", "expected gradients"]
KINDS: tuple[str, ...] = get_args(Kind)


def options(group: str) -> dict[str, Any]:
    """Every choice of a group by its name."""
    files = sorted((ROOT / "conf" / group).glob("*.yaml"))
    return build_settings({path.stem: OmegaConf.to_container(OmegaConf.load(path)) for path in files})


class Gradients(Attributor):
    """What is used where there are no rules, with windows outside the cluster as references where it needs some.

    `gradient`: its size (Simonyan 2014); `gradient x input`; `integrated` gradients from zero (Sundararajan 2017);
    `expected` gradients (Erion 2021).
    """

    has_own_rules: ClassVar[bool] = True

    kind: Kind
    n_references: int
    n_steps: int

    def explain(self, task: AttributionTask, windows: FloatArray, seed: int) -> Relevance:
        x = torch.from_numpy(windows).requires_grad_()
        output = task.network(x)
        target = output.detach().numpy()
        if self.kind.startswith("gradient"):
            (found,) = torch.autograd.grad(output.sum(), x)
            values = (found.abs() if self.kind == "gradient" else found * x.detach()).numpy()
            # sizes of gradients add up to nothing
            target = np.full_like(target, np.nan) if self.kind == "gradient" else target
        else:
            outside = task.references[: self.n_references]
            base = np.zeros_like(windows[:1]) if self.kind == "integrated gradients" else outside
            with torch.no_grad():
                target = target - float(task.network(torch.from_numpy(base)).mean())
            each = np.broadcast_to(base[None], (len(windows), *base.shape))
            values = gradients(task.network, windows, each, self.n_steps)
        return Relevance(values, target, np.full_like(target, np.nan))


COMPOSITE, ATTRIBUTOR, EVALUATION = options("composite"), options("attributor"), options("evaluation")["standard"]
ATTRIBUTOR |= {kind: Gradients(kind=kind, batch_size=64, n_references=8, n_steps=4) for kind in KINDS}
ATTRIBUTOR["integrated gradients"] = Gradients(kind="integrated gradients", batch_size=64, n_references=1, n_steps=16)


@dataclass(frozen=True)
class Case:
    """One way to explain; `alike`: whether networks drawn anew, noise and another seed are tried, too."""

    method: str
    composite: str
    canonizer: str
    target: str
    attributor: str
    alike: bool = False

    @property
    def key(self) -> dict[str, str]:
        """The columns that say which case it is."""
        return {name: getattr(self, name) for name in CASE}


def cases(quick: bool) -> list[Case]:
    """Every combination that is tried; composites without a rule for residual sums only fit zennit's hooks."""
    rules, targets = [c for c in options("composite") if c not in NOTEBOOK], list(options("target"))
    if quick:
        rules, targets = ["epsilon", default()], ["membership"]
    smoothed = [c for c in SMOOTHED if c in rules and not quick]
    hooked = [(c, z) for c in HOOKED if not quick for z in ("none", "zennit_sequential")]
    found = [Case("LRP", c, "auto", "membership", "lrp", True) for c in rules]
    found += [Case("LRP", c, "auto", t, "lrp", c == default()) for t in targets for c in rules if t != "membership"]
    found += [Case("LRP", c, "auto", "membership", "contrast", c == default()) for c in rules]
    found += [Case("LRP", default(), "auto", t, "contrast") for t in targets if t != "membership"]
    found += [Case("LRP", c, "auto", "membership", "smooth") for c in smoothed]
    found += [Case("difference", "", "auto", t, "difference", t == "membership") for t in targets]
    found += [Case("LRP", c, z, "membership", "lrp", True) for c, z in hooked]
    return found + [Case(kind, "", "", "membership", kind, True) for kind in (KINDS[:2] if quick else KINDS)]


@dataclass(frozen=True)
class Group:
    """The windows of a cluster that are explained and how they are asked about.

    Attributes:
        windows: (window, channel, time).
        rest: (window, channel, time) outside the cluster.
        judge: membership of the cluster, whatever is explained.
        networks: target -> what is explained, of the encoder and of one trained with another seed (where there is).
        box: (channel,) lowest and highest values.
    """

    windows: FloatArray
    rest: FloatArray
    judge: TargetFunction
    networks: dict[str, list[nn.Module]]
    box: tuple[FloatArray, FloatArray]

    def task(self, case: Case, encoder: int = 0) -> AttributionTask:
        """What a case explains, of one of the encoders."""
        composite = COMPOSITE[case.composite or default()]
        canonizer: Any = case.canonizer or "auto"
        return AttributionTask(self.networks[case.target][encoder], composite, canonizer, self.box, self.rest)


def groups(subject: int, quick: bool) -> dict[int, Group]:
    """Train, cluster and choose the windows of a subject."""
    settings = chosen({"train": "quick"} if quick else {}, dataset={"subject": subject})
    series, threads = settings["dataset"].read(), torch.get_num_threads()
    made = [study(series, settings, seed) for seed in ((SEED,) if quick else (SEED, SEED + 1))]
    first = made[0]
    found = settings["clusterer"].fit(settings["projection"].fit(first.embeddings, SEED))
    torch.set_num_threads(threads)  # UMAP's numba sets it to all cores, and torch slows down on a busy machine
    judges = FAITHFULNESS_TARGET.networks(first.encoder.cpu(), first.embeddings, found.labels, SEED)[0]
    networks = {
        name: [target.networks(one.encoder.cpu(), one.embeddings, found.labels, SEED)[0] for one in made]
        for name, target in options("target").items()
    }
    embedded, members = first.embedded, options("members")["central"]
    made_groups = {}
    for cluster, judge in judges.items():
        central = members.choose(cluster, first.embeddings, found.labels, found.strengths, SEED)
        windows = embedded.windows(central)
        rest = embedded.windows_outside(found.labels, cluster, SEED)
        own = {name: [each[cluster] for each in networks[name]] for name in networks}
        made_groups[cluster] = Group(windows, rest, target_function(judge, windows), own, embedded.box)
    return made_groups


def judged(
    judge: TargetFunction,
    windows: FloatArray,
    rest: FloatArray,
    rankings: dict[str, FloatArray],
    cells: Cells,
    seed: list[int],
) -> dict[str, dict[str, float]]:
    """Areas of the curves of each ranking (window, cell) and of `random`, the mean of several."""
    rng = np.random.default_rng(seed)
    others = cell_baselines(windows, rest, fitting_windows(windows, rest)[:, 0], rng)
    shape = len(windows), windows.shape[1] * cells.n_stretches
    drawn = {f"random {i}": rng.random(shape) for i in range(N_RANDOM)}
    curves = insertion_deletion(judge, windows, others, drawn | rankings, cells)
    names = [(measure, baseline) for measure in ("deletion", "insertion", "flip_rate") for baseline in BASELINES]
    found = {
        ranking: {f"{measure}_{baseline}": getattr(curves[baseline, ranking], measure) for measure, baseline in names}
        for ranking in drawn | rankings
    }
    chance = pd.DataFrame([found.pop(name) for name in drawn]).mean().to_dict()
    return found | {"random": chance}


def run(subject: int, cluster: int, group: Group, tried: list[Case], n_windows: int) -> list[dict[str, Any]]:
    """One row per case for one cluster."""
    windows, cells = group.windows[:n_windows], Cells.of(group.windows.shape[2], EVALUATION.n_stretches)
    rankings, rows = {"z-score": cell_z_scores(windows, group.rest, cells)}, []
    for number, case in enumerate(tried):
        attributor, task, row = ATTRIBUTOR[case.attributor], group.task(case), case.key
        try:
            found = attributor.explain(task, windows, SEED)
            rankings[str(number)] = own = cells.sums(found.values)
            explainer = CellExplainer(attributor, cells, SEED)
            row |= {"abs_gap": np.median(np.abs(found.gap)), "bias_share": np.median(found.bias_share)}
            if case.alike:
                row |= EVALUATION.sanity_checks.run(explainer, task, task.network, windows, own)
            if case.alike and len(group.networks[case.target]) > 1:
                row["encoder_seed"] = cell_correlation(own, explainer.explain(group.task(case, 1), windows))
        except CompositeError as error:
            row["failed"] = str(error)
        rows.append(row)
    areas = judged(group.judge, windows, group.rest, rankings, cells, [SEED, cluster])
    rows = [row | areas.get(str(number), {}) for number, row in enumerate(rows)]
    rows += [dict.fromkeys(CASE, "") | {"method": name} | areas[name] for name in ("z-score", "random")]
    return [{"subject": subject, "cluster": cluster} | row for row in rows]


def costs(group: Group, tried: list[Case], rounds: int) -> dict[int, float]:
    """Time of each case for the membership target as a multiple of one plain forward and backward pass."""

    def plain() -> None:
        x = torch.from_numpy(group.windows).requires_grad_()
        torch.autograd.grad(group.networks["membership"][0](x).sum(), x)

    jobs: dict[str, Any] = {"plain": plain}
    for number, case in enumerate(tried):
        if case.target == "membership":
            asked = group.task(case)
            jobs[str(number)] = partial(ATTRIBUTOR[case.attributor].explain, asked, group.windows, SEED)
    seconds = fastest(jobs, rounds)
    return {int(name): value / seconds["plain"] for name, value in seconds.items() if name != "plain"}


def main() -> None:
    """Run all and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a miniature in a minute that writes nothing")
    parser.add_argument("--tables", action="store_true", help="no runs, only the tables from results/rules.csv.gz")
    options, began = parser.parse_args(), time.monotonic()
    setup: dict[str, Any] = {"subjects": len(SUBJECTS), "windows per cluster": N_WINDOWS, "random orders": N_RANDOM}
    if options.tables:
        before, every = read("rules"), recorded("rules")
        record("rules", "", began - before.seconds, before.setup, tables(every), every)
        return
    every = measured(options.quick)
    if options.quick:
        for name, table in tables(every).items():
            print(f"{name}\n{table.to_string()}\n")
        return
    setup["clusters"] = len(every.groupby(UNIT))
    record("rules", "", began, setup, tables(every), every)


def measured(quick: bool) -> pd.DataFrame:
    """Every run: one row per cluster and case, with its cost on the first cluster."""
    tried, rows, cost = cases(quick), [], {}
    for subject in SUBJECTS[:1] if quick else SUBJECTS:
        found = groups(subject, quick)
        cost = cost or costs(next(iter(found.values())), tried, 1 if quick else 2)
        each = list(found.items())[:2] if quick else found.items()
        for cluster, group in tqdm(each, desc=f"subject {subject}", unit="cluster"):
            rows += run(subject, cluster, group, tried, 2 if quick else N_WINDOWS)
    table = pd.DataFrame(rows).reindex(columns=COLUMNS)
    prices = pd.DataFrame([tried[number].key | {"cost": value} for number, value in cost.items()])
    return table.drop(columns="cost").merge(prices, "left", CASE)


if __name__ == "__main__":
    main()

"""Is every random network explained rightly, or refused?

Networks are drawn from all operations that have a rule (tests/random_networks), in float64. Of each, epsilon's
relevance is compared with gradient x input of the network whose activations are replaced by secants and whose gates,
scales and attention weights are detached, what is taken for non-negative has to be, and the relevance budgets of three
composites have to close. Of a third each, chosen by seed, those composites are compared with zennit (networks of
operations that it has rules for), differences have to add up, and attention that shares is compared with the plain way,
too. There is no plain way where a sigmoid reads a 0 or values cancel to 0. A network that is explained otherwise ends
the benchmark with exit code 1. A quarter of an hour on one core:

    python -m benchmarks.network_fuzz
    python -m benchmarks.network_fuzz --networks 200 --seed 7    # other than 5,000 of seed 0: writes nothing
"""

import argparse
import sys
import time
import warnings
from collections import Counter

import pandas as pd
from matplotlib.figure import Figure
from tqdm import tqdm

from benchmarks.figures import bars
from benchmarks.record import Result, record, shown
from clusterwhy.errors import ClusterWhyError
from tests.random_networks import names, random_network
from tests.reference.test_random_networks import check

N_NETWORKS = 5_000
OUTCOMES = ["right", "right, without a plain way", "refused", "wrong"]


def outcome(seed: int) -> tuple[str, str]:
    """What came of one network, one of `OUTCOMES`, and the message."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            compared = check(seed)
    except ClusterWhyError as error:
        return "refused", str(error)
    except Exception as error:
        return "wrong", f"{type(error).__name__}: {error}"
    return OUTCOMES[not compared], ""


def section(result: Result) -> str:
    """How many were right, and the operations they were made of."""
    return f"""
{result.setup["networks"]} random networks in float64: epsilon against gradient x input of the network with secants for
activations and without gradients of gates, scales and attention weights; the relevance budgets of three composites. Of
a third each: the engine against zennit, completeness of differences, attention that shares.

{shown(result.table("outcomes"), 0)}

Operations in the networks:

{shown(result.table("operations"), 0)}
"""


def figure(result: Result, figure: Figure) -> None:
    """How many networks have each operation."""
    figure.set_size_inches(8, 14)
    axes = figure.subplots()
    bars(axes, result.table("operations"), "operation", {"networks": "networks"})
    axes.get_legend().remove()
    axes.set_xlabel("networks that have the operation")


def main() -> None:
    """Draw networks, check each, count."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", type=int, default=N_NETWORKS)
    parser.add_argument("--seed", type=int, default=0, help="the first of the seeds, one for each network")
    arguments, began = parser.parse_args(), time.monotonic()
    rows, operations = [], Counter[str]()
    for seed in tqdm(range(arguments.seed, arguments.seed + arguments.networks), unit="network", disable=None):
        rows.append((seed, *outcome(seed)))
        operations.update(set(names(random_network(seed))))
    runs = pd.DataFrame(rows, columns=["seed", "outcome", "what"])
    counts = runs["outcome"].value_counts().reindex(OUTCOMES, fill_value=0)
    outcomes = counts.rename_axis("outcome").reset_index(name="networks")
    table = pd.DataFrame(operations.most_common(), columns=["operation", "networks"])
    print(shown(outcomes, 0), shown(table, 0), sep="\n\n")
    for row in runs[runs["outcome"] == "wrong"].head(20).itertuples():
        sys.stderr.write(f"seed {row.seed}: {row.what[:1000]}\n")
    if (runs["outcome"] == "wrong").any():
        sys.exit(1)
    if (arguments.networks, arguments.seed) == (N_NETWORKS, 0):
        record("network_fuzz", "", began, {"networks": len(runs)}, {"outcomes": outcomes, "operations": table}, runs)


if __name__ == "__main__":
    main()

"""Classify windows with a stored classifier, independent of the study that trained it."""

import argparse
import logging
from pathlib import Path

from clusterwhy.artifacts.counts import counted
from clusterwhy.artifacts.store import read_array, write_table
from pipeline._console import one_message

log = logging.getLogger("clusterwhy")


def main() -> None:
    """Write a CSV with the predicted class and the probability of each class for every window."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "checkpoint", type=Path, help="a folder such as artifacts/studies/vibration/classify/checkpoint"
    )
    parser.add_argument("windows", type=Path, help=".npy, (window, channel, time), as recorded")
    parser.add_argument("out", type=Path, help="the CSV to write")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    from clusterwhy.classifiers.checkpoint import predict

    with one_message():
        found = predict(arguments.checkpoint, read_array(arguments.windows))
        write_table(arguments.out, found.table())
    log.info("%s classified: %s", counted(len(found.probabilities), "window"), arguments.out)


if __name__ == "__main__":
    main()

"""Did anything become slow? A miniature of every speed benchmark, its ratios held against the recorded ones.

Fails where a ratio is over 1.5 times the one that `benchmarks/results` holds. Ratios of times of one run, so that a
slow machine does not matter. Ten minutes on two cores, after a `dvc repro`:

    python -m benchmarks.check
    python -m benchmarks.check engine embedding    # some of them
"""

import argparse
import importlib
import sys

from tqdm import tqdm

from benchmarks.record import RESULTS, read

SPEED = ("engine", "sweep", "embedding", "training", "scaling", "startup", "workers")
ALLOWED = 1.5


def slower(name: str) -> list[str]:
    """Sentences about ratios that became much worse; every ratio is shown."""
    known = read(name).table("miniature").set_index("ratio")["value"]
    faults = []
    for ratio, value in importlib.import_module(f"benchmarks.{name}").miniature().items():
        tqdm.write(f"{name}: {ratio} {value:.2f}, recorded {known[ratio]:.2f}")
        if value > ALLOWED * known[ratio]:
            faults.append(f"{name}: {ratio} is {value:.2f}, recorded {known[ratio]:.2f}")
    return faults


def main() -> None:
    """Measure all that is recorded, and exit with an error that lists what became slow."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", choices=[*SPEED, []], metavar="NAME", help=f"of {', '.join(SPEED)}")
    names = parser.parse_args().names or [name for name in SPEED if (RESULTS / f"{name}.json").is_file()]
    faults = [fault for name in tqdm(names, unit="benchmark") for fault in slower(name)]
    if faults:
        sys.exit(f"over {ALLOWED} times the recorded ratio:\n" + "\n".join(faults))


if __name__ == "__main__":
    main()

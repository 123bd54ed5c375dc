"""Write docs/benchmarks.md, its figures and the table of README.md from `results/*.json`; nothing is measured here.

python -m benchmarks.document
"""

import argparse
import importlib
import io

from matplotlib.figure import Figure

from benchmarks.record import RESULTS, ROOT, Result, read
from clusterwhy.artifacts.store import write_bytes, write_text

# in the order of the page; each module has `section(result) -> str`, Markdown without its heading, and
# `figure(result, figure)`, which draws docs/NAME.png
TITLES = {
    "root_cause": "Does relevance name the channels that experts blame?",
    "detection": "Are labelled anomalies found?",
    "plain_detection": "What do detectors without a network find?",
    "thresholds": "Where should a score become an alarm?",
    "relative_scores": "Is a window unusual for its state?",
    "clusters": "Do clusters find what people labelled?",
    "states": "Are the states of a recording found?",
    "rules": "Which LRP rules explain time series best?",
    "references": "Which windows should a cluster be compared with?",
    "repeats": "How far do explanations repeat?",
    "every_window": "What does it cost to explain every window?",
    "planted": "Are planted faults found?",
    "two_faults": "Does each of two faults get its own name?",
    "patterns": "Are alarms of one fault gathered?",
    "application": "What does a finished study say of new data?",
    "first_screen": "Does the first screen answer?",
    "classifiers": "Do the classifiers hold on unseen groups?",
    "methods": "What does every method of explanation do on every network?",
    "randomisation": "Does relevance depend on what a network learned?",
    "frequencies": "Does relevance name the right frequency?",
    "engine": "What does LRP cost?",
    "sweep": "What does a sweep of rules cost?",
    "embedding": "How fast are windows embedded?",
    "training": "How fast does the encoder learn?",
    "scaling": "How do windowing, projection and clustering grow?",
    "million": "What does a million windows cost?",
    "page": "How large is the page, and how soon is it there?",
    "fuzz": "Do readers name every fault of a broken file?",
    "file_fuzz": "Are files of known content read right?",
    "network_fuzz": "Is every random network explained rightly, or refused?",
    "startup": "What does the chain of stages add?",
    "workers": "What do more workers bring, and what does a killed one cost?",
    "kills": "Does a run that is killed end with the same bytes?",
    "determinism": "What is the same when it is done again?",
    "resources": "Do stages take what they were said to need?",
    "guards": "Does a test fail when its guard is taken away?",
    "tracking_faults": "What does W&B being away cost?",
}
SHORT = "clusters"  # whose `short(result)` stands in README.md


def anchor(title: str) -> str:
    """What a heading is called in a link."""
    return "".join(c for c in title.lower().replace(" ", "-") if c.isalnum() or c == "-")


def page() -> str:
    """docs/benchmarks.md."""
    made = [name for name in TITLES if (RESULTS / f"{name}.json").is_file()]
    lines = [
        "# Benchmarks",
        "",
        "Each section is written by `python -m benchmarks.document` from `benchmarks/results/NAME.json`, which the "
        "command under its table makes; every run is in `benchmarks/results/NAME.csv.gz`. Brackets are 95 % bootstrap "
        "confidence intervals.",
        "",
        *[f"- [{TITLES[name]}](#{anchor(TITLES[name])})" for name in made],
    ]
    for name in made:
        result = read(name)
        section = importlib.import_module(f"benchmarks.{name}").section(result)
        picture = f"![{TITLES[name]}]({name}.png)"
        lines += ["", f"## {TITLES[name]}", "", picture, "", section.strip(), "", _source(result)]
    return "\n".join(lines) + "\n"


def picture(name: str) -> bytes:
    """The figure of one benchmark, PNG."""
    drawing, page = Figure(figsize=(9, 4), layout="constrained", dpi=120), io.BytesIO()
    importlib.import_module(f"benchmarks.{name}").figure(read(name), drawing)
    drawing.savefig(page, format="png", metadata={"Software": None})
    return page.getvalue()


def _source(result: Result) -> str:
    machine = result.machine
    where = machine["gpu"] or f"{machine['cores']} cores ({machine['architecture']}, {machine['memory_gb']} GB)"
    packages = ("python", "torch", "zennit", "scikit-learn")
    versions = ", ".join(f"{name} {result.versions[name]}" for name in packages if name in result.versions)
    setup = "; ".join(f"{key}: {value}" for key, value in result.setup.items())
    return f"*`{result.command}`: {result.seconds / 60:.0f} min on {where}, {result.date}; {setup}; {versions}.*"


def readme() -> str:
    """README.md with its table of figures."""
    text = (ROOT / "README.md").read_text()
    if not (RESULTS / f"{SHORT}.json").is_file():
        return text
    before, _, rest = text.partition("<!-- benchmarks -->\n")
    after = rest.partition("<!-- /benchmarks -->")[2]
    short = importlib.import_module(f"benchmarks.{SHORT}").short(read(SHORT))
    return f"{before}<!-- benchmarks -->\n{short}\n<!-- /benchmarks -->{after}"


def main() -> None:
    """Write all of them."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    write_text(ROOT / "docs" / "benchmarks.md", page())
    for name in TITLES:
        if (RESULTS / f"{name}.json").is_file():
            write_bytes(ROOT / "docs" / f"{name}.png", picture(name))
    write_text(ROOT / "README.md", readme())


if __name__ == "__main__":
    main()

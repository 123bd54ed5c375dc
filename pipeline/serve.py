"""Serve the report page: explain windows that the user selects, try other settings, and write names and notes."""

import argparse
import functools
import logging
import signal
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import OmegaConf

from clusterwhy.annotations.annotated import Sources
from clusterwhy.artifacts.validation import check_folder
from clusterwhy.config import build_settings
from clusterwhy.errors import ClusterWhyError
from clusterwhy.report.naming import PageNames
from clusterwhy.report.server import Explain, PageServer
from clusterwhy.report.study_results import StudyResults
from clusterwhy.report.trials import TRIED, Trials
from pipeline._console import one_message

ROOT = Path(__file__).resolve().parents[1]
STUDY = "as the study"

log = logging.getLogger("clusterwhy")


def explainer(artifacts: Path) -> tuple[Explain, tuple[str, ...]]:
    """What explains windows by the settings of a study or by LRP with another composite, and the names of the rules."""
    from clusterwhy.attribution.lrp_variants import Lrp
    from clusterwhy.encoders.storage import load_encoder
    from clusterwhy.explanations.embedded_series import EmbeddedSeries
    from clusterwhy.explanations.selections import ExplainedSelection, Selection
    from clusterwhy.explanations.settings import ExplanationSettings

    found, sizes = StudyResults.of(artifacts), dict[str, Any]()
    for stage, folder in {**found.folders, "train": artifacts / "train"}.items():
        check_folder(stage, folder, sizes)
    series = EmbeddedSeries.of(found.data, load_encoder(artifacts / "train"), found.embeddings)
    config = found.provenance("explain")["config"]
    settings = build_settings({name: config[name] for name in ExplanationSettings.names()})
    composites = {}
    for path in sorted((ROOT / "conf" / "composite").glob("*.yaml")):
        composites[f"LRP, {path.stem}"] = build_settings({"composite": OmegaConf.to_container(OmegaConf.load(path))})

    @functools.lru_cache(maxsize=1)
    def selection(windows: tuple[int, ...], rules: str) -> Selection:
        chosen = settings if rules == STUDY else settings | composites[rules] | {"attributor": Lrp(batch_size=64)}
        return Selection(series, np.asarray(windows), ExplanationSettings.of(chosen))

    def explain(windows: list[int], part: list[int], rules: str) -> ExplainedSelection:
        return selection(tuple(windows), rules).explain(np.asarray(part))

    return explain, (STUDY, *composites)


def page_names(artifacts: Path) -> PageNames:
    """What reads and writes the names of the study whose artifacts are served."""
    sources = Sources.beside(artifacts)
    return PageNames(StudyResults.of(artifacts, sources), sources)


def trials(artifacts: Path) -> Trials:
    """What tries other settings on a study, and the files in which they become permanent."""
    options: Any = OmegaConf.load(ROOT / "params.yaml")
    files = {group: f"conf/{group}/{options[group]}.yaml" for group in TRIED}
    return Trials(StudyResults.of(artifacts), files)


def main() -> None:
    """Print an address and serve until Ctrl-C."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("artifacts", type=Path, nargs="?", default=ROOT / "artifacts", help="of a finished `dvc repro`")
    parser.add_argument("--port", type=int, default=0, help="on 127.0.0.1 (default: any free one)")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    page = options.artifacts / "report" / "report.html"
    with one_message():
        if not page.is_file():
            raise ClusterWhyError(f"no page at {page}: run `dvc repro` first")
        explain, rules = explainer(options.artifacts)
        names = page_names(options.artifacts)
        chunks = sorted(path for kind in ("values", "relevance") for path in page.parent.glob(f"{kind}_*.js"))
        trying = trials(options.artifacts)
        html = page.read_text(encoding="utf-8")
        server = PageServer(html, explain, rules, options.port, chunks, names, trying)
    # Ctrl-C ends it also where a shell in the background had it ignored
    signal.signal(signal.SIGINT, signal.default_int_handler)
    log.info("open %s (Ctrl-C ends it)", server.address)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        log.info("ended")
    finally:
        server.server_close()


if __name__ == "__main__":
    main()

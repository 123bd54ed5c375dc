"""Name clusters of the finished study, and write notes on them: `annotations.yaml`."""

import argparse
import logging
import sys
from pathlib import Path

from clusterwhy.annotations.annotated import Annotated, Sources, annotate_from
from clusterwhy.annotations.editing import Editor
from clusterwhy.errors import ClusterWhyError
from clusterwhy.report.study_results import StudyResults
from pipeline._console import one_message
from pipeline._parameters import ROOT

log = logging.getLogger("clusterwhy")
EXAMPLES = """
examples:
  python -m pipeline.name                                    # what is named, and whether it was found after a refit
  python -m pipeline.name 3 "pump starts"
  python -m pipeline.name 3 "pump starts" --note "pressure rises before flow"
  python -m pipeline.name 3 --remove
"""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("cluster", type=int, nargs="?", help="its number; without it, all names are listed and bound")
    parser.add_argument("name", nargs="?", help="default: as it is")
    parser.add_argument("--note", help="default: as it is")
    parser.add_argument("--remove", action="store_true", help="the name and the note")
    parser.add_argument("--artifacts", type=Path, default=ROOT / "artifacts", help="of a finished `dvc repro`")
    return parser


def named(editor: Editor, options: argparse.Namespace) -> Annotated:
    """Do what was asked for, and give back what is named then."""
    cluster = options.cluster
    if cluster is None:
        return editor.bind()
    if options.remove:
        return editor.name_cluster(cluster, "", "")
    if options.name is None and options.note is None:
        raise ClusterWhyError(f"expected a name or a note for cluster {cluster}, or --remove")
    own = annotate_from(editor.sources, editor.known).clusters.get(cluster)
    name = options.name if options.name is not None else own.name if own else ""
    note = options.note if options.note is not None else own.note if own else ""
    return editor.name_cluster(cluster, name, note)


def main() -> None:
    """Write the file and list the names."""
    options = _parser().parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    sources = Sources.beside(options.artifacts)
    with one_message():
        study = StudyResults.of(options.artifacts, sources)
        found = named(Editor(sources, study.known), options)
    for cluster in study.clusters:
        own = found.clusters.get(cluster)
        note = " ".join(own.note.split()) if own else ""
        sys.stdout.write(f"cluster {cluster}: {found.name(cluster) if own else '-'}{f' ({note})' if note else ''}\n")
    for sentence in found.told:
        log.info("%s", sentence)
    log.info("%s is up to date; `dvc repro` draws the page and its figures again", sources.names)


if __name__ == "__main__":
    main()

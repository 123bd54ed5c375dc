"""Check params.yaml and conf/ before DVC reads them, whose own errors are riddles; `make repro` does so first.

Also what can be checked of annotations.yaml and events.csv before there is a study.
"""

from clusterwhy.annotations.annotated import Sources
from clusterwhy.annotations.events import read_events
from clusterwhy.annotations.file import read_annotations
from pipeline._config_guard import check_files
from pipeline._console import one_message
from pipeline._parameters import ROOT


def main() -> None:
    """End with exit code 1 and one message that lists every fault."""
    with one_message():
        check_files()
        sources = Sources.beside(ROOT / "artifacts")
        read_annotations(sources.names)
        read_events(sources.events)


if __name__ == "__main__":
    main()

"""What a stage does and takes: `python -m pipeline.<stage> --help`."""

import shutil
import textwrap
from typing import Any

import yaml

from pipeline import _parameters
from pipeline._parameters import ENTRIES, declared, groups, options, owned

FLAGS = {"-h", "--help"}
MOST_LINES = 2  # of the options of one group
END = """

{sweep}--cfg job prints every value; --hydra-help tells Hydra's flags.
Written to a new folder of outputs/, or of sweeps/ with -m; `dvc repro` runs the stage for artifacts/."""


def stage_help(stage: str, doc: str) -> str:
    """Purpose, inputs, and the groups and parameters of a stage with the options of each; at most 25 lines."""
    entry = next((kind for kind in ENTRIES.values() if f"{kind}=${{key}}" in declared(stage)["cmd"]), None)
    params: dict[str, Any] = yaml.load((_parameters.ROOT / "params.yaml").read_text(), Loader=yaml.CSafeLoader)
    if entry == "study":
        params = {}  # a study has its own choices
    taken = sorted(owned(stage) | {"workers"}, key=lambda name: (name not in groups(), name))
    names = [*([entry] if entry else []), *taken]
    width = max(map(len, names)) + 2
    lines = [f"{stage}: {doc.strip().splitlines()[0]}", ""]
    lines += [f"python -m pipeline.{stage} [GROUP=OPTION] [GROUP.KEY=VALUE] [PARAMETER=VALUE] ...", ""]
    reads = [dep.removeprefix("artifacts/") for dep in declared(stage)["deps"] if dep.startswith("artifacts/")]
    of = f"Reads the artifacts of {', '.join(reads).replace('${key}', f'<{entry}>')}. " if reads else ""
    lines.append(f"{of}Takes (* is chosen in params.yaml):")
    for name in names:
        lines += _line(name, params.get(name), width, name == entry)
    several = next((name for name in names if name in groups() and len(options(name)) > 1), None)
    sweep = f"-m {several}={','.join(options(several)[:2])} runs once with each; " if several else ""
    return "\n".join(lines) + END.format(sweep=sweep)


def _line(name: str, chosen: Any, width: int, entry: bool) -> list[str]:
    if not entry and name not in groups():
        return [f"  {name:{width}}{'' if chosen is None else f'*{chosen}'}"]
    known = [f"*{option}" if option == chosen else option for option in options(name)]
    known.sort(key=lambda option: not option.startswith("*"))
    columns = min(120, shutil.get_terminal_size().columns)
    return textwrap.wrap(
        ", ".join(known),
        columns,
        initial_indent=f"  {name:{width}}",
        subsequent_indent=" " * (width + 2),
        max_lines=MOST_LINES,
        placeholder=f" ... (conf/{name})",
    ) or [f"  {name}"]

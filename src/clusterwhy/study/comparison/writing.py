"""A comparison as files."""

from pathlib import Path

import pandas as pd

from clusterwhy.artifacts.store import UNFINISHED, replace_folder, write_json, write_table, write_text
from clusterwhy.errors import ArtifactError
from clusterwhy.study.comparison.comparing import Comparison
from clusterwhy.study.comparison.figure import channels_figure
from clusterwhy.study.comparison.page import page

TABLES = ("clusters", "overlap", "channels", "anomalies", "metrics", "settings")


def write_comparison(found: Comparison, out: Path, sources: tuple[str, str]) -> None:
    """Write every table as CSV, `comparison.json` (what was matched by what, agreement), a figure and the page.

    The folder appears when everything in it is written.

    Args:
        sources: what A and B are, such as their folders.

    Raises:
        ArtifactError: the folder exists.
    """
    if out.exists():
        raise ArtifactError(f"{out} exists: give `--out` a folder that does not, or leave it out")
    unfinished = out.with_name(f"{out.name}{UNFINISHED}")
    unfinished.mkdir(parents=True, exist_ok=True)
    for name in TABLES:
        write_table(unfinished / f"{name}.csv", _plain(getattr(found, name)))
    agreement = {name: value if value == value else None for name, value in found.agreement.items()}
    write_json(
        unfinished / "comparison.json", {"a": sources[0], "b": sources[1], "matched_by": found.shared.by, **agreement}
    )
    picture = channels_figure(found, unfinished / "channels")
    write_text(unfinished / "comparison.html", page(found, picture, sources))
    replace_folder(unfinished, out)


def _plain(table: pd.DataFrame) -> pd.DataFrame:
    """Lists of names in one cell, with spaces between."""

    def text(value: object) -> object:
        return " ".join(map(str, value)) if isinstance(value, tuple) else value

    objects = table.columns[[kind.kind == "O" for kind in table.dtypes]]
    return table.assign(**{str(name): table[name].map(text) for name in objects})

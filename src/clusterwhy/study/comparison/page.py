"""A comparison as one self-contained page: matched tiles of A and B beside each other."""

import base64
from importlib import resources
from pathlib import Path
from typing import Any

import pandas as pd

from clusterwhy.plots.names import short
from clusterwhy.report.page_data import hex_colour
from clusterwhy.report.summaries import figure
from clusterwhy.report.tiles import Tiles
from clusterwhy.study.comparison import frames, sentences
from clusterwhy.study.comparison.comparing import Comparison
from clusterwhy.study.comparison.matching import MERGES, PAIRED

UNPAIRED = "var(--line)"
MOST_ROWS = 100  # of a table on the page


def page(found: Comparison, picture: Path | None, sources: tuple[str, str]) -> str:
    """The HTML page.

    Args:
        sources: what A and B are, such as their folders.
        picture: the PNG of `figure.channels_figure`, if there is one.
    """
    from jinja2 import Environment, PackageLoader

    loader = PackageLoader("clusterwhy.study.comparison", "assets")
    environment = Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"figure": figure, "shown": short}
    style = (resources.files("clusterwhy.report") / "assets" / "page.css").read_text(encoding="utf-8")
    return environment.get_template("comparison.html").render(style=style, sources=sources, **_content(found, picture))


def _content(found: Comparison, picture: Path | None) -> dict[str, Any]:
    first, second = _tiles(found)
    cards = [side.results.data.card for side in (found.a, found.b)]
    clock, window_s = found.a.results.window_clock, found.a.results.window_s
    return {
        "a": cards[0],
        "b": cards[1],
        "comparable": sentences.comparable(found),
        "became": sentences.clusters(found),
        "rows": _rows(found, first, second),
        "picture": base64.b64encode(picture.read_bytes()).decode() if picture else "",
        "encoders": _encoders(found.channels),
        "window": f"{clock.scaled(window_s):.3g} {clock.unit}",
        "overlap": _overlap(found.overlap),
        "alarms": sentences.alarms(found),
        "alarms_a": first.anomalies(),
        "alarms_b": second.anomalies(),
        "alarm_rows": _alarm_rows(found.anomalies),
        "n_alarms": len(found.anomalies),
        "figures": found.metrics.to_dict("records"),
        "settings": found.settings.to_dict("records"),
    }


def _tiles(found: Comparison) -> tuple[Tiles, Tiles]:
    """Tiles in which a channel has the same scale on both sides."""
    first, second = Tiles(found.a.results), Tiles(found.b.results)
    names = [tiles.study.data.channels for tiles in (first, second)]
    ranges = [dict(zip(own, tiles.ranges, strict=True)) for own, tiles in zip(names, (first, second), strict=True)]
    whole = {name: _union(ranges[0][name], ranges[1][name]) for name in names[0]}
    for tiles, own in zip((first, second), names, strict=True):
        tiles.ranges = [whole[name] for name in own]
    return first, second


def _union(a: tuple[float, float], b: tuple[float, float]) -> tuple[float, float]:
    return min(a[0], b[0]), max(a[1], b[1])


def _rows(found: Comparison, first: Tiles, second: Tiles) -> list[dict[str, Any]]:
    tiles = [{one["cluster"]: one for one in own.clusters()} for own in (first, second)]
    return [_row(found, row, tiles) for row in found.clusters.to_dict("records")]


def _row(found: Comparison, row: dict[Any, Any], tiles: list[dict[int, dict[str, Any]]]) -> dict[str, Any]:
    clusters = [None if pd.isna(row[name]) else int(row[name]) for name in ("cluster_a", "cluster_b")]
    a, b = clusters
    paired = a is not None and b is not None
    colour = UNPAIRED if a is None or b is None else hex_colour(a)
    one, other = (
        None if c is None or c not in own else own[c] | {"colour": colour}
        for c, own in zip(clusters, tiles, strict=True)
    )
    own = found.channels[(found.channels["cluster_a"] == a) & (found.channels["cluster_b"] == b)] if paired else None
    return {
        "title": " and ".join(f"{letter}{c}" for letter, c in zip("AB", clusters, strict=True) if c is not None),
        "kind": row["kind"] if row["kind"] != MERGES else f"{MERGES} into B{row['part_of']}",
        "overlap": "" if row["jaccard"] != row["jaccard"] else f"{row['jaccard']:.2f}",
        "says": sentences.channels_of(found, a, b) if a is not None and b is not None and row["kind"] in PAIRED else "",
        "a": one,
        "b": other,
        "absent": _absent(row, "B" if b is None else "A"),
        "channels": [] if own is None else _channels(own),
    }


def _absent(row: dict[Any, Any], letter: str) -> str:
    if not pd.isna(row["part_of"]):
        return f"Most of its windows are in {letter}{int(row['part_of'])}."
    return f"No cluster of {letter} is paired with it."


def _channels(own: pd.DataFrame) -> list[dict[Any, Any]]:
    apart = own["verdict"].isin([frames.HIGHER, frames.LOWER])
    return own.assign(apart=apart).head(MOST_ROWS).to_dict("records")


def _encoders(channels: pd.DataFrame) -> str:
    """Over how many encoders intervals are."""
    counts = [channels[f"encoders_{letter}"].max() if len(channels) else 0 for letter in "ab"]
    alone = "; those of one encoder cover windows and not another training" if min(counts) < 2 else ""
    return f"{counts[0]:.0f} in A, {counts[1]:.0f} in B{alone}"


def _alarm_rows(table: pd.DataFrame) -> list[dict[Any, Any]]:
    leading = [", ".join(one) if isinstance(one, tuple) else "" for one in table["leading"]]
    start = [f"{one:%Y-%m-%d %H:%M:%S}" if isinstance(one, pd.Timestamp) else f"{one:.6g} s" for one in table["start"]]
    return table.assign(leading=leading, start=start).head(MOST_ROWS).to_dict("records")


def _overlap(table: pd.DataFrame) -> dict[str, Any] | None:
    """(cluster of A, cluster of B) windows, as text."""
    if table.empty:
        return None
    counts = table.pivot(index="cluster_a", columns="cluster_b", values="n_windows")

    def name(letter: str, cluster: int) -> str:
        return f"noise of {letter}" if cluster < 0 else f"{letter}{cluster}"

    rows = [(name("A", int(i)), [int(n) for n in row]) for i, row in zip(counts.index, counts.to_numpy(), strict=True)]
    return {"columns": [name("B", int(j)) for j in counts.columns], "rows": rows}

"""The README and the pages in docs/ are right: their Python runs, their links lead somewhere, the README is short."""

import re
from pathlib import Path
from typing import Any

import pytest

ROOT = next(folder for folder in Path(__file__).resolve().parents if (folder / "pyproject.toml").is_file())
README = ROOT / "README.md"
PAGES = [README, ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
MOST_LINES = 120


def python_blocks(page: Path) -> list[str]:
    """The ```python blocks of a page."""
    return re.findall(r"^```python\n(.*?)^```$", page.read_text(), re.DOTALL | re.MULTILINE)


def prose(page: Path) -> str:
    """A page without its code, where brackets are no links."""
    return re.sub(r"^```.*?^```$|`[^`\n]*`", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)


def anchors(page: Path) -> set[str]:
    """What GitHub calls the headings of a page in links (repeated headings, which get a number, are not used here)."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    headings = re.findall(r"^#+ +(.+?)\s*$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken_links(page: Path) -> list[str]:
    """Relative links of a page that lead to no file, or to no heading of it."""
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    return broken


def test_the_python_of_the_readme_and_of_the_api_page_runs(capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, Any] = {}
    exec(python_blocks(README)[0], names)
    assert capsys.readouterr().out.strip()
    # the page continues the README's example
    for block in python_blocks(ROOT / "docs" / "python_api.md"):
        exec(block, names)
    assert len(names["found"].values) == len(names["windows"])


def test_the_readme_names_the_channel_of_its_fault() -> None:
    names: dict[str, Any] = {}
    exec(python_blocks(README)[0], names)
    for result in (names["found"], names["unlike"]):
        assert abs(result.values).sum(axis=2).argmax(axis=1).tolist() == [2]


def test_the_readme_is_short() -> None:
    assert len(README.read_text().splitlines()) <= MOST_LINES


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_relative_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    assert broken_links(page) == []


def test_a_broken_link_is_found(tmp_path: Path) -> None:
    (tmp_path / "other.md").write_text("# A heading, `with code`?\n```\n# no heading\n```\n")
    page = tmp_path / "page.md"
    page.write_text(
        "[1](other.md) [2](other.md#a-heading-with-code) [3](https://example.org/x) [4](none.md) `[5](code.md)`\n"
        "[6](other.md#no-heading) ![7](none.png) [8](#nowhere)\n```\n[9](block.md)\n```\n"
    )
    assert broken_links(page) == ["none.md", "other.md#no-heading", "none.png", "#nowhere"]

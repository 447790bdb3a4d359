"""Every page can be reached, every link leads somewhere, and what is called Python compiles."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.pages import DOCS, ROOT, anchors, blocks, named, pages, prose

_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
_TOCTREE = re.compile(r"^```\{toctree\}\n(.*?)^```", re.M | re.S)


def links(page: Path) -> Iterator[str]:
    """The targets of a page's links that do not leave the project."""
    for target in _LINK.findall(prose(page.read_text("utf-8"))):
        if "://" not in target and not target.startswith("mailto:"):
            yield target


@pytest.mark.parametrize("page", pages(), ids=named)
def test_links_lead_somewhere(page: Path) -> None:
    for target in links(page):
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        assert there.is_file(), f"{target}: there is no such file"
        if anchor:
            assert anchor in anchors(there.read_text("utf-8")), f"{target}: no such heading"


@pytest.mark.parametrize("page", sorted(DOCS.rglob("*.md")), ids=named)
def test_a_page_links_only_to_what_is_built_with_it(page: Path) -> None:
    for target in links(page):
        there = (page.parent / target.partition("#")[0]).resolve()
        assert there.is_relative_to(DOCS), f"{target} lies outside of docs"


def test_every_page_is_in_the_table_of_contents_once() -> None:
    trees = _TOCTREE.findall((DOCS / "index.md").read_text("utf-8"))
    lines = [line for tree in trees for line in tree.splitlines()]
    listed = [line for line in lines if line and not line.startswith(":")]
    there = {page.relative_to(DOCS).with_suffix("").as_posix() for page in DOCS.rglob("*.md")}
    assert sorted(listed) == sorted(there - {"index"})


def test_every_picture_is_shown() -> None:
    shown = {
        (page.parent / target).resolve()
        for page in pages()
        for target in links(page)
        if target.endswith((".png", ".svg"))
    }
    assert shown == {path for path in (DOCS / "images").iterdir() if path.is_file()}


@pytest.mark.parametrize("page", pages(), ids=named)
def test_python_on_a_page_compiles(page: Path) -> None:
    for block in blocks(page.read_text("utf-8"), "python"):
        compile(block, named(page), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


def test_the_readme_is_what_the_package_shows() -> None:
    assert 'readme = "README.md"' in (ROOT / "pyproject.toml").read_text("utf-8")

"""The pages hold together: links lead somewhere, in the site as on a repository host."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from types import UnionType
from typing import Annotated, Any, get_origin

import pytest

from polymarket_bot import storage
from polymarket_bot.storage import ops, types
from tests.programs import ROOT, blocks, page

PAGES = {
    str(file.relative_to(ROOT)): page(str(file.relative_to(ROOT)))
    for file in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
}
SITE: dict[str, Any] = tomllib.loads(page("zensical.toml"))["project"]
FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!https?:)([^)\s]*)\)")
NAMED = re.compile(r"^::: (polymarket_bot\.storage\.(?:\w+\.)*)(\w+)$", re.MULTILINE)
FIXTURES = ["db", "db_url", "empty_url", "server_url"]

# The test that runs the programs of a page. `make bench` and `make torture` are left out: they
# take up to an hour, and so is a single test of theirs.
BY_HAND = (
    "make bench",
    ".venv/bin/python -m benchmarks.soak",
    "make torture",
    "TORTURE_SEED=5 .venv/bin/python -m pytest ",
)
RUN_BY = {
    "README.md": "test_readme.py",
    "docs/database.md": "test_pages.py",
    "docs/embedded.md": "test_pages.py",
    "docs/operations.md": "test_operations.py",
    "docs/repositories.md": "test_repositories_page.py",
    "docs/testing.md": "test_testing_page.py",
}


def anchors(text: str) -> set[str]:
    """The anchors that repository hosts make of a page's headings."""
    headings = re.findall(r"^#+ (.+)$", FENCED.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def links(name: str) -> Iterator[tuple[str, str]]:
    """The files that a page's relative links lead to, from the root, and their anchors."""
    for link in LINK.findall(re.sub(r"`[^`\n]*`", "", FENCED.sub("", PAGES[name]))):
        path, _, anchor = link.partition("#")
        target = (ROOT / name).parent / path if path else ROOT / name
        yield str(target.resolve().relative_to(ROOT)), anchor


@pytest.mark.parametrize("name", PAGES)
def test_a_relative_link_leads_to_a_file_and_a_heading(name: str) -> None:
    for target, anchor in links(name):
        assert (ROOT / target).is_file(), target
        assert not anchor or anchor in anchors(PAGES[target]), (target, anchor)


def test_what_pages_link_to_is_copied_into_the_site() -> None:
    (copied,) = re.findall(r"^PAGES := (.+)$", page("Makefile"), re.MULTILINE)
    targets = {target for name in PAGES for target, _ in links(name)}
    assert len(targets) > 20
    assert {target.partition("/")[0] for target in [*PAGES, *targets]} <= set(copied.split())


def leaves(entry: Any) -> list[str]:
    """The pages of an entry of the navigation."""
    if isinstance(entry, str):
        return [entry]
    return [
        leaf
        for below in (entry.values() if isinstance(entry, dict) else entry)
        for leaf in leaves(below)
    ]


def test_the_navigation_and_the_list_of_decisions_have_every_page() -> None:
    decisions = {name for name in PAGES if re.match(r"docs/decisions/\d", name)}
    assert sorted(leaves(SITE["nav"])) == sorted(PAGES.keys() - decisions)
    listed = [target for target, _ in links("docs/decisions/README.md")]
    assert listed == sorted(decisions)
    titles = re.findall(r"^- \[\d+: (.+)\]", PAGES["docs/decisions/README.md"], re.MULTILINE)
    assert titles == [PAGES[name].splitlines()[0].removeprefix("# ") for name in listed]


def test_readme_has_every_page_of_the_docs_in_its_table() -> None:
    _, _, table = PAGES["README.md"].partition("## Where to go on")
    linked = {target for target, _ in links("README.md")} & set(LINK.findall(table))
    guides = {name for name in PAGES if re.fullmatch(r"docs/\w+\.md|docs/\w+/README\.md", name)}
    assert guides | {"CHANGELOG.md", "CLAUDE.md"} <= linked


def test_every_public_name_has_one_place_in_the_reference() -> None:
    found = [
        (module.removeprefix("polymarket_bot.storage").strip("."), name)
        for file, text in PAGES.items()
        if file.startswith("docs/reference/")
        for module, name in NAMED.findall(text)
    ]
    public = [("", name) for name in storage.__all__] + [("ops", name) for name in ops.__all__]
    columns = [
        ("types", name)
        for name, value in vars(types).items()
        if get_origin(value) in (Annotated, UnionType)
    ]
    fixtures = [("testing.plugin", name) for name in FIXTURES]
    assert set(found) == {*public, *columns, *fixtures}
    assert len(found) == len(set(found))


def test_the_programs_of_every_page_are_run_by_a_test() -> None:
    for name, text in PAGES.items():
        programs = [*blocks(text, "python"), *blocks(text, "bash")]
        lines = "".join(programs).splitlines()
        if not all(line.startswith(BY_HAND) for line in lines):
            source = page(f"tests/{RUN_BY[name]}")
            assert f'page("{name}")' in source

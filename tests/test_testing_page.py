"""What `docs/testing.md` shows is run as it stands there."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path

import pytest

from tests.programs import blocks, page, run

PAGE = page("docs/testing.md")


def files_of_the_page(language: str) -> dict[str, str]:
    """Return the page's blocks of a language by the file names in their first lines."""
    return {block.split(maxsplit=2)[1]: block for block in blocks(PAGE, language)}


def commands_of_the_page() -> list[str]:
    return "".join(blocks(PAGE, "bash")).splitlines()


@pytest.mark.parametrize("loops", ["each test", "one"])
@pytest.mark.parametrize("command", commands_of_the_page())
def test_the_page_in_the_docs_is_right(
    server_url: str, tmp_path: Path, command: str, loops: str
) -> None:
    files = files_of_the_page("python") | (files_of_the_page("toml") if loops == "one" else {})
    for name, block in files.items():
        (tmp_path / name).write_text(block)
    setting, _, arguments = command.partition("pytest")
    given = {"DATABASE_URL": server_url} if setting.startswith("DATABASE_URL=") else {}
    outcome = run([sys.executable, "-m", "pytest", *shlex.split(arguments)], tmp_path, **given)
    number = sum(block.count("def test_") for block in files.values())
    assert re.search(rf"= {number} passed in", outcome.stdout), outcome.stdout + outcome.stderr


def test_every_block_of_the_page_is_in_the_test_above() -> None:
    tried = [*files_of_the_page("python"), *files_of_the_page("toml"), *blocks(PAGE, "bash")]
    assert len(tried) == len(re.findall(r"^```\w", PAGE, re.MULTILINE)) == 6
    assert commands_of_the_page()[:2] == ["pytest", "pytest -n 2"]

"""What `docs/operations.md` says that is told, and whether it was."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from tests.commands import run
from tests.programs import page

_SECTION = re.search(
    r"^## Monitoring\n((?:(?!## ).*\n)*)", page("docs/operations.md"), re.MULTILINE
)
assert _SECTION is not None
_TABLES = _SECTION[1].partition("### Problems")[2].split("### Notes")
PROBLEMS, NOTES = (
    [found for line in table.splitlines() for found in re.findall(r"^\| `([^`]+)`", line)]
    for table in _TABLES
)


def said(words: Sequence[str], *messages: str) -> bool:
    """Tell whether the words are those of the page, one for each message and no other."""
    assert set(messages) <= {*PROBLEMS, *NOTES}
    return len(words) == len(messages) and all(map(_is_said, words, messages))


def _is_said(words: str, message: str) -> bool:
    return re.match(".*".join(map(re.escape, message.split("…"))), words) is not None


class Told(NamedTuple):
    """What `status` has told, and how it ended."""

    status: int
    problems: list[str]
    notes: list[str]


async def status(url: str, cwd: Path, *options: str) -> Told:
    """Ask for the status, as a monitor does; its two answers must agree."""
    outcome = await run("status", "--json", "--url", url, *options, cwd=cwd)
    report = outcome.json
    assert report["healthy"] == (outcome.status == 0) == (not report["problems"])
    assert (outcome.out.count("\n"), outcome.err) == (1, "")
    return Told(outcome.status, report["problems"], report["notes"])

"""`migrate`: the schema brought to a version, in words or as JSON."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from polymarket_bot.storage.cli.output import print_json, say
from polymarket_bot.storage.cli.target import open_database
from polymarket_bot.storage.schema.migrations import MigrationReport

_WOULD = {
    "applied": "would be applied",
    "adopted": "is there already, and would be recorded",
    "repaired": "lacks a part, which would be made again",
    "reverted": "would be taken back, and the rows of its tables with it",
}
_DONE = {
    "applied": "applied",
    "adopted": "was there already, and is recorded now",
    "repaired": "lacked a part, which was made again",
    "reverted": "taken back",
}


async def migrate_database(
    url: str | None, data_dir: Path, to: int | None, timeout: float, *, dry_run: bool, as_json: bool
) -> int:
    """Migrate, print what was done, and return the exit status."""
    async with open_database(url, data_dir, as_it_is=True) as db:
        report = await db.migrate(to, dry_run=dry_run, timeout=timeout)
    if as_json:
        print_json(asdict(report))
    else:
        _print_words(report)
    return 0


def _print_words(report: MigrationReport) -> None:
    for step in report.steps:
        done = _WOULD if report.dry_run else _DONE
        took = f" in {step.seconds:.1f} s" if step.seconds >= 0.1 else ""
        say(f"{step.name} {done[step.action]}{took}")
    said = "would be" if report.dry_run and report.steps else "is"
    say(f"the schema {said} at version {report.after}")

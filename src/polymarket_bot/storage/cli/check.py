"""`check`: the live schema held against the tables, in words or as JSON."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from polymarket_bot.storage.cli.output import print_json, say
from polymarket_bot.storage.cli.target import open_database
from polymarket_bot.storage.database import Database
from polymarket_bot.storage.errors import NotPermitted
from polymarket_bot.storage.schema.drift import Difference, SchemaReport
from polymarket_bot.storage.tables import PRODUCTION

_FIELDS = ("kind", "name", "expected", "found", "harmless")


async def check_database(url: str | None, data_dir: Path, *, as_json: bool) -> int:
    """Look at the schema, print what differs, and return the exit status: 1 where it harms."""
    async with open_database(url, data_dir, as_it_is=True) as db:
        report, version = await db.check_schema(), await _version(db)
    if as_json:
        print_json({"ok": report.ok, "version": version, **_lists(report)})
    else:
        _print_words(report, version)
    return 0 if report.ok else 1


async def _version(db: Database) -> int | None:
    """Return the schema's version, None where this user may not read it."""
    try:
        return await db.schema_version()
    except NotPermitted:
        return None


def _lists(report: SchemaReport) -> dict[str, Any]:
    return {
        "missing": _entries(report.missing),
        "extra": _entries(report.extra),
        "different": _entries(report.different),
    }


def _entries(differences: Iterable[Difference]) -> list[dict[str, Any]]:
    return [{name: getattr(entry, name) for name in _FIELDS} for entry in differences]


def _print_words(report: SchemaReport, version: int | None) -> None:
    absent = {entry.name for entry in report.missing if entry.kind == "table"}
    if absent.issuperset(table.name for table in PRODUCTION):
        say(
            "none of the tables is there; create them: polymarket-storage migrate, or name the "
            "schema that they are in: DATABASE_SCHEMA_NAME"
        )
        return
    for entry in sorted(report, key=lambda entry: entry.harmless):
        say(str(entry))
    if report.ok:
        told = "a version that this user may not read" if version is None else f"version {version}"
        say(f"the schema is as it should be, at {told}")

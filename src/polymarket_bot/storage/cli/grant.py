"""`grant`: the roles and their rights, in words or as JSON."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from polymarket_bot.storage.cli.output import note, print_json, say
from polymarket_bot.storage.cli.target import open_database
from polymarket_bot.storage.errors import ConfigurationError
from polymarket_bot.storage.schema.roles import Role, grant


async def grant_roles(
    role: Role | None,
    login: str | None,
    url: str | None,
    data_dir: Path,
    timeout: float,
    *,
    as_json: bool,
) -> int:
    """Give the roles what they need, print what was done, and return the exit status."""
    if role is not None and login is None:
        raise ConfigurationError(
            f"grant {role}: to whom is not said", remedy=f"name a login: grant {role} LOGIN"
        )
    async with open_database(url, data_dir, as_it_is=True) as db:
        report = await grant(db, db.config, role, login, timeout=timeout)
    if as_json:
        print_json(asdict(report))
        return 0
    for statement in report.done:
        say(statement)
    for line in report.excess:
        note(line)
    if not report.done:
        say("nothing to do: each has what it needs")
    return 0

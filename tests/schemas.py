"""Databases in each state that a migration can meet, and what is in them."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from polymarket_bot.storage import Database, seed_files
from polymarket_bot.storage.embedded.binaries import binaries_for
from tests.programs import in_thread

# pg_dump's own token, and a number that Debian's PostgreSQL 15 gives each column.
_RANDOM = re.compile(
    r"^\\(un)?restrict .*$|^ALTER TABLE ONLY .* SET \(pg_attver=\d+\);$", re.MULTILINE
)
UNIQUE = """
CREATE UNIQUE INDEX uq ON polymarket_first_triggers (condition_id, threshold)
WHERE condition_id <> ''
"""
"""Makes the index that an operator may add: of a condition, one trigger of a threshold."""

_INVALID = """
UPDATE pg_index SET indisvalid = false WHERE indexrelid = $1::text::regclass
"""


async def load(url: str, *files: Path) -> None:
    """Load seed files by psql, as a container's entrypoint does; all of them by default."""
    psql = shutil.which("psql") or str(binaries_for(None) / "psql")
    for file in files or seed_files():
        command = [psql, "-v", "ON_ERROR_STOP=1", "--no-psqlrc", "-f", str(file), url]
        done = await in_thread(command, cwd=Path("/"))
        assert done.returncode == 0, done.stderr


async def dump(url: str, *options: str) -> str:
    """Return all of a database's schema, or a part of it, as pg_dump writes it."""
    command = [str(binaries_for(None) / "pg_dump"), "--schema-only", "--no-owner", *options, url]
    done = await in_thread(command, cwd=Path("/"))
    assert done.returncode == 0, done.stderr
    return _RANDOM.sub("", done.stdout)


async def spoil(db: Database, index: str) -> None:
    """Make an index invalid, as a concurrent build does that is interrupted."""
    await db.execute(_INVALID, index)

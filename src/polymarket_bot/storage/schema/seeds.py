"""The seed files: one ordered set of SQL scripts, and the scripts that take them back."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from polymarket_bot.storage.errors import ConfigurationError

_PACKAGED = Path(__file__).parents[1] / "seed"
_CHECKOUT = Path(__file__).parents[4] / "seed"
_PATTERN = "[0-9][0-9]_*.sql"
_STATEMENT_END = re.compile(r";[ \t]*$", re.MULTILINE)
_OUTSIDE = "-- migrate: outside a transaction"
_TABLE = re.compile(r"^CREATE TABLE IF NOT EXISTS (\S+)", re.MULTILINE)
_INDEX = re.compile(r"^CREATE INDEX (?:CONCURRENTLY )?IF NOT EXISTS (\S+)", re.MULTILINE)


@dataclass(frozen=True)
class Script:
    """An SQL script, each statement of which ends with a semicolon at a line's end.

    Attributes:
        name: the file's name.
        text: the script.
    """

    name: str
    text: str

    @property
    def outside_transaction(self) -> bool:
        """It says so in a line of its own, since its statements cannot run inside one."""
        return _OUTSIDE in self.text.splitlines()

    @property
    def description(self) -> str:
        """Its first line, which is a comment."""
        return self.text.partition("\n")[0].removeprefix("--").strip().rstrip(".")

    @property
    def tables(self) -> list[str]:
        """The names of the tables that it creates."""
        return _TABLE.findall(self.text)

    @property
    def indexes(self) -> list[str]:
        """The names of the indexes that it creates."""
        return _INDEX.findall(self.text)

    def statements(self) -> Iterator[str]:
        """The statements, without the comments before them."""
        for part in _STATEMENT_END.split(self.text):
            lines = part.strip().splitlines()
            while lines and (not lines[0].strip() or lines[0].startswith("--")):
                lines.pop(0)
            if lines:
                yield "\n".join(lines)


@dataclass(frozen=True)
class Seed:
    """A seed file, and how it is taken back.

    Attributes:
        version: its number.
        up: the script.
        down: the script that takes it back, or None where nothing can.
        path: where the file is.
    """

    version: int
    up: Script
    down: Script | None
    path: Path

    @property
    def checksum(self) -> str:
        """SHA-256 of the script, line ends apart."""
        return sha256(self.up.text.encode()).hexdigest()


def seeds() -> list[Seed]:
    """Return the seed files in the order in which they are applied.

    Raises:
        ConfigurationError: the installation lacks them.
    """
    return [_seed(path) for path in seed_files()]


def seed_files() -> list[Path]:
    """Return the SQL files that make the schema, in the order in which they are applied.

    Raises:
        ConfigurationError: the installation lacks them.
    """
    for folder in (_PACKAGED, _CHECKOUT):
        if files := sorted(folder.glob(_PATTERN)):
            return files
    raise ConfigurationError(
        f"no seed files in {_PACKAGED}", remedy="install polymarket-bot-storage again"
    )


def _seed(path: Path) -> Seed:
    down = path.parent / "down" / path.name
    script = _read(down) if down.exists() else None
    return Seed(int(path.name[:2]), _read(path), script, path)


def _read(path: Path) -> Script:
    return Script(path.name, path.read_text(encoding="utf-8"))

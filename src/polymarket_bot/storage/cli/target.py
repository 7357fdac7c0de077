"""Which database a command works on, and how it reports and ends."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError

from polymarket_bot.storage.cli.output import note, print_json
from polymarket_bot.storage.config import DatabaseConfig, is_given_in_parts
from polymarket_bot.storage.config import as_it_is as opened_as_it_is
from polymarket_bot.storage.database import Database
from polymarket_bot.storage.embedded import EmbeddedPostgres
from polymarket_bot.storage.errors import ConfigurationError, InvalidInput, StorageError


def configured(url: str) -> DatabaseConfig:
    """Return the settings for `url`, the others from the environment.

    Raises:
        ConfigurationError: a setting is refused; names it.
    """
    try:
        return DatabaseConfig(url=url)
    except ValidationError as error:
        first = InvalidInput.of(error)
        raise ConfigurationError(f"{first.field}: {first.expected}") from error


def configured_for_embedded(url: str) -> DatabaseConfig:
    """Return the settings for an embedded server: what others are reached by is not among them."""
    return configured(url).model_copy(update={"direct_url": url, "pooler": None})


def _or_of_parts(url: str | None) -> str | None:
    """Return the URL, or that of DATABASE_HOST and the other parts, where there are any."""
    if url or not is_given_in_parts():
        return url
    try:
        return configured("").dsn
    except ConfigurationError as error:
        raise typer.BadParameter(str(error)) from None


Url = Annotated[
    str | None,
    typer.Option(
        envvar="DATABASE_URL",
        callback=_or_of_parts,
        help="The database; else that of DATABASE_HOST, else the embedded server.",
    ),
]
DataDir = Annotated[Path, typer.Option(help="Folder of the embedded server.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]

DEFAULT_DATA_DIR = Path(".polymarket")
INTERRUPTED = 130


@asynccontextmanager
async def open_database(
    url: str | None, data_dir: Path, *, as_it_is: bool = False
) -> AsyncIterator[Database]:
    """Open the database at `url` as it is, or the embedded one, whose schema is brought forward.

    With `as_it_is`, that is left as it is, too, and no setting has the schema looked at first.
    """
    async with located(url, data_dir, as_it_is=as_it_is) as config, Database(config) as db:
        yield db


@asynccontextmanager
async def located(
    url: str | None, data_dir: Path, *, as_it_is: bool = False
) -> AsyncIterator[DatabaseConfig]:
    """Give the settings to open it with; the embedded server runs meanwhile. As `open_database`."""
    if url:
        yield _seen(configured(url), as_it_is=as_it_is)
        return
    async with EmbeddedPostgres(data_dir) as server:
        config = configured_for_embedded(server.url)
        if not as_it_is:
            async with Database(opened_as_it_is(config)) as db:
                await db.migrate()
        yield _seen(config, as_it_is=as_it_is)


def _seen(config: DatabaseConfig, *, as_it_is: bool) -> DatabaseConfig:
    """Return the settings to open the database with."""
    return opened_as_it_is(config) if as_it_is else config


def run(command: Coroutine[Any, Any, int | None], *, as_json: bool = False) -> None:
    """Run a command to its end and exit with its status: 0 only when all went well.

    With `as_json`, an error is an object on standard output, too.
    """
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s")
    try:
        status = asyncio.run(command)
    except (StorageError, OSError) as error:
        status = _fail(f"error: {error}", 1, as_json=as_json)
    except (KeyboardInterrupt, asyncio.CancelledError):
        text = "interrupted: what was stored before stays stored"
        status = _fail(text, INTERRUPTED, as_json=as_json)
    raise typer.Exit(status or 0)


def _fail(text: str, status: int, *, as_json: bool) -> int:
    note(text)
    if as_json:
        print_json({"error": text})
    return status

"""`db start`, `db stop`, `db url`, `db dump`, `db restore`: the embedded server."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from polymarket_bot.storage.cli.output import note, print_json, say
from polymarket_bot.storage.cli.target import DEFAULT_DATA_DIR, AsJson, DataDir, open_database, run
from polymarket_bot.storage.embedded import EmbeddedPostgres, owner_pids, running_url

server_app = typer.Typer(help="The embedded server.", no_args_is_help=True)


@server_app.command()
def start(data_dir: DataDir = DEFAULT_DATA_DIR, as_json: AsJson = False) -> None:
    """Start the embedded server and leave it running until `db stop`."""
    run(_start(data_dir, as_json=as_json), as_json=as_json)


@server_app.command()
def stop(data_dir: DataDir = DEFAULT_DATA_DIR, as_json: AsJson = False) -> None:
    """Stop the embedded server; where others still use it, it stops when they leave."""
    run(_stop(data_dir, as_json=as_json), as_json=as_json)


@server_app.command()
def url(data_dir: DataDir = DEFAULT_DATA_DIR, as_json: AsJson = False) -> None:
    """Print the URL of the running embedded server."""
    run(_url(data_dir, as_json=as_json), as_json=as_json)


@server_app.command()
def dump(
    file: Annotated[Path, typer.Argument(dir_okay=False, help="A new file, for this user only.")],
    force: Annotated[bool, typer.Option("--force", help="Overwrite a file that is there.")] = False,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    as_json: AsJson = False,
) -> None:
    """Write the embedded database into a file, as it is at one instant; bots may go on."""
    from polymarket_bot.storage.cli.archive import dump_database  # it needs POSIX

    run(dump_database(file, data_dir, force=force, as_json=as_json), as_json=as_json)


@server_app.command()
def restore(
    file: Annotated[Path, typer.Argument(dir_okay=False, help="What `db dump` has made.")],
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace the rows that the database has.")
    ] = False,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    as_json: AsJson = False,
) -> None:
    """Put a dump in the place of the embedded database: all of it, or nothing is changed."""
    from polymarket_bot.storage.cli.archive import restore_database  # it needs POSIX

    work = restore_database(file, data_dir, replace=replace, as_json=as_json)
    run(work, as_json=as_json)


async def _start(data_dir: Path, *, as_json: bool) -> int:
    async with EmbeddedPostgres(data_dir) as server:
        async with open_database(None, data_dir):  # its schema is made if absent
            await server.keep()
        _print_url(server.url, as_json=as_json)
    return 0


async def _stop(data_dir: Path, *, as_json: bool) -> int:
    was_running = await running_url(data_dir) is not None
    await EmbeddedPostgres(data_dir).release()  # also one that comes back, or is started later
    if owners := await owner_pids(data_dir):
        note(f"still used by process {', '.join(map(str, owners))}; it stops when they leave")
        _print_stopped("in use", as_json=as_json)
        return 1
    _print_stopped("stopped" if was_running else "not running", as_json=as_json)
    return 0


async def _url(data_dir: Path, *, as_json: bool) -> int:
    found = await running_url(data_dir)
    if found is None:
        note(f"no embedded server runs in {data_dir}: start one with `polymarket-storage db start`")
        return 1
    _print_url(found, as_json=as_json)
    return 0


def _print_url(found: str, *, as_json: bool) -> None:
    if as_json:
        print_json({"url": found})
    else:
        say(found)


def _print_stopped(state: str, *, as_json: bool) -> None:
    if as_json:
        print_json({"state": state})
    else:
        say(state)

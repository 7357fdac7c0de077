"""The commands and their options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from polymarket_bot.storage.cli.check import check_database
from polymarket_bot.storage.cli.demo.run import Plan, run_demo
from polymarket_bot.storage.cli.grant import grant_roles
from polymarket_bot.storage.cli.ingest import ingest_files
from polymarket_bot.storage.cli.migrate import migrate_database
from polymarket_bot.storage.cli.output import print_json, say
from polymarket_bot.storage.cli.server import server_app
from polymarket_bot.storage.cli.status import show_status, watch_status
from polymarket_bot.storage.cli.target import (
    DEFAULT_DATA_DIR,
    AsJson,
    DataDir,
    Url,
    configured,
    open_database,
    run,
)
from polymarket_bot.storage.config import without_password
from polymarket_bot.storage.monitoring.findings import DEFAULT_LIMITS, HealthLimits
from polymarket_bot.storage.schema.creation import create_database
from polymarket_bot.storage.schema.roles import Role

_TABLES = "SELECT count(*) FROM pg_tables WHERE schemaname = current_schema()"

app = typer.Typer(
    help="Storage for trading bots on PostgreSQL.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,  # they show local variables, and so a URL's password
)
app.add_typer(server_app, name="db")


@app.command()
def demo(
    feed: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="A trade file instead of a generated feed."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the generated feed, and of the kills.")] = 1,
    workers: Annotated[int, typer.Option(min=1, help="How many worker processes.")] = 3,
    kill_workers: Annotated[
        int,
        typer.Option(metavar="N", min=0, help="Kill N times a worker in the middle of its work."),
    ] = 0,
    url: Annotated[
        str | None,
        typer.Option(help="A database to write the demo into (DATABASE_URL is not read)."),
    ] = None,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    as_json: AsJson = False,
) -> None:
    """Take a feed through a whole pipeline of several processes, from records to P&L."""
    plan = Plan(feed, seed, workers, kill_workers)
    run(run_demo(plan, url=url, data_dir=data_dir, as_json=as_json), as_json=as_json)


@app.command()
def init(url: Url = None, data_dir: DataDir = DEFAULT_DATA_DIR, as_json: AsJson = False) -> None:
    """Create the database where it is missing, and what is missing in it."""
    run(_init(url, data_dir, as_json=as_json), as_json=as_json)


@app.command()
def migrate(
    to: Annotated[
        int | None, typer.Option(help="The version; one below the database's goes back.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Change nothing; say what would be done.")
    ] = False,
    timeout: Annotated[
        float, typer.Option(min=0, help="Seconds to wait while another process migrates.")
    ] = 300.0,
    url: Url = None,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    as_json: AsJson = False,
) -> None:
    """Bring the schema to a version, the newest by default; writers may go on meanwhile."""
    work = migrate_database(url, data_dir, to, timeout, dry_run=dry_run, as_json=as_json)
    run(work, as_json=as_json)


@app.command()
def check(url: Url = None, data_dir: DataDir = DEFAULT_DATA_DIR, as_json: AsJson = False) -> None:
    """Hold the live schema against the tables; exit status 1 if anything harmful differs."""
    run(check_database(url, data_dir, as_json=as_json), as_json=as_json)


@app.command()
def grant(
    role: Annotated[Role | None, typer.Argument(help="The role that a login is to have.")] = None,
    login: Annotated[str | None, typer.Argument(help="A login that is there.")] = None,
    timeout: Annotated[
        float, typer.Option(min=0, help="Seconds to wait until nobody uses the tables.")
    ] = 60.0,
    url: Url = None,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    as_json: AsJson = False,
) -> None:
    """Make the roles storage_owner, storage_writer and storage_reader; make a login a member."""
    work = grant_roles(role, login, url, data_dir, timeout, as_json=as_json)
    run(work, as_json=as_json)


@app.command()
def ingest(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE...",
            exists=True,
            dir_okay=False,
            help="JSONL, JSON arrays or CSV; gzip too.",
        ),
    ],
    rejects: Annotated[
        Path | None,
        typer.Option(help="A new file for refused records; else rejects-….jsonl here."),
    ] = None,
    url: Url = None,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    as_json: AsJson = False,
) -> None:
    """Store the trades of files; repeating it changes nothing. Exit status 1 if any was refused."""
    run(ingest_files(files, rejects, url=url, data_dir=data_dir, as_json=as_json), as_json=as_json)


@app.command()
def status(
    seconds: Annotated[
        float | None,
        typer.Argument(
            metavar="SECONDS", min=0.1, help="With --watch: how long between two looks; else 5."
        ),
    ] = None,
    watch: Annotated[
        bool, typer.Option("--watch", help="Look again and again, until Ctrl-C; ends with 0.")
    ] = False,
    max_lag: Annotated[
        float, typer.Option(min=0, help="Seconds that a trade may wait behind its watermark.")
    ] = DEFAULT_LIMITS.lag,
    max_pending: Annotated[
        float, typer.Option(min=0, help="Seconds that a candidate or an exit may be pending.")
    ] = DEFAULT_LIMITS.pending,
    max_unanswered: Annotated[
        float, typer.Option(min=0, help="Seconds that the exchange may not answer an order.")
    ] = DEFAULT_LIMITS.unanswered,
    max_transaction: Annotated[
        float, typer.Option(min=0, help="Seconds that a transaction may be open.")
    ] = DEFAULT_LIMITS.transaction,
    max_idle: Annotated[
        float, typer.Option(min=0, help="Seconds that a transaction may run no statement.")
    ] = DEFAULT_LIMITS.idle,
    max_dead_rows: Annotated[
        int, typer.Option(min=0, help="Dead rows that a table may have, where they are many.")
    ] = DEFAULT_LIMITS.dead_rows,
    url: Url = None,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    as_json: AsJson = False,
) -> None:
    """Say what is wrong and how to mend it, and show sizes, pending work, positions and P&L.

    Exit status 1 if anything is wrong, also where the database does not answer.
    """
    if seconds is not None and not watch:
        raise typer.BadParameter("only with --watch", param_hint="SECONDS")
    limits = HealthLimits(
        lag=max_lag,
        pending=max_pending,
        unanswered=max_unanswered,
        transaction=max_transaction,
        idle=max_idle,
        dead_rows=max_dead_rows,
    )
    if watch:
        run(watch_status(url, data_dir, limits, seconds or 5, as_json=as_json), as_json=as_json)
    run(show_status(url, data_dir, limits, as_json=as_json), as_json=as_json)


async def _init(url: str | None, data_dir: Path, *, as_json: bool) -> int:
    created = await create_database(configured(url)) if url else False
    async with open_database(url, data_dir, as_it_is=True) as db:
        await db.migrate()
        tables = await db.fetchval(_TABLES)
        where = without_password(db.config.url)
    if as_json:
        print_json({"url": where, "database_created": created, "tables": tables})
    else:
        say(f"{tables} tables are ready in {where}")
    return 0

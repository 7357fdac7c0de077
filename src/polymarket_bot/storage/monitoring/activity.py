"""What goes on in a server besides: old transactions, dead rows."""

from __future__ import annotations

import asyncpg

from polymarket_bot.storage.connections.executor import Executor
from polymarket_bot.storage.monitoring.findings import Findings, HealthLimits, counted, duration

_SHOWN = 3

# Who may not see how long another user's transaction is open sees its session all the same, with
# nothing in most columns. A build of an index, and a VACUUM, hold up no other one.
_TRANSACTIONS = """
SELECT pid, usename, application_name, open, idle, backend_start IS NULL AS hidden,
       quote_ident(current_user) AS asker
FROM (
    SELECT *, extract(epoch FROM clock_timestamp() - xact_start)::float8 AS open,
           CASE WHEN state LIKE 'idle in transaction%'
                THEN extract(epoch FROM clock_timestamp() - state_change)::float8 END AS idle
    FROM pg_stat_activity
    WHERE datname = current_database() AND usename IS NOT NULL AND pid <> pg_backend_pid()
) AS session
WHERE backend_start IS NULL OR (
    backend_type = 'client backend' AND (open > $1::float8 OR idle > $2::float8)
    AND pid NOT IN (SELECT pid FROM pg_stat_progress_create_index
                    UNION ALL SELECT pid FROM pg_stat_progress_vacuum)
)
ORDER BY open DESC NULLS LAST
"""
_PREPARED = """
SELECT gid, owner, extract(epoch FROM clock_timestamp() - prepared)::float8 AS open
FROM pg_prepared_xacts
WHERE database = current_database() AND clock_timestamp() - prepared > $1::float8 * interval '1 s'
ORDER BY prepared
"""
_DEAD_ROWS = f"""
SELECT relid::regclass::text AS name, n_dead_tup AS dead, n_live_tup AS live,
       current_setting('autovacuum')::boolean AS server,
       (SELECT bool_and(CASE option_name WHEN 'autovacuum_enabled' THEN option_value::boolean END)
        FROM pg_options_to_table(reloptions)) IS DISTINCT FROM false AS enabled
FROM pg_stat_user_tables JOIN pg_class ON pg_class.oid = relid
WHERE (pg_table_is_visible(relid) OR schemaname = 'ops')
  AND n_dead_tup > $1::bigint AND n_dead_tup > $2::float8 * n_live_tup
ORDER BY n_dead_tup DESC LIMIT {_SHOWN}
"""
_HOLDS_UP = "until it ends, dead rows stay and index builds wait; "


async def look_at_transactions(db: Executor, limits: HealthLimits, found: Findings) -> None:
    """Find transactions of this database that are open for too long, whoever has them."""
    sessions = await db.fetch(_TRANSACTIONS, limits.transaction, limits.idle)
    prepared = await db.fetch(_PREPARED, limits.transaction)
    said = [_open(session) for session in sessions if not session["hidden"]]
    said += [_prepared(transaction) for transaction in prepared]
    found.problems += said[:_SHOWN]
    if rest := said[_SHOWN:]:
        found.problems.append(f"and {counted(len(rest), 'more old transaction')}: pg_stat_activity")
    if hidden := [session for session in sessions if session["hidden"]]:
        found.notes.append(
            f"how long {counted(len(hidden), 'session')} of other users are in a transaction is "
            f"hidden from this user: GRANT pg_read_all_stats TO {hidden[0]['asker']}"
        )


def _open(session: asyncpg.Record) -> str:
    who = f"{session['application_name'] or 'without a name'}, user {session['usename']}"
    idle = "" if session["idle"] is None else f", idle for {duration(session['idle'])}"
    return (
        f"the transaction of process {session['pid']} ({who}) is open for "
        f"{duration(session['open'])}{idle}: {_HOLDS_UP}end its program, or: "
        f"SELECT pg_terminate_backend({session['pid']})"
    )


def _prepared(transaction: asyncpg.Record) -> str:
    return (
        f"the transaction prepared as {transaction['gid']!r} by user {transaction['owner']} is "
        f"open for {duration(transaction['open'])}: {_HOLDS_UP}COMMIT PREPARED or ROLLBACK PREPARED"
    )


async def look_at_dead_rows(db: Executor, limits: HealthLimits, found: Findings) -> None:
    """Find tables with many dead rows, by the server's own counts."""
    for table in await db.fetch(_DEAD_ROWS, limits.dead_rows, limits.dead_share):
        found.problems.append(
            f"table {table['name']} has {table['dead']:,} dead rows beside {table['live']:,} live "
            f"ones: {_cause(table)}"
        )


def _cause(table: asyncpg.Record) -> str:
    vacuum = f"VACUUM ANALYZE {table['name']}"
    if not table["enabled"]:
        reset = f"ALTER TABLE {table['name']} RESET (autovacuum_enabled)"
        return f"autovacuum is off for it; {vacuum}, and {reset}"
    if not table["server"]:
        return f"autovacuum is off; {vacuum}, and set autovacuum = on in the server"
    return f"autovacuum does not keep up, or an old transaction keeps them; end that, then {vacuum}"

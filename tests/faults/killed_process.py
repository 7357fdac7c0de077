"""A process that starts everything, says so and is killed. Run as a program: `... FOLDER`."""

from __future__ import annotations

import asyncio
import sys

from tests.faults.pgbouncer import PgBouncer, pgbouncer_binary
from tests.faults.servers import Installation, Server, Template


async def main() -> None:
    """Print the folders and pids, then wait for the end."""
    async with Template(Installation.bundled()) as template, Server(template) as server:
        binary = pgbouncer_binary()
        if binary is None:
            print(server.folder, *server.processes(), flush=True)  # noqa: T201
            await asyncio.Event().wait()
        else:
            async with PgBouncer(binary, server) as pool:
                print(server.folder, pool.pid, *server.processes(), flush=True)  # noqa: T201
                await asyncio.Event().wait()


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))

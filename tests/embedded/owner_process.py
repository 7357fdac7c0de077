"""An owner to be killed: starts the server, then calls the methods it is told on stdin."""

from __future__ import annotations

import asyncio
import sys

from polymarket_bot.storage.embedded import EmbeddedPostgres


async def _main() -> None:
    server = EmbeddedPostgres(sys.argv[1], settings={"fsync": "off"})
    await server.start()
    _say(server.url)
    for line in iter(sys.stdin.readline, ""):
        await getattr(server, line.strip())()
        _say("done")


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(_main())

"""A server that goes while a connection is opened is unavailable, whatever it still says."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from polymarket_bot.storage import Database, DatabaseConfig, ServerUnavailable, TlsRefused

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

FAREWELL = b"E\0\0\0\x0cSFATAL\0\0"


class Dying:
    """What answers to the request for TLS, and hangs up."""

    def __init__(self) -> None:
        self.answer = b""
        self.asked = 0
        self.port = 0

    async def hear(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.asked += 1
        await reader.readexactly(8)
        writer.write(self.answer)
        writer.close()

    def config(self, mode: str) -> DatabaseConfig:
        url = f"postgresql://predict@127.0.0.1:{self.port}/predict?sslmode={mode}"
        return DatabaseConfig(url=url, connect_timeout=1)


@pytest.fixture
async def dying() -> AsyncIterator[Dying]:
    made = Dying()
    async with await asyncio.start_server(made.hear, "127.0.0.1", 0) as server:
        made.port = server.sockets[0].getsockname()[1]
        yield made


@pytest.mark.parametrize(
    ("answer", "mode"),
    [
        (b"", "prefer"),
        (b"", "require"),
        (FAREWELL, "prefer"),
        (FAREWELL, "require"),
        (b"N" + FAREWELL, "prefer"),
    ],
)
async def test_it_is_asked_again_until_the_limit(dying: Dying, answer: bytes, mode: str) -> None:
    dying.answer = answer
    with pytest.raises(ServerUnavailable) as caught:
        await Database(dying.config(mode)).initialize()
    assert not isinstance(caught.value, TlsRefused)
    assert dying.asked > 1


@pytest.mark.parametrize("answer", [b"N", b"N" + FAREWELL])
async def test_one_without_the_tls_that_is_required_is_refused_at_once(
    dying: Dying, answer: bytes
) -> None:
    dying.answer = answer
    with pytest.raises(TlsRefused):
        await Database(dying.config("require")).initialize()
    assert dying.asked == 1

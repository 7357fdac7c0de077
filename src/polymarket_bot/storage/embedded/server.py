"""The embedded server as its owners see it."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from polymarket_bot.storage.connections.tasks import end_of
from polymarket_bot.storage.errors import EmbeddedServerError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import ModuleType, TracebackType
    from typing import Self

    from polymarket_bot.storage.embedded.control import Hold


class EmbeddedPostgres:
    """One owner of the PostgreSQL server of a data folder.

    All owners of a folder, in this process and in others, share one server. It runs from the
    first owner's start to the last one's leaving, however that one leaves: a killed process
    counts as one that has left. A server that dies is started again under the same URL, with
    all that was committed; its clients only have to connect again.

    Args:
        data_dir: the folder of the data, made if absent.
        settings: server settings, such as ``{"fsync": "off"}``; they count for the server that
            this owner starts, not for one that is running already.
    """

    def __init__(self, data_dir: str | Path, *, settings: Mapping[str, str] | None = None) -> None:
        self._data_dir = Path(data_dir).absolute()
        self._settings = dict(settings or {})
        self._hold: Hold | None = None
        self._url: str | None = None
        self._one_at_a_time = threading.Lock()

    @property
    def url(self) -> str:
        """The URL for asyncpg and for every libpq client, the same at every start.

        Raises:
            EmbeddedServerError: this owner has not started the server.
        """
        if self._url is None:
            raise EmbeddedServerError(
                f"the embedded server in {self._data_dir} has not been started",
                remedy="await start() first",
            )
        return self._url

    async def start(self) -> None:
        """Become an owner and return when the server accepts connections.

        Starting again is harmless: it brings the server back if its keeper was killed.
        A cancelled start ends its step first and then leaves nothing behind, however often it is
        cancelled.

        Raises:
            EmbeddedServerError: the server cannot be started; the message says why.
        """
        was_owner = self._hold is not None
        starting = _in_thread(self._start)
        try:
            await asyncio.shield(starting)
        except asyncio.CancelledError:
            await end_of(starting)
            if not was_owner:
                await end_of(stopping := _in_thread(self._stop))
                stopping.result()
            raise

    async def stop(self) -> None:
        """Leave; the last owner returns when the server is gone, unless it is kept.

        Stopping without having started is harmless. Cancelled, it leaves all the same.

        Raises:
            EmbeddedServerError: the data folder cannot be used.
        """
        await asyncio.shield(_in_thread(self._stop))

    async def keep(self) -> None:
        """Have the server go on after its last owner has left, until `release`.

        Raises:
            EmbeddedServerError: this owner has not started the server.
        """
        _ = self.url
        await asyncio.to_thread(_control().keep, self._data_dir)

    async def release(self) -> None:
        """Undo `keep`, by whomever: the server ends with its last owner.

        Without any owner, return when it is gone. The one who releases need not be an owner.

        Raises:
            EmbeddedServerError: the data folder cannot be used.
        """
        await asyncio.to_thread(_control().release, self._data_dir)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.stop()

    def _start(self) -> None:
        with self._one_at_a_time:
            start = _control().start
            self._hold, self._url = start(self._data_dir, self._settings, self._hold)

    def _stop(self) -> None:
        with self._one_at_a_time:
            hold, self._hold, self._url = self._hold, None, None
            if hold is not None:
                _control().stop(self._data_dir, hold)


def _in_thread(work: Callable[[], None]) -> asyncio.Future[None]:
    """Do work in a thread, of which no task is left that could be cancelled."""
    return asyncio.get_running_loop().run_in_executor(None, work)


async def running_url(data_dir: str | Path) -> str | None:
    """Return the URL of a folder's server if it is running; never start one.

    A start under way is waited for.
    """
    url: str | None = await asyncio.to_thread(_control().running_url, Path(data_dir))
    return url


async def owner_pids(data_dir: str | Path) -> tuple[int, ...]:
    """List the processes that own a folder's server, each as often as it does."""
    pids: tuple[int, ...] = await asyncio.to_thread(_control().owner_pids, Path(data_dir))
    return pids


def _control() -> ModuleType:
    """Import what needs POSIX only when it is used: the rest of the package runs anywhere."""
    try:
        from polymarket_bot.storage.embedded import control
    except ImportError as error:
        raise EmbeddedServerError(
            f"the embedded server needs a POSIX system ({error})",
            remedy="set DATABASE_URL to a server",
        ) from error
    return control

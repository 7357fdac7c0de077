"""Worker processes: told what to do all at once, killed and replaced where that is asked for."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections import deque
from collections.abc import AsyncIterator, Coroutine, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple, TypeVar

from polymarket_bot.storage.errors import StorageError

T = TypeVar("T")

_PROGRAM = (sys.executable, "-P", "-m", "polymarket_bot.storage.cli.demo.worker")
_LONGEST_LINE = 2**26
_LAST_LINES = 5

Command = Mapping[str, Any]


class WorkerFailed(StorageError):
    """A worker has ended by itself."""


class Kill(NamedTuple):
    """A worker that is to die by SIGKILL, so many seconds after it was told what to do."""

    worker: int
    after: float


class _Worker:
    """One place in the crew, and the process that has it now.

    Args:
        name: what the process is called.
        url: the database, given to it in the environment: others may read its arguments.
    """

    def __init__(self, name: str, url: str) -> None:
        self._name, self._url = name, url
        self._process: Process | None = None
        self._said: asyncio.Task[str] | None = None

    async def start(self) -> None:
        """Start the process and wait until it is ready."""
        self._process = await asyncio.create_subprocess_exec(
            *(*_PROGRAM, self._name),
            env={**os.environ, "DATABASE_URL": self._url},
            stdin=PIPE,
            stdout=PIPE,
            stderr=PIPE,
            limit=_LONGEST_LINE,
            start_new_session=True,  # Ctrl-C reaches the parent alone, which ends the workers
        )
        assert self._process.stderr  # noqa: S101 - for the type checker
        self._said = asyncio.create_task(_last_lines(self._process.stderr))
        await self._line(self._process)

    async def do(self, command: Command, kills: Sequence[float] = ()) -> dict[str, Any]:
        """Have a command done and return the answer.

        At each of `kills`, so many seconds after it was told, the process is killed, and another
        one is told the same. An answer that it has given by then is lost.

        Raises:
            WorkerFailed: it ended by itself.
        """
        for after in kills:
            self._tell(command)
            await asyncio.sleep(after)
            self.kill()
            await self.gone()
            await self.start()
        answer: dict[str, Any] = json.loads(await self._line(self._tell(command)))
        return answer

    async def dismiss(self) -> None:
        """Close its input, and wait until it has ended."""
        if self._process and self._process.stdin:
            self._process.stdin.close()
        await self.gone()

    def kill(self) -> None:
        """Send SIGKILL where it is alive."""
        if self._process and self._process.returncode is None:
            self._process.kill()

    async def gone(self) -> str:
        """Wait until it has ended; return the last lines of what it said on standard error."""
        if self._process is None or self._said is None:
            return ""
        await self._process.wait()
        return await self._said

    def _tell(self, command: Command) -> Process:
        assert self._process  # noqa: S101 - for the type checker
        assert self._process.stdin  # noqa: S101 - for the type checker
        self._process.stdin.write(json.dumps(command).encode() + b"\n")
        return self._process

    async def _line(self, process: Process) -> bytes:
        assert process.stdout  # noqa: S101 - for the type checker
        line = await process.stdout.readline()
        if line.endswith(b"\n"):
            return line
        said = await self.gone()
        raise WorkerFailed(f"{self._name} has ended with status {process.returncode}: {said}")


class Crew:
    """Workers that are told to do something together, and have done it when all have."""

    def __init__(self, workers: Sequence[_Worker]) -> None:
        self._workers = workers
        self.size = len(workers)
        self.kills = 0

    async def do(self, commands: Sequence[Command], kills: Sequence[Kill]) -> list[dict[str, Any]]:
        """Tell each worker its command; return their answers when all have answered.

        Raises:
            WorkerFailed: a worker ended by itself.
        """
        self.kills += len(kills)
        times = [[kill.after for kill in kills if kill.worker == n] for n in range(self.size)]
        return await _together(
            worker.do(command, after)
            for worker, command, after in zip(self._workers, commands, times, strict=True)
        )


@asynccontextmanager
async def hired(size: int, url: str) -> AsyncIterator[Crew]:
    """Have a crew of so many workers; none is left when the block has ended, however it ends."""
    workers = [_Worker(f"demo worker {number + 1}", url) for number in range(size)]
    try:
        await _together(worker.start() for worker in workers)
        yield Crew(workers)
        await _together(worker.dismiss() for worker in workers)
    finally:
        for worker in workers:
            worker.kill()
        await asyncio.gather(*(worker.gone() for worker in workers))


async def _together(jobs: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Return what all have returned; the first error of one ends the others."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(job) for job in jobs]
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from None
    return [task.result() for task in tasks]


async def _last_lines(stream: asyncio.StreamReader) -> str:
    lines: deque[str] = deque(maxlen=_LAST_LINES)
    async for line in stream:
        lines.append(line.decode(errors="backslashreplace").strip())
    return " | ".join(lines) or "it said nothing"

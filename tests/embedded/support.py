"""What the tests of the embedded server share."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import asyncpg

from polymarket_bot.storage.embedded.keeper.processes import server_processes, wait_until
from polymarket_bot.storage.embedded.keeper.protocol import Files
from polymarket_bot.storage.embedded.layout import Layout

if TYPE_CHECKING:
    from collections.abc import Iterator

LIMIT = 30.0
PROC = Path("/proc/self")  # not on macOS
QUICK = {"fsync": "off"}
# What a client may get when its server dies; the last one when it dies in mid-statement.
BROKEN = (
    OSError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
)
IS_ROOT = os.geteuid() == 0
_OWNER_PROGRAM = Path(__file__).with_name("owner_process.py")


def state(data_dir: Path) -> dict[str, Any]:
    """Read the pids of the running server and of its keeper."""
    path = Files(data_dir).state
    assert wait_until(path.exists, LIMIT)  # a moment after the server answers
    content: dict[str, Any] = json.loads(path.read_text())
    return content


def server_pids(data_dir: Path) -> list[int]:
    """Find every process of the server of a data folder."""
    pgdata = Path(os.path.realpath(data_dir / "pgdata"))
    users = {os.geteuid()} | ({pgdata.stat().st_uid} if pgdata.exists() else set())
    mark = Layout(pgdata, pgdata).mark
    return [pid for user in users for pid in server_processes(mark, user)]


def has_ended(pid: int) -> bool:
    """Tell whether a process is no more, or waits only for its parent to take notice."""
    if not PROC.exists():
        command = ("ps", "-o", "stat=", "-p", str(pid))
        listing = subprocess.run(command, capture_output=True, check=False)
        return listing.stdout.strip()[:1] in {b"", b"Z"}
    try:
        return (PROC.parent / str(pid) / "stat").read_text().rpartition(") ")[2].startswith("Z")
    except (FileNotFoundError, ProcessLookupError):
        return True


def command_lines() -> Iterator[tuple[int, str]]:
    """List all processes with their command lines."""
    if not PROC.exists():
        command = ("ps", "-axww", "-o", "pid=,command=")
        listing = subprocess.run(command, capture_output=True, check=True)
        for line in listing.stdout.decode(errors="replace").splitlines():
            pid, _, text = line.strip().partition(" ")
            yield int(pid), text
        return
    for process in PROC.parent.glob("[0-9]*"):
        with suppress(OSError):  # it may have ended meanwhile
            text = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            yield int(process.name), text


def write(path: Path, text: str) -> None:
    """Write a file and make the folders that it needs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def remove(tree: Path) -> None:
    """Remove a folder although a server may still write to it."""
    while tree.exists():
        shutil.rmtree(tree, ignore_errors=True)


def read(path: Path) -> bytes:
    """Return what is in a file."""
    return path.read_bytes()


def move(path: Path, new: Path) -> None:
    """Give a folder another name."""
    path.rename(new)


def make_folder(path: Path, mode: int) -> None:
    """Make a folder of just this mode, whatever the umask."""
    path.mkdir()
    path.chmod(mode)


def link(path: Path, target: Path) -> None:
    """Make a symbolic link and the folder that it is in."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(target)


def real_path(path: Path) -> Path:
    """Follow symbolic links."""
    return path.resolve()


def names_in(folder: Path) -> list[str]:
    """List a folder."""
    return [path.name for path in folder.iterdir()]


def exists(path: Path) -> bool:
    """Tell whether a file exists."""
    return path.exists()


def unfinished(data_dir: Path) -> list[Path]:
    """Find clusters that are not complete."""
    return list(data_dir.glob("pgdata.new-*"))


async def query(url: str, statement: str) -> Any:
    """Return the single value of a statement, by a connection of its own."""
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


async def query_when_back(url: str, statement: str, *, limit: float = LIMIT) -> Any:
    """Do the same as `query`, again and again while the server is being recovered."""
    deadline = time.monotonic() + limit
    while True:
        try:
            return await query(url, statement)
        except BROKEN:
            assert time.monotonic() < deadline, f"no answer within {limit} s"
        await asyncio.sleep(0.02)


class OwnerProcess:
    """An owner in a process of its own."""

    def __init__(self, data_dir: Path) -> None:
        self._process = subprocess.Popen(
            (sys.executable, str(_OWNER_PROGRAM), str(data_dir)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.pid = self._process.pid

    async def url(self) -> str:
        """Wait until the server is started: its URL."""
        return await self._answer()

    async def do(self, step: str) -> str:
        """Have the owner call one of its methods."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{step}\n")
        self._process.stdin.flush()
        return await self._answer()

    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        """Kill it by a signal for which it does not clean up."""
        self._process.send_signal(number)
        self._process.wait()

    def end(self) -> None:
        """Be sure that it is gone."""
        self.kill()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()

    async def _answer(self) -> str:
        assert self._process.stdout is not None
        answer = await asyncio.to_thread(self._process.stdout.readline)
        assert answer, "the owner process has ended"
        return answer.strip()


def kill(pid: int) -> None:
    """Kill a process, so that it cannot clean up."""
    os.kill(pid, signal.SIGKILL)


def processes_naming(folder: Path) -> list[int]:
    """Find the processes other than this one with a path in their command line."""
    return [pid for pid, line in command_lines() if str(folder) in line and pid != os.getpid()]


def socket_folder(url: str) -> Path:
    """Take the folder of the server's socket from its URL."""
    return Path(parse_qs(urlsplit(url).query)["host"][0])

"""Real processes and their folders, of which nothing is left even when the test is killed."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from .support import LIMIT, eventually

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from polymarket_bot.storage.embedded.accounts import Account

_LAUNCHER = Path(__file__).with_name("launcher.py")
_NOTHING = Path(os.devnull)
_MEMORY, _ENOUGH = "/dev/shm", 4 * 2**30  # noqa: S108 - in a folder of its own
# Waits for the test process to close its end of the pipe, be it by dying. Again and again, since
# a server that is being ended may still write.
_REMOVAL = """
read -r _
tries=0
while [ -e "$1" ] && [ $tries -lt 300 ]; do
    rm -rf "$1" 2>/dev/null || sleep 0.1
    tries=$((tries + 1))
done
"""
# Below what systems hand out for outgoing connections and for port 0, so that a server which is
# down does not lose its port to those.
_PORTS = range(20000, 32000)
_PORT_ATTEMPTS = 5
_TAKEN = "Address already in use"


class ToolFailedError(Exception):
    """A process did not do what it is for; the text ends with what it has written."""


class PortTakenError(ToolFailedError):
    """A process could not listen on its port."""


@contextlib.contextmanager
def throwaway_folder() -> Iterator[Path]:
    """Make a folder that others can enter, short enough for sockets, and remove it at the end.

    It is in memory where that has room: a server's files survive its SIGKILL there as well. A
    shell removes it, which also does so when this process is killed.
    """
    folder = Path(tempfile.mkdtemp(prefix="pmb-faults-", dir=_place()))
    folder.chmod(0o755)
    remover = subprocess.Popen(
        ("/bin/sh", "-c", _REMOVAL, "sh", str(folder)),
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
        start_new_session=True,
    )
    try:
        yield folder
    finally:
        remover.communicate()


def _place() -> str:
    roomy = os.access(_MEMORY, os.W_OK | os.X_OK) and shutil.disk_usage(_MEMORY).free >= _ENOUGH
    return _MEMORY if roomy else "/tmp"  # noqa: S108


def give_to(account: Account | None, *paths: Path) -> None:
    """Hand files over to the user that processes run as."""
    if account is not None:
        for path in paths:
            os.chown(path, account.uid, account.gid)


def free_port() -> int:
    """Choose a TCP port of 127.0.0.1 that nobody listens on."""
    while True:
        port = secrets.choice(_PORTS)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


async def start_on_free_port(start: Callable[[int], Awaitable[None]]) -> None:
    """Start something on a port that is free, on another one when somebody has been faster."""
    for _ in range(_PORT_ATTEMPTS):
        with contextlib.suppress(PortTakenError):
            return await start(free_port())
    return await start(free_port())


class Child:
    """A process that the kernel ends with the thread that made it: make it in the main thread.

    The end of the test process counts as the end of its main thread. It runs in a session of its
    own, where an interrupt from the keyboard does not reach it.
    """

    def __init__(
        self,
        *command: str | Path,
        log: Path,
        account: Account | None = None,
        script: Path = _NOTHING,
        parent_died: signal.Signals = signal.SIGKILL,
        memory: int | None = None,
    ) -> None:
        self._log = log
        user = (account.uid, account.gid, account.groups) if account else None
        order = {
            "parent": os.getpid(),
            "parent_died": parent_died,
            "account": user,
            "memory": memory,
        }
        launcher = (sys.executable, "-I", "-S", str(_LAUNCHER), json.dumps(order))
        with script.open("rb") as source, log.open("ab") as output:
            self._logged_before = output.tell()
            self._process = subprocess.Popen(
                (*launcher, *map(str, command)),
                stdin=source,
                stdout=output,
                stderr=output,
                cwd="/",
                env={"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"},
                start_new_session=True,
            )
        self.pid = self._process.pid

    def is_alive(self) -> bool:
        """Tell whether the process still runs."""
        return self._process.poll() is None

    def output(self) -> str:
        """Return what it has written."""
        with self._log.open("rb") as log:
            log.seek(self._logged_before)
            return log.read().decode(errors="replace")

    async def end(self, number: signal.Signals, limit: float = LIMIT) -> None:
        """Send a signal and wait for the end; SIGKILL follows when the limit in seconds passes."""
        self._process.send_signal(number)
        try:
            await eventually(lambda: not self.is_alive(), limit=limit)
        except AssertionError:
            self._process.kill()
            self._process.wait()

    async def come_up(self, is_up: Callable[[], bool]) -> None:
        """Wait until it serves; raise when it ends instead."""
        await eventually(lambda: is_up() or not self.is_alive())
        if not self.is_alive():
            output = self.output()
            error = PortTakenError if _TAKEN in output else ToolFailedError
            raise error(f"{self._process.args!r} has ended:\n{output}")

    async def succeed(self) -> None:
        """Wait for the end; raise when it is not a success."""
        try:
            await eventually(lambda: not self.is_alive())
        finally:
            if self.is_alive():
                await self.end(signal.SIGKILL)
        if self._process.returncode != 0:
            raise ToolFailedError(f"{self._process.args!r} failed:\n{self.output()}")

"""One server process, from its start to its end."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from .cluster import OUTPUT_TAIL, KeeperError
from .processes import child_options, server_processes, wait_until
from .protocol import SOCKET_NAME, Files

if TYPE_CHECKING:
    from .protocol import Task

# Fast shutdown, immediate shutdown, and what cannot be refused; each with its limit in seconds.
_WAYS_TO_END = ((signal.SIGINT, 30.0), (signal.SIGQUIT, 5.0), (signal.SIGKILL, 5.0))


def _pid_file(task: Task) -> list[str]:
    try:
        path = Path(task["pgdata"]) / "postmaster.pid"
        return [line.strip() for line in path.read_text(errors="replace").splitlines()]
    except OSError:
        return []


class Postmaster:
    """A server process that this keeper has started."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self._log = Files(Path(task["folder"])).log
        with self._log.open("ab") as log:
            self._logged_before = log.tell()
            self._process = subprocess.Popen(
                _command(task),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                **child_options(task["account"], signal.SIGINT),
            )
        self.pid = self._process.pid

    def is_alive(self) -> bool:
        """Tell whether the process still runs."""
        return self._process.poll() is None

    def is_ready(self) -> bool:
        """Tell whether it accepts connections."""
        lines = _pid_file(self._task)
        return lines[:1] == [str(self.pid)] and lines[7:8] == ["ready"]

    def output(self) -> str:
        """Return the end of what it has logged."""
        with self._log.open("rb") as log:
            log.seek(self._logged_before)
            return log.read().decode(errors="replace")[-OUTPUT_TAIL:].strip()

    def stop(self) -> None:
        """End it, as gently as it lets itself be ended."""
        for number, limit in _WAYS_TO_END:
            self._process.send_signal(number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(limit)
                return


def _command(task: Task) -> list[str]:
    quoted_folder = task["socket_folder"].replace('"', '""')
    settings = {
        "listen_addresses": "",
        "timezone": "UTC",
        "log_timezone": "UTC",
        "max_connections": "100",
        **task["settings"],
        # The rest is the keeper's own, whatever the caller asks for.
        "port": "5432",
        "unix_socket_directories": f'"{quoted_folder}"',
        "unix_socket_permissions": "0700",
        "cluster_name": task["mark"],
    }
    command = [str(Path(task["binaries"]) / "postgres"), "-D", task["pgdata"]]
    for name, value in settings.items():
        command += ["-c", f"{name}={value}"]
    return command


def end_leftovers(task: Task) -> None:
    """End what a killed keeper or server left running, and remove the files in the way."""
    uid = task["account"]["uid"] if task["account"] else os.geteuid()
    main = _pid_file(task)[:1]
    for number, limit in _WAYS_TO_END:
        left = server_processes(task["mark"], uid)
        # SIGINT means a fast shutdown to the server's main process, but not to its children.
        targets = [pid for pid in left if number != signal.SIGINT or [str(pid)] == main]
        for pid in targets:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        if targets:
            wait_until(lambda: not server_processes(task["mark"], uid), limit)
    if left := server_processes(task["mark"], uid):
        raise KeeperError(f"processes of an earlier server do not end: {left}")
    _remove_stale_files(task)


def _remove_stale_files(task: Task) -> None:
    sockets = Path(task["socket_folder"])
    for path in (
        Path(task["pgdata"]) / "postmaster.pid",
        sockets / SOCKET_NAME,
        sockets / f"{SOCKET_NAME}.lock",
    ):
        path.unlink(missing_ok=True)

"""Processes of the server: how they are bound to the keeper, and how they are found again."""

from __future__ import annotations

import contextlib
import ctypes
import os
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .protocol import AccountTask

_TICK = 0.01
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None)


def wait_until(condition: Callable[[], bool], limit: float) -> bool:
    """Wait for a condition; False when the limit in seconds has passed before it holds."""
    deadline = time.monotonic() + limit
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(_TICK)
    return True


def _bind_to_parent(parent: int, parent_died: int) -> None:
    """Have the kernel signal this process when its parent dies, where the kernel can (Linux)."""
    prctl = getattr(_LIBC, "prctl", None)
    if prctl is not None:
        prctl(_PR_SET_PDEATHSIG, parent_died, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)


def child_options(account: AccountTask | None, parent_died: int) -> dict[str, Any]:
    """Build the Popen options of a child that ends, by the given signal, with this process."""
    parent = os.getpid()
    options: dict[str, Any] = {
        "cwd": "/",
        # The owner's PG* variables would change the server, and its secrets are not for it.
        "env": {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"},
        # Runs after the change of user, which would clear what is set here. That the keeper
        # has a single thread makes it safe.
        "preexec_fn": lambda: _bind_to_parent(parent, parent_died),
    }
    if account is not None:
        options["user"] = account["uid"]
        options["group"] = account["gid"]
        options["extra_groups"] = account["groups"]
    return options


def _listed_by_ps(uid: int) -> Iterator[tuple[int, str]]:
    command = ("/bin/ps", "-U", str(uid), "-ww", "-o", "pid=,command=")
    listing = subprocess.run(command, capture_output=True, check=False)
    for line in listing.stdout.decode(errors="replace").splitlines():
        pid, _, title = line.strip().partition(" ")
        yield int(pid), title


def _listed_in_proc(uid: int) -> Iterator[tuple[int, str]]:
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it may have ended meanwhile
            if process.stat().st_uid == uid:
                command = (process / "cmdline").read_bytes().replace(b"\0", b" ")
                yield int(process.name), command.decode(errors="replace")


def server_processes(mark: str, uid: int) -> list[int]:
    """Find the processes of the server whose cluster name is the mark, children included."""
    listed = _listed_in_proc if Path("/proc/self/cmdline").exists() else _listed_by_ps
    return [
        pid
        for pid, command in listed(uid)
        if command.startswith(f"postgres: {mark}: ")
        or ("/postgres -D " in command and f" cluster_name={mark}" in command)
    ]

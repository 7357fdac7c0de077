"""What owners do with a data folder, in blocking functions."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import socket
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

from polymarket_bot.storage.embedded.keeper.protocol import (
    SOCKET_NAME,
    Files,
    is_locked,
    is_wanted,
    open_lock,
    owner_files,
    try_lock,
)
from polymarket_bot.storage.embedded.launch import launch
from polymarket_bot.storage.embedded.layout import data_files, make_data_folder
from polymarket_bot.storage.errors import EmbeddedServerError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_START_LIMIT = 60.0
_TICK = 0.01


@dataclass(frozen=True)
class Hold:
    """One owner's hold on the server: as long as the process lives, until it lets go."""

    path: Path
    lock: int

    def is_visible(self) -> bool:
        """Tell whether the keeper sees it: not so when the folder was removed meanwhile."""
        try:
            return os.path.samestat(self.path.stat(), os.fstat(self.lock))
        except FileNotFoundError:
            return False

    def let_go(self) -> None:
        """End the hold, in forked children too."""
        self.path.unlink(missing_ok=True)
        fcntl.flock(self.lock, fcntl.LOCK_UN)
        os.close(self.lock)


def start(data_dir: Path, settings: Mapping[str, str], hold: Hold | None) -> tuple[Hold, str]:
    """Take a hold, unless there is one, and see to it that the server runs; return its URL."""
    with _understandable_errors(data_dir):
        files = data_files(data_dir)
        make_data_folder(files)
        deadline = time.monotonic() + _START_LIMIT
        with _gate(files, deadline):
            taken = hold if hold and hold.is_visible() else _take_hold(files)
            try:
                url = _running_server(files, settings, deadline)
            except BaseException:
                if taken is not hold:
                    taken.let_go()
                raise
        if hold and taken is not hold:
            hold.let_go()
        return taken, url


def stop(data_dir: Path, hold: Hold | None) -> None:
    """End the hold; when nobody wants the server any more, return when it is gone."""
    with _understandable_errors(data_dir):
        if hold is not None:
            hold.let_go()
        files = data_files(data_dir)
        while not is_wanted(files) and not _is_gone(files):
            time.sleep(_TICK)


def keep(data_dir: Path) -> None:
    """Have the server go on without owners."""
    with _understandable_errors(data_dir):
        data_files(data_dir).kept.touch(mode=0o600)


def release(data_dir: Path) -> None:
    """Have the server end with its last owner; without one, return when it is gone."""
    with _understandable_errors(data_dir):
        data_files(data_dir).kept.unlink(missing_ok=True)
    stop(data_dir, None)


def running_url(data_dir: Path) -> str | None:
    """Return the URL of a running server, None where none is running."""
    with _understandable_errors(data_dir):
        files = data_files(data_dir)
        if not files.start_lock.exists():
            return None
        with _gate(files, time.monotonic() + _START_LIMIT, fcntl.LOCK_SH):
            return _ready_url(files) if is_locked(files.keeper_lock) else None


def owner_pids(data_dir: Path) -> tuple[int, ...]:
    """List the processes that hold the server, each as often as it does."""
    with _understandable_errors(data_dir):
        living = filter(is_locked, owner_files(data_files(data_dir)))
        return tuple(sorted(int(path.name.partition("-")[0]) for path in living))


@contextmanager
def _understandable_errors(data_dir: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise EmbeddedServerError(
            f"the data folder {data_dir} of the embedded server is unusable: {error}",
            remedy="it has to be a folder that this user can write to",
        ) from error


@contextmanager
def _gate(files: Files, deadline: float, how: int = fcntl.LOCK_EX) -> Iterator[None]:
    """Be the only one to start or stop the server (or, sharing, be sure that nobody does)."""
    while (gate := try_lock(files.start_lock, how)) is None:
        if time.monotonic() > deadline:
            raise EmbeddedServerError(
                f"another process has been starting or stopping the server in {files.folder} "
                f"for {_START_LIMIT:.0f} s",
                remedy=f"see {files.log}",
            )
        time.sleep(_TICK)
    try:
        yield
    finally:
        fcntl.flock(gate, fcntl.LOCK_UN)
        os.close(gate)


def _is_gone(files: Files) -> bool:
    if not files.start_lock.exists():
        return True
    # Only within the gate does a free lock mean that there is no keeper.
    with contextlib.suppress(FileNotFoundError):
        gate = try_lock(files.start_lock, fcntl.LOCK_SH)
        if gate is None:
            return False
        gone = not is_locked(files.keeper_lock)
        os.close(gate)
        return gone
    return True  # with its folder


def _take_hold(files: Files) -> Hold:
    for path in owner_files(files):
        if not is_locked(path):
            path.unlink(missing_ok=True)
    path = files.owners / f"{os.getpid()}-{secrets.token_hex(4)}"
    lock = open_lock(path)
    fcntl.flock(lock, fcntl.LOCK_EX)
    return Hold(path, lock)


def _running_server(files: Files, settings: Mapping[str, str], deadline: float) -> str:
    """Return the URL of the running server, starting it if needed. The caller has the gate."""
    while time.monotonic() < deadline:
        if (lock := try_lock(files.keeper_lock)) is not None:
            try:
                launch(files, settings, lock, deadline)
            finally:
                os.close(lock)
        if (url := _ready_url(files)) is not None:
            return url
        time.sleep(_TICK)
    raise EmbeddedServerError(
        f"the embedded server in {files.folder} did not get ready within {_START_LIMIT:.0f} s",
        remedy=f"see {files.log}",
    )


def _ready_url(files: Files) -> str | None:
    try:
        url = str(json.loads(files.state.read_text())["url"])
    except (FileNotFoundError, ValueError, LookupError, TypeError):
        return None
    return url if _accepts_connections(url) else None


def _accepts_connections(url: str) -> bool:
    folder = parse_qs(urlsplit(url).query)["host"][0]
    with socket.socket(socket.AF_UNIX) as client, contextlib.suppress(OSError):
        client.connect(str(Path(folder, SOCKET_NAME)))
        return True
    return False

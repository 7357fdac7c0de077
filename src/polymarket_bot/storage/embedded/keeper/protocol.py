"""What owners and keeper of one data folder tell each other, all of it by files in the folder.

- ``keeper.lock``: locked by the keeper for as long as it lives.
- ``owners/<pid>-<random>``: locked by one owner each; the kernel unlocks it when the owner dies.
- ``cluster.lock``, beside the cluster itself: locked by its keeper, since a copied data folder
  can link to the same cluster.
- ``start.lock``: locked by an owner that starts the server and by the keeper that stops it;
  shared by those who look whether there is a keeper.
- ``server.json``: there while the server accepts connections (or the keeper was killed).
- ``kept``: there while the server is to go on without owners.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import NamedTuple, TypedDict

SOCKET_NAME = ".s.PGSQL.5432"


class AccountTask(TypedDict):
    """The system user that the server runs as."""

    uid: int
    gid: int
    groups: list[int]


class Task(TypedDict):
    """What the keeper is told by the owner that launches it, as JSON."""

    folder: str
    pgdata: str
    socket_folder: str
    url: str
    mark: str
    binaries: str
    account: AccountTask | None
    settings: dict[str, str]
    keeper_lock: int


class Files(NamedTuple):
    """The files of a data folder."""

    folder: Path

    @property
    def pgdata(self) -> Path:
        """The cluster, or a link to it."""
        return self.folder / "pgdata"

    @property
    def log(self) -> Path:
        """What the server and the keeper have to say."""
        return self.folder / "server.log"

    @property
    def state(self) -> Path:
        """Where the running server is, as JSON."""
        return self.folder / "server.json"

    @property
    def kept(self) -> Path:
        """The mark of a server that goes on without owners."""
        return self.folder / "kept"

    @property
    def keeper_lock(self) -> Path:
        """The keeper's sign of life."""
        return self.folder / "keeper.lock"

    @property
    def start_lock(self) -> Path:
        """The gate that owners come in by."""
        return self.folder / "start.lock"

    @property
    def owners(self) -> Path:
        """One file for each owner."""
        return self.folder / "owners"


def open_lock(path: Path) -> int:
    """Open a lock file, creating it if absent."""
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def try_lock(path: Path, how: int = fcntl.LOCK_EX) -> int | None:
    """Lock a file without waiting: its descriptor, or None where another process holds it."""
    lock = open_lock(path)
    try:
        fcntl.flock(lock, how | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    except BaseException:
        os.close(lock)
        raise
    return lock


def is_locked(path: Path) -> bool:
    """Tell whether some process holds the exclusive lock on a file, which need not exist."""
    try:
        lock = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False


def owner_files(files: Files) -> tuple[Path, ...]:
    """List the owners' lock files, those of dead owners included."""
    try:
        return tuple(files.owners.iterdir())
    except FileNotFoundError:
        return ()


def has_owner(files: Files) -> bool:
    """Tell whether the server has a living owner."""
    return any(map(is_locked, owner_files(files)))


def is_wanted(files: Files) -> bool:
    """Tell whether the server has a living owner or is to go on without one."""
    return files.kept.exists() or has_owner(files)

"""Where the parts of a server are: its data, its socket, and the URL that follows from them."""

from __future__ import annotations

import hashlib
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from polymarket_bot.storage.embedded.binaries import MAJOR_VERSION
from polymarket_bot.storage.embedded.keeper.protocol import SOCKET_NAME, Files
from polymarket_bot.storage.embedded.shared import new_home
from polymarket_bot.storage.errors import EmbeddedServerError

if TYPE_CHECKING:
    from polymarket_bot.storage.embedded.accounts import Account

_SOCKET_PATH_LIMIT = 103  # bytes, the smaller one of macOS
_LOG_LIMIT = 10_000_000  # bytes


@dataclass(frozen=True)
class Layout:
    """The places of one server."""

    pgdata: Path
    socket_folder: Path

    @property
    def url(self) -> str:
        """The URL for any client; it names the port so that PGPORT cannot change it."""
        return f"postgresql://predict@/predict?host={quote(str(self.socket_folder))}&port=5432"

    @property
    def mark(self) -> str:
        """A name for the server that tells its processes from those of any other."""
        return f"predict-{_digest(self.pgdata)}"


def data_files(data_dir: Path) -> Files:
    """Name the files of a data folder; the same for every path to it."""
    return Files(Path(os.path.realpath(data_dir)))


def make_data_folder(files: Files) -> None:
    """Make the folder if absent: for its user only, but root's may be entered by the server's."""
    if not files.folder.exists():
        files.folder.mkdir(parents=True, exist_ok=True)
        files.folder.chmod(0o711 if os.geteuid() == 0 else 0o700)
    files.owners.mkdir(mode=0o700, exist_ok=True)


def check_cluster(files: Files) -> None:
    """Raise when the data are not a cluster of this PostgreSQL version; absent data are fine."""
    if not files.pgdata.exists():
        return
    try:
        version = (files.pgdata / "PG_VERSION").read_text().strip()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise EmbeddedServerError(
            f"{files.pgdata} is not a PostgreSQL data folder, it has no PG_VERSION",
            remedy="move it away, or choose another data folder",
        ) from error
    if version != MAJOR_VERSION:
        raise EmbeddedServerError(
            f"{files.pgdata} is of PostgreSQL {version}, the embedded server is {MAJOR_VERSION}",
            remedy=_way_on(version),
        )


def _way_on(version: str) -> str:
    if version.isdigit() and int(version) > int(MAJOR_VERSION):
        return f"install this package with PostgreSQL {version}, or choose another data folder"
    return (
        f"run `polymarket-storage db dump FILE` where PostgreSQL {version} is installed, move the "
        "data folder away, and run `polymarket-storage db restore FILE` here; or choose another "
        "data folder"
    )


def lay_out(files: Files, account: Account | None) -> Layout:
    """Decide where everything is, and make the folders that are not there."""
    home = _home(files, account)
    sockets = home / "run"
    if not _fits(sockets):
        user = account.uid if account else os.geteuid()
        sockets = Path(f"/tmp/pmb-{user}-{_digest(home)}")  # noqa: S108 - ownership is checked
    _make_private_folder(sockets, account)
    return Layout(home / "pgdata", sockets)


def rotate_log(files: Files) -> None:
    """Start a new log when the old one has become long."""
    if files.log.exists() and files.log.stat().st_size > _LOG_LIMIT:
        files.log.replace(files.log.with_suffix(".log.1"))


def _home(files: Files, account: Account | None) -> Path:
    """Return the folder that has the cluster; elsewhere if the server's user cannot get here."""
    if files.pgdata.is_symlink():
        home = Path(os.path.realpath(files.pgdata)).parent
        if not home.is_dir():
            raise EmbeddedServerError(
                f"{files.pgdata} points to {home}, and that is gone with the data",
                remedy=f"bring it back, or remove {files.pgdata} to start without data",
            )
        return home
    if files.pgdata.exists() or account is None or account.can_enter(files.folder):
        return files.folder
    home = new_home(account)
    files.pgdata.symlink_to(home / "pgdata")
    return home


def _fits(folder: Path) -> bool:
    """Tell whether clients can take the folder from a URL and have a socket in it."""
    try:
        path = str(folder / SOCKET_NAME).encode()
    except UnicodeEncodeError:
        return False
    return len(path) <= _SOCKET_PATH_LIMIT and b"," not in path


def _make_private_folder(folder: Path, account: Account | None) -> None:
    user = account.uid if account else os.geteuid()
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        pass
    else:
        if account:
            os.chown(folder, account.uid, account.gid)
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != user or status.st_mode & 0o077:
        raise EmbeddedServerError(
            f"{folder} has to be a folder that only uid {user} can enter, and it is not",
            remedy="remove it",
        )


def _digest(path: Path) -> str:
    return hashlib.sha256(os.fsencode(path)).hexdigest()[:16]

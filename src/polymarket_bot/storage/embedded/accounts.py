"""The system user that the server runs as: PostgreSQL refuses to run as root."""

from __future__ import annotations

import os
import pwd
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from polymarket_bot.storage.errors import EmbeddedServerError

if TYPE_CHECKING:
    from pathlib import Path

_CANDIDATES = ("postgres", "nobody")


@dataclass(frozen=True)
class Account:
    """A system user other than the one of this process."""

    name: str
    uid: int
    gid: int
    groups: tuple[int, ...]

    def run(self, *command: str) -> subprocess.CompletedProcess[bytes]:
        """Run a command as this user."""
        return subprocess.run(
            command,
            user=self.uid,
            group=self.gid,
            extra_groups=self.groups,
            cwd="/",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )

    def can_enter(self, folder: Path) -> bool:
        """Tell whether this user reaches a folder through all its parents."""
        return self.run("/bin/sh", "-c", 'cd -- "$1"', "sh", str(folder)).returncode == 0


def server_account(pgdata: Path) -> Account | None:
    """Choose the user for the server of a cluster; None means the user of this process.

    An existing cluster's owner stays its user.
    """
    owner = pgdata.stat().st_uid if pgdata.exists() else None
    if os.geteuid() != 0:
        _check_own_user(pgdata, owner)
        return None
    if owner:
        return _account_of(owner)
    for name in _CANDIDATES:
        try:
            return _account(pwd.getpwnam(name))
        except KeyError:
            continue
    raise EmbeddedServerError(
        "PostgreSQL refuses to run as root, and there is no other user to run it as: "
        f"none of {', '.join(_CANDIDATES)} has an entry in /etc/passwd",
        remedy="add one of them, run as another user, or set DATABASE_URL to a server",
    )


def _check_own_user(pgdata: Path, owner: int | None) -> None:
    user = os.geteuid()
    if owner is not None and owner != user:
        raise EmbeddedServerError(
            f"{pgdata} belongs to the user {_name_of(owner)}, this process runs as {user}",
            remedy="start it as the user that made it, or choose another data folder",
        )
    if owner is None and _name_of(user) == str(user):
        raise EmbeddedServerError(
            f"initdb needs the name of its user, and uid {user} has no entry in /etc/passwd",
            remedy="add an entry, or set DATABASE_URL to a server",
        )


def _name_of(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _account_of(uid: int) -> Account:
    try:
        return _account(pwd.getpwuid(uid))
    except KeyError:
        return Account(str(uid), uid, uid, (uid,))


def _account(entry: pwd.struct_passwd) -> Account:
    groups = os.getgrouplist(entry.pw_name, entry.pw_gid)
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid, tuple(groups))

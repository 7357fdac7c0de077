"""The folder for what a user other than root must reach when the data folder is out of its reach.

It is used by root only. Everything in it belongs to root or to the server's user.
"""

from __future__ import annotations

import logging
import secrets
from pathlib import Path
from typing import TYPE_CHECKING

from polymarket_bot.storage.errors import EmbeddedServerError

if TYPE_CHECKING:
    from polymarket_bot.storage.embedded.accounts import Account

_PARENTS = (Path("/var/lib"), Path("/var/tmp"))  # noqa: S108 - ownership is checked
_NAME = "polymarket-bot-storage"
_logger = logging.getLogger("polymarket_bot.storage.embedded")


def shared_folder(account: Account) -> Path:
    """Return the folder, made if absent, in the first place that can have it."""
    reasons = []
    for parent in _PARENTS:
        folder = parent / _NAME
        try:
            make_open_folder(folder)
        except OSError as error:
            reasons.append(f"{folder}: {error.strerror}")
            continue
        status = folder.lstat()
        if status.st_uid != 0 or status.st_mode & 0o022 or not folder.is_dir():
            reasons.append(f"{folder} is not a folder that only root writes to")
        elif not account.can_enter(folder):
            reasons.append(f"{folder} cannot be entered by the user {account.name}")
        else:
            return folder
    raise EmbeddedServerError(
        f"there is no place that the server's user {account.name} can reach: {'; '.join(reasons)}",
        remedy=f"choose a data folder that {account.name} can enter, or run as another user",
    )


def make_open_folder(folder: Path) -> None:
    """Make a folder that others can enter, whatever the umask; leave an existing one as it is."""
    try:
        folder.mkdir()
    except FileExistsError:
        return
    folder.chmod(0o755)


def new_home(account: Account) -> Path:
    """Make a folder of its own for one cluster."""
    home = shared_folder(account) / secrets.token_hex(8)
    make_open_folder(home)
    _logger.info("the user %s cannot enter the data folder: the data go to %s", account.name, home)
    return home

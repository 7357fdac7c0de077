"""The command line `polymarket-storage`: parse, open a database, call, print."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line, or say what to install for it."""
    try:
        from polymarket_bot.storage.cli.app import app
    except ModuleNotFoundError as error:
        if error.name not in ("typer", "rich"):
            raise
        sys.exit(
            f"polymarket-storage needs {error.name}: "
            "pip install 'polymarket-bot-storage[cli,embedded]'"
        )
    try:
        app()
    except KeyboardInterrupt:
        sys.exit(130)

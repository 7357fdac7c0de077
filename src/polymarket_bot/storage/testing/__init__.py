"""Databases for the tests of those who use the package: a pytest plugin.

`pytest_plugins = ["polymarket_bot.storage.testing"]` in the root `conftest.py` loads it. Its
fixtures are `db`, `db_url`, `empty_url` and `server_url`; see `docs/testing.md`.
"""

from importlib.util import find_spec

for _needed in ("pytest", "pytest_asyncio"):
    if find_spec(_needed) is None:
        raise ModuleNotFoundError(
            f"polymarket_bot.storage.testing needs {_needed.replace('_', '-')}; "
            "pip install 'polymarket-bot-storage[testing]'",
            name=_needed,
        )

pytest_plugins = ["polymarket_bot.storage.testing.plugin"]

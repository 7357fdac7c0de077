"""What the guarantees on production's tables rest on: leases."""

from polymarket_bot.storage.models.ops import Lease
from polymarket_bot.storage.repositories.lease_repo import LeaseRepository

__all__ = ["Lease", "LeaseRepository"]

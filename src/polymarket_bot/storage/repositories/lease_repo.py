"""Leases: who may do work with an effect outside the database, and until when."""

from __future__ import annotations

from datetime import timedelta
from typing import ClassVar

from polymarket_bot.storage.mapping.statements import relation, select_list
from polymarket_bot.storage.models.ops import Lease
from polymarket_bot.storage.repositories.arguments import span
from polymarket_bot.storage.repositories.keyed import KeyedRepository
from polymarket_bot.storage.tables import LEASES

_LEASES, _COLUMNS = relation(LEASES), select_list(LEASES, "stored")
_UNTIL = "statement_timestamp() + make_interval(secs => {})"
_IS_HOLDERS = """
WHERE stored.name = $1 AND stored.owner = $2 AND stored.fencing = $3
  AND stored.until > statement_timestamp()
"""
_ACQUIRE = f"""
INSERT INTO {_LEASES} AS stored (name, owner, until, fencing)
VALUES ($1, $2, {_UNTIL.format("$3::float8")}, 1)
ON CONFLICT (name) DO UPDATE
SET owner = EXCLUDED.owner, until = EXCLUDED.until, fencing = stored.fencing + 1
WHERE stored.until <= statement_timestamp() RETURNING {_COLUMNS}
"""
_RENEW = f"""
UPDATE {_LEASES} AS stored SET until = {_UNTIL.format("$4::float8")} {_IS_HOLDERS}
RETURNING {_COLUMNS}
"""
# The row stays, so that the next holder's number is a larger one.
_RELEASE = f"""
UPDATE {_LEASES} AS stored SET until = statement_timestamp() {_IS_HOLDERS} RETURNING {_COLUMNS}
"""


class LeaseRepository(KeyedRepository[Lease]):
    """Leases by name. Times are by the database's clock.

    A lease is for work whose effect a rollback does not take back: whoever holds it does the work,
    and hands its `fencing` number on to what it writes to, which refuses a smaller number than it
    has seen. A holder that stops in the middle loses the lease when it runs out.

    `release` keeps the row, so that `fencing` grows on. `delete` ends a lease, whoever has it, and
    the next one of its name begins at 1 again: not while anybody looks at the number.

    Raises:
        SchemaMissing: schema `ops` is missing; `polymarket-storage migrate` makes it.
    """

    table: ClassVar = LEASES

    async def acquire(self, name: str, owner: str, seconds: float | timedelta) -> Lease | None:
        """Take a lease that nobody holds, or that has run out; None where another one holds it.

        Args:
            name: what it is for.
            owner: who takes it; one that holds it already does not get it again.
            seconds: how long it lasts, as a timedelta or in seconds; more than 0.

        Raises:
            InvalidInput: an argument does not fit; names it.
        """
        return await self._once(
            _ACQUIRE, *self._checked(name=name, owner=owner), span("seconds", seconds)
        )

    async def renew(self, lease: Lease, seconds: float | timedelta) -> Lease | None:
        """Let `lease` last `seconds` from now on; None where it has run out, or another has it.

        Raises:
            InvalidInput: an argument does not fit; names it.
        """
        return await self._once(_RENEW, *self._holder(lease), span("seconds", seconds))

    async def release(self, lease: Lease) -> bool:
        """Give a lease back; False where it has run out, or another has it.

        Raises:
            InvalidInput: `lease` is no `Lease`.
        """
        return await self._once(_RELEASE, *self._holder(lease)) is not None

    def _holder(self, lease: Lease) -> list[object]:
        name, owner, _, fencing = self.table.values_of(lease)
        return [name, owner, fencing]

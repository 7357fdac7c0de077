"""A seeded feed in the shape of the exchange's trade API, with all that goes wrong in one."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

START = 1_760_000_000
"""When the generated feed begins, in Unix seconds (2025-10-09)."""

_STEP = 4
_STALE = 900
_OUTCOMES = ("Yes", "No", "Draw", "Other")


@dataclass
class _Market:
    """One condition; its tokens' prices drift apart until one is nearly certain."""

    condition_id: str
    tokens: list[str]
    prices: list[float] = field(default_factory=list)
    quiet_from: int | None = None


class Feed:
    """Pages of JSON texts, in the order in which they arrive; the same seed, the same feed.

    Args:
        seed: of the random numbers.
        markets: how many conditions, of two to four tokens.
        pages: how many pages; some of them arrive twice.
        page_size: records a page.
    """

    def __init__(self, seed: int, markets: int = 12, pages: int = 60, page_size: int = 100) -> None:
        self._random = random.Random(seed)  # noqa: S311 - a feed, no secret
        self._pages, self._page_size = pages, page_size
        self._markets = [self._market(number) for number in range(markets)]
        self._now = START

    def pages(self) -> Iterator[list[str]]:
        """Yield the pages as they arrive."""
        for number in range(self._pages):
            page = [self._record() for _ in range(self._page_size)]
            page += [*self._stale(), self._redeem()] if number % 5 == 4 else []
            page += self._broken(number) if number % 3 == 2 else []
            self._random.shuffle(page)
            yield page
            if number % 7 == 6:
                yield page  # the API repeats pages past its limit

    def _market(self, number: int) -> _Market:
        tokens = [self._digits(77) for _ in range(self._random.choice((2, 2, 2, 3, 4)))]
        market = _Market(f"0x{self._random.getrandbits(256):064x}", tokens)
        market.prices = [1 / len(tokens)] * len(tokens)
        market.quiet_from = START + 600 if number % 4 == 3 else None
        return market

    def _digits(self, length: int) -> str:
        return str(self._random.randrange(10 ** (length - 1), 10**length))

    def _record(self) -> str:
        """One trade; within a page they come out of order."""
        self._now += self._random.randrange(_STEP)
        market = self._random.choice([m for m in self._markets if not self._is_quiet(m)])
        self._drift(market)
        return json.dumps(self._trade(market, self._now - self._random.randrange(20)))

    def _is_quiet(self, market: _Market) -> bool:
        return market.quiet_from is not None and self._now >= market.quiet_from

    def _drift(self, market: _Market) -> None:
        weights = [p * self._random.uniform(0.85, 1.2) for p in market.prices]
        market.prices = [max(0.001, w / sum(weights)) for w in weights]

    def _trade(self, market: _Market, timestamp: int) -> dict[str, Any]:
        place = self._random.randrange(len(market.tokens))
        return {
            "proxyWallet": f"0x{self._random.getrandbits(160):040x}",
            "side": self._random.choice(("BUY", "SELL")),
            "asset": market.tokens[place],
            "conditionId": market.condition_id,
            "size": round(self._random.expovariate(1 / 40) + 0.01, 2),
            "price": min(0.999, round(market.prices[place], 3)),
            "timestamp": timestamp,
            "title": f"Market {market.condition_id[:8]}: who wins?",
            "type": "TRADE",
            "outcome": _OUTCOMES[place],
            "outcomeIndex": place,
            "transactionHash": f"0x{self._random.getrandbits(256):064x}",
        }

    def _stale(self) -> list[str]:
        """An old trade at a price that would trigger, of a market that has gone quiet since."""
        quiet = [m for m in self._markets if m.quiet_from and m.quiet_from < self._now - _STALE]
        if not quiet:
            return []
        trade = self._trade(self._random.choice(quiet), self._now - _STALE)
        return [json.dumps({**trade, "price": 0.985})]

    def _redeem(self) -> str:
        """A record of an activity feed that is no trade."""
        trade = self._trade(self._markets[0], self._now)
        empty = {"type": "REDEEM", "asset": "", "side": "", "outcomeIndex": 999, "price": 0}
        return json.dumps({**trade, **empty})

    def _broken(self, number: int) -> list[str]:
        """One record broken in one of the ways that feeds break."""
        trade = self._trade(self._markets[0], self._now)
        whole = json.dumps(trade)
        ways = (
            whole[: len(whole) // 2],
            json.dumps({**trade, "price": 1.5}),
            json.dumps({**trade, "timestamp": trade["timestamp"] * 1_000_000}),
            json.dumps({key: value for key, value in trade.items() if key != "asset"}),
            json.dumps({**trade, "size": "many"}),
        )
        return [ways[number // 3 % len(ways)]]

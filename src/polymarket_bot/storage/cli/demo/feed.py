"""A seeded feed in the shape of the exchange's trade API, with all that goes wrong in one."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from polymarket_bot.storage.cli.demo.pages import Page, Resolution

START = 1_760_000_000
"""When the generated feed begins, in Unix seconds (2025-10-09)."""

STALE_PRICE = 0.985
"""The price of stale trades, which would trigger; no other trade has it."""

_DAY = 86_400
_STEP = 4
_STALE = 500
_QUIET_AFTER = 150
_GAIN = 1.05
_SURPRISE = 0.06
_OUTCOMES = ("Yes", "No", "Draw", "Other")


@dataclass
class _Market:
    """One condition; its tokens' prices drift apart until one is nearly certain."""

    condition_id: str
    tokens: list[str]
    prices: list[float]
    favourite: int
    quiet_from: int | None


class Feed:
    """Pages of JSON texts, in the order in which they arrive; the same seed, the same feed.

    Each day has markets of its own, which are resolved with the day's last page: mostly, but not
    always, to the token that is dearest then.

    Args:
        seed: of the random numbers.
        days: how many days, each with one session of trading.
        markets: how many conditions a day, of two to four tokens.
        pages: how many pages a day; some of them arrive twice.
        page_size: trades a page.
    """

    def __init__(
        self, seed: int, days: int = 12, markets: int = 5, pages: int = 5, page_size: int = 100
    ) -> None:
        self._random = random.Random(seed)  # noqa: S311 - a feed, no secret
        self._days, self._markets_a_day = days, markets
        self._pages, self._page_size = pages, page_size
        self._markets: list[_Market] = []
        self._now = START

    def pages(self) -> Iterator[Page]:
        """Yield the pages as they arrive."""
        for day in range(self._days):
            self._now = START + day * _DAY
            self._markets = [self._market(number) for number in range(self._markets_a_day)]
            for number in range(self._pages):
                page = self._page(day * self._pages + number, last=number == self._pages - 1)
                yield page
                if (day * self._pages + number) % 7 == 6:
                    yield page  # the API repeats pages past its limit

    def _page(self, number: int, *, last: bool) -> Page:
        records = [self._record() for _ in range(self._page_size)]
        records += [*self._stale(), self._redeem()] if number % 5 == 4 else []
        records += self._broken(number) if number % 3 == 2 else []
        self._random.shuffle(records)
        return Page(records, [self._resolved(market) for market in self._markets] if last else [])

    def _market(self, number: int) -> _Market:
        tokens = [self._digits(77) for _ in range(self._random.choice((2, 2, 2, 3, 4)))]
        return _Market(
            condition_id=f"0x{self._random.getrandbits(256):064x}",
            tokens=tokens,
            prices=[1 / len(tokens)] * len(tokens),
            favourite=self._random.randrange(len(tokens)),
            quiet_from=self._now + _QUIET_AFTER if number % 4 == 3 else None,
        )

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
        weights[market.favourite] *= _GAIN
        market.prices = [max(0.001, w / sum(weights)) for w in weights]

    def _trade(self, market: _Market, timestamp: int) -> dict[str, Any]:
        place = self._random.randrange(len(market.tokens))
        price = min(0.999, round(market.prices[place], 3))
        return {
            "proxyWallet": f"0x{self._random.getrandbits(160):040x}",
            "side": self._random.choice(("BUY", "SELL")),
            "asset": market.tokens[place],
            "conditionId": market.condition_id,
            "size": round(self._random.expovariate(1 / 40) + 0.01, 2),
            "price": 0.984 if price == STALE_PRICE else price,
            "timestamp": timestamp,
            "title": f"Market {market.condition_id[:8]}: who wins?",
            "type": "TRADE",
            "outcome": _OUTCOMES[place],
            "outcomeIndex": place,
            "transactionHash": f"0x{self._random.getrandbits(256):064x}",
        }

    def _resolved(self, market: _Market) -> Resolution:
        places = sorted(range(len(market.tokens)), key=market.prices.__getitem__)
        surprise = self._random.random() < _SURPRISE
        place = self._random.choice(places[:-1]) if surprise else places[-1]
        return Resolution(market.condition_id, market.tokens[place], _OUTCOMES[place], place)

    def _stale(self) -> list[str]:
        """An old trade at a price that would trigger, of a market that has gone quiet since."""
        quiet = [m for m in self._markets if m.quiet_from and m.quiet_from < self._now - _STALE]
        if not quiet:
            return []
        trade = self._trade(self._random.choice(quiet), self._now - _STALE)
        return [json.dumps({**trade, "price": STALE_PRICE})]

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

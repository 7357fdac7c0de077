"""The parent: it replays pages, one phase of all workers after the other, and reports."""

from __future__ import annotations

import random
import time
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from polymarket_bot.storage.cli.demo.counting import (
    arrived,
    new_triggers,
    pipeline,
    refuse_others,
)
from polymarket_bot.storage.cli.demo.crew import Command, Crew, Kill, hired
from polymarket_bot.storage.cli.demo.feed import Feed
from polymarket_bot.storage.cli.demo.file_feed import file_pages
from polymarket_bot.storage.cli.demo.pages import Page, clocks, packed
from polymarket_bot.storage.cli.demo.report import Report, print_report
from polymarket_bot.storage.cli.output import progress
from polymarket_bot.storage.cli.target import open_database
from polymarket_bot.storage.database import Database

_LONGEST_LIFE = 0.03


class Plan(NamedTuple):
    """What is replayed, and by whom.

    Attributes:
        feed: a trade file; None for the generated feed.
        seed: of that, and of the kills.
        workers: how many processes.
        kills: how often one of them is killed.
    """

    feed: Path | None
    seed: int
    workers: int
    kills: int


class Replay:
    """Tells a crew, page by page and phase by phase, what to do.

    What is the same however often a command was done again is added up here; the rest is
    counted in the database.
    """

    def __init__(self, crew: Crew) -> None:
        self._crew = crew
        self.read = self.skipped = 0
        self.reasons: Counter[str] = Counter()

    async def arrive(self, page: Page, clock: int, kills: Mapping[str, Sequence[Kill]]) -> None:
        """Take a page through its phases."""
        self.read += len(page.records)
        for phase in page.phases:
            commands = self._commands(page, phase, clock)
            for answer in await self._crew.do(commands, kills.get(phase, ())):
                self.skipped += answer.get("skipped", 0)
                self.reasons.update(answer.get("reasons", {}))

    def _commands(self, page: Page, phase: str, clock: int) -> list[Command]:
        """Return what each worker is told: a share of the records, of the rest the same."""
        if phase == "ingest":
            shares = page.shares(self._crew.size)
            return [{"phase": phase, "work": {"records": packed(share)}} for share in shares]
        work: dict[str, Any] = {
            "process": {"conditions": page.conditions, "clock": clock},
            "resolve": {"resolutions": page.resolutions, "clock": clock},
        }.get(phase, {})
        return [{"phase": phase, "work": work}] * self._crew.size


async def run_demo(plan: Plan, *, url: str | None, data_dir: Path, as_json: bool) -> int:
    """Replay a feed, print what became of it, and return the exit status."""
    pages = list(Feed(plan.seed).pages() if plan.feed is None else file_pages(plan.feed))
    async with open_database(url, data_dir) as db:
        await refuse_others(db)
        report = await _replayed(db, plan, pages)
    print_report(report, as_json=as_json)
    return 0


async def _replayed(db: Database, plan: Plan, pages: Sequence[Page]) -> Report:
    before = await arrived(db, pages)
    began = time.monotonic()
    async with hired(plan.workers, db.config.dsn) as crew:
        replay = Replay(crew)
        kills = _kills(plan, pages)
        with progress("replay", sum(len(page.records) for page in pages)) as advance:
            for number, (page, clock) in enumerate(zip(pages, clocks(pages), strict=True)):
                await replay.arrive(page, clock, kills[number])
                advance(replay.read, replay.read)
    seconds = time.monotonic() - began
    return Report(
        feed="generated" if plan.feed is None else str(plan.feed),
        read=replay.read,
        skipped=replay.skipped,
        reasons=dict(replay.reasons),
        arrived=await arrived(db, pages) - before,
        triggers=await new_triggers(db),
        pipeline=await pipeline(db),
        workers=crew.size,
        kills=crew.kills,
        seconds=seconds,
    )


def _kills(plan: Plan, pages: Sequence[Page]) -> dict[int, dict[str, list[Kill]]]:
    """Choose which worker dies at which page and phase, and when: spread over the whole run."""
    chance = random.Random(f"kills {plan.seed}")  # noqa: S311 - a choice, no secret
    places = [(number, phase) for number, page in enumerate(pages) for phase in page.phases]
    kills: dict[int, dict[str, list[Kill]]] = defaultdict(lambda: defaultdict(list))
    for one in range(plan.kills if places else 0):
        number, phase = places[int((one + chance.random()) * len(places) / plan.kills)]
        after = _LONGEST_LIFE * chance.random() ** 2  # mostly short: some phases are done soon
        kills[number][phase].append(Kill(chance.randrange(plan.workers), after))
    return kills

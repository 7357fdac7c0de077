"""From approved candidates to the day's profit."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal

from polymarket_bot.storage import (
    ApprovalAlert,
    ApprovalAlertRepository,
    CandidateRepository,
    DailyPnlRepository,
    Database,
    DatabaseConfig,
    ExitEvent,
    ExitEventRepository,
    LiveOrder,
    LiveOrderRepository,
    PolymarketCandidate,
    Position,
    PositionRepository,
    TradeApproval,
    TradeApprovalRepository,
)
from tests.old_bot.common import SIZE, THRESHOLD, key, naive, zulu


@dataclass
class Trading:
    """What came of one run."""

    exposure: Decimal = Decimal(0)
    profits: list[Decimal] = field(default_factory=list)
    realized: Decimal = Decimal(0)
    expired_approvals: int = 0
    deleted_alerts: int = 0


class TradingBot:
    """Buys what is approved, sells it, and books the profit."""

    def __init__(self, db: Database) -> None:
        self.db = db
        self.report = Trading()
        self.candidates = CandidateRepository(db)
        self.orders = LiveOrderRepository(db)
        self.positions = PositionRepository(db)
        self.exits = ExitEventRepository(db)
        self.daily = DailyPnlRepository(db)
        self.approvals = TradeApprovalRepository(db)
        self.alerts = ApprovalAlertRepository(db)

    async def run(self) -> Trading:
        """Trade what is approved."""
        self.report.expired_approvals = await self.approvals.expire_old()
        for candidate in await self.candidates.get_by_status("approved", 50):
            await self.ask_human(candidate)
            await self.enter(candidate)
        self.report.exposure = await self.positions.get_total_exposure()
        await self.leave()
        await self.close_the_day()
        return self.report

    async def ask_human(self, candidate: PolymarketCandidate) -> None:
        """Alert a human, who approves at once."""
        token = candidate.token_id
        await self.alerts.create(
            ApprovalAlert(token_id=token, question="Trade?", price=0.96, alerted_at=naive())
        )
        assert token in [alert.token_id for alert in await self.alerts.get_pending()]
        await self.alerts.approve(token)
        await self.approvals.create(
            TradeApproval(
                token_id=token, approved_at=naive(), max_price=0.97, expires_at=zulu(-600)
            )
        )
        assert token in [approval.token_id for approval in await self.approvals.get_pending()]

    async def enter(self, candidate: PolymarketCandidate) -> None:
        """Order what is approved: once rejected, once cancelled, then filled in two parts."""
        token, price = candidate.token_id, float(candidate.price or 0)
        assert await self.approvals.get_valid(token, 0.98) is None
        if await self.approvals.get_valid(token, price) is None:
            return
        await self.orders.mark_rejected(await self.order(candidate, "r"), "not enough balance")
        await self.orders.mark_cancelled(await self.order(candidate, "c"), "too slow")
        order_id = await self.order(candidate, "f")
        await self.orders.update_status(order_id, "partial", price, 20.0)
        assert order_id in [order.order_id for order in await self.orders.get_active()]
        await self.orders.mark_filled(order_id, price, SIZE)
        await self.orders.update_status(order_id, "partial", price, 30.0)  # late
        order = await self.orders.get_by_order_id(order_id)
        assert order is not None
        assert (order.status, float(order.fill_size or 0)) == ("filled", SIZE)
        assert order in await self.orders.get_by_status("filled", 10)
        assert len(await self.orders.get_by_token(token)) == 3
        async with self.db.transaction() as conn:
            await self.open(candidate, order_id, price)
            await self.candidates.mark_executed(key(candidate))
            await self.approvals.mark_executed(token)
            await conn.execute(
                "UPDATE live_orders SET reason = $1 WHERE order_id = $2", "entry", order_id
            )
        approval = await self.approvals.get_by_token(token)
        assert approval is not None
        assert approval.status == "executed"

    async def order(self, candidate: PolymarketCandidate, mark: str) -> str:
        """Submit an order."""
        order_id = f"{mark}-{key(candidate)}"
        await self.orders.create(
            LiveOrder(
                order_id=order_id,
                candidate_id=key(candidate),
                token_id=candidate.token_id,
                threshold=THRESHOLD,
                order_price=float(candidate.price or 0),
                order_size=SIZE,
                status="submitted",
                submitted_at=naive(),
            )
        )
        return order_id

    async def open(self, candidate: PolymarketCandidate, order_id: str, price: float) -> None:
        """Write the position down."""
        await self.positions.create(
            Position(
                token_id=candidate.token_id,
                condition_id=candidate.condition_id,
                size=SIZE,
                entry_price=price,
                entry_cost=round(SIZE * price, 2),
                entry_order_id=order_id,
                entry_timestamp=naive(),
                created_at=zulu(),
            )
        )

    async def leave(self) -> None:
        """Sell every second open position at 0.99; the others pay out a dollar a share."""
        for number, position in enumerate(await self.positions.get_open()):
            priced = await self.positions.update_price(key(position), 0.98)
            assert priced is not None
            assert priced.status == "open"
            assert await self.positions.get_open_by_token(position.token_id)
            if number % 2:
                done = await self.positions.resolve(key(position), "Yes", float(position.size))
            else:
                await self.exit(position)
                done = await self.positions.close(key(position), 0.99, f"x-{key(position)}")
            assert done is not None
            assert await self.positions.close(key(position), 0.5) is None
            assert done in await self.positions.get_by_status(done.status, 10)
            assert done in await self.positions.get_by_token(position.token_id)
            self.report.profits.append(done.realized_pnl or Decimal(0))

    async def exit(self, position: Position) -> None:
        """Try twice to sell."""
        for reason in ("no bids", None):
            event = await self.exits.create(
                ExitEvent(
                    position_id=key(position),
                    token_id=position.token_id,
                    exit_type="take_profit",
                    entry_price=float(position.entry_price),
                    exit_price=0.99,
                    size=float(position.size),
                    gross_pnl=1.5,
                    net_pnl=1.5,
                    hours_held=0.5,
                    created_at=naive(),
                )
            )
            assert event in await self.exits.get_pending()
            if reason:
                await self.exits.mark_failed(key(event), reason)
            else:
                await self.exits.mark_executed(key(event))
        events = await self.exits.get_by_position(key(position))
        assert [event.status for event in events] == ["failed", "executed"]

    async def close_the_day(self) -> None:
        """Book the profits and clear away what is old."""
        today = datetime.now(UTC).date().isoformat()
        day = await self.daily.get_or_create(today)
        booked = float(day.realized_pnl or 0) + float(sum(self.report.profits))
        count = len(self.report.profits)
        await self.daily.update(today, booked, 0.0, count, count, 0)
        assert (await self.daily.get_recent(7))[0].num_trades == count
        self.report.realized = await self.daily.get_total_realized()
        spare = "nobody trades it"
        await self.approvals.create(TradeApproval(token_id=spare, approved_at=naive()))
        for approval in await self.approvals.get_pending():
            await self.approvals.mark_expired(approval.token_id)
        self.report.deleted_alerts = await self.alerts.delete_old(7)


async def main(url: str) -> Trading:
    """Open the database, trade, close."""
    async with Database(DatabaseConfig(url=url)) as db:
        return await TradingBot(db).run()

"""What a human is asked, and what they approved."""

from __future__ import annotations

from decimal import Decimal

from polymarket_bot.storage.models.base import StorageModel
from polymarket_bot.storage.types import Boolean, Identifier, Price, Real, Text, TimeText


class TradeApproval(StorageModel):
    """A human's approval of a trade in a token: a row of `trade_approvals`.

    `status` is `pending`, `executed` or `expired`. It is good up to `max_price` (0..1) and until
    `expires_at`; without `expires_at` it never expires, without `max_price` it is never valid.
    """

    token_id: Identifier
    condition_id: Text | None = None
    approved_at: TimeText
    approved_by: Text | None = "telegram"
    max_price: Price | None = Decimal("0.98")
    expires_at: TimeText | None = None
    status: Identifier | None = "pending"
    executed_at: TimeText | None = None


class ApprovalAlert(StorageModel):
    """A question to a human, whether to trade a token: a row of `approval_alerts`."""

    token_id: Identifier
    condition_id: Text | None = None
    question: Text | None = None
    price: Price | None = None
    model_score: Real | None = None
    alerted_at: TimeText
    approved: Boolean | None = False

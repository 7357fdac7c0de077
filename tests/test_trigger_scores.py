"""A trigger found by its token and threshold, and the score that a model gives it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from polymarket_bot.storage import Database, TriggerRepository
from tests.makers import TOKEN, trigger
from tests.refusals import Calls, assert_all_refused

SPELLINGS: list[Any] = [0.95, "0.95", "0.950", Decimal("0.95"), 0.949999988079071]


@pytest.fixture
def triggers(db: Database) -> TriggerRepository:
    return TriggerRepository(db)


@pytest.mark.parametrize("threshold", SPELLINGS, ids=repr)
async def test_a_trigger_is_found_by_its_threshold_as_a_real(
    triggers: TriggerRepository, threshold: Any
) -> None:
    stored = await triggers.create(trigger())
    await triggers.create(trigger(threshold=0.97))
    assert await triggers.get_by_token_threshold(TOKEN, threshold) == stored
    assert await triggers.get_by_token_threshold("other", threshold) is None
    assert await triggers.get_by_token_threshold(TOKEN, 0.950001) is None


@pytest.mark.parametrize("threshold", SPELLINGS, ids=repr)
async def test_a_score_is_stored_and_the_rest_is_left_as_it_was(
    triggers: TriggerRepository, threshold: Any
) -> None:
    first = await triggers.create(trigger(price="0.96", model_version="v1"))
    other = await triggers.create(trigger(threshold=0.97))
    scored = await triggers.set_score(TOKEN, threshold, 0.5)
    assert scored == first.model_copy(update={"model_score": 0.5})
    again = await triggers.set_score(TOKEN, threshold, -1.5, "v2")
    assert again == first.model_copy(update={"model_score": -1.5, "model_version": "v2"})
    assert await triggers.get_by_token_threshold(TOKEN, threshold) == again
    assert await triggers.get_by_token_threshold(TOKEN, 0.97) == other


async def test_a_trigger_that_is_not_there_gets_no_score(triggers: TriggerRepository) -> None:
    await triggers.create(trigger())
    assert await triggers.set_score(TOKEN, 0.97, 0.5) is None
    assert await triggers.set_score("other", 0.95, 0.5) is None
    assert await triggers.count() == 1


async def test_triggers_of_one_time_are_listed_by_their_thresholds(
    triggers: TriggerRepository,
) -> None:
    for threshold in (1e-05, 100000, 0.5, 2e7, 3):
        await triggers.create(trigger(threshold=threshold))
    listed = [1e-05, 0.5, 3, 100000, 2e7]
    assert [row.threshold for row in await triggers.get_by_token(TOKEN)] == listed
    assert [row.threshold for row in await triggers.get_recent(0)] == listed
    assert [row.threshold for row in await triggers.get_all()] == listed
    assert [row.threshold for row in await triggers.get_all(limit=2, offset=2)] == listed[2:4]


WRONG_THRESHOLDS = [None, "much", float("nan"), float("inf"), True, 10**39]
CALLS: Calls = [
    ("token_id", lambda t, v: t.get_by_token_threshold(v, 0.95), [None, "", 5]),
    ("threshold", lambda t, v: t.get_by_token_threshold(TOKEN, v), WRONG_THRESHOLDS),
    ("token_id", lambda t, v: t.set_score(v, 0.95, 1), [None, "", "a\x00"]),
    ("threshold", lambda t, v: t.set_score(TOKEN, v, 1), WRONG_THRESHOLDS),
    ("model_score", lambda t, v: t.set_score(TOKEN, 0.95, v), WRONG_THRESHOLDS),
    ("model_version", lambda t, v: t.set_score(TOKEN, 0.95, 1, v), [5, "a\x00"]),
    ("limit", lambda t, v: t.get_by_token(TOKEN, v), [None, -1, True]),
]


async def test_a_wrong_argument_is_refused_by_name(triggers: TriggerRepository) -> None:
    row = await triggers.create(trigger())
    await assert_all_refused(triggers, CALLS)
    assert await triggers.get_all() == [row]

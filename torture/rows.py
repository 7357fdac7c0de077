"""What is tried: the one table of faults, their tests, and how often they are made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Row:
    """A fault.

    Attributes:
        fault: its name, which the tests tell it by.
        must: what must come out.
        tests: the files, or the ids of tests, that try it.
        counts: variables of `tests.faults.record.count` for the full count; else the tests take
            their own, smaller ones.
        goal: how often the fault must have been made at the full count.
    """

    fault: str
    must: str
    tests: tuple[str, ...]
    counts: Mapping[str, int] = field(default_factory=dict)
    goal: int = field(kw_only=True)


def _in(file: str, *names: str) -> tuple[str, ...]:
    """Return the ids of some tests of a file."""
    return tuple(f"{file}::{name}" for name in names)


_KILLS = "tests/faults/test_server_kills.py"
_CLAIMS = "tests/test_claim_races.py"
_LEASES = "tests/test_leases.py"

ROWS = (
    Row(
        "worker killed",
        "every acknowledged write is there, nothing is lost, applied twice or stays claimed",
        (
            "tests/test_processing_kills.py",
            "tests/test_migration_kill.py",
            *_in(
                _CLAIMS,
                "test_no_claim_is_lost_or_won_twice_when_claimers_are_killed",
                "test_each_candidate_is_decided_once_though_workers_are_killed",
            ),
            *_in(
                "tests/test_demo.py",
                "test_a_run_whose_workers_are_killed_ends_in_the_same_state",
                "test_orders_are_written_down_before_they_are_sent_and_all_are_filled",
                "test_each_position_is_booked_once_however_many_workers_try",
            ),
        ),
        {
            "PROCESS_KILLS": 360,
            "TRADES": 15_000,
            "CONDITIONS": 30,
            "KILLS": 120,
            "CANDIDATES": 4_000,
            "DEMO_KILLS": 30,
            "ROUNDS": 20,
        },
        goal=500,
    ),
    Row(
        "server killed",
        "nothing acknowledged is lost, and workers go on within 5 s of its return",
        (
            *_in(_KILLS, "test_writers_go_on_each_time_the_server_comes_back"),
            "tests/faults/test_processing_crashes.py",
        ),
        {"SERVER_KILLS": 40, "CRASHES": 10, "TRADES": 20_000, "CONDITIONS": 40},
        goal=50,
    ),
    Row(
        "backend killed",
        "the same",
        _in(_KILLS, "test_writers_go_on_each_time_a_backend_is_killed"),
        {"BACKEND_KILLS": 500},
        goal=500,
    ),
    Row(
        "network",
        "no hang past a limit, an unknown outcome is said to be unknown, no write is sent twice",
        (
            "tests/faults/test_network.py",
            "tests/faults/test_outcomes.py",
            "tests/faults/test_lost_connections.py",
            "tests/faults/test_once.py",
        ),
        {"NETWORK": 210, "ROUNDS": 60},
        goal=500,
    ),
    Row(
        "cancellation",
        "the pool is back to its size, no backend is left over, no transaction open",
        (
            *_in(_LEASES, "test_cancellation_at_any_await_leaves_the_pool_whole"),
            *_in("tests/test_limits.py", "test_cancellation_during_commit_waits_for_it"),
        ),
        {"CANCELLATIONS": 20_000},
        goal=20_000,
    ),
    Row(
        "exhaustion",
        "time-outs that name the holders, and recovery when these let go",
        (
            *_in(
                _LEASES,
                "test_a_thousand_tasks_share_what_leaks_leave_of_four_connections",
                "test_a_pool_timeout_says_how_large_the_pool_is_and_who_holds_it",
            ),
            "tests/test_limits.py",
        ),
        goal=1_000,
    ),
    Row(
        "racers",
        "one winner for each key, both keys of a trigger; no watermark moves back; losers know why",
        (
            *_in(
                _CLAIMS,
                "test_of_eight_processes_that_claim_everything_one_wins_each",
                "test_of_a_thousand_tasks_in_eight_processes_one_wins_each",
                "test_callers_of_the_old_pair_slip_past_no_claim",
            ),
            "tests/test_once.py",
            "tests/test_claim_mixture.py",
        ),
        {"CLAIMS": 1_000, "KEYS": 1_000, "MIXTURE": 240},
        goal=9_000,
    ),
    Row(
        "pooler",
        "no error, no answer to another's question",
        ("tests/faults/test_pooler.py", "tests/faults/test_pooled_races.py"),
        {"OPERATIONS": 10_000},
        goal=10_000,
    ),
    Row(
        "failover",
        "writes resume without a new pool, no acknowledged row is lost with a synchronous standby",
        ("tests/faults/test_failover.py",),
        {"FAILOVERS": 20},
        goal=20,
    ),
    Row(
        "embedded",
        "no server is left over, the data are intact, a clear error otherwise",
        ("tests/embedded",),
        {"ROUNDS": 50},
        goal=50,
    ),
    Row(
        "disk full",
        "an error of its own with the remedy, nothing half written, work goes on with room",
        ("tests/faults/test_disk_full.py",),
        {"ROUNDS": 10},
        goal=12,
    ),
    Row(
        "refused",
        "an error of its own within the limit, with the remedy, and no password in it",
        (
            "tests/faults/test_refused.py",
            "tests/faults/test_tls.py",
            "tests/faults/test_secrets.py",
            "tests/test_drift.py",
        ),
        goal=40,
    ),
    Row(
        "bad input",
        "stored exactly or refused with its reason; no crash, no partial batch, no SQL",
        (
            "tests/test_hostile.py",
            "tests/test_hostile_cases.py",
            "tests/test_hostile_feeds.py",
            "tests/test_files.py",
            "tests/test_csv_files.py",
            "tests/test_array_files.py",
            "tests/test_payloads.py",
            "tests/faults/test_gigabyte.py",
        ),
        {"EXAMPLES": 3_000, "MEGABYTES": 1_024},
        goal=200_000,
    ),
    Row(
        "roles",
        "the reader cannot write, the writer cannot alter",
        (
            "tests/faults/test_roles.py",
            "tests/faults/test_role_owners.py",
            "tests/faults/test_grants.py",
        ),
        goal=100,
    ),
)
"""The faults, in the order in which they are tried."""

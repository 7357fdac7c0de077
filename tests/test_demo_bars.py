"""`print_bars` plots values of any sign within the width of the screen."""

from __future__ import annotations

from decimal import Decimal

import pytest

from polymarket_bot.storage.cli.output import print_bars

ROWS = [
    ("monday", Decimal("12.5")),
    ("tuesday", Decimal(-100)),
    ("wednesday", Decimal(0)),
    ("thursday", Decimal("0.1")),
]


def plotted(capsys: pytest.CaptureFixture[str], rows: list[tuple[str, Decimal]]) -> dict[str, str]:
    """Return the line of each label."""
    print_bars("P&L", rows)
    title, *lines = capsys.readouterr().out.splitlines()
    assert title.strip() == "P&L"
    return {line.split()[0]: line for line in lines}


def test_bars_stand_on_their_side_of_the_axis(capsys: pytest.CaptureFixture[str]) -> None:
    lines = plotted(capsys, ROWS)
    loss, gain, least = (lines[day].count("█") for day in ("tuesday", "monday", "thursday"))
    assert loss > gain > least == 1
    assert lines["tuesday"].rindex("█") < lines["monday"].index("█")
    assert "█" not in lines["wednesday"]


def test_values_have_a_sign_and_the_same_digits(capsys: pytest.CaptureFixture[str]) -> None:
    ends = [line.rstrip().rpartition(" ")[2] for line in plotted(capsys, ROWS).values()]
    assert ends == ["+12.5", "-100.0", "+0.0", "+0.1"]


@pytest.mark.parametrize("size", [1, 10**6, 10**30])
def test_bars_fit_the_screen(capsys: pytest.CaptureFixture[str], size: int) -> None:
    rows = [("gain", Decimal(size)), ("loss", Decimal(-size))]
    assert all(len(line) <= 80 for line in plotted(capsys, rows).values())


def test_no_rows_are_no_plot(capsys: pytest.CaptureFixture[str]) -> None:
    print_bars("P&L", [])
    assert capsys.readouterr().out == ""

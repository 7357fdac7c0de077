"""What a REAL keeps of a number: the tests' own arithmetic, in fractions and whole numbers."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

_DIGITS = 24
_LOWEST = -149
_HIGHEST = 104
_MOST_DECIMALS = 9


def nearest_real(value: Decimal | Fraction) -> Fraction:
    """Return the number that a 4-byte float keeps: the nearest, of two the even one.

    Raises:
        OverflowError: no finite one is near.
    """
    exact = Fraction(value)
    unit = _unit(abs(exact))
    if (steps := round(exact / unit)) and abs(steps * unit) >= Fraction(2) ** (_HIGHEST + _DIGITS):
        raise OverflowError(f"{value} is beyond every REAL")
    return steps * unit


def shortest(real: Fraction) -> Decimal:
    """Return the shortest decimal that is nearer to `real` than to any other 4-byte float.

    Of several as short, the nearest; a decimal in the middle of two floats belongs to neither.
    """
    if not real:
        return Decimal(0)
    size = abs(real)
    below, above = size - _unit_below(size) / 2, size + _unit(size) / 2
    for digits in range(1, _MOST_DECIMALS + 1):
        step = Fraction(10) ** (_magnitude(size) - digits)
        whole = size // step
        inside = [n for n in (whole, whole + 1) if below < n * step < above]
        if inside:
            number = min(inside, key=lambda n: (abs(n * step - size), n % 2))
            return _plain(number * step if real > 0 else -number * step)
    raise AssertionError("nine digits tell any two 4-byte floats apart")


def kept(value: Decimal | Fraction) -> Decimal:
    """Return the decimal that comes back when `value` has been stored as a REAL."""
    return shortest(nearest_real(value))


def _unit(size: Fraction) -> Fraction:
    """Return the distance from `size` to the next 4-byte float above."""
    exponent = _LOWEST
    if size:
        exponent = size.numerator.bit_length() - size.denominator.bit_length() - _DIGITS
        exponent += size >= Fraction(2) ** (exponent + _DIGITS)
    return Fraction(2) ** max(exponent, _LOWEST)


def _unit_below(size: Fraction) -> Fraction:
    """Return the distance from a float to the next one below, half as far at powers of two."""
    unit = _unit(size)
    is_lowest = size == unit * 2 ** (_DIGITS - 1)
    return unit / 2 if is_lowest and unit > Fraction(2) ** _LOWEST else unit


def _magnitude(size: Fraction) -> int:
    """Return the exponent of the power of ten just above `size`."""
    estimate = len(str(size.numerator)) - len(str(size.denominator))
    return estimate + (size >= Fraction(10) ** estimate)


def _plain(number: Fraction) -> Decimal:
    """Write a fraction that is a finite decimal without exponent."""
    places = 0
    while (number * 10**places).denominator != 1:
        places += 1
    digits = str(abs(int(number * 10**places))).rjust(places + 1, "0")
    whole = f"{digits[:-places]}.{digits[-places:]}" if places else digits
    return Decimal(f"-{whole}" if number < 0 else whole)

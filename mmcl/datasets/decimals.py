"""Decimal numbers from text, many at a time."""

import numpy as np

WIDEST = 17
"""Characters of a number read the fast way: a sign, a point and 15 digits, which float64 holds exactly."""


def to_floats(fields: list[str]) -> np.ndarray:
    """Fields as numbers, each equal to what `float` makes of it, in half the time.

    A plain decimal is an integer of up to 15 digits over a power of ten; both are exact in float64, so their
    quotient is the nearest number (Clinger, PLDI 1990). All others go through `float`.

    Args:
        fields: n ASCII texts without blanks, as from `str.split`.

    Returns:
        (n,) float64.

    Raises:
        ValueError: a field is not a number.
    """
    text = np.frombuffer(" ".join([*fields, " " * WIDEST]).encode("ascii"), np.uint8)
    ends = np.flatnonzero(text == ord(" "))[: len(fields)]
    starts = np.concatenate([[0], ends[:-1] + 1])[: len(fields)]
    negative = text[starts] == ord("-")
    first = starts + negative
    width = ends - first
    mantissa = np.zeros(len(fields))
    digits = np.zeros(len(fields), np.int8)
    point = np.full(len(fields), -1, np.int8)
    plain = width <= WIDEST
    for column in range(min(int(width.max(initial=0)), WIDEST)):
        here = text[first + column]
        inside = column < width
        digit = here - np.uint8(ord("0"))  # wraps round: above 9 for all other characters
        is_digit = inside & (digit <= 9)
        is_point = inside & (here == ord(".")) & (point < 0)
        mantissa = np.where(is_digit, mantissa * 10 + digit, mantissa)
        point = np.where(is_point, digits, point)
        digits += is_digit
        plain &= is_digit | is_point | ~inside
    plain &= (digits > 0) & (digits <= 15)
    values = mantissa / 10.0 ** np.where(point < 0, 0, digits - point)
    values = np.where(negative, -values, values)
    for i in np.flatnonzero(~plain).tolist():
        values[i] = float(fields[i])
    return values

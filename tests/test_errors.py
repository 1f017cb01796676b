"""How messages name values from outside."""

from typing import Any

from mmcl.errors import shown


def test_a_value_in_a_message_is_bounded_and_escaped():
    assert shown("a b") == "'a b'"
    assert shown("\x1b[31m\n") == "'\\x1b[31m\\n'"
    assert len(shown("x" * 10**7)) <= 80
    assert shown(10**5000) == "<integer of 16610 bits>"


def test_nested_lists_of_exponential_size_cost_nothing():
    laughs: list[Any] = []
    for _ in range(60):
        laughs = [laughs, laughs]
    assert len(shown(laughs)) <= 200

import numpy as np
import pytest

from mmcl.datasets.decimals import to_floats


def test_equal_to_float():
    rng = np.random.default_rng(0)
    numbers = rng.normal(size=3000) * 10.0 ** rng.integers(-9, 9, 3000)
    fields = [
        form % float(number)
        for number, form in zip(numbers, ["%.7g", "%.4f", "%r", "%.15g"] * 750, strict=True)
    ]
    fields += [
        "0",
        "-0",
        "-0.0",
        "5.",
        ".5",
        "-.5",
        "+1",
        "1e3",
        "-2.5E-7",
        "nan",
        "-inf",
        "1_0",
        "0" * 40 + "1",
    ]
    fields += ["123456789012345", "1234567890123456", "0.123456789012345", "-0.123456789012345", "9" * 400]
    read = to_floats(fields)
    np.testing.assert_array_equal(read, [float(field) for field in fields])
    assert (np.signbit(read) == np.signbit([float(field) for field in fields])).all()


def test_nothing():
    assert to_floats([]).shape == (0,)


@pytest.mark.parametrize("bad", ["-", ".", "-.", "1.2.3", "--1", "1-2", "x", "0x10", "1,5"])
def test_what_is_no_number_is_reported(bad):
    with pytest.raises(ValueError, match="could not convert"):
        to_floats(["1", bad, "2"])

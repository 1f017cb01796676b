"""Every seed of the tests that train or compare arithmetic, shifted by one environment variable.

`MMCL_TEST_SEED=1 pytest …` runs them with other random numbers. What they assert has to hold for any of them. Seeds
of golden numbers are not shifted, and neither are those of tests of the seeds themselves.
"""

import os

SHIFT = 1000 * int(os.environ.get("MMCL_TEST_SEED", "0"))


def shifted(seed: int) -> int:
    """This seed, or another one where MMCL_TEST_SEED says so."""
    return seed + SHIFT

"""Names of parametrized tests."""

import re


def shown(value):
    """Return the name of a parameter, the same in all processes that run the tests."""
    return re.sub(' at 0x[0-9a-f]+', '', str(value))

"""Programs that some tests need."""

import os

import pytest


def lacking(reason):
    """Skip a test that misses a program, or fail it where ``CI`` is set."""
    if os.environ.get('CI'):
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)

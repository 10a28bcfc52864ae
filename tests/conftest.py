import os
import time

import pytest


@pytest.fixture
def local_time():
    """Return a function that sets the machine's local time zone until the test ends."""
    before = os.environ.get('TZ')

    def set_zone(name):
        if name is None:
            os.environ.pop('TZ', None)
        else:
            os.environ['TZ'] = name
        time.tzset()

    yield set_zone
    set_zone(before)

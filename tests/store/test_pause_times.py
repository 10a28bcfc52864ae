"""When a task is paused."""

from datetime import timedelta

import pytest

from pyramid_cron.claims import Pause
from pyramid_cron.schedules.clock import MINUTE
from pyramid_cron.store.pause_times import FOR_EVER, end_of, in_force_at, last_end, skips
from tests.support.servers import INSTANT

OWN, OF_ALL = (Pause(INSTANT + timedelta(hours=hours), 'why', None, hours == 2) for hours in (1, 2))
LASTING = Pause(None, 'why', None)


def test_a_pause_without_an_end_lasts():
    assert end_of(LASTING) == FOR_EVER
    assert end_of(OWN) == OWN.until


def test_the_end_of_two_pauses_is_the_last():
    assert last_end(None, None) is None
    assert last_end(OWN, None) == OWN.until
    assert last_end(OWN, OF_ALL) == OF_ALL.until
    assert last_end(LASTING, OF_ALL) == FOR_EVER


def test_of_two_pauses_that_which_ends_last_comes_first():
    assert in_force_at(INSTANT, OWN, OF_ALL) == [OF_ALL, OWN]
    assert in_force_at(OWN.until, OWN, OF_ALL) == [OF_ALL]
    assert in_force_at(OF_ALL.until, OWN, OF_ALL) == []
    assert in_force_at(INSTANT, LASTING, LASTING._replace(of_all=True)) == [LASTING, LASTING._replace(of_all=True)]
    assert in_force_at(INSTANT, None, None) == []


@pytest.mark.parametrize(
    ('since', 'minute', 'skipped'),
    [
        (None, INSTANT - MINUTE, True),
        (INSTANT, INSTANT - MINUTE, False),
        # the tick for the minute in which it began may have come before it
        (INSTANT + MINUTE / 2, INSTANT, True),
        (INSTANT, OWN.until - MINUTE, True),
        (INSTANT, OWN.until, False),
    ],
)
def test_a_pause_skips_from_the_minute_in_which_it_began(since, minute, skipped):
    assert skips(OWN, since, minute) is skipped
    assert not skips(None, since, minute)

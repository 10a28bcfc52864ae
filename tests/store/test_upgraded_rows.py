"""The columns that an upgrade fills in, in rows that have them already or lack them."""

import pytest
from sqlalchemy import update

from pyramid_cron.schedules.clock import MINUTE
from pyramid_cron.store.schema import runs
from pyramid_cron.store.upgraded_rows import not_good_by_outcome, states_from_history
from tests.support.servers import INSTANT

pytestmark = pytest.mark.each_database


@pytest.mark.slow
def test_the_last_result_is_that_of_the_newest_run(servers):
    def body(system):
        if system['scheduled_for'] >= INSTANT + 5 * MINUTE:
            raise LookupError('no answer')

    server = servers.start().add(body=body)
    for minute in (0, 5, 10):
        server.tick(minute)
    expected = servers.row()
    names = ('last_outcome', 'last_outcome_for', 'last_error', 'last_success_for', 'failures_in_a_row', 'last_message')
    servers.change(**dict.fromkeys(names))
    servers.execute(states_from_history())
    assert [servers.row()[name] for name in names] == [expected[name] for name in names]
    assert [expected[name] for name in names] == [
        'failed',
        INSTANT + 10 * MINUTE,
        'LookupError',
        INSTANT,
        2,
        'no answer',
    ]


@pytest.mark.slow
def test_a_last_result_that_is_there_stays(servers):
    servers.start().add().tick(0)
    servers.change(last_outcome='missed')
    servers.execute(states_from_history())
    assert servers.row()['last_outcome'] == 'missed'


@pytest.mark.slow
def test_what_is_not_good_follows_from_the_outcome(servers):
    server = servers.start().add()
    server.tick(0)
    server.tick(5)
    by_minute = {5: 'lost', 0: 'ok'}
    for minute, outcome in by_minute.items():
        is_of_minute = runs.c.scheduled_for == INSTANT + minute * MINUTE
        servers.execute(update(runs).where(is_of_minute).values(outcome=outcome, not_good=None))
    servers.execute(not_good_by_outcome())
    assert {row['outcome']: row['not_good'] for row in servers.rows(runs)} == {'lost': 'fault', 'ok': None}

"""An exception of any class, at any point of a tick: it costs what was being done, and nothing stays behind."""

import contextlib
import logging

import pytest
from sqlalchemy import event
from sqlalchemy.exc import DataError, OperationalError

from pyramid_cron import events
from pyramid_cron.store.schema import tasks


class Elsewhere(BaseException):
    """Neither an error nor an exit, as the timeouts of gevent."""


FAULTS = {
    'outage': OperationalError('', {}, Exception('gone')),
    'refusal': DataError('', {}, Exception('refused')),
    'error': LookupError('wrong'),
    'other': Elsewhere('wrong'),
    'exit': SystemExit('wrong'),
}


class Points:
    """Counts the points of a tick, and raises at one of them, or from one of them on."""

    def __init__(self):
        self.begin(0, None)

    def begin(self, at, exc, lasting=False):
        self.passed, self.at, self.exc, self.lasting = 0, at, exc, lasting

    def __call__(self, *args):
        self.passed += 1
        if self.passed == self.at or (self.lasting and self.passed > self.at > 0):
            raise self.exc


@pytest.fixture
def points():
    return Points()


@pytest.fixture
def watched(servers, points):
    """A server with two tasks and subscribers, each statement, commit and callback of which is a point."""

    def subscribe(config):
        for kind in ('RunStarted', 'RunFinished', 'TaskStarted', 'TaskFinished', 'TaskMissed'):
            config.add_subscriber(points, getattr(events, f'I{kind}'))

    server = servers.start(include=subscribe, window='10e9', catch_up='0')
    server.add('first', body=points, min='*').add('second', body=points, min='*')
    server.tick(0)
    listened = [(server.engine, name) for name in ('before_cursor_execute', 'after_cursor_execute', 'commit')]
    for engine, name in listened:
        event.listen(engine, name, points)
    yield server
    for engine, name in listened:
        event.remove(engine, name, points)


@pytest.fixture
def quiet():
    """No log of hundreds of faults."""
    logging.disable()
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.slow
def test_nothing_stays_claimed_after_a_fault(servers, watched, points, quiet):
    heartbeat, late = watched.claims.own.heartbeat, watched.claims._late
    # each point has the next of these, because all at each would take minutes
    kinds = [(exc, lasting) for lasting in (False, True) for exc in FAULTS.values()]
    minute = number = passed = 0
    while passed >= number:
        number, minute = number + 1, minute + 3
        # a tick after a minute that was missed
        points.begin(number, *kinds[number % len(kinds)])
        with contextlib.suppress(Elsewhere, SystemExit):
            watched.tick(minute)
        passed = points.passed
        points.begin(0, None)
        assert heartbeat._count == 0
        claimed = {row['task']: row['run_id'] for row in servers.rows(tasks) if row['run_id']}
        assert all(map(late.problem_of, claimed.values())), (number, claimed)
        assert not watched.tick(minute + 1).problem
        assert {('first', minute + 1), ('second', minute + 1)} <= set(watched.ran), number
        heartbeat.beat()
        assert (heartbeat.is_idle, bool(late)) == (True, False)
        assert {row['run_id'] for row in servers.rows(tasks)} == {None}
    assert number > 40

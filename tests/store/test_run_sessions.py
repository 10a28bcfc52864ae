"""Runs that leave their session; that they join it is in test_session.py."""

import pytest

from pyramid_cron.reports import TaskReport


class BrokenSession:
    """A joined session that cannot be checked."""

    written = is_left = False

    def __init__(self, exc):
        self.exc = exc

    def check(self, report):
        raise self.exc

    def leave(self):
        self.is_left = True


def test_a_run_with_a_session_that_cannot_be_checked_has_failed(servers, server, warnings):
    (run,) = server.runs()
    run.claim()
    session = run.joined_session = BrokenSession(LookupError('no session'))
    report = run.release(TaskReport('task', 'ok', 1.5))
    assert (report.outcome, report.seconds, report.exception) == ('failed', 1.5, session.exc)
    assert session.is_left
    assert servers.history('outcome', 'error') == [('failed', 'LookupError')]
    assert warnings() == ['task task: its session cannot be checked']


def test_an_exit_at_the_end_of_a_run_leaves_nothing_claimed(servers, server, warnings):
    (run,) = server.runs()
    run.claim()
    session = run.joined_session = BrokenSession(SystemExit())
    with pytest.raises(SystemExit):
        run.release(TaskReport('task', 'ok', 1.5))
    assert session.is_left
    assert server.claims.own.heartbeat._count == 0
    server.claims.own.heartbeat.beat()
    assert servers.history('outcome', 'reason') == [('lost', 'its end could not be recorded')]
    assert server.claims.own.heartbeat.is_idle

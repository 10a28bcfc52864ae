"""Runs that leave their session; that they join it is in test_session.py."""

import pytest

from pyramid_cron.reports import TaskReport
from pyramid_cron.store.uncommitted import NotCommitted


class BrokenSession:
    """A joined session that cannot be checked."""

    written = is_left = committed_before_end = False

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


class FailedSession(BrokenSession):
    """A joined session in which work was not committed."""

    def check(self, report):
        return TaskReport('task', 'failed', report.seconds, exception=self.exc)


@pytest.mark.slow
@pytest.mark.parametrize(
    ('options', 'excuse', 'level', 'text'),
    [
        ({}, None, 'ERROR', 'task task failed: DELETE was not committed'),
        ({'retries': 1}, 'retrying', 'WARNING', 'task task failed and will be tried again: DELETE was not committed'),
        ({'tolerate': 1}, 'tolerated', 'WARNING', 'task task failed, which is tolerated: DELETE was not committed'),
    ],
)
def test_work_that_is_not_committed_is_an_alarm_as_any_failure(servers, caplog, options, excuse, level, text):
    server = servers.start().add(**options)
    (run,) = server.runs()
    run.claim()
    run.joined_session = FailedSession(NotCommitted('DELETE'))
    report = run.release(TaskReport('task', 'ok', 1.5))
    assert (report.outcome, report.excuse) == ('failed', excuse)
    (record,) = [record for record in caplog.records if 'failed' in record.getMessage()]
    assert record.levelname == level
    assert record.getMessage().startswith(text)


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

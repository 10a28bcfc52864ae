"""Acquiring a claim: races between servers, and claims that the database does not answer."""

import logging
import os
import re

import pytest

from pyramid_cron import TaskReport
from pyramid_cron.errors import Unavailable
from pyramid_cron.store.acquire import NotSent
from pyramid_cron.store.schema import tasks


def test_the_loser_of_a_race_logs_nothing(servers, warnings):
    first, second = (servers.start().add() for _ in range(2))
    # both have polled before one of them claims
    (mine,), (theirs,) = first.runs(), second.runs()
    assert mine.not_claimed is None
    assert theirs.not_claimed is None
    assert mine.claim() is None
    not_claimed = theirs.claim()
    assert (not_claimed.reason, not_claimed.level) == ('already run', logging.DEBUG)
    assert warnings() == []


def test_a_claimed_task_names_the_process_that_runs_it(servers):
    first, second = (servers.start().add(min='*') for _ in range(2))
    (mine,) = first.runs(0)
    (theirs,) = second.runs(1)
    assert mine.claim() is None
    not_claimed = theirs.claim()
    assert re.fullmatch(
        rf'still running: process {os.getpid()} on \S+, since [-0-9]+ [:0-9]+\+00:00', not_claimed.reason
    )
    assert not_claimed.level == logging.WARNING
    assert 0 <= not_claimed.running_seconds < 60
    # the same minute in another process is not worth a reason
    assert second.claims.claim(second.runs(1)[0]).reason == not_claimed.reason
    assert [run.not_claimed.reason for run in second.runs(0)] == ['already run']
    mine.release(TaskReport('task', 'ok'))


@pytest.mark.slow
@pytest.mark.parametrize('committed', [False, True])
def test_a_claim_without_an_answer_is_made_again(servers, warnings, committed):
    first, second = (servers.start().add(min=0) for _ in range(2))
    first.tick(-1)
    (run,) = first.runs(0)
    token = run.run_id
    with first.commit_fails(after=committed), pytest.raises(Unavailable, match='the store is not available'):
        run.claim()
    assert (servers.row()['run_id'] == token) is committed
    # recorded as soon as the database answers
    first.tick(1)
    second.tick(1)
    assert first.ran == [('task', 0)]
    assert servers.row()['run_id'] is None
    assert servers.history() == (['lost', 'ok'] if committed else ['ok'])


def test_a_failed_claim_does_not_stop_other_tasks(servers, warnings):
    server = servers.start().add('first', min='*').add('second', min='*')
    server.tick(0)
    with server.outage(of=tasks, kind=('update', 'lock'), times=1):
        report = server.tick(1)
    assert str(report) == 'fail: 1 of 2 tasks failed: first'
    assert server.ran[2:] == [('second', 1)]
    server.tick(2)
    assert servers.minutes('missed') == [('first', 1)]


def test_a_named_claim_without_an_answer_is_not_repeated(servers, warnings):
    server = servers.start().add(min=0)
    server.tick(1)
    with server.commit_fails(after=True, times=3):
        server.tick(1, names=['task'])
    for minute in range(2, 5):
        server.tick(minute)
    assert server.ran == []
    assert servers.row()['run_id'] is None


def test_the_first_cause_is_shown_for_an_engine():
    first, wrapped, outermost = LookupError('no\ntable'), RuntimeError('wrapped'), RuntimeError('wrapped again')
    wrapped.__cause__, outermost.__cause__ = first, wrapped
    assert str(NotSent(outermost)) == 'it cannot be enqueued: LookupError: no table'
    assert NotSent(outermost).brief == 'it cannot be enqueued: LookupError'

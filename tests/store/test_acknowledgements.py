"""Failures that a person has acknowledged."""

from datetime import datetime, timedelta, timezone

import pytest

from pyramid_cron.alarm import Acknowledged
from pyramid_cron.store.schema import audit
from pyramid_cron.store.task_results import TaskResults
from pyramid_cron.store.task_rows import TaskStates
from tests.support.problems import task_problems

pytestmark = pytest.mark.each_database

KNOWN = {'reason': 'the  supplier\nis down', 'requested_by': 'ada'}


def fail(system):
    raise LookupError('no luck')


@pytest.fixture
def failed(servers):
    server = servers.start().add(body=fail).add('fine')
    server.tick(0)
    return server


def problem_of(server):
    (problem,) = task_problems(server.registry)
    return problem


@pytest.mark.slow
def test_an_acknowledged_failure_has_user_time_and_reason(servers, failed, warnings):
    assert problem_of(failed).may_be_acknowledged
    warnings()
    failed.store.acknowledge(['task'], **KNOWN)
    assert warnings() == ['task task: its failure (failed LookupError) is acknowledged by ada: the supplier is down']
    problem = problem_of(failed)
    assert (problem.word, problem.is_fault, problem.may_be_acknowledged) == ('acknowledged', False, False)
    reason, requested_by, since = problem.acknowledged
    assert (reason, requested_by) == ('the supplier is down', 'ada')
    assert abs(since - datetime.now(timezone.utc)) < timedelta(minutes=1)
    (entry,) = servers.rows(audit)
    assert [entry[name] for name in ('action', 'task', 'requested_by', 'reason')] == [
        'acknowledged',
        'task',
        'ada',
        'the supplier is down',
    ]


@pytest.mark.slow
def test_a_further_attempt_of_it_is_acknowledged_everywhere(servers):
    server = servers.start().add(body=fail, retries=2)
    server.tick(0)
    server.store.acknowledge(['task'], **KNOWN)
    [task] = server.tick(1).tasks
    assert (task.excuse, problem_of(server).word) == ('acknowledged', 'acknowledged')


@pytest.mark.slow
def test_only_a_failure_can_be_acknowledged(servers, failed):
    with pytest.raises(ValueError, match='task fine has no failure to acknowledge'):
        failed.store.acknowledge(['task', 'fine'], **KNOWN)
    # all, or none
    assert problem_of(failed).acknowledged is None
    with pytest.raises(LookupError, match="the store has no task 'gone'"):
        failed.store.acknowledge(['gone'], **KNOWN)
    with pytest.raises(ValueError, match='the reason is empty'):
        failed.store.acknowledge(['task'], reason=' ')


@pytest.mark.slow
@pytest.mark.parametrize('session', [None, 'dbsession'])
def test_a_run_in_progress_that_may_have_joined_a_session_is_waited_for(servers, failed, session):
    servers.hold()
    server = servers.start(**({} if session is None else {'session': session})).add(body=fail).add('fine')
    if session is None:
        server.store.acknowledge(['task'], **KNOWN)
        assert servers.row()['acknowledged_for'] == 'failed LookupError'
    else:
        with pytest.raises(ValueError, match='task task has a run in progress: acknowledge the failure when'):
            server.store.acknowledge(['task'], **KNOWN)
        assert servers.row()['acknowledged_for'] is None


# other databases have locked the row before that
@pytest.mark.parametrize('engine', ['sqlite'], indirect=True)
def test_a_failure_that_changes_meanwhile_is_not_acknowledged(servers, failed):
    with (
        failed.overtaken(kind='update', by=lambda: servers.change(last_error='ValueError')),
        pytest.raises(ValueError, match='task task has begun or ended a run meanwhile: look at it again'),
    ):
        failed.store.acknowledge(['task'], **KNOWN)


@pytest.mark.slow
@pytest.mark.parametrize(
    ('values', 'acknowledged'),
    [
        ({'attempt': 2}, True),
        ({'last_error': 'ValueError'}, False),
        ({'last_error': None}, False),
        ({'last_outcome': 'ok'}, False),
    ],
)
def test_only_the_failure_that_was_read_is_acknowledged(servers, failed, values, acknowledged):
    with servers.begin() as connection:
        state = TaskStates(connection).get('task')
    servers.change(**values)
    with servers.begin() as connection:
        assert TaskResults(connection).acknowledge(state, Acknowledged('why', None, None), False) is acknowledged

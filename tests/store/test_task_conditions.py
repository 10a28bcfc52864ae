"""Conditions of the rows of tasks, with parameters."""

import pytest

from pyramid_cron.schedules.clock import MINUTE
from pyramid_cron.store.schema import tasks
from pyramid_cron.store.task_conditions import (
    HOLDS_RUN,
    IS_FREE,
    IS_FREE_AND_OLDER,
    IS_FREE_AND_PAST,
    IS_FREE_AND_PAST_OF_EACH,
    IS_UNCHANGED,
    THIS_MINUTE,
    THIS_TASK,
    WAITS_FOR_WORKER,
    may_owe,
    of_minute,
    of_run,
    unchanged,
)
from pyramid_cron.store.task_rows import TaskStates
from tests.support.servers import INSTANT

pytestmark = pytest.mark.each_database
IDLE = {THIS_TASK.key: 'idle'}


@pytest.fixture
def rows(servers):
    """Three rows: one is idle since its first minute, one runs, and one waits for a worker."""
    server = servers.start().add('idle', min='*').add('running', min=0).add('queued', min=0)
    server.tick(1)
    servers.change('idle', last_minute=INSTANT, next_due=INSTANT + MINUTE)
    servers.change('running', run_id='run')
    servers.change('queued', run_id='run', handed_over_for='minute')
    return servers


@pytest.mark.slow
@pytest.mark.parametrize(
    ('condition', 'values', 'found'),
    [
        (IS_FREE, IDLE, True),
        (IS_FREE, {THIS_TASK.key: 'running'}, False),
        (IS_FREE_AND_OLDER, IDLE | {THIS_MINUTE.key: INSTANT + MINUTE}, True),
        (IS_FREE_AND_OLDER, IDLE | {THIS_MINUTE.key: INSTANT}, False),
        (HOLDS_RUN, of_run('running', 'run'), True),
        (HOLDS_RUN, of_run('running', 'other'), False),
        (WAITS_FOR_WORKER, of_run('queued', 'run'), True),
        (WAITS_FOR_WORKER, of_run('running', 'run'), False),
    ],
)
def test_a_condition_holds_for_its_row(rows, condition, values, found):
    with rows.begin() as connection:
        names = connection.scalars(connection.select(tasks, tasks.c.task).where(condition), values)
    assert names == ([values[THIS_TASK.key]] if found else [])


@pytest.mark.slow
def test_a_row_is_unchanged_until_a_later_minute(rows):
    with rows.begin() as connection:
        query = connection.select(tasks, tasks.c.task).where(IS_UNCHANGED)
        state = TaskStates(connection).get('idle')
        assert connection.scalars(query, unchanged(state)) == ['idle']
    rows.change('idle', last_minute=INSTANT + MINUTE)
    with rows.begin() as connection:
        assert connection.scalars(query, unchanged(state)) == []


@pytest.mark.slow
@pytest.mark.parametrize(('minute', 'found'), [(0, []), (1, ['idle']), (59, ['idle']), (61, [])])
def test_a_row_may_owe_from_its_next_minute_until_it_is_forgotten(rows, minute, found):
    with rows.begin() as connection:
        query = connection.select(tasks, tasks.c.task).where(may_owe(), tasks.c.task == 'idle')
        assert connection.scalars(query, of_minute(INSTANT + minute * MINUTE)) == found


@pytest.mark.parametrize(
    ('last', 'busy_until'), [(None, None), (1, None), (1, 3), (3, 1), (-2, -1), (None, 2), (-2, 2)]
)
def test_a_past_minute_is_one_not_owed(servers, last, busy_until):
    servers.start().add().tick(0)
    known = {'last_minute': last, 'busy_until': busy_until}
    minutes = {name: None if number is None else INSTANT + number * MINUTE for name, number in known.items()}
    servers.change(first_seen=INSTANT, **minutes)
    with servers.begin() as connection:
        state = TaskStates(connection).get('task')
        for each, condition in ((False, IS_FREE_AND_PAST), (True, IS_FREE_AND_PAST_OF_EACH)):
            query = connection.select(tasks, tasks.c.task).where(condition)
            for number in range(-2, 5):
                minute = INSTANT + number * MINUTE
                found = connection.scalars(query, {THIS_TASK.key: 'task', THIS_MINUTE.key: minute})
                assert bool(found) is (state.owed_after(each) >= minute)

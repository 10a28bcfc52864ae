"""The summaries of several tasks."""

from datetime import datetime, timezone

from pyramid_cron import Task
from pyramid_cron.claims import Pause
from pyramid_cron.schedules.clock import MINUTE
from pyramid_cron.summaries import due_between, sort_by_next_run, summarize_all
from pyramid_cron.task_summary import summarize
from tests.support.servers import INSTANT


def plain(system):
    pass


def test_tasks_are_sorted_by_instants_and_not_by_wall_clocks():
    # 02:30 comes twice, and once more in a zone that is an hour behind
    instant = datetime(2026, 10, 25, 0, 45, tzinfo=timezone.utc)
    lines = {'hourly': ('30 * * * *', 'Europe/Berlin'), 'never': ('0 0 29 2 mon', 'UTC'), 'soon': ('0 1 * * *', 'UTC')}
    tasks = [Task(plain, name=name, cron=cron, timezone=zone) for name, (cron, zone) in lines.items()]
    tasks.append(Task(plain, name='none', min=0, timezone='UTC'))
    summaries = [summarize(task, instant, 0 if task.name == 'none' else 1) for task in tasks]
    assert [summary.task.name for summary in sort_by_next_run(summaries)] == ['soon', 'hourly', 'never', 'none']


def test_tasks_that_are_due_in_a_span_are_named():
    tasks = [Task(plain, name=f'at {minute}', min=minute, timezone='UTC') for minute in (0, 1, 2)]
    first = datetime(2026, 10, 25, 1, 1, tzinfo=timezone.utc)
    assert due_between(tasks, first, first) == ['at 1']
    assert due_between(tasks, first, first + MINUTE) == ['at 1', 'at 2']


def test_without_a_store_a_summary_has_next_runs_alone():
    task = Task(plain, timezone='UTC')
    found = summarize_all({'cron_store': None, 'cron_tasks': [task]}, [task], INSTANT, 2)
    assert found == ([summarize(task, INSTANT, 2)], None, (), None, None)
    assert [summary.state for summary in found.tasks] == [None]


def test_with_a_store_summaries_have_states_and_problems(servers):
    server = servers.start().add('task', body=lambda system: 1 / 0).add('other')
    servers.start().add('gone').tick(0)
    server.tick(0)
    pause = Pause(None, 'why', None, True)
    server.store.pause(['*'], reason='why')
    servers.paused_from(1)
    tasks = [task for task in server.registry['cron_tasks'] if task.name == 'task']
    found = summarize_all(server.registry, tasks, INSTANT, 1)
    (summary,) = found.tasks
    assert summary.state.last_outcome == 'failed'
    assert 'failed' in [problem.kind for problem in summary.problems]
    assert found.pause_of_all == pause._replace(since=INSTANT + MINUTE)
    # all tasks that are registered here, shown or not, are no problem of others
    assert {problem.task for problem in found.not_registered} <= {'gone'}
    assert found.error is None


def test_a_summary_leaves_out_a_row_from_before_store_false(servers):
    servers.start().add().tick(0)
    server = servers.start().add(store=False)
    server.ready()
    [summary] = summarize_all(server.registry, server.registry['cron_tasks'], INSTANT, 1).tasks
    assert (summary.state, summary.problems) == (None, ())


def test_a_store_that_is_not_available_leaves_next_runs(servers):
    server = servers.start().add('task')
    server.tick(0)
    with server.outage():
        found = summarize_all(server.registry, server.registry['cron_tasks'], INSTANT, 1)
    assert 'the store is not available' in str(found.error)
    assert [(summary.state, len(summary.next_runs)) for summary in found.tasks] == [(None, 1)]

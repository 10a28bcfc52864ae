"""Which row is that of a task while servers with its old and its new name tick in turn."""

import pytest
from webtest import TestApp

from pyramid_cron.monitoring.examine import examine
from pyramid_cron.monitoring.minute_results import results_of
from pyramid_cron.schedules import clock
from pyramid_cron.store.backfill_plan import plan_backfill
from pyramid_cron.store.due_records import read_account
from pyramid_cron.store.schema import audit, runs, tasks
from tests.support.servers import INSTANT


def fail(system):
    raise ZeroDivisionError


@pytest.fixture
def pair(servers):
    """A server that has the task as ``old``, and one that has it as ``new``."""
    pair = servers.start().add('old', fail, min='*'), servers.start().add('new', fail, min='*', was='old')
    pair[0].tick(0)
    return pair


def failed(server):
    """Return which tasks have failed by the health and by the metrics of a server."""
    browser = TestApp(server.config.make_wsgi_app(), extra_environ={'REMOTE_ADDR': '127.0.0.1'})
    health = browser.get('/cron/health', headers={'Accept': 'application/json'}, expect_errors=True).json
    metrics = browser.get('/cron/metrics').text
    line = 'pyramid_cron_task_problem{problem="failed",task="%s"} 1.0'
    return health['failed'], [name for name in ('old', 'new') if line % name in metrics]


def names(server):
    return list(server.store.states())


@pytest.mark.slow
@pytest.mark.each_database
def test_both_servers_report_the_failure_under_their_names(servers, pair):
    old, new = pair
    for minute, owner in enumerate((old, new, old, new), start=1):
        assert (failed(old), failed(new)) == ((['old'], ['old']), (['new'], ['new']))
        assert (names(old), names(new)) == (['old'], ['new'])
        owner.tick(minute)


@pytest.mark.each_database
def test_a_recorded_minute_is_found_under_either_name(servers, pair):
    old, new = pair
    for minute, owner in enumerate((old, new, old, new), start=1):
        for server in pair:
            task = server.task(('old', 'new')[pair.index(server)])
            examination = examine(server.registry, [task.name])
            [result] = results_of(server.registry, [task], INSTANT, examination).values()
            assert (result.task, result.outcome) == (task.name, 'failed')
        owner.tick(minute)


@pytest.mark.slow
@pytest.mark.each_database
def test_a_reading_takes_no_further_statement(servers, pair):
    _, new = pair
    plain = servers.start(app='plain').add('plain', min='*')
    plain.tick(0)
    counts = []
    for server in (new, plain):
        server.store.snapshot()
        with server.executed() as statements:
            server.store.snapshot()
            server.store.snapshot(list(server.store.states()))
        counts.append(len(statements))
    assert counts[0] == counts[1]


@pytest.mark.parametrize('index', [0, 1], ids=['old', 'new'])
def test_a_pause_is_of_the_row_under_either_name(servers, pair, index):
    server, name = pair[index], ('old', 'new')[index]
    # the row has the name that the other server knows
    pair[1 - index].tick(1)
    assert server.store.pause([name], reason='why') == {}
    assert server.store.snapshot().states[name].pause.reason == 'why'
    replaced = server.store.pause([name], reason='known better')
    assert {task: pause.reason for task, pause in replaced.items()} == {name: 'why'}
    assert list(server.store.paused()) == [name]
    assert {row['task'] for row in servers.rows(audit)} == {row['task'] for row in servers.rows(tasks)}
    assert server.store.resume([name]) == [name]
    assert server.store.paused() == {}


@pytest.mark.parametrize('index', [0, 1], ids=['old', 'new'])
def test_a_failure_is_acknowledged_under_either_name(servers, pair, index):
    server, name = pair[index], ('old', 'new')[index]
    pair[1 - index].tick(1)
    server.store.acknowledge([name], reason='known')
    [row] = servers.rows(tasks)
    assert row['acknowledged'] is not None
    assert server.store.snapshot().states[name].acknowledgement.reason == 'known'


@pytest.mark.parametrize('index', [0, 1], ids=['old', 'new'])
def test_a_run_is_stopped_under_either_name(servers, pair, index):
    server, name = pair[index], ('old', 'new')[index]
    other = pair[1 - index]
    with pytest.raises(ValueError, match=rf'^task {name} is not running: its last run was failed$'):
        server.store.stop(name)
    other.tick(1)
    [run] = other.runs(2)
    assert run.claim() is None
    assert server.store.stop(name).task == name
    assert server.store.snapshot().states[name].stop_request is not None


def test_of_two_rows_the_one_with_runs_counts(servers, pair):
    _, new = pair
    # as if both had their first tick at the same moment
    servers.execute(tasks.update().values(renamed_from=None))
    plain = servers.start().add('new', min='*/5')
    plain.tick(1)
    assert sorted(row['task'] for row in servers.rows(tasks)) == ['new', 'old']
    assert new.store.states()['new'].last_outcome == 'failed'
    plain.tick(5)
    assert new.store.states()['new'].last_outcome == 'ok'
    assert list(new.store.states()) == ['new']


def test_a_row_of_no_task_here_keeps_its_name(servers, pair):
    other = servers.start().add('other', min='*')
    assert names(other) == ['old']
    assert other.store.snapshot().own_name('old') == 'old'
    with pytest.raises(LookupError, match=r"^the store has no task 'other'"):
        other.store.pause(['other'], reason='why')


def test_a_name_that_another_task_has_is_no_other_name(servers, pair):
    pair[1].tick(1)
    both = servers.start().add('new', min='*').add('old', min='*')
    assert both.store.states()['new'].other_names == ()
    assert names(both) == ['new']


def test_the_history_of_both_names_is_read(servers, pair):
    _, new = pair
    snapshot = new.store.snapshot()
    assert snapshot.own_names(['new', 'none']) == {'new': 'new', 'none': 'none', 'old': 'new'}
    assert [row['task'] for row in servers.rows(runs)] == ['old']


def test_a_row_that_is_unregistered_is_that_of_no_former_name(servers, pair):
    old, new = pair
    new.tick(1)
    other = servers.start().add('other', min=0)
    for minute in range(60, 64):
        other.tick(minute)
    servers.change('new', last_seen=INSTANT)
    assert sorted(name for name in names(old) if name != 'other') == ['new']
    assert sorted(name for name in old.store.snapshot().states if name != 'other') == ['new']


@pytest.fixture
def good_pair(servers):
    """The same servers with a task that succeeds, after a minute of the old one; the row is that of the new one."""
    old, new = servers.start().add('old', min='*'), servers.start().add('new', min='*', was='old')
    for minute in range(3):
        old.tick(minute)
    new.ready()
    return old, new


@pytest.mark.parametrize('index', [0, 1], ids=['old', 'new'])
@pytest.mark.parametrize('ticks', [1, 2])
def test_a_plan_and_an_audit_know_the_runs_of_both_names(servers, good_pair, index, ticks):
    for server, minute in list(zip(reversed(good_pair), (3, 4), strict=True))[: ticks - 1]:
        server.tick(minute)
    server, name = good_pair[index], ('old', 'new')[index]
    task = server.task(name)
    plan = plan_backfill(server.store, task, INSTANT, INSTANT + 2 * clock.MINUTE)
    assert (len(plan.ok), plan.run, plan.unknown) == (3, [], [])
    now = INSTANT + 10 * clock.MINUTE
    account = read_account(server.store, name, task, INSTANT, INSTANT + 2 * clock.MINUTE, now)
    assert len(account.due) == 3
    assert not account.counts['no record']


def test_a_minute_of_the_former_name_does_not_run_again(servers, good_pair):
    _, new = good_pair
    # its history has not moved yet
    servers.execute(tasks.update().values(task='new', renamed_from='old'))
    assert new.backfill(0, name='new').reason == 'it was ok already'
    servers.execute(runs.update().where(runs.c.scheduled_for == INSTANT).values(outcome='failed', not_good='fault'))
    assert new.backfill(0, name='new', again=True).outcome == 'ok'
    assert servers.history('task', 'outcome', 'attempt', 'made_good_by')[:2] == [
        ('old', 'failed', 1, 'ada'),
        ('new', 'ok', 2, None),
    ]


def test_a_caller_may_use_the_name_of_the_row(servers, pair):
    _, new = pair
    new.store.pause(['old'], reason='why')
    assert list(new.store.paused()) == ['new']
    assert new.store.resume(['old']) == ['old']

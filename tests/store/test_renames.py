"""Tasks that a deploy renames: which row decides, while servers with the old and the new name tick in turn."""

import random
from collections import Counter
from datetime import timedelta

import pytest
from sqlalchemy import delete

from pyramid_cron import TaskReport
from pyramid_cron.claims import Pause
from pyramid_cron.schedules import clock
from pyramid_cron.schedules.clock import MINUTE
from pyramid_cron.store.renames import Renames
from pyramid_cron.store.schema import pauses, runs, tasks, ticks
from tests.support.servers import INSTANT

OK = TaskReport('task', 'ok', 1.0)


@pytest.fixture
def pair(servers):
    """A server that has the task as ``old``, and one that has it as ``new``."""
    return servers.start().add('old', min='*'), servers.start().add('new', min='*', was='old')


def names(servers):
    return sorted(row['task'] for row in servers.rows(tasks))


def ran(*pair):
    """Return the minutes for which servers ran the task, under whichever name."""
    return sorted(minute for server in pair for _, minute in server.ran)


@pytest.mark.slow
@pytest.mark.each_database
def test_a_renamed_task_keeps_row_pause_and_history(servers, pair, warnings):
    old, new = pair
    old.tick(0)
    old.tick(1)
    before = servers.row('old')
    old.store.pause(['old'], reason='why', requested_by='ada')
    servers.paused_from(1)
    warnings()
    new.tick(2)
    assert names(servers) == ['new']
    row = servers.row('new')
    kept = ('first_seen', 'last_success_at', 'last_seconds', 'failures_in_a_row')
    assert [row[name] for name in kept] == [before[name] for name in kept]
    assert row['renamed_from'] == 'old'
    assert new.store.paused() == {'new': Pause(None, 'why', 'ada')}
    assert sorted((run['task'], run['outcome']) for run in servers.rows(runs)) == [
        ('new', 'ok'),
        ('new', 'ok'),
        ('new', 'paused'),
    ]
    assert (new.ran, warnings()) == ([], [])
    servers.execute(delete(pauses))
    new.tick(3)
    with new.executed() as statements:
        new.tick(4)
    plain = servers.start(app='plain').add('plain', min='*')
    plain.tick(3)
    with plain.executed() as without:
        plain.tick(4)
    assert len(statements) == len(without)
    assert ran(*pair) == [0, 1, 3, 4]


@pytest.mark.slow
@pytest.mark.each_database
@pytest.mark.parametrize('seed', range(2))
def test_each_minute_runs_once_over_both_names(servers, seed):
    chosen = random.Random(seed)
    minutes = f'*/{chosen.choice([1, 2, 3])}'
    pair = servers.start().add('old', min=minutes), servers.start().add('new', min=minutes, was=['older', 'old'])
    pair[0].tick(0)
    for minute in range(1, 70):
        for server in chosen.sample(pair, chosen.choice([1, 1, 2])):
            report = server.tick(minute)
            assert not report.failed, report
        assert len(names(servers)) == 1
    due = range(0, 70, int(minutes[2:]))
    assert ran(*pair) == [*due]
    assert Counter(row['outcome'] for row in servers.rows(runs)) == {'ok': len(due)}


def test_no_server_claims_between_the_looks_of_both(servers, pair):
    old, new = pair
    old.tick(0)
    # both have found the minute before either of them claims it
    [of_old], [of_new] = old.runs(1), new.runs(1)
    assert of_old.claim() is not None
    assert of_new.claim() is None
    of_new.release(OK)
    [of_new], [of_old] = new.runs(2), old.runs(2)
    assert of_new.claim().reason == 'already run'
    assert of_old.claim() is None
    of_old.release(OK)
    assert servers.minutes('ok') == [('new', 0), ('new', 1), ('old', 2)]


@pytest.mark.slow
def test_a_running_task_is_taken_over_later(servers, pair, warnings):
    old, new = pair
    old.tick(0)
    [run] = old.runs(1)
    assert run.claim() is None
    assert new.tick(1).tasks[0].reason == 'already run'
    [task] = new.tick(2).tasks
    assert (task.name, task.outcome) == ('new', 'skipped')
    assert task.reason.startswith('still running: process ')
    [task] = new.tick(2, names=['new']).tasks
    assert task.reason.startswith('still running: process ')
    assert names(servers) == ['old']
    run.release(OK)
    new.tick(3)
    assert names(servers) == ['new']
    assert new.ran == [('new', 3)]
    [run] = new.runs(4)
    assert run.claim() is None
    [task] = old.tick(5).tasks
    assert (task.name, task.outcome) == ('old', 'skipped')
    assert task.reason.startswith('still running: process ')
    [task] = old.tick(5, names=['old']).tasks
    assert task.reason.startswith('still running: process ')


def test_a_run_under_the_old_name_need_not_be_due(servers):
    servers.start().add('old', min=0).tick(0)
    servers.hold('old')
    new = servers.start().add('new', min=0, was='old')
    assert new.tick(1).tasks == ()
    assert names(servers) == ['old']


def test_the_run_of_a_dead_process_is_repeated_by_the_new_name(servers, pair, warnings):
    old, new = pair
    old.tick(0)
    servers.hold('old', lease_until=0.0)
    servers.change('old', transactional=True)
    new.tick(1)
    assert new.ran == [('new', 1)]
    assert warnings()[0].startswith('task old was lost')


def test_a_lost_run_of_the_old_name_is_in_the_answer(servers, pair):
    old, new = pair
    old.tick(0)
    servers.hold('old', lease_until=0.0)
    [lost, task] = new.tick(1).tasks
    assert (lost.name, lost.outcome) == ('new', 'lost')
    assert (task.name, task.outcome) == ('new', 'ok')


@pytest.mark.slow
def test_what_a_killed_server_owes_is_run_by_the_new_name(servers):
    old = servers.start().add('old', min=1)
    new = servers.start().add('new', min=1, was='old').add('other', min='*')
    new.tick(0)
    old.tick(0)
    old.tick(20)
    new.tick(40)
    assert names(servers) == ['new', 'other']
    # found by the old server, which is killed before its claim
    old.runs(61)
    assert names(servers) == ['old', 'other']
    new.tick(62)
    assert names(servers) == ['new', 'other']
    assert ('new', 61) in new.ran
    new.runs(121)
    old.tick(122)
    assert old.ran == [('old', 121)]


@pytest.mark.slow
def test_a_rollback_gives_the_row_back(servers, pair):
    old, new = pair
    for server, minute in ((old, 0), (new, 1), (new, 2), (old, 3), (old, 4)):
        server.tick(minute)
        new.store.pause(['new' if server is new else 'old'], reason='why', until=INSTANT)
    assert names(servers) == ['old']
    assert ran(*pair) == [0, 1, 2, 3, 4]


@pytest.mark.slow
@pytest.mark.each_database
def test_a_name_that_was_lost_is_taken_over_later(servers, warnings):
    old = servers.start().add('old', min=0)
    old.tick(0)
    old.store.pause(['old'], reason='why')
    without = servers.start().add('new', min=0)
    for minute in range(1, 90):
        without.tick(minute)
    assert names(servers) == ['new', 'old']
    servers.start().add('new', min=0, was='old').tick(90)
    assert names(servers) == ['new']
    assert servers.row('new')['last_minute'] == INSTANT + 60 * MINUTE
    assert list(without.store.paused()) == ['new']
    assert servers.minutes('ok') == [('new', 0), ('new', 60)]


@pytest.mark.slow
@pytest.mark.each_database
def test_a_new_row_that_has_not_run_gives_way(servers):
    servers.start().add('old', min=0).tick(0)
    success = servers.row('old')['last_success_at']
    servers.start().add('new', min=0).tick(1)
    new = servers.start().add('new', min=0, was='old')
    new.tick(2)
    assert names(servers) == ['new']
    assert servers.row('new')['last_success_at'] == success
    new.tick(60)
    assert new.ran == [('new', 60)]


def test_two_pauses_become_the_one_in_force(servers):
    old = servers.start().add('old', min=0).add('new', min=0)
    old.tick(0)
    for name, until in (('old', None), ('new', clock.now() + timedelta(hours=1))):
        old.store.pause([name], reason=name, until=until)
    new = servers.start().add('new', min=0, was='old')
    new.tick(1)
    assert [pause.reason for pause in new.store.paused().values()] == ['new']
    assert names(servers) == ['new']


@pytest.mark.slow
def test_a_row_that_changes_meanwhile_is_not_taken_over(servers, pair):
    old, new = pair
    old.tick(0)
    servers.execute(delete(ticks))
    new.ready()
    other = old.store.states()['old']
    servers.hold('old')
    made = Renames(new.claims.database)
    assert made.take_over(new.task('new'), other).task == 'old'
    servers.start().add('new', min=0).tick(1)
    assert made.take_over(new.task('new'), other).task == 'new'
    assert names(servers) == ['new', 'old']
    servers.change('new', run_id='mine')
    servers.change('old', run_id=None)
    assert made.take_over(new.task('new'), other).is_claimed
    assert names(servers) == ['new', 'old']


@pytest.mark.slow
def test_another_task_may_have_the_old_name_later(servers, pair):
    old, new = pair
    old.tick(0)
    new.tick(1)
    both = servers.start().add('new', min='*').add('old', min='*')
    both.tick(2)
    both.tick(3)
    assert sorted(both.ran) == [('new', 2), ('new', 3), ('old', 2), ('old', 3)]


def test_a_long_history_is_renamed_in_batches(servers, pair):
    old, new = pair
    for minute in range(8):
        old.tick(minute)
    renames = Renames(new.claims.database, batch=3, batches=2)
    left = []
    for _ in range(2):
        renames.take_over_history([new.task('new')])
        left.append([minute for name, minute in servers.minutes('ok') if name == 'old'])
    assert left == [[0, 1], []]


def test_a_history_that_cannot_be_renamed_fails_no_tick(servers, pair, warnings):
    old, new = pair
    old.tick(0)
    new.ready()
    with new.outage(of=runs, sets='task', kind='update'):
        assert not new.tick(1).failed
    assert warnings()[-1].startswith('the history of renamed tasks cannot be taken over: the store is not available')


def test_without_a_store_it_does_nothing(servers):
    server = servers.start().add('new', min=0, was='old', store=False)
    servers.start().add('old', min=0).tick(0)
    server.tick(0)
    assert server.ran == [('new', 0)]
    assert names(servers) == ['old']

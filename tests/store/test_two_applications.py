"""Two applications in one database, with tasks of the same names: no statement of one reads or changes the other's."""

from datetime import timedelta

import pytest
from sqlalchemy import insert, select

from pyramid_cron import Task
from pyramid_cron.claims import Pause
from pyramid_cron.schedules.clock import MINUTE
from pyramid_cron.store.connection import StoreConnection
from pyramid_cron.store.history import History, WithoutRun
from pyramid_cron.store.last_result import of_end, of_failure, of_missed
from pyramid_cron.store.pauses import Pauses
from pyramid_cron.store.queries import Queries
from pyramid_cron.store.registered_tasks import RegisteredTasks
from pyramid_cron.store.run_end import RunEnd
from pyramid_cron.store.schema import gaps, pauses, processes, runs, tasks, ticks
from pyramid_cron.store.task_claims import TaskClaims
from pyramid_cron.store.task_results import TaskResults
from pyramid_cron.store.task_rows import TaskStates
from pyramid_cron.store.ticks import LAST_MINUTE, Tick, Ticks
from tests.support.servers import INSTANT, NEVER

OF_APP = [tasks, pauses, ticks, gaps, runs]
#: columns that have the time of the test
TIMES = {'started', 'finished', 'since', 'failed_since'}
DAY = timedelta(days=1)


def at(minute):
    return INSTANT + minute * MINUTE


def fill(connection, app, number):
    """Insert rows of an application, which differ from those of another number wherever a statement does not look."""

    def add(table, **values):
        connection.execute(insert(table).values(app=app, **values))

    base = {
        'schedule': f'{number}',
        'first_seen': at(-1000 * number),
        'last_minute': at(0),
        'attempt': 1,
        'transactional': False,
        'last_error': app,
    }
    states = {
        'idle': {},
        'running': {'run_id': 'running', 'process': 'process', 'started_at': float(number)},
        'queued': {'run_id': 'queued', 'handed_over_for': 'queued', 'started_at': float(number)},
        'retried': {'retry_reason': 'failed'},
    }
    for name, state in states.items():
        add(tasks, task=name, **base | state)
        add(pauses, task=name, until=at(9), reason=app)
        for minute, (outcome, trigger) in enumerate([('ok', 'manual'), ('failed', 'request'), ('missed', 'none')]):
            begun = {'started': at(minute), 'finished': at(minute) + number * MINUTE, 'attempt': 1, 'reason': app}
            id_ = f'{app}-{name}-{minute}'
            add(runs, id=id_, task=name, scheduled_for=at(minute), outcome=outcome, trigger=trigger, **begun)
    add(ticks, last_minute=at(10 * number), minute_before=at(10 * number - 3))
    add(gaps, first_minute=at(1), last_minute=at(1 + number))


def fill_theirs(connection, app):
    """Insert a running task with a name that no other application has."""
    values = {'schedule': '', 'first_seen': at(-1), 'attempt': 0, 'transactional': False}
    held = {'run_id': 'running', 'process': 'process'}
    connection.execute(insert(tasks).values(app=app, task='theirs', **values | held))


def rows(connection, app):
    """Return all rows of an application."""
    found = {}
    for table in OF_APP:
        query = select(table).where(table.c.app == app)
        found[table.name] = sorted(map(str, (dict(row) for row in connection.execute(query).mappings())))
    return found


def rows_without_times(connection, app):
    found = {}
    for table in OF_APP:
        columns = [column for column in table.columns if column.name not in TIMES]
        query = select(*columns).where(table.c.app == app)
        found[table.name] = sorted(map(str, map(tuple, connection.execute(query))))
    return found


def claim(connection, task, minute, attempt, **values):
    claimed = {'run_id': 'new', 'process': 'process', 'started_at': 0.0} | values
    return TaskClaims(connection).claim(task, minute, attempt, **claimed)


def register(connection):
    for name in ('idle', 'running', 'theirs', 'new'):
        RegisteredTasks(connection).register([Task(print, 7, name=name)], at(20))


def change_schedules(connection):
    registered = RegisteredTasks(connection)
    for state in TaskStates(connection).load().values():
        registered.change_schedule(Task(print, 7, name=state.task), state, at(20))


def register_again(connection):
    registered = RegisteredTasks(connection)
    for state in TaskStates(connection).load().values():
        registered.see([state.task], at(1), at(999))
        registered.register_again(Task(print, 7, name=state.task), TaskStates(connection).get(state.task), at(20))


def postpone(connection):
    registered = RegisteredTasks(connection)
    for state in TaskStates(connection).load().values():
        registered.postpone(state, at(20))


def tick(connection):
    """Record a tick while no task of the application needs attention."""
    connection.execute(connection.delete(tasks))
    return Ticks(connection).record(at(11), 60)[:3]


def take_back(connection, forward=False):
    stored = Ticks(connection)
    taken = stored.take_back(stored.record(at(11), 60), at(1))
    return stored.put_forward(stored.record(at(12), 60), at(11)) if forward else taken


def false_gap(connection):
    stored = Ticks(connection)
    stored.record_gap(at(2), at(500))
    gap = stored.false_gap(Tick(at(501), None, False, at(3).timestamp()))
    stored.delete_gap(gap)
    return gap


def forget_taken_back(connection):
    connection.execute(connection.update(tasks), {'taken_back_from': at(5)})
    RegisteredTasks(connection).forget_taken_back(at(5))


def restart_wait(connection):
    connection.execute(connection.update(tasks), {'started_at': 1e12})
    restarted = TaskClaims(connection).restart_wait('queued', 'queued')
    # no two calls have the same present
    connection.execute(connection.update(tasks).where(tasks.c.started_at < 1e12), {'started_at': 1.0})
    return restarted


def pause(connection, name):
    try:
        Pauses(connection).pause([name], Pause(None, 'new', None), at(0))
    except LookupError as exc:
        return str(exc)


OUTCOME = of_end(RunEnd('failed', 1.5), at(0), at(1))

OPERATIONS = {
    # each returns something, changes something, or both
    'load': lambda c: TaskStates(c).load(),
    'load named': lambda c: TaskStates(c).load(['idle', 'theirs']),
    'load claimed': lambda c: TaskStates(c).load([]),
    'get': lambda c: [TaskStates(c).get(name) for name in ('idle', 'theirs')],
    'register': register,
    'change schedules': change_schedules,
    'register again': register_again,
    'postpone': postpone,
    'see': lambda c: RegisteredTasks(c).see(['idle', 'running', 'theirs'], at(20), at(999)),
    'finish a tick': lambda c: Ticks(c).finish(at(10), None),
    'fail a tick': lambda c: Ticks(c).finish(at(11), 'no'),
    'take back a tick': take_back,
    'put forward a tick': lambda c: take_back(c, forward=True),
    'take back the history': lambda c: History(c).take_back(at(0), at(9)),
    'delete a false gap': false_gap,
    'forget what was taken back': forget_taken_back,
    'restart a wait': restart_wait,
    'correct': lambda c: RegisteredTasks(c).correct(TaskStates(c).get('idle'), next_due=at(3)),
    'claim': lambda c: claim(c, 'idle', at(1), 1),
    'claim by name': lambda c: claim(c, 'idle', None, 1),
    'claim a retry': lambda c: claim(c, 'retried', at(0), 2),
    'claim theirs': lambda c: claim(c, 'theirs', at(1), 1),
    'claim enqueued': lambda c: TaskClaims(c).claim_enqueued('queued', 'queued', run_id='new', process='process'),
    'release': lambda c: TaskClaims(c).release('running', 'running', **OUTCOME),
    'release theirs': lambda c: TaskClaims(c).release('theirs', 'running'),
    'mark enqueued': lambda c: TaskClaims(c).mark_enqueued('running', 'running'),
    'expire enqueued': lambda c: TaskClaims(c).expire_enqueued('queued', 'queued', **of_missed(at(0))),
    'reap': lambda c: TaskClaims(c).reap('running', 'running'),
    'reap theirs': lambda c: TaskClaims(c).reap('theirs', 'running'),
    'extend busy': lambda c: TaskResults(c).extend_busy('idle', at(5)),
    'skip to': lambda c: TaskResults(c).skip_to('idle', at(5)),
    'cancel retry': lambda c: TaskResults(c).cancel_retry('retried', at(0)),
    'record outcome': lambda c: TaskResults(c).record_outcome('idle', **of_failure('failed', at(0), at(1))),
    'set transactional': lambda c: [TaskClaims(c).set_transactional('running', 'running', True) for _ in range(2)],
    'set theirs transactional': lambda c: TaskClaims(c).set_transactional('theirs', 'running', False),
    'tick': tick,
    'last tick': lambda c: Ticks(c).state(),
    'last tick before': lambda c: [Ticks(c).last_before(at(minute)) for minute in (8, 11, 30)],
    'last tick as value': lambda c: c.execute(
        c.update(tasks).where(tasks.c.task == 'idle').values(busy_until=LAST_MINUTE)
    ),
    'gap': lambda c: [Ticks(c).record_gap(at(first), at(9)) for first in (1, 2)],
    'gaps': lambda c: [Ticks(c).gaps(9), Ticks(c).gaps(9, at(3))],
    'prune gaps': lambda c: Ticks(c).prune(at(30)),
    'begin': lambda c: History(c).begin(id='new', task='idle', attempt=1, trigger='request'),
    'begin enqueued': lambda c: [
        History(c).begin_enqueued(f'{app}-idle-0', id=f'new-{app}', host='here', pid=7) for app in ('app', 'other')
    ],
    'end': lambda c: [History(c).end(f'{app}-idle-0', outcome='ok') for app in ('app', 'other')],
    'outcome of': lambda c: [History(c).outcome_of(f'{app}-idle-1') for app in ('app', 'other')],
    'request of': lambda c: [History(c).request_of(f'{app}-idle-1') for app in ('app', 'other')],
    'make good': lambda c: [History(c).make_good(['idle'], at(minute), 'ada') for minute in range(9)],
    'without run': lambda c: History(c).record_without_run([WithoutRun('idle', [at(0), at(7)], 'missed', 'why')]),
    'prune': lambda c: [History(c).prune(at(1), 99), History(c).prune(NEVER - DAY, 99)],
    'past runs': lambda c: [
        Queries(c).past_runs(99),
        Queries(c).past_runs(99, ['idle', 'theirs']),
        Queries(c).past_runs(99, faults=True),
        Queries(c).past_runs(99, since=at(1)),
    ],
    'missed': lambda c: [
        Queries(c).missed(99),
        Queries(c).missed(99, ['idle', 'theirs']),
        Queries(c).missed(99, since=at(2)),
    ],
    'gaps for people': lambda c: Queries(c).gaps(9),
    'for minute': lambda c: Queries(c).for_minute(['idle', 'theirs'], at(1)),
    'between': lambda c: Queries(c).between(['idle'], at(0), at(9)),
    'ok minutes': lambda c: Queries(c).ok_minutes(['idle'], [at(minute) for minute in range(9)]),
    'backfilled since': lambda c: [Queries(c).backfilled_since('idle', at(minute), at(0)) for minute in range(9)],
    'by hand': lambda c: [Queries(c).by_hand_since(name, at(0)) for name in ('idle', 'theirs')],
    'strips': lambda c: [Queries(c).strips(limit) for limit in (1, 2, 9)],
    'pause': lambda c: pause(c, 'idle'),
    'pause new': lambda c: [c.execute(c.delete(pauses)), pause(c, 'idle')],
    'pause theirs': lambda c: pause(c, 'theirs'),
    'resume': lambda c: Pauses(c).resume(['idle', 'theirs'], at(1)),
    'paused': lambda c: Pauses(c).in_force(at(1)),
}


@pytest.fixture
def connection(engine):
    with engine.connect() as connection:
        # SQLite begins its transaction with a statement that writes
        connection.execute(insert(processes).values(id='process', host='here', pid=1, lease_until=1.0))
        yield connection
        connection.rollback()


def results(connection, other):
    """Return for each operation its result, the rows after it, and the rows of another application after it."""
    found = {}
    for name, operation in OPERATIONS.items():
        with connection.begin_nested() as savepoint:
            result = operation(StoreConnection(connection, 'app'))
            found[name] = result, rows_without_times(connection, 'app'), rows(connection, other)
            savepoint.rollback()
    return found


# before it in the order of a key, and after it
@pytest.mark.slow
@pytest.mark.parametrize('other', ['another', 'other'])
def test_each_operation_concerns_one_application(connection, other):
    fill(connection, 'app', 1)
    alone = results(connection, other)
    fill(connection, other, 2)
    fill_theirs(connection, other)
    before = rows(connection, other)
    for name, (result, mine, theirs) in results(connection, other).items():
        assert (name, result) == (name, alone[name][0])
        assert (name, mine) == (name, alone[name][1])
        assert (name, theirs) == (name, before)


@pytest.mark.slow
def test_each_operation_reads_or_changes_something(connection):
    fill(connection, 'app', 1)
    before = rows(connection, 'app')
    theirs = {name for name in OPERATIONS if 'theirs' in name}
    for name in set(OPERATIONS) - theirs:
        with connection.begin_nested() as savepoint:
            result = OPERATIONS[name](StoreConnection(connection, 'app'))
            assert result or rows(connection, 'app') != before, name
            savepoint.rollback()


@pytest.mark.slow
def test_the_statements_of_a_store_concern_one_application(servers):
    one, other = (servers.start(app=app).add(min='*') for app in ('app', 'other'))
    for minute, server in enumerate((one, other, other, one)):
        server.tick(minute)
    other.store.pause(['task'], reason='why')
    snapshots = [server.store.snapshot() for server in (one, other)]
    assert [snapshot.last_tick for snapshot in snapshots] == [at(3), at(2)]
    assert [snapshot.states['task'].last_minute for snapshot in snapshots] == [at(3), at(2)]
    assert [list(server.store.paused()) for server in (one, other)] == [[], ['task']]
    assert one.store.resume(['task']) == []
    assert list(other.store.paused()) == ['task']
    assert [list(server.store.states()) for server in (one, other)] == [['task'], ['task']]
    for server, ran in ((one, [0, 3]), (other, [1, 2])):
        with server.store.queries() as queries:
            past = [run.scheduled_for for run in reversed(queries.past_runs(9))]
            assert past == [at(minute) for minute in ran]


@pytest.mark.slow
def test_a_run_of_one_application_blocks_no_other(servers):
    one, other = (servers.start(app=app).add(min='*') for app in ('app', 'other'))
    reports = []
    blocking = servers.start(app='app').add('long', body=lambda system: reports.append(other.tick(1)), min='*')
    other.add('long', min='*')
    one.tick(0)
    blocking.tick(1)
    assert [task.outcome for task in reports[0].tasks] == ['ok', 'ok']


@pytest.mark.slow
def test_a_dead_run_is_reaped_by_its_application(servers):
    one, other = (servers.start(app=app).add(min='*') for app in ('app', 'other'))
    for server in (one, other):
        server.tick(0)
    held = {'run_id': 'run', 'process': 'dead', 'started_at': 0.0}
    servers.execute(insert(processes).values(id='dead', host='elsewhere', pid=1, lease_until=0.0))
    servers.execute(tasks.update().where(tasks.c.app == 'other').values(**held))
    assert [task.outcome for task in one.tick(1).tasks] == ['ok']
    assert other.store.states()['task'].run_id == 'run'
    assert 'lost' in [task.outcome for task in other.tick(1).tasks]
    assert one.store.states()['task'].last_outcome == 'ok'

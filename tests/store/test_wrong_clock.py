"""Minutes of the future, which a clock that was ahead has left: taken back, and put forward if it was behind."""

from datetime import datetime, timedelta, timezone

import pytest
from sqlalchemy import insert, update

from pyramid_cron.schedules.clock import MINUTE, current_minute
from pyramid_cron.store.schema import gaps, runs, tasks, ticks
from tests.support.clock import set_clock
from tests.support.servers import INSTANT

YEARS = 60 * 24 * 1500
AHEAD = datetime(2100, 1, 1, tzinfo=timezone.utc)


class Machine:
    """A server whose clock, which is set, is that of its database as well, as with SQLite."""

    def __init__(self, servers):
        self.began = current_minute()
        self.now = self.began
        self.server = servers.start()

    def tick(self, minute, seconds=5):
        """Tick in a minute, counted from the first one."""
        if self.server._claims is None:
            set_clock(self.server.engine, lambda: self.now)
        self.now = self.began + minute * MINUTE + timedelta(seconds=seconds)
        return self.server.tick(self.after_instant(minute))

    def after_instant(self, minute):
        return round((self.began - INSTANT) / MINUTE) + minute

    def ran(self):
        """Return the minutes for which the task ran since the last call."""
        ran = [minute - self.after_instant(0) for _, minute in self.server.ran]
        self.server.ran.clear()
        return ran

    def shown(self, minute):
        return (self.began + minute * MINUTE).isoformat(' ', 'minutes')


@pytest.fixture
def machine(servers):
    machine = Machine(servers)
    machine.server.add(min='*')
    return machine


@pytest.mark.slow
@pytest.mark.parametrize('engine', ['sqlite'], indirect=True)
def test_a_clock_that_was_ahead_for_one_tick_is_not_believed(servers, machine, warnings):
    machine.tick(0)
    machine.tick(YEARS)
    assert machine.ran() == [0, YEARS]
    warnings()
    assert not machine.tick(2).failed
    assert machine.ran() == [2]
    shown = [machine.shown(minute) for minute in (0, 1, YEARS)]
    columns = 'last_minute, busy_until, last_seen, last_outcome_for, last_success_for'
    future = f"taken back from {shown[2]} to {shown[0]}: by the database's clock it was in the future"
    assert warnings() == [
        f'the last tick is {future}',
        f'no tick came from {shown[1]} to {shown[1]} (60 s)',
        f'task task: {columns} {future}',
        f'task task was missed and does not run for {shown[1]}',
    ]
    # once
    machine.tick(3)
    assert machine.ran() == [3]
    assert warnings() == []
    missed = [minute - machine.after_instant(0) for _, minute in servers.minutes('missed')]
    assert [minute for minute in missed if minute < YEARS / 2] == [1]
    assert servers.gaps() == [(machine.after_instant(1),) * 2]


@pytest.mark.parametrize('engine', ['sqlite'], indirect=True)
def test_a_run_of_the_future_is_dated_as_of_now(servers, machine):
    for minute in (0, YEARS, 1):
        machine.tick(minute)
    begun = {row['scheduled_for']: row for row in servers.rows(runs)}
    bad = begun[machine.began + YEARS * MINUTE]
    # written by the clock of this machine, which stands for that of the wrong one
    assert bad['started'] < machine.now


@pytest.mark.parametrize('engine', ['sqlite'], indirect=True)
def test_a_minute_that_has_run_does_not_run_again(machine):
    machine.tick(0)
    machine.tick(YEARS)
    machine.tick(0, seconds=30)
    assert machine.ran() == [0, YEARS]
    machine.tick(1)
    assert machine.ran() == [1]


@pytest.mark.parametrize('engine', ['sqlite'], indirect=True)
def test_a_clock_that_was_ahead_at_the_first_tick_is_not_believed(servers, machine, warnings):
    for minute in (YEARS, 0, 1):
        machine.tick(minute)
    assert machine.ran() == [YEARS, 0, 1]
    assert (servers.minutes('missed'), servers.gaps()) == ([], [])
    assert len(warnings()) == 2


@pytest.mark.slow
@pytest.mark.parametrize(('ahead', 'ran'), [(182, [0]), (180, [])])
@pytest.mark.parametrize('engine', ['sqlite'], indirect=True)
def test_a_clock_less_than_three_hours_ahead_is_waited_for(machine, ahead, ran):
    machine.tick(ahead)
    machine.ran()
    machine.tick(0, seconds=1)
    assert machine.ran() == ran


@pytest.mark.parametrize('engine', ['sqlite'], indirect=True)
def test_a_clock_that_was_behind_runs_nothing_twice(servers, machine, warnings):
    machine.server.add('never', min=30, hour=5, day=29, month=2)
    machine.tick(0)
    machine.tick(1)
    assert machine.ran() == [0, 1]
    warnings()
    machine.tick(-600)
    assert machine.ran() == [-600]
    assert len(warnings()) == 3
    machine.tick(2)
    assert machine.ran() == [2]
    assert warnings() == [
        f'the last tick is put forward again to {machine.shown(1)}: a clock was behind',
        f'task task: last_minute is put forward again to {machine.shown(1)}: a clock was behind',
        f'task never: last_minute is put forward again to {machine.shown(-1)}: a clock was behind',
    ]
    assert (servers.minutes('missed'), servers.gaps()) == ([], [])
    assert [row['taken_back_from'] for table in (tasks, ticks) for row in servers.rows(table)] == [None] * 3


@pytest.mark.slow
@pytest.mark.parametrize('table', [ticks, tasks])
@pytest.mark.parametrize('engine', ['sqlite'], indirect=True)
def test_two_servers_put_forward_once(servers, machine, warnings, table):
    for minute in (0, 1, -600):
        machine.tick(minute)
    other = servers.start().add(min='*')
    other.ready()
    set_clock(other.engine, lambda: machine.now)
    warnings()
    with machine.server.overtaken(of=table, kind='update', by=lambda: other.tick(machine.after_instant(2))):
        machine.tick(2)
    assert len([warning for warning in warnings() if 'put forward' in warning]) == 2
    assert machine.ran() + [minute for _, minute in other.ran] == [0, 1, -600, machine.after_instant(2)]
    assert servers.minutes('missed') == []


@pytest.mark.slow
@pytest.mark.parametrize('engine', ['sqlite'], indirect=True)
def test_what_is_reached_minute_by_minute_is_not_put_forward(servers, machine, warnings):
    machine.tick(190)
    machine.tick(0)
    warnings()
    for minute in range(1, 193):
        machine.tick(minute)
    assert warnings() == []
    assert machine.ran() == [190, *range(193)]
    assert [row['taken_back_from'] for table in (tasks, ticks) for row in servers.rows(table)] == [None] * 2


def present():
    """Return the present minute as minutes after INSTANT."""
    return round((current_minute() - INSTANT) / MINUTE)


def ahead(servers, **values):
    """Tick in the minute before the present one, write values as a clock that was ahead would, and return that
    server and the present minute: the test takes it from here, as the clock may reach the next one meanwhile."""
    server = servers.start().add(min='*')
    minute = present()
    server.tick(minute - 1)
    server.ran.clear()
    servers.change(**values)
    return server, minute


@pytest.mark.slow
@pytest.mark.each_database
def test_a_tick_of_the_future_is_taken_back(servers, warnings):
    server, minute = ahead(servers, last_minute=AHEAD, busy_until=AHEAD, next_due=AHEAD + MINUTE, last_seen=AHEAD)
    servers.execute(update(ticks).values(last_minute=AHEAD, minute_before=AHEAD - MINUTE, done_minute=AHEAD))
    warnings()
    assert not server.tick(minute).failed
    assert server.ran == [('task', minute)]
    assert len(warnings()) == 2
    (row,) = servers.rows(ticks)
    assert (row['last_minute'], row['done_minute']) == (INSTANT + minute * MINUTE,) * 2
    assert row['taken_back_from'] == AHEAD


@pytest.mark.slow
@pytest.mark.each_database
def test_two_servers_take_back_once(servers, warnings):
    minute = present()
    servers.start().add(min='*').tick(minute - 1)
    servers.execute(update(ticks).values(last_minute=AHEAD))
    one, other = (servers.start().add(min='*') for _ in range(2))
    warnings()
    with one.overtaken(of=ticks, kind='update', by=lambda: other.tick(minute)):
        one.tick(minute)
    assert len([warning for warning in warnings() if 'taken back' in warning]) == 1
    assert one.ran + other.ran == [('task', minute)]


@pytest.mark.slow
@pytest.mark.each_database
@pytest.mark.parametrize('name', ['first_seen', 'last_minute', 'busy_until', 'schedule_changed_at', 'last_success_at'])
def test_a_row_of_the_future_is_taken_back(servers, warnings, name):
    server, minute = ahead(servers, **{name: AHEAD})
    warnings()
    server.tick(minute)
    assert server.ran == [('task', minute)]
    (warning,) = warnings()
    assert warning.startswith(f'task task: {name} taken back from 2100-01-01 00:00+00:00 to ')
    assert servers.row()[name] < INSTANT + (minute + 1) * MINUTE


def test_a_registered_row_is_seen_again_without_a_warning(servers, warnings):
    server, minute = ahead(servers, last_seen=AHEAD)
    warnings()
    server.tick(minute)
    assert warnings() == []
    assert servers.row()['last_seen'] == INSTANT + minute * MINUTE


def test_a_row_that_is_not_registered_is_taken_back_too(servers, warnings):
    _, minute = ahead(servers, last_seen=AHEAD)
    warnings()
    servers.start().add('other', min='*').tick(minute)
    (warning,) = warnings()
    assert warning.startswith('task task: last_seen taken back from 2100')


def test_a_retry_of_the_future_is_cancelled(servers, warnings):
    server, minute = ahead(servers, last_minute=AHEAD, attempt=1, retry_reason='failed')
    warnings()
    server.tick(minute)
    assert server.ran == [('task', minute)]
    (warning,) = warnings()
    assert warning.endswith('; its retry is cancelled')


def test_a_run_in_progress_is_taken_back_at_its_end(servers, warnings):
    server, minute = ahead(servers, last_minute=AHEAD)
    servers.hold()
    warnings()
    server.tick(minute)
    assert servers.row()['last_minute'] == AHEAD
    servers.change(run_id=None, process=None)
    server.tick(minute)
    assert servers.row()['taken_back_from'] == AHEAD


@pytest.mark.slow
@pytest.mark.parametrize(
    ('values', 'outcome', 'minute'),
    [
        ({'last_success_at': INSTANT, 'last_success_for': INSTANT}, 'ok', INSTANT),
        ({'last_success_at': None, 'last_success_for': None}, None, None),
        ({'failures_in_a_row': 1, 'last_error': 'LookupError'}, 'failed', None),
        ({'failures_in_a_row': 2, 'last_error': None}, 'lost', None),
    ],
)
def test_a_minute_that_has_not_come_was_not_missed(servers, values, outcome, minute):
    missed = {'last_outcome': 'missed', 'last_outcome_for': AHEAD, 'last_minute': AHEAD}
    _, present_minute = ahead(servers, **missed, **values)
    servers.start().add('other', min='*').tick(present_minute)
    assert (servers.row()['last_outcome'], servers.row()['last_outcome_for']) == (outcome, minute)


def test_a_row_that_changes_meanwhile_is_left_to_the_other_process(servers, warnings):
    server, minute = ahead(servers, last_minute=AHEAD)
    other = servers.start().add(min='*')
    warnings()
    with server.overtaken(of=tasks, kind='update', by=lambda: other.tick(minute)):
        server.tick(minute)
    assert server.ran + other.ran == [('task', minute)]
    assert len([warning for warning in warnings() if 'taken back' in warning]) == 1


@pytest.mark.slow
@pytest.mark.each_database
def test_only_what_a_false_gap_explains_is_corrected(servers):
    server = servers.start().add(min='*')
    minute = present()
    server.tick(minute - 1)
    begun = {'app': 'app', 'task': 'task', 'trigger': 'request', 'outcome': 'ok', 'finished': None}
    late = {'id': 'run', 'attempt': 1, 'started': AHEAD + MINUTE, 'scheduled_for': AHEAD}
    without = {'id': 'missed', 'attempt': 0, 'started': AHEAD + MINUTE, 'scheduled_for': AHEAD - MINUTE}
    servers.execute(insert(runs).values([begun | late, begun | without]))
    first = INSTANT + minute * MINUTE
    true = {'first_minute': first - 9 * MINUTE, 'last_minute': first - 8 * MINUTE}
    for gap in (true, {'first_minute': first, 'last_minute': AHEAD}):
        servers.execute(insert(gaps).values(app='app', **gap))
    servers.execute(update(ticks).values(last_minute=AHEAD + MINUTE))
    server.tick(minute)
    assert servers.gaps() == [(minute - 9, minute - 8)]
    found = {row['id']: row for row in servers.rows(runs)}
    assert 'missed' not in found
    assert found['run']['finished'] is None
    assert found['run']['started'] < AHEAD

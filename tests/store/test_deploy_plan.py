"""The comparison of the code with the store."""

from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest

from pyramid_cron import Schedule, Task
from pyramid_cron.claims import Pause
from pyramid_cron.schedules.clock import MINUTE
from pyramid_cron.store.deploy_plan import NO_RUNS, Guess, Runs, likeness, plan_deploy
from pyramid_cron.store.older_tables import StoredTasks
from pyramid_cron.store.schedule_text import write_schedule
from pyramid_cron.store.task_state import TaskState

# a Monday
INSTANT = datetime(2026, 11, 23, 2, 0, tzinfo=timezone.utc)
DAILY, WORKDAYS, EACH = '0 3 * * *', '0 9 * * mon-fri', '* * * * *'


def purge(system): ...


def mail(system): ...


def task(name='task', line=DAILY, f=purge, **options):
    return Task(f, cron=line, name=name, timezone='UTC', **options)


def row(name='task', line=DAILY, **values):
    known = {'first_seen': INSTANT - timedelta(days=9), 'last_seen': INSTANT - MINUTE, 'callable': f'{__name__}.purge'}
    return TaskState(name, write_schedule(task(line=line)), **(known | values))


def at(**later):
    return INSTANT + timedelta(**later)


def plan(tasks, rows, confirmed=(), of_all=None):
    pauses = {state.task: state.pause for state in rows if state.is_paused(INSTANT)}
    pauses |= {} if of_all is None else {'*': of_all}
    stored = StoredTasks((1, 2), {state.task: state for state in rows}, pauses, INSTANT - MINUTE, INSTANT)
    return plan_deploy(tasks, stored, INSTANT, confirmed)


def changes(*arguments, **options):
    return {planned.name: planned.change for planned in plan(*arguments, **options)}


def losses(*arguments, **options):
    return {planned.name: planned.lost for planned in plan(*arguments, **options) if planned.lost}


UNTIL = Pause(at(days=2), 'why', 'ada')
FOR_EVER = Pause(None, 'why', None)
OVER = Pause(at(minutes=-1), 'why', None)


def test_a_task_with_its_schedule_is_the_same():
    [planned] = plan([task()], [row()])
    assert (planned.change, planned.appear, planned.vanish, planned.lost) == ('same', NO_RUNS, NO_RUNS, ())
    assert (planned.former, planned.pause, planned.is_running, planned.has_other_schedule) == (None, None, False, False)


def test_a_task_without_a_row_is_new():
    [planned] = plan([task()], [])
    assert (planned.change, planned.appear) == ('new', Runs(7, at(hours=1)))
    assert (planned.is_running, planned.has_other_schedule) == (False, False)


def test_the_minute_itself_is_over_and_the_last_counts():
    [planned] = plan([task(line='0 2 * * *')], [])
    assert planned.appear == Runs(7, at(days=1))


def test_a_task_of_each_minute_has_its_runs_counted():
    [planned] = plan([task(line=EACH)], [])
    assert planned.appear == Runs(10080, at(minutes=1))


def test_a_row_without_a_task_is_gone():
    [planned] = plan([], [row(line=WORKDAYS)])
    assert (planned.change, planned.vanish, planned.lost) == ('gone', Runs(5, at(hours=7)), ('task',))
    assert planned.before == ('0 9 * * mon-fri', timezone_of(planned))


def timezone_of(planned):
    return planned.before[1]


def test_a_task_that_is_to_go_is_not_lost():
    assert losses([], [row(pause=FOR_EVER)]) == {'task': ('task', 'pause')}
    assert losses([], [row(pause=FOR_EVER)], confirmed=['task']) == {}


@pytest.mark.parametrize(
    ('pause', 'lost', 'vanish'),
    [
        (None, ('task',), Runs(7, at(hours=1))),
        (OVER, ('task',), Runs(7, at(hours=1))),
        # the minutes of the pause do not vanish
        (UNTIL, ('task', 'pause'), Runs(5, at(days=2, hours=1))),
        (FOR_EVER, ('task', 'pause'), NO_RUNS),
    ],
)
def test_the_pause_of_a_task_that_is_gone_is_lost(pause, lost, vanish):
    [planned] = plan([], [row(pause=pause)])
    assert (planned.lost, planned.vanish) == (lost, vanish)


def test_a_pause_of_all_tasks_is_not_lost_with_one():
    [new, gone] = plan([task('new', f=mail)], [row()], of_all=UNTIL)
    assert (gone.lost, gone.vanish) == (('task',), Runs(5, at(days=2, hours=1)))
    # it holds for new tasks, too
    assert (new.pause, new.appear) == (UNTIL, Runs(5, at(days=2, hours=1)))
    [gone] = plan([], [row(pause=UNTIL)], of_all=FOR_EVER)
    assert (gone.pause, gone.lost, gone.vanish) == (FOR_EVER, ('task', 'pause'), NO_RUNS)


@pytest.mark.parametrize(
    'values',
    [
        {'last_seen': at(minutes=-90)},
        # reported, and no tick came for long
        {'last_seen': at(minutes=-30), 'unregistered_at': at(minutes=-20)},
    ],
)
def test_a_task_that_was_gone_before_is_not_lost(values):
    [planned] = plan([], [row(pause=FOR_EVER, **values)])
    assert (planned.change, planned.lost, planned.vanish) == ('gone before', (), NO_RUNS)


def test_a_task_that_is_back_appears():
    [planned] = plan([task()], [row(last_seen=at(minutes=-90))])
    assert (planned.change, planned.appear, planned.vanish) == ('back', Runs(7, at(hours=1)), NO_RUNS)


def test_a_changed_schedule_has_runs_that_appear_and_vanish():
    [planned] = plan([task(line='0 3,15 * * *')], [row(line='0 3,5 * * *')])
    assert (planned.change, planned.has_other_schedule) == ('changed', True)
    assert (planned.appear, planned.vanish) == (Runs(7, at(hours=13)), Runs(7, at(hours=3)))


def test_another_time_zone_is_a_changed_schedule():
    moved = Task(purge, cron=DAILY, name='task', timezone='Europe/Berlin')
    [planned] = plan([moved], [row()])
    assert (planned.change, planned.appear.first, planned.vanish.first) == ('changed', at(days=1), at(hours=1))


def test_a_schedule_that_cannot_be_read_has_unknown_runs():
    unreadable = replace(row(), schedule='v9')
    [planned] = plan([task()], [unreadable])
    assert (planned.change, planned.before, planned.appear, planned.vanish) == ('changed', None, Runs(None), Runs(None))
    assert plan([], [unreadable])[0].vanish == Runs(None)


def test_a_task_that_is_turned_off_loses_nothing():
    off = task()
    off.schedule_in_code, off.schedule = off.schedule, Schedule.off()
    [planned] = plan([off], [row(pause=UNTIL)])
    assert (planned.change, planned.vanish, planned.lost) == ('changed', Runs(5, at(days=2, hours=1)), ())


def test_a_task_that_was_has_its_row_and_its_pause():
    [planned] = plan([task('new', was='task')], [row(pause=UNTIL)])
    assert (planned.name, planned.change, planned.former) == ('new', 'renamed', 'task')
    assert (planned.pause, planned.lost, planned.appear) == (UNTIL, (), NO_RUNS)


def test_a_renamed_task_may_have_another_schedule_too():
    [planned] = plan([task('new', WORKDAYS, was='task')], [row()])
    assert (planned.change, planned.appear.number, planned.vanish.number) == ('renamed', 5, 7)


def test_a_row_of_both_names_is_taken_over_with_its_pause():
    [planned] = plan([task('new', was='task')], [row('new', renamed_from='task'), row(pause=UNTIL)])
    assert (planned.change, planned.former, planned.pause) == ('renamed', 'task', UNTIL)


def test_an_older_release_takes_the_row_back():
    # after a deploy that has renamed it
    [planned] = plan([task('old')], [row('new', renamed_from='old')])
    assert (planned.name, planned.change, planned.former, planned.lost) == ('old', 'renamed', 'new', ())


def test_a_task_that_leaves_the_store_loses_its_pause():
    assert changes([task(store=False)], [row()]) == {'task': 'outside'}
    assert losses([task(store=False)], [row()]) == {}
    assert losses([task(store=False)], [row(pause=UNTIL)]) == {'task': ('pause',)}
    assert losses([task(store=False)], [row(pause=UNTIL)], confirmed=['task']) == {}
    assert changes([task('new', store=False, was='task')], [row()]) == {'task': 'outside'}
    # it was never in it
    assert changes([task(store=False)], []) == {}


@pytest.mark.parametrize(('values', 'running'), [({}, False), ({'run_id': 'token', 'started_at': 1.0}, True)])
def test_a_run_in_progress_is_shown(values, running):
    [planned] = plan([task()], [row(**values)])
    assert planned.is_running == running


@pytest.mark.parametrize(
    ('state', 'new', 'likely', 'common'),
    [
        (row('a'), task('b'), 5, 'the same function and schedule'),
        (row('a'), task('b', WORKDAYS), 4, 'the same function'),
        (row('shop.mail'), task('post.mail', f=mail), 3, 'the same last part of the name and schedule'),
        (row('shop.mail'), task('post.mail', WORKDAYS, f=mail), 2, 'the same last part of the name'),
        # a name that was given takes the place of a path
        (row('shop.mail'), task('letters', f=mail), 3, 'the same last part of the name and schedule'),
        (row(f'{__name__}.mail', callable=None), task('letters', f=mail), 5, 'the same function and schedule'),
        # too many tasks have the same schedule
        (row('a'), task('b', f=mail), 0, ''),
        (row('a', callable=None), task('b'), 0, ''),
    ],
)
def test_a_task_that_is_gone_may_be_like_a_new_one(state, new, likely, common):
    assert likeness(state, new) == (likely, common)


def test_the_likeliest_new_task_is_guessed_once():
    rows = [row('a', WORKDAYS), row('b'), row('c', callable='x')]
    planned = {item.name: item for item in plan([task('d'), task('e', WORKDAYS), task('f', f=mail)], rows)}
    assert planned['a'].guess == Guess('e', 'the same function and schedule')
    assert planned['b'].guess == Guess('d', 'the same function and schedule')
    assert planned['c'].guess is None
    assert [name for name, item in planned.items() if item.lost] == ['a', 'b', 'c']
    # of two that are gone, one can have become the new one
    two = {item.name: item.guess for item in plan([task('d')], [row('a'), row('b')])}
    assert two == {'d': None, 'a': Guess('d', 'the same function and schedule'), 'b': None}


def test_a_known_task_is_no_guess():
    planned = {item.name: item.guess for item in plan([task('kept')], [row('kept'), row('a')])}
    assert planned == {'kept': None, 'a': None}

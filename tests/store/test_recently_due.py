"""Tasks that may be owed a run, however ticks come."""

from datetime import datetime, timezone

from hypothesis import given, settings
from hypothesis import strategies as st

from pyramid_cron import Task
from pyramid_cron.schedules.clock import MINUTE
from pyramid_cron.store.recently_due import RecentlyDue
from pyramid_cron.tasks import Tasks
from tests.support.threads import call_meanwhile

INSTANT = datetime(2020, 11, 23, 2, 0, tzinfo=timezone.utc)
# the minutes and hours within five minutes before INSTANT, and INSTANT
DUE = {(0, 2), *((minute, 1) for minute in range(55, 60))}


def make(graces, **options):
    """Return a function that returns the names of the tasks that may be owed a run at a minute.

    :param graces: for each task its crontab line and its minutes of grace.
    """
    tasks = Tasks()
    for name, (cron, grace) in graces.items():
        tasks.add(name, Task(print, cron=cron, name=name, timezone='UTC', catch_up=grace * 60, **options))
    recent = RecentlyDue(lambda task: task.catch_up)

    def at(minute):
        found = recent.at(tasks, INSTANT + minute * MINUTE)
        return None if found is None else {task.name for task in found}

    return at


def test_any_task_may_be_owed_after_a_long_pause():
    at = make({'hourly': ('0 * * * *', 5)})
    assert at(3) is None
    assert at(4) == set()
    assert at(4 + 24 * 60) == {'hourly'}
    assert at(5 + 2 * 24 * 60) is None
    assert at(6 + 2 * 24 * 60) == set()
    # after a tick that comes late by as long, the next one finds its tasks again
    assert at(7) is None
    assert at(7 + 2 * 24 * 60) == set()


def test_a_task_is_owed_as_long_as_its_grace():
    at = make({'long': ('0 * * * *', 3), 'short': ('0 * * * *', 1), 'never': ('0 * * * *', 0)})
    at(-1)
    assert [at(minute) for minute in range(5)] == [
        {'long', 'short', 'never'},
        {'long', 'short'},
        {'long'},
        {'long'},
        set(),
    ]


def test_minutes_without_a_tick_count():
    at = make({'early': ('2 * * * *', 5), 'late': ('9 * * * *', 5)})
    at(0)
    assert at(10) == {'late'}


def test_a_late_tick_finds_the_tasks_due_then():
    at = make({'early': ('2 * * * *', 5), 'late': ('9 * * * *', 5)})
    at(8)
    assert at(10) == {'late'}
    assert 'early' in at(2)
    # and forgets no newer minute
    assert at(11) == {'late'}


def test_a_task_outside_the_store_is_never_owed():
    at = make({'task': ('* * * * *', 5)}, store=False)
    at(0)
    assert at(1) == set()


def test_a_late_tick_replaces_no_newer_minute():
    at = make({'task': ('2,10 * * * *', 5)})
    for minute in (0, 10, 2):
        at(minute)
    assert at(11) == {'task'}
    assert at(15) == {'task'}
    assert at(16) == set()


def test_two_ticks_at_once_forget_a_task_once():
    def grace(task):
        # just before the first tick forgets the task
        if others:
            threads.append(call_meanwhile(others.pop()))
        return MINUTE

    def tick_later():
        found.append(recent.at(tasks, INSTANT + 5 * MINUTE))

    others, threads, found = [], [], []
    tasks, recent = Tasks(), RecentlyDue(grace)
    tasks.add('task', Task(print, cron='0 * * * *', name='task', timezone='UTC'))
    recent.at(tasks, INSTANT)
    others.append(tick_later)
    tick_later()
    threads[0].join(10)
    assert found == [[], []]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(-15, 20), min_size=1, max_size=30), st.integers(0, 12))
def test_tasks_within_their_grace_are_found_however_ticks_come(steps, grace):
    graces = {f'{minute}': (f'*/{minute} * * * *', grace) for minute in (1, 3, 7, 10)}
    at = make(graces)
    newest = 0
    at(newest)
    for step in steps:
        minute = newest + step
        recent = at(minute)
        for name in graces:
            last = max(m for m in range(-80, minute + 1) if (m % 60) % int(name) == 0)
            if step < 0:
                # a late tick: the minutes before it have been looked at
                assert name in recent or last < minute
            else:
                assert name in recent or last <= 0 or minute - last > grace
                assert name not in recent or minute - last <= grace
        newest = max(newest, minute)


def test_a_pause_of_a_day_is_walked_through():
    at = make({f'{i}': (f'{i % 60} {i % 24} * * *', 5) for i in range(200)})
    # from 2:00, by the clock of the tasks, until 2:00 of the next day
    at(0)
    assert at(24 * 60) == {name for name in map(str, range(200)) if (int(name) % 60, int(name) % 24) in DUE}

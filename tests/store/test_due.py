from datetime import datetime, timezone

from hypothesis import given, settings
from hypothesis import strategies as st

from pyramid_cron import Task
from pyramid_cron.schedules.clock import MINUTE
from pyramid_cron.store.due import RecentlyDue
from pyramid_cron.tasks import Tasks

INSTANT = datetime(2020, 11, 23, 2, 0, tzinfo=timezone.utc)


def make(graces, **options):
    """Return a function that names what may be owed at a minute, for tasks with these lines and minutes of grace."""
    tasks = Tasks()
    for name, (cron, grace) in graces.items():
        tasks.add(name, Task(print, cron=cron, name=name, timezone='UTC', catch_up=grace * 60, **options))
    recent = RecentlyDue(lambda task: task.catch_up)

    def at(minute):
        found = recent.at(tasks, INSTANT + minute * MINUTE)
        return None if found is None else {task.name for task in found}

    return at


def test_at_first_and_after_a_long_pause_it_can_be_any_task():
    at = make({'hourly': ('0 * * * *', 5)})
    assert at(3) is None
    assert at(4) == set()
    assert at(4 + 24 * 60) == {'hourly'}
    assert at(5 + 2 * 24 * 60) is None
    assert at(6 + 2 * 24 * 60) == set()


def test_a_task_may_be_owed_for_as_long_as_it_is_caught_up():
    at = make({'long': ('0 * * * *', 3), 'short': ('0 * * * *', 1), 'never': ('0 * * * *', 0)})
    at(-1)
    assert [at(minute) for minute in range(5)] == [
        {'long', 'short', 'never'},
        {'long', 'short'},
        {'long'},
        {'long'},
        set(),
    ]


def test_minutes_that_had_no_tick_count():
    at = make({'early': ('2 * * * *', 5), 'late': ('9 * * * *', 5)})
    at(0)
    assert at(10) == {'late'}


def test_a_tick_that_comes_late_finds_what_is_due_then():
    at = make({'early': ('2 * * * *', 5), 'late': ('9 * * * *', 5)})
    at(8)
    assert at(10) == {'late'}
    assert 'early' in at(2)
    # and loses nothing that is newer
    assert at(11) == {'late'}


def test_a_task_that_is_not_durable_is_never_owed():
    at = make({'task': ('* * * * *', 5)}, store=False)
    at(0)
    assert at(1) == set()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 20), min_size=1, max_size=30), st.integers(0, 12))
def test_what_was_due_within_its_grace_is_found_however_ticks_come(steps, grace):
    graces = {f'{minute}': (f'*/{minute} * * * *', grace) for minute in (1, 3, 7, 10)}
    at = make(graces)
    minute = 0
    at(minute)
    for step in steps:
        minute += step
        recent = at(minute)
        for name in graces:
            last = max(m for m in range(-60, minute + 1) if (m % 60) % int(name) == 0)
            assert name in recent or last <= 0 or minute - last > grace
            assert name not in recent or minute - last <= grace


def test_a_pause_of_a_day_is_walked_through_quickly():
    at = make({f'{i}': (f'{i % 60} {i % 24} * * *', 5) for i in range(200)})
    at(0)
    assert at(24 * 60) is not None

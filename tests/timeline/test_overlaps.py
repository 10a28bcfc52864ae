"""What overlaps, and minutes that take longer than their window."""

from datetime import datetime, timezone

import pytest

from pyramid_cron import Task
from pyramid_cron.schedules.clock import MINUTE
from pyramid_cron.timeline.bars import TO_COME, Bar
from pyramid_cron.timeline.overlaps import (
    Busy,
    LongMinutes,
    OwnOverlap,
    find_busy,
    find_long_minutes,
    find_own_overlaps,
)
from tests.support.states import state

TWO = datetime(2026, 12, 1, 2, 0, tzinfo=timezone.utc)


def at(minute):
    return TWO + minute * MINUTE


def ran(task, begin, end):
    return Bar(task, 'ok', at(begin), at(end), at(end))


def comes(task, begin, end):
    return Bar(task, TO_COME, at(begin), at(begin), at(end), usual='usually 7 min', begun=False)


@pytest.mark.parametrize(
    ('bars', 'expected'),
    [
        ([], []),
        ([ran('a', 0, 10), ran('b', 10, 20)], []),
        ([ran('a', 0, 10), ran('b', 5, 20)], [(5, 10, 2, 'ab')]),
        # that of a minute that did not run
        ([ran('a', 0, 10), ran('b', 5, 5)], []),
        # shorter than a minute
        ([ran('a', 0, 10), ran('b', 9.1, 20)], []),
        ([ran('a', 0, 10), ran('b', 9, 20)], [(9, 10, 2, 'ab')]),
        # one after another, and three at once
        ([ran('a', 0, 10), ran('b', 5, 20), ran('c', 7, 8), ran('d', 30, 40)], [(5, 10, 3, 'abc')]),
        ([ran('a', 0, 30), ran('b', 5, 6), ran('c', 10, 12)], [(5, 6, 2, 'ab'), (10, 12, 2, 'ac')]),
        # they begin at once
        ([ran('b', 0, 10), ran('a', 0, 10)], [(0, 10, 2, 'ba')]),
        # one process runs what is to come in a minute one after another
        ([comes('a', 0, 5), comes('b', 0, 5)], []),
        ([comes('a', 0, 5), comes('b', 0, 5), comes('c', 8, 10)], [(8, 10, 2, 'abc')]),
        # but not what is enqueued
        ([comes('a', 0, 5), comes('Q', 0, 5)], [(0, 5, 2, 'Qa')]),
        # how long it takes is not known
        ([comes('a', 0, 0), comes('b', 0, 0)], []),
        ([ran('a', 0, 10), comes('b', 5, 8)], [(5, 8, 2, 'ab')]),
    ],
)
def test_runs_overlap(bars, expected):
    found = find_busy(bars, str.isupper)
    shown = [Busy(at(first), at(end), most, list(tasks)) for first, end, most, tasks in expected]
    assert [busy._replace(tasks=sorted(busy.tasks)) for busy in found] == [
        busy._replace(tasks=sorted(busy.tasks)) for busy in shown
    ]


def test_a_long_minute_names_what_takes_long():
    tasks = [Task(print, name=name, min=0) for name in ('short', 'long', 'longer', 'unknown')]
    idle = Task(print, name='idle', min=0, idle=True)
    states = {name: state(name, good_seconds=seconds) for name, seconds in LENGTHS.items()}
    due = {at(0): [*tasks, idle], at(60): [*tasks, idle], at(30): tasks[:1], at(90): [tasks[1]], at(120): [idle]}
    found = find_long_minutes([*due, at(0)], due.__getitem__, states, 60.0)
    assert found == [
        LongMinutes([at(0), at(60)], 171.0, ['longer', 'long'], ['idle']),
        LongMinutes([at(90)], 70.0, ['long'], []),
    ]


LENGTHS = {'short': '1', 'long': '70', 'longer': '100', 'idle': '500'}


def test_a_minute_of_the_window_itself_is_not_long():
    task = Task(print, name='t', min=0)
    assert find_long_minutes([at(0)], lambda minute: [task], {'t': state('t', good_seconds='60')}, 60.0) == []


def test_a_task_may_be_due_while_it_runs():
    bars = [comes('a', 0, 7), comes('a', 5, 12), comes('a', 10, 17), comes('b', 0, 5), comes('b', 5, 10)]
    assert find_own_overlaps(bars) == [OwnOverlap('a', at(0), at(5), 'usually 7 min')]

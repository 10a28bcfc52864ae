import sys
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyramid_cron import Schedule
from pyramid_cron.schedules.due_index import Index
from pyramid_cron.schedules.fields import FIELDS

NOW = datetime(2026, 11, 23, 9, 8)

# few values, so that schedules have some in common
fields = st.tuples(*(st.sets(st.integers(spec.low, spec.low + 4), min_size=1) for spec in FIELDS))
minutes = st.builds(datetime, st.just(2026), st.integers(1, 6), st.integers(1, 6), st.integers(0, 5), st.integers(0, 5))
lines = st.sampled_from(
    [
        '* * * * *',
        '*/7 * * * *',
        '8 9 * * *',
        '8 9 23 * 1',
        '8 */9 13 * fri',
        '0-30 9 * 11 mon-fri',
        '8 9 * * 1#4',
        '* 9 L,LW * 2L',
    ]
)


def plain_loop(schedules, now):
    """Return the numbers of the schedules that match, each a tuple of five sets."""
    return [
        number
        for number, (minute, hour, day, month, dow) in enumerate(schedules)
        if now.minute in minute and now.hour in hour and now.day in day and now.month in month and now.weekday() in dow
    ]


def found(index, wall):
    return sorted(item for items in index.at(wall) for item in items)


def index_of(schedules):
    index = Index()
    for number, schedule in enumerate(schedules):
        index.add(schedule, number)
    return index


@pytest.mark.slow
@given(st.lists(st.tuples(fields, minutes), max_size=20), st.lists(minutes, max_size=5))
def test_it_agrees_with_a_loop_over_five_sets(drawn, others):
    # each schedule is made to match its own minute, so that there is something to find
    schedules = [
        tuple(
            values | {value}
            for values, value in zip(sets, (own.minute, own.hour, own.day, own.month, own.weekday()), strict=True)
        )
        for sets, own in drawn
    ]
    index = index_of(Schedule.from_fields(*sets) for sets in schedules)
    for now in [own for _, own in drawn] + others:
        assert found(index, now) == plain_loop(schedules, now)


def test_it_finds_last_days_and_nth_days_of_the_week():
    texts = ['L', 'LW', '31', '* * 5L', '* * 5#5', '* * 5#4', '1 * 6#5']
    index = index_of(Schedule.from_line(f'8 9 {text}{" * *" if len(text) < 3 else ""}') for text in texts)
    assert [found(index, datetime(2026, 10, day, 9, 8)) for day in (1, 23, 30, 31)] == [[6], [5], [1, 3, 4], [0, 2, 6]]
    assert [found(index, datetime(2026, 11, day, 9, 8)) for day in (1, 27, 30)] == [[6], [3, 5], [0, 1]]


@given(st.lists(lines), st.integers(-3000, 3000))
def test_it_finds_the_crontab_lines_that_match(drawn, offset):
    schedules = [Schedule.from_line(line) for line in drawn]
    now = NOW + timedelta(minutes=offset)
    assert found(index_of(schedules), now) == [n for n, schedule in enumerate(schedules) if schedule.matches(now)]


def test_masks_that_overlap_are_each_found():
    texts = ['8', '*', '8-9', '0-30', '9']
    index = index_of(Schedule.from_fields(text, 9) for text in texts)
    assert found(index, NOW) == [0, 1, 2, 3]
    assert found(index, NOW + timedelta(minutes=1)) == [1, 2, 3, 4]
    assert found(index, NOW + timedelta(minutes=30)) == [1]


def test_items_of_one_schedule_come_in_their_order():
    schedule = Schedule.from_line('8 9 * * *')
    assert index_of([schedule] * 3).at(NOW) == [[0, 1, 2]]


def test_an_item_that_is_removed_is_not_found():
    index = index_of([Schedule.from_line('* * * * *')] * 3)
    index.remove(Schedule.from_line('* * * * *'), 1)
    assert found(index, NOW) == [0, 2]


def test_dates_that_are_added_on_the_same_day_are_found():
    index = index_of([Schedule.from_line('* * * * *')])
    assert found(index, NOW) == [0]
    index.add(Schedule.from_line('* * 23 * *'), 1)
    assert found(index, NOW) == [0, 1]


@pytest.mark.slow
def test_items_that_are_not_due_cost_nothing():
    due = [Schedule.from_line('8 9 * * *')] * 10
    others = [
        Schedule.from_fields(minute, hour, dow=dow)
        for minute in range(60)
        for hour in range(24)
        for dow in range(7)
        if (minute, hour) != (NOW.minute, NOW.hour)
    ]
    few, many = index_of(due), index_of(due + others)
    assert found(few, NOW) == found(many, NOW) == list(range(10))
    # Mondays are the only other dates that match
    assert calls_in(lambda: many.at(NOW)) <= calls_in(lambda: few.at(NOW)) + 2


def test_last_days_that_are_not_due_cost_nothing_within_a_day():
    plain = index_of(map(Schedule.from_line, ['8 9 * * mon', '8 9 23 * *', '8 9 24 * *']))
    relative = index_of(map(Schedule.from_line, ['8 9 * * mon', '8 9 * * 1#4', '8 9 L * *']))
    for minute, due in ((NOW, [0, 1]), (NOW - timedelta(minutes=1), [])):
        assert found(plain, minute) == found(relative, minute) == due
        assert calls_in(lambda: relative.at(minute)) == calls_in(lambda: plain.at(minute))  # noqa: B023


def calls_in(function):
    """Return the smallest number of calls in a few trials: the garbage collector may add its own to one."""
    return min(count_calls(function) for _ in range(5))


def count_calls(function):
    calls = []
    sys.setprofile(lambda frame, event, argument: calls.append(event))
    try:
        function()
    finally:
        sys.setprofile(None)
    return len([event for event in calls if event in ('call', 'c_call')])


def test_an_item_that_is_off_is_never_found():
    index = Index()
    index.add(Schedule.off(), 'off')
    index.add(Schedule.from_line('0 2 * * *'), 'daily')
    assert index.at(datetime(2026, 1, 1, 2, 0)) == [['daily']]
    assert index.at(datetime(2026, 1, 1, 2, 1)) == []

import re
from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyramid_cron import Task
from pyramid_cron.tasks import Tasks
from tests.support.ids import shown


def purge(system):
    """Remove what is old."""


def nested():
    def inner(system): ...

    return inner


class Job:
    def __call__(self, system): ...

    def run(self, system): ...


def add(tasks, task):
    tasks.add(task, task)
    return task


def test_the_signature_is_that_of_the_original():
    task = Task(purge, range(0, 60, 10), {17, 11}, '*', '*', '*', False)
    assert task.f is purge
    assert task.check(datetime(2014, 3, 1, 17, 10)) is True
    assert task.check(datetime(2014, 3, 1, 17, 32)) is False
    assert task.check(datetime(2014, 3, 1, 12, 10)) is False


@pytest.mark.parametrize(
    ('f', 'path'), [(purge, 'purge'), (nested(), 'nested.<locals>.inner'), (Job().run, 'Job.run')], ids=shown
)
def test_a_task_is_named_by_its_dotted_path(f, path):
    assert Task(f).name == f'{__name__}.{path}'


def test_a_given_name_is_kept_and_shown():
    task = Task(purge, name='nightly purge')
    assert task.name == 'nightly purge'
    assert repr(task) == '<Task nightly purge>'


@pytest.mark.parametrize('name', ['', ' ', 'two\nlines', 'bell\a', 5, b'purge'])
def test_a_name_that_cannot_be_printed_is_refused(name):
    with pytest.raises(ValueError, match='name='):
        Task(purge, name=name)


def test_no_task_has_the_name_of_all_tasks():
    with pytest.raises(ValueError, match=r"^name='\*' means all tasks, as in a pause of all; choose another name$"):
        Task(purge, name='*')
    with pytest.raises(ValueError, match=r"^was=\['old', '\*'\]: '\*' means all tasks, as in a pause of all"):
        Task(purge, was=['old', '*'])


@pytest.mark.parametrize('idle', ['no', None, 2])
def test_idle_is_true_or_false(idle):
    with pytest.raises(ValueError, match='idle='):
        Task(purge, idle=idle)


@pytest.mark.parametrize('store', ['yes', None, 2])
def test_store_is_true_or_false(store):
    with pytest.raises(ValueError, match=re.escape(f'store={store!r} is neither True nor False')):
        Task(purge, store=store)


def test_retries_are_a_number_or_waits():
    assert (Task(purge, retries=2).retries, Task(purge, retries=2).retry_waits) == (2, ())
    task = Task(purge, retries=(60, timedelta(hours=1)))
    assert (task.retries, task.retry_waits) == (2, (timedelta(minutes=1), timedelta(hours=1)))
    with pytest.raises(ValueError, match="retries='2': write how many further attempts"):
        Task(purge, retries='2')


@pytest.mark.parametrize(
    ('catch_up', 'time'),
    [(None, None), (0, timedelta(0)), (90, timedelta(seconds=90)), (0.5, timedelta(milliseconds=500))],
)
def test_catch_up_is_in_seconds(catch_up, time):
    with pytest.raises(ValueError, match='catch_up=-1 is no time'):
        Task(purge, catch_up=-1)
    task = Task(purge, catch_up=catch_up)
    assert (task.catch_up, task.retries, task.store) == (time, 0, True)


@pytest.mark.parametrize(
    ('catch_up', 'grace', 'queue_timeout'),
    [(None, 300, 300), (600, 600, 600), (0, 0, 60), (59, 59, 60), (timedelta(hours=1), 3600, 3600)],
)
def test_catch_up_wins_over_the_setting(catch_up, grace, queue_timeout):
    task, default = Task(purge, catch_up=catch_up), timedelta(minutes=5)
    assert task.grace(default) == timedelta(seconds=grace)
    assert task.queue_timeout(default) == timedelta(seconds=queue_timeout)


@pytest.mark.parametrize('was', [None, 5, ' ', ['old', ''], ['old', 5], 'a\nb', {'old'}, b'old'])
def test_former_names_are_texts(was):
    with pytest.raises(ValueError, match=f'^{re.escape(f"was={was!r} is neither the former name of the task")}'):
        Task(purge, was=was)


@pytest.mark.parametrize(
    ('was', 'names'), [((), ()), ('old', ('old',)), (['a', 'b', 'a'], ('a', 'b')), (('a b',), ('a b',))]
)
def test_former_names_are_one_or_several(was, names):
    assert Task(purge, was=was).was == names


def test_tasks_keep_their_order_and_can_be_counted():
    tasks = Tasks()
    added = [add(tasks, Task(purge, name=name)) for name in 'cab']
    assert list(tasks) == added
    assert len(tasks) == 3


def test_due_tasks_come_in_the_order_of_registration():
    tasks = Tasks()
    first = add(tasks, Task(nested()))
    add(tasks, Task(nested(), min=7))
    third = add(tasks, Task(nested(), min=[8]))
    assert tasks.due(datetime(2026, 11, 23, 9, 8, tzinfo=timezone.utc)) == [first, third]


def test_tasks_that_share_a_dotted_path_are_numbered():
    tasks = Tasks()
    names = [add(tasks, Task(nested())).name for _ in range(3)]
    path = f'{__name__}.nested.<locals>.inner'
    assert names == [path, f'{path}#2', f'{path}#3']


def test_a_given_name_belongs_to_one_task():
    tasks = Tasks()
    add(tasks, Task(purge))
    with pytest.raises(ValueError, match='belongs to another'):
        tasks.add('other', Task(nested(), name=f'{__name__}.purge'), named=True)


def test_a_second_task_replaces_one_with_its_key():
    tasks = Tasks()
    tasks.add('key', Task(purge, min=1))
    second = Task(purge, min=2)
    tasks.add('key', second)
    assert list(tasks) == [second]
    assert second.name == f'{__name__}.purge'
    assert tasks.due(datetime(2026, 11, 23, 9, 1, tzinfo=timezone.utc)) == []
    assert tasks.due(datetime(2026, 11, 23, 9, 2, tzinfo=timezone.utc)) == [second]


def test_the_number_of_a_replaced_task_is_reused():
    tasks = Tasks()
    for key in 'abc':
        tasks.add(key, Task(nested()))
    tasks.add('b', Task(nested()))
    assert [task.name.rpartition('#')[2] for task in tasks] == [f'{__name__}.nested.<locals>.inner', '3', '2']


def test_a_crontab_line_is_a_whole_schedule():
    assert str(Task(purge, cron='@daily').schedule) == '0 0 * * *'
    with pytest.raises(ValueError, match='leave min, hour, day, month and dow out'):
        Task(purge, hour='*', cron='@daily')


@pytest.mark.parametrize('fields', [{}, {'min': 0}], ids=shown)
def test_a_crontab_line_of_none_is_refused(fields):
    with pytest.raises(ValueError, match='cron=None is the value of an unset setting or environment variable'):
        Task(purge, cron=None, **fields)


@pytest.mark.parametrize('field', ['min', 'hour', 'day', 'month', 'dow'])
def test_a_field_that_is_none_is_refused(field):
    with pytest.raises(ValueError, match=f'{field}=None is the value of an unset setting .*; leave {field} out'):
        Task(purge, **{field: None})


def test_a_naive_moment_is_a_wall_clock_minute():
    task = Task(purge, min=30, hour=2, timezone='Europe/Berlin')
    assert task.check(datetime(2026, 3, 29, 2, 30))
    assert not task.check(datetime(2026, 3, 29, 3, 0))


def test_an_aware_moment_is_converted_to_its_zone():
    task = Task(purge, min=30, hour=2, timezone=ZoneInfo('Europe/Berlin'))
    assert task.check(datetime(2026, 11, 23, 1, 30, tzinfo=timezone.utc))
    assert not task.check(datetime(2026, 11, 23, 2, 30, tzinfo=timezone.utc))
    # 02:30 was skipped, and 03:00 at 01:00 UTC stands for it
    assert task.check(datetime(2026, 3, 29, 1, 0, 59, tzinfo=timezone.utc))
    # 02:30 comes twice
    assert task.check(datetime(2026, 10, 25, 0, 30, tzinfo=timezone.utc))
    assert not task.check(datetime(2026, 10, 25, 1, 30, tzinfo=timezone.utc))


def test_an_instant_may_have_any_time_zone():
    berlin = ZoneInfo('Europe/Berlin')
    task = Task(purge, min=30, hour=2, timezone=berlin)
    after_the_gap = datetime(2026, 3, 29, 3, 0, tzinfo=berlin)
    assert task.check(after_the_gap)
    assert task.skipped_wall_minutes(after_the_gap) == [datetime(2026, 3, 29, 2, 30)]
    assert not task.check(datetime(2026, 10, 25, 2, 30, tzinfo=berlin, fold=1))
    # a minute that does not exist is read with the offset before the gap (PEP 495), as half past three
    assert not task.check(datetime(2026, 3, 29, 2, 30, tzinfo=berlin))


def test_without_a_time_zone_local_time_counts(local_time):
    local_time('Europe/Berlin')
    assert Task(purge, min=30, hour=2).check(datetime(2026, 3, 29, 1, tzinfo=timezone.utc))


def test_a_clock_change_skips_minutes_of_a_task():
    task = Task(purge, min=[0, 30], hour=[2, 3], timezone='Europe/Berlin')
    after_the_gap = datetime(2026, 3, 29, 1, tzinfo=timezone.utc)
    assert task.scheduled_for(after_the_gap).isoformat() == '2026-03-29T03:00:00+02:00'
    assert task.skipped_wall_minutes(after_the_gap) == [datetime(2026, 3, 29, 2, 0), datetime(2026, 3, 29, 2, 30)]
    assert task.skipped_wall_minutes(datetime(2026, 3, 30, 1, tzinfo=timezone.utc)) == []
    assert Task(purge, timezone='Europe/Berlin').skipped_wall_minutes(after_the_gap) == []


def test_a_task_knows_its_coming_runs(local_time):
    local_time('America/New_York')
    after = datetime(2026, 11, 23, 12, tzinfo=timezone.utc)
    shown = [
        next(Task(purge, cron='0 9 * * *', timezone=zone).runs(after)).isoformat() for zone in ('Asia/Tokyo', None)
    ]
    assert shown == ['2026-11-24T09:00:00+09:00', '2026-11-23T09:00:00-05:00']


@pytest.mark.parametrize(
    ('options', 'minute', 'repeated'),
    [
        ({'min': '*/5'}, 9, True),
        ({'min': '*/5'}, 10, False),
        ({'min': '*/5', 'missed': 'each'}, 10, True),
        ({'min': '*/5', 'timezone': 'Asia/Kathmandu'}, 9, True),
        ({'min': '*/5', 'timezone': 'Asia/Kathmandu'}, 10, False),
        # never due again
        ({'min': 0, 'hour': 0, 'day': 29, 'month': 2, 'dow': 'mon'}, 10, True),
    ],
)
def test_a_run_is_repeated_before_a_newer_minute(options, minute, repeated):
    at, after = (datetime(9990, 1, 1, 2, number, tzinfo=timezone.utc) for number in (minute, 5))
    assert Task(print, **options).is_repeated_at(at, after) is repeated


def test_tasks_are_due_in_their_own_time_zones():
    tasks = Tasks()
    noon = {zone: add(tasks, Task(nested(), min=0, hour=12, timezone=zone)) for zone in ('Asia/Tokyo', 'Europe/Berlin')}
    assert tasks.due(datetime(2026, 11, 23, 3, tzinfo=timezone.utc)) == [noon['Asia/Tokyo']]
    assert tasks.due(datetime(2026, 11, 23, 11, tzinfo=timezone.utc)) == [noon['Europe/Berlin']]


@settings(max_examples=30)
@given(
    st.lists(st.sampled_from(['*/7 * * * *', '30 2 * * *', '0 3 * * *', '15 * * * *', '0,30 0-4 * * 0']), min_size=1),
    st.integers(-200, 200),
)
def test_due_tasks_are_those_that_check_finds(lines, offset):
    zones = ['Europe/Berlin', None, 'America/New_York']
    tasks = Tasks()
    for number, line in enumerate(lines):
        add(tasks, Task(purge, cron=line, timezone=zones[number % 3], name=str(number)))
    # around the hour that Berlin has twice, and the one that it skips
    for change in (datetime(2026, 10, 25, 1, tzinfo=timezone.utc), datetime(2026, 3, 29, 1, tzinfo=timezone.utc)):
        instant = change + timedelta(minutes=offset)
        assert tasks.due(instant) == [task for task in tasks if task.check(instant)]


def test_a_task_added_later_is_due_too():
    tasks = Tasks()
    instant = datetime(2026, 11, 23, 9, 8, tzinfo=timezone.utc)
    assert tasks.due(instant) == []
    task = add(tasks, Task(purge))
    assert tasks.due(instant) == [task]


def test_due_tasks_of_several_zones_keep_their_order():
    tasks = Tasks()
    zones = ['Europe/Berlin', 'Asia/Tokyo', None, 'Asia/Tokyo', 'Europe/Berlin']
    added = [add(tasks, Task(nested(), timezone=zone)) for zone in zones]
    assert tasks.due(datetime(2026, 11, 23, 9, 8, tzinfo=timezone.utc)) == added


def test_due_tasks_keep_their_order_at_clock_changes():
    tasks = Tasks()
    added = [add(tasks, Task(nested(), min=number % 60, hour=2, timezone='Europe/Berlin')) for number in range(100)]
    assert tasks.due(datetime(2026, 3, 29, 1, tzinfo=timezone.utc)) == added


def test_the_caller_may_change_the_due_tasks():
    tasks = Tasks()
    added = [add(tasks, Task(nested())) for _ in range(3)]
    instant = datetime(2026, 11, 23, 9, 8, tzinfo=timezone.utc)
    tasks.due(instant).reverse()
    assert tasks.due(instant) == added


def test_tasks_are_found_by_their_names():
    tasks = Tasks()
    added = {name: add(tasks, Task(nested(), name=name)) for name in 'abc'}
    assert tasks.named(['c', 'a', 'c']) == [added['c'], added['a']]
    with pytest.raises(LookupError, match="no cron task is named 'd', 'e'"):
        tasks.named(['a', 'd', 'e'])

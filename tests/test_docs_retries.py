"""What docs/retries.rst shows, beside the examples that are run by themselves."""

import logging
from datetime import datetime, time, timezone

import pytest
from pyramid.config import Configurator

from pyramid_cron import ScheduleWarning
from pyramid_cron.retry_waits import first_minute_after
from pyramid_cron.schedules.clock import minute_of
from pyramid_cron.testing import tick
from tests.test_docs import alike, block, page, rows

DAY = datetime(2026, 3, 1, tzinfo=timezone.utc)


@pytest.fixture
def example(tmp_path):
    """Return a function that makes the application of a block of the page, and returns its registry."""

    def make(start, **names):
        namespace = {'__name__': __name__, **names}
        exec(block('retries', start), namespace)
        settings = {'cron.store': f'sqlite:///{tmp_path}/cron.sqlite', 'cron.app': 'shop', 'cron.timezone': 'UTC'}
        with Configurator(settings=settings) as config:
            namespace['includeme'](config)
        return config.registry

    return make


def test_a_skip_is_answered_and_logged_as_shown(example, caplog):
    caplog.set_level(logging.INFO, 'pyramid_cron')
    registry = example('from pyramid_cron import Skip', find_file=lambda: None)
    assert str(tick(registry, DAY.replace(hour=3))) == block('retries', 'ok:')
    shown = block('retries', '03:00:01 INFO task shop.import is skipped')
    assert alike(shown.partition(' INFO ')[2])[0] in [alike(message)[0] for message in caplog.messages]


def test_the_attempts_begin_as_the_table_shows(example):
    [task] = example('def sync')['cron_tasks']
    table = rows('retries', 'Repeat a failed run')
    ends = [datetime.combine(DAY, time.fromisoformat(end.partition(',')[0])) for _, _, end in table[:-1]]
    begins = [first_minute_after(minute_of(end), wait) for end, wait in zip(ends, task.retry_waits, strict=True)]
    assert [f'{begin:%H:%M}' for begin in begins] == [begin for _, begin, _ in table[1:]]


def test_the_example_of_a_warning_is_one(tmp_path):
    config = Configurator(settings={'cron.store': f'sqlite:///{tmp_path}/cron.sqlite', 'cron.app': 'shop'})
    config.include('pyramid_cron')
    config.add_cron_task(print, name='sync', min='*/5', retries=(600,))
    assert "min='*/5', retries=(600,)" in page('retries')
    with pytest.warns(ScheduleWarning, match=r'retries=\(600,\): attempt 2 never begins'):
        config.commit()


@pytest.mark.slow
def test_the_missed_minutes_are_run_as_the_table_shows(example):
    registry, found = example('def total'), []
    for hour, minute in ((1, 0), (4, 20), (4, 21), (4, 22), (4, 23), (5, 0)):
        for task in tick(registry, DAY.replace(hour=hour, minute=minute)).tasks:
            ran = task.scheduled_for or DAY.replace(hour=hour, minute=minute)
            found.append([f'{hour:02}:{minute:02}', f'{ran:%H:%M}'])
    assert found == [[when[:5], ran] for when, ran in rows('retries', 'Run for each missed minute')]

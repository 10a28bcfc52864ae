"""The page "Lost messages": what its table promises of a run whose messages are lost."""

from datetime import timedelta
from pathlib import Path

import pytest
from pyramid.config import Configurator
from sqlalchemy import update

from pyramid_cron.monitoring.health import health_of
from pyramid_cron.schedules.clock import MINUTE, current_minute
from pyramid_cron.store.schema import tasks
from pyramid_cron.summaries import summarize_all
from pyramid_cron.testing import tick


class Night:
    """An application whose messages are all lost, at a minute of the table."""

    def __init__(self, folder):
        self.sent = []
        settings = {'cron.store': f'sqlite:///{folder}/cron.sqlite', 'cron.timezone': 'UTC', 'cron.catch_up': '1800'}
        with Configurator(settings=settings) as config:
            config.include('pyramid_cron')
            config.add_cron_task(print, name='invoices', via=self.sent.append, min='*')
        self.registry = config.registry
        self.engine = self.registry['cron_store'].database.engine
        self.begin = current_minute() - timedelta(hours=3)
        self.minute = 0
        self.tick()
        with self.engine.begin() as connection:
            # whose time does not end before it begins, although its minute is hours past
            connection.execute(update(tasks).values(attempt=2))

    def tick(self):
        tick(self.registry, self.begin + self.minute * MINUTE)

    def until(self, minute):
        """Let the minutes pass, with a tick in each."""
        while self.minute < minute:
            self.minute += 1
            with self.engine.begin() as connection:
                columns = tasks.c.started_at, tasks.c.sent_again_at
                connection.execute(update(tasks).values({column: column - 60 for column in columns}))
            self.tick()

    def last_run(self):
        tasks = self.registry['cron_tasks']
        [summary] = summarize_all(self.registry, tasks, current_minute(), 1).tasks
        return summary.format_last_due()


@pytest.fixture
def night(tmp_path):
    night = Night(tmp_path)
    yield night
    night.engine.dispose()


@pytest.mark.slow
def test_a_run_whose_messages_are_lost_is_as_the_table_has_it(night):
    page = (Path(__file__).parents[1] / 'docs' / 'lost.rst').read_text()
    # in minutes of the table, which begins at 02:00
    for minute, messages in ((0, 1), (7, 1), (8, 2), (14, 2), (15, 3), (29, 3)):
        night.until(minute)
        assert len(night.sent) == messages
        assert ('overdue' in str(health_of(night.registry))) is (minute >= 15)
    assert {handover.key for handover in night.sent} == {night.sent[0].key}
    night.until(31)
    assert [event for event in ('02:08', '02:15', '02:31') if f'\n    {event} | ' in page] == [
        '02:08',
        '02:15',
        '02:31',
    ]
    assert health_of(night.registry).as_dict()['missed'] == ['invoices']


def test_the_list_has_how_long_a_run_is_queued(night):
    night.until(2)
    assert night.last_run() in ('queued 2 min', 'queued 3 min')

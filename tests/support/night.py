"""A store with what happened to the tasks of an ini file before ``NOW``, for the commands of ``pcron``."""

import itertools
from datetime import datetime, timedelta, timezone

from sqlalchemy import insert, update

from pyramid_cron.schedules.clock import MINUTE, minute_of
from pyramid_cron.store.engine import make_engine
from pyramid_cron.store.migrations import upgrade
from pyramid_cron.store.schema import NOT_GOOD, pauses, processes, runs, tasks, ticks
from tests.support.pcron import NOW

numbers = itertools.count()


def at(text):
    """Return an instant, in UTC: of Berlin one hour less."""
    return datetime.fromisoformat(f'2026-12-{text}').replace(tzinfo=timezone.utc)


class Night:
    """The rows of an application named ``shop``.

    :param url: that of an SQLite database, which is made.
    """

    def __init__(self, url):
        self.url = url
        self.settings = f'cron.timezone = Europe/Berlin\ncron.app = shop\ncron.store = {url}'
        self._engine = make_engine(url, None)
        upgrade(self._engine)

    def close(self):
        self._engine.dispose()

    def execute(self, statement):
        with self._engine.begin() as connection:
            connection.execute(statement)

    def tick(self, minute=NOW, problem=None):
        """Record that a tick came, the one before a minute earlier."""
        last = minute_of(minute)
        values = {'last_minute': last, 'minute_before': last - MINUTE, 'done_minute': last, 'problem': problem}
        self.execute(insert(ticks).values(app='shop', **values))

    def task(self, name, **values):
        """Insert the row of a task that owes nothing."""
        known = {
            'schedule': '',
            'first_seen': NOW - timedelta(days=30),
            'last_seen': NOW,
            'last_minute': minute_of(NOW),
            'attempt': 0,
            'transactional': False,
        }
        self.execute(insert(tasks).values(app='shop', task=name, **(known | values)))

    def change(self, name, **values):
        self.execute(update(tasks).where(tasks.c.task == name).values(**values))

    def run(self, name, began, ended=None, outcome='ok', **values):
        """Insert a run, from the beginning of a minute that it was for."""
        known = {
            'id': f'{next(numbers)}',
            'scheduled_for': minute_of(began),
            'attempt': 1,
            'trigger': 'request',
            'host': 'web1',
            'pid': 4711,
            'seconds': None if ended is None else (ended - began).total_seconds(),
        }
        result = {'started': began, 'finished': ended, 'outcome': outcome, 'not_good': NOT_GOOD.get(outcome)}
        self.execute(insert(runs).values(app='shop', task=name, **(known | result | values)))

    def pause(self, name, since, until=None):
        end = datetime(9999, 1, 1, tzinfo=timezone.utc) if until is None else until
        why = {'reason': 'the disk is full', 'requested_by': 'ada'}
        self.execute(insert(pauses).values(app='shop', task=name, until=end, since=since, **why))

    def claim(self, name, began, process='web2', **values):
        """Let a process of another machine run a task."""
        lease = {'boot_and_pidns': 'another boot', 'lease_until': (NOW + timedelta(hours=1)).timestamp()}
        known = insert(processes).values(id=f'{process}{next(numbers):05}', host=process, pid=12, **lease)
        self.execute(known)
        id = known.compile().params['id']
        self.change(name, run_id=f'token {name}', process=id, started_at=began.timestamp(), **values)

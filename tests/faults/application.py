"""The application of both servers: tasks that record each of their effects."""

import os
import random
from datetime import timedelta
from typing import NamedTuple

import zope.sqlalchemy
from pyramid.config import Configurator
from sqlalchemy import create_engine, event
from sqlalchemy.orm import sessionmaker

from tests.kills.application import Effect, written

SECRET = 'the secret of the harness'
CATCH_UP = timedelta(minutes=5)
# minutes that the slow task takes
SLOW = timedelta(minutes=3)


class Planned(NamedTuple):
    """A task, due in each hour from the minute ``offset`` on, every so many minutes."""

    every: int
    offset: int = 0
    joined: bool = False
    catch_up: timedelta = CATCH_UP
    retries: int = 0
    idle: bool = False

    def is_due(self, minute):
        return minute.minute in range(self.offset, 60, self.every)

    @property
    def line(self):
        minutes = self.offset if self.every == 60 else f'{self.offset}-59/{self.every}'
        return f'{minutes} * * * *'


TASKS = {
    'every': Planned(1),
    'joined': Planned(2, joined=True),
    'fives': Planned(5),
    'hourly': Planned(60, 17, joined=True),
    'strict': Planned(7, catch_up=timedelta(0)),
    'unsteady': Planned(3, 1, retries=2),
    'idle': Planned(4, 1, idle=True),
    'slow': Planned(20, 3),
}


def any_task(chance):
    return chance.choice(list(TASKS))


class Unstorable(Exception):
    """An exception with a text that no database can store."""

    def __init__(self):
        super().__init__('\x00 \ud800 \U0001f4a5')


class Refused(BaseException):
    """An exception that is no Exception, and that cannot be shown."""

    def __str__(self):
        raise ValueError('it cannot be shown')


FAILURES = {'unstorable': Unstorable, 'refused': Refused}


class Work:
    """What the tasks do.

    :param file: where tasks record their effects that do not use the session of the request.
    :param wait: waits for so much of the simulated time.
    """

    def __init__(self, url, file, wait, chance):
        self.make_session = sessionmaker(create_engine(url))
        self.file = file
        self.wait = wait
        self.chance = chance
        #: the exceptions that tasks are to raise, by their names
        self.failing = {}

    def session(self, request):
        session = self.make_session()
        zope.sqlalchemy.register(session, transaction_manager=request.tm)
        return session

    def task(self, name, planned):
        def run(system):
            minute = system['scheduled_for']
            if name in self.failing:
                raise FAILURES[self.failing[name]]()
            if planned.retries and self.chance.random() < 0.4:
                raise RuntimeError('it does so at times')
            if name == 'slow':
                self.wait(name, minute, SLOW)
            if planned.joined:
                system['request'].dbsession.add(Effect(task=name, minute=written(minute), part=0))
            else:
                # in one write, which another process cannot interrupt
                file = os.open(self.file, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
                os.write(file, f'{name}\t{written(minute)}\n'.encode())
                os.close(file)

        return run


def make_app(url, file, wait, simulated, without=(), seed=0):
    """Return the WSGI application, its registry and its work."""
    work = Work(url, file, wait, random.Random(seed))
    settings = {
        'cron.store': url,
        'cron.app': 'faults',
        'cron.secret': SECRET,
        'cron.session': 'dbsession',
        'cron.timezone': 'UTC',
        'cron.catch_up': str(CATCH_UP.total_seconds()),
        # the next tick finds a process that is frozen, and the heartbeat, which beats in real time, comes often
        'cron.lease': '0.6',
        # longer than the slow task takes
        'cron.window': '600',
        'tm.manager_hook': 'pyramid_tm.explicit_manager',
    }
    with Configurator(settings=settings) as config:
        config.include('pyramid_tm')
        config.include('pyramid_cron')
        config.add_request_method(work.session, 'dbsession', reify=True)
        for name, planned in TASKS.items():
            if name not in without:
                config.add_cron_task(
                    work.task(name, planned),
                    cron=planned.line,
                    name=name,
                    idle=planned.idle,
                    retries=planned.retries,
                    catch_up=planned.catch_up,
                )
    if url.startswith('sqlite'):

        @event.listens_for(config.registry['cron_store'].database.engine, 'connect')
        def simulate(connection, record):
            days = lambda now: simulated.now().timestamp() / 86400 + 2440587.5  # noqa: E731
            connection.create_function('julianday', 1, days)

    return config.make_wsgi_app(), config.registry, work

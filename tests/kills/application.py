"""The application that is killed: tasks that write a row for each thing they do."""

import fcntl
import random
import time
from datetime import timezone

import zope.sqlalchemy
from pyramid.config import Configurator
from sqlalchemy import String, create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, sessionmaker

from pyramid_cron import Skip

# how many rows a run of each task writes, all of them in one transaction but for those of ENDS_EARLY
PARTS = {'plain': 1, 'several': 5, 'unsteady': 2, 'commits': 2, 'slow': 2, 'own': 1, 'sparse': 2, 'each': 1, 'skips': 1}
# the task that commits its first row itself, and the one that does not use the request's session
ENDS_EARLY, NOT_JOINED = 'commits', 'own'
SCHEDULES = {
    'plain': '*',
    'several': '*/2',
    'unsteady': '*/3',
    'commits': '*/2',
    'slow': '*/5',
    'own': '*/2',
    # further apart than it takes to find out that a frozen process is to be taken for dead
    'sparse': '*/30',
    # for each minute that was missed
    'each': '*/6',
    # and by chance skips its run
    'skips': '*/2',
}
OPTIONS = {'unsteady': {'retries': 2}, 'each': {'missed': 'each', 'retries': (0, 120)}}
LEASE = 1.0


class Base(DeclarativeBase):
    pass


class Effect(Base):
    __tablename__ = 'effects'

    id: Mapped[int] = mapped_column(primary_key=True)
    task: Mapped[str] = mapped_column(String(20))
    minute: Mapped[str] = mapped_column(String(20))
    part: Mapped[int]


class Interval(Base):
    """What a run has done everything since, in the transaction of the run."""

    __tablename__ = 'intervals'

    id: Mapped[int] = mapped_column(primary_key=True)
    task: Mapped[str] = mapped_column(String(20))
    since: Mapped[str | None] = mapped_column(String(20))
    minute: Mapped[str] = mapped_column(String(20))


def written(minute):
    return minute.astimezone(timezone.utc).strftime('%Y-%m-%d %H:%M')


def make_app(url, folder, session, seed=0, **settings):
    """Return the WSGI application and its registry.

    :param session: whether runs are joined to the session of the request.
    :param settings: more settings, without their prefix.
    """
    tasks = Work(url, folder, random.Random(seed))
    settings = {
        'cron.store': url,
        'cron.app': 'kills',
        'cron.timezone': 'UTC',
        'cron.catch_up': '3600',
        'cron.lease': str(LEASE),
        # the simulated minutes are long past
        'cron.keep_history': '100000',
        'tm.manager_hook': 'pyramid_tm.explicit_manager',
        **{f'cron.{name}': value for name, value in settings.items()},
    }
    if session:
        settings['cron.session'] = 'dbsession'
    with Configurator(settings=settings) as config:
        config.include('pyramid_tm')
        config.include('pyramid_cron')
        config.add_request_method(tasks.session, 'dbsession', reify=True)
        for name, minutes in SCHEDULES.items():
            config.add_cron_task(tasks.named(name), cron=f'{minutes} * * * *', name=name, **OPTIONS.get(name, {}))
    return config.make_wsgi_app(), config.registry


class Work:
    """What the tasks do."""

    def __init__(self, url, folder, chance):
        self.engine = create_engine(url)
        self.make_session = sessionmaker(self.engine)
        self.folder = folder
        self.chance = chance

    def session(self, request):
        session = self.make_session()
        zope.sqlalchemy.register(session, transaction_manager=request.tm)
        return session

    def named(self, name):
        method = getattr(self, name)

        def task(system):
            minute = written(system['scheduled_for'])
            with (self.folder / f'{name}.lock').open('a+') as lock:
                self.forbid_overlap(name, minute, lock)
                if name not in (ENDS_EARLY, NOT_JOINED):
                    since = system['since'] and written(system['since'])
                    system['request'].dbsession.add(Interval(task=name, since=since, minute=minute))
                method(system['request'], lambda part: Effect(task=name, minute=minute, part=part))

        return task

    def forbid_overlap(self, name, minute, lock):
        """Write down who else is in this task; the kernel unlocks what belongs to the dead."""
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            with (self.folder / 'overlaps').open('a') as overlaps:
                overlaps.write(f'{name}\t{lock.read()}\n')
        else:
            lock.truncate(0)
            lock.write(minute)
            lock.flush()

    def plain(self, request, effect):
        request.dbsession.add(effect(0))

    def several(self, request, effect):
        for part in range(PARTS['several']):
            request.dbsession.add(effect(part))
            request.dbsession.flush()

    def unsteady(self, request, effect):
        self.several_parts(request, effect)
        if self.chance.random() < 0.4:
            raise RuntimeError('it does so at times')

    def commits(self, request, effect):
        request.dbsession.add(effect(0))
        request.tm.commit()
        request.tm.begin()
        request.dbsession.add(effect(1))

    def slow(self, request, effect):
        self.several_parts(request, effect, 0.1)

    def own(self, request, effect):
        with self.make_session.begin() as session:
            session.add(effect(0))

    def sparse(self, request, effect):
        self.several_parts(request, effect, 0.02)

    def each(self, request, effect):
        request.dbsession.add(effect(0))
        request.dbsession.flush()
        if self.chance.random() < 0.1:
            raise RuntimeError('it does so at times')

    def skips(self, request, effect):
        request.dbsession.add(effect(0))
        request.dbsession.flush()
        if self.chance.random() < 0.3:
            raise Skip('it does so at times')

    def several_parts(self, request, effect, pause=0.0):
        request.dbsession.add(effect(0))
        request.dbsession.flush()
        # in which this process may be killed, and the next minute may come
        time.sleep(pause)
        request.dbsession.add(effect(1))
        request.dbsession.flush()

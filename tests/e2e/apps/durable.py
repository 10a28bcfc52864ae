"""An application with a store, and a process that ticks it for each line with the number of a minute.

Options: ``store`` and ``tasks``, ``session`` for a URL, ``cron`` for more settings, ``engine`` for arguments of the
engine, ``freeze`` to stop inside the first claim, ``tick`` to tick once before anything is forked.
"""

import ctypes
import json
import os
import signal
import sys
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path

import zope.sqlalchemy
from pyramid.config import Configurator
from sqlalchemy import String, UniqueConstraint, create_engine, event
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, sessionmaker
from sqlalchemy.sql import visitors

from pyramid_cron.orders import run_through

BEGIN = datetime(2024, 1, 1, tzinfo=timezone.utc)
RETRIES = {'writes_and_waits again': 1}


class Base(DeclarativeBase):
    pass


class Effect(Base):
    __tablename__ = 'effects'

    id: Mapped[int] = mapped_column(primary_key=True)
    task: Mapped[str] = mapped_column(String(50))
    minute: Mapped[int]
    pid: Mapped[int]
    only: Mapped[int | None]
    # looked at when the transaction is committed, which SQLite cannot do
    __table_args__ = (UniqueConstraint('only', deferrable=True, initially='DEFERRED').ddl_if('postgresql'),)


def make(text):
    """Return the WSGI application."""
    options = json.loads(text)
    app_engine = create_engine(
        options.get('session', options['store']), pool_pre_ping=True, **options.get('engine', {})
    )
    make_session = sessionmaker(app_engine)

    def dbsession(request):
        session = make_session()
        zope.sqlalchemy.register(session, transaction_manager=request.tm)
        return session

    def shared_engine(registry):
        return app_engine

    settings = {
        'cron.store': shared_engine if options.get('share') else options['store'],
        'cron.app': 'store',
        'cron.timezone': 'UTC',
        'cron.session': 'dbsession',
        'tm.manager_hook': 'pyramid_tm.explicit_manager',
        **options.get('cron', {}),
    }
    with Configurator(settings=settings) as config:
        config.include('pyramid_tm')
        config.include('pyramid_cron')
        config.add_request_method(dbsession, reify=True)
        config.add_route('tick', '/tick/{minute}')
        config.add_view(tick_view, route_name='tick', renderer='json')
        for name, schedule in options['tasks'].items():
            function, _, _ = name.partition(' ')
            config.add_cron_task(
                globals()[function],
                cron=schedule,
                name=name,
                retries=RETRIES.get(name, 0),
                store=function != 'forgets',
            )
    app = config.registry['app'] = config.make_wsgi_app()
    if options.get('freeze'):
        event.listen(config.registry['cron_store'].database.engine, 'after_cursor_execute', freeze_in_claim)
    if options.get('tick'):
        tick(app, 0)
        # the application's own; the store has to look after its connections itself
        app_engine.dispose()
    return app


def tick(app, number):
    began = time.monotonic()
    report = run_through(app, app.registry, BEGIN + timedelta(minutes=number))
    return {
        'problem': report.problem,
        'milliseconds': round((time.monotonic() - began) * 1000),
        'tasks': {task.name: task.outcome for task in report.tasks},
        'errors': {task.name: repr(task.exception) for task in report.tasks if task.exception},
    }


def tick_view(request):
    # pyramid_tm's own transaction stays empty
    return tick(request.registry['app'], int(request.matchdict['minute']))


# whether this process has been
FROZEN = []


def freeze_in_claim(connection, cursor, text, parameters, context, executemany):
    statement = context.compiled and context.compiled.statement
    # on PostgreSQL a part of a statement that has done all of it, and is committed
    parts = [] if statement is None else visitors.iterate(statement)
    if not FROZEN and any(getattr(part, 'is_update', False) and part.table.name == 'cron_tasks' for part in parts):
        FROZEN.append(True)
        os.kill(os.getpid(), signal.SIGSTOP)


def effect(system, only=None):
    session = system['request'].dbsession
    scheduled_for = system['scheduled_for'].astimezone(timezone.utc)
    minute = (scheduled_for - BEGIN) // timedelta(minutes=1)
    task = sys._getframe(1).f_code.co_name
    session.add(Effect(task=task, minute=minute, pid=os.getpid(), only=only))
    session.flush()


def wait():
    """Wait for a file in the current folder."""
    Path('waiting').touch()
    deadline = time.monotonic() + 30
    while not Path('go').exists():
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(0.01)


def writes(system):
    effect(system)


def waits(system):
    # from its first use of the session on it may be run again, and holds no lock yet
    system['request'].dbsession.connection()
    wait()
    effect(system)


def keeps_the_gil(system):
    system['request'].dbsession.connection()
    os.mkfifo('go')
    Path('waiting').touch()
    # until something opens its other end; unlike open(), without a release of the GIL
    ctypes.PyDLL(None).open(b'go', os.O_RDONLY)
    effect(system)


def writes_and_waits(system):
    effect(system)
    wait()


def only_waits(system):
    wait()


def commits_and_waits(system):
    effect(system)
    system['request'].tm.commit()
    wait()


def dooms(system):
    effect(system)
    system['request'].tm.doom()


def fails_at_commit(system):
    effect(system, only=1)
    effect(system, only=1)


def exits_once(system):
    effect(system)
    if not Path('exited').exists():
        Path('exited').touch()
        raise SystemExit


def forks(system):
    effect(system)
    child = os.fork()
    if child:
        os.waitpid(child, 0)


def forgets(system):
    pass


def answer(app, number):
    # at once, because several processes may write to the same pipe
    os.write(1, f'{json.dumps(tick(app, number))}\n'.encode())


def storm(text, processes, minutes):
    """Fork processes that all tick the same minutes at once."""
    waiting, go = os.pipe()
    children = []
    for _ in range(processes):
        child = os.fork()
        if not child:
            os.close(go)
            app = make(text)
            os.read(waiting, 1)
            for number in range(minutes):
                answer(app, number)
            os._exit(0)
        children.append(child)
    os.close(go)
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * processes


def main(text, processes=None, minutes=1):
    if processes is not None:
        storm(text, int(processes), int(minutes))
        return
    app = make(text)
    for line in sys.stdin:
        answer(app, int(line))


if __name__ == '__main__':
    main(*sys.argv[1:])

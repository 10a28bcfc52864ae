"""One due task with a store: its claim, its run and its end, by itself and joined to the task's transaction."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, closing
from typing import Any

import zope.sqlalchemy
from sqlalchemy import create_engine, text
from sqlalchemy.orm import sessionmaker
from webtest import TestApp

from benchmarks.counting import committed_row, per_call
from benchmarks.databases import SHOWN, database, missing
from benchmarks.measure import Call, Row, Size, turns
from benchmarks.nothing_due import CALLS, ROW, check_row
from benchmarks.stored import Ticks, configured, dispose, ticks

GROUP = 'A due task'
TASKS = 5
OWN = 'its own transaction'


def rows(size: Size) -> Iterator[Row]:
    """Yield the rows; a database that is not installed has none."""
    yield from _times(size)
    if not missing():
        yield from _counts()


def _times(size: Size) -> Iterator[Row]:
    with ExitStack() as stack:
        calls: dict[str, Call] = {'no store': stack.enter_context(ticks(None, 'a run', TASKS))}
        for name, shown in SHOWN.items():
            if name == 'postgresql' and missing():
                continue
            url = stack.enter_context(database(name))
            calls[shown] = stack.enter_context(ticks(url, 'a run', TASKS))
        for call in calls.values():
            call()
        seconds, cpu = turns(calls, size.rounds)
    for shown in list(calls)[1:]:
        what = f'claim, run, end: {shown}'
        yield Row(GROUP, what, 'no store', seconds[shown] / TASKS, seconds['no store'] / TASKS)
        yield Row(GROUP, f'{shown}, CPU time', 'no store', cpu[shown] / TASKS, cpu['no store'] / TASKS)


def _counts() -> Iterator[Row]:
    with database('postgresql', undisturbed=True) as url:
        row, _ = per_call(url, committed_row, CALLS)
        alone, _ = per_call(url, lambda through: ticks(through, 'alone', 1), CALLS)
        joined, _ = per_call(url, lambda through: _writing(through, 'joined', store=True), CALLS)
        own, _ = per_call(url, lambda through: _writing(through, 'own', store=False), CALLS)
    check_row(row)
    yield Row(GROUP, 'PostgreSQL, round trips', ROW, alone.trips, row.trips, unit='', most=3)
    yield Row(GROUP, 'waits for the disk', ROW, alone.waits, row.waits, unit='', most=2)
    # the store adds them to those of the task
    yield Row(GROUP, 'joined: added round trips', OWN, joined.trips - own.trips, own.trips, unit='', most=3)
    yield Row(GROUP, 'joined: all waits for disk', OWN, joined.waits, own.waits, unit='', most=2)


def _writing(url: str, app: str, store: bool) -> AbstractContextManager[Ticks]:
    """Return a context with the ticks of an application whose task writes a row with the session of its request.

    :param store: whether it has a store, to whose runs the session is joined.
    """
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text('CREATE TABLE IF NOT EXISTS effects (number int)'))
    make_session = sessionmaker(bind=engine)

    def dbsession(request: Any) -> Any:
        made = make_session()
        zope.sqlalchemy.register(made, transaction_manager=request.tm)
        return made

    def setup(config: Any) -> None:
        config.add_settings({'tm.manager_hook': 'pyramid_tm.explicit_manager'})
        config.include('pyramid_tm')
        config.add_request_method(dbsession, reify=True)

    def write(name: str, system: Any) -> None:
        session = system['request'].dbsession
        session.execute(text('INSERT INTO effects VALUES (1)'))
        zope.sqlalchemy.mark_changed(session)

    more: dict[str, Any] = {'session': 'dbsession'} if store else {}
    config = configured(url if store else None, app, due=1, task=write, setup=setup, **more)

    def close() -> None:
        dispose(config.registry)
        engine.dispose()

    return closing(Ticks(TestApp(config.make_wsgi_app()), 1, close))

"""What people read about the tasks, with a history and with one that is ten times as long; and what deletes it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from urllib.parse import quote

from pyramid.config import Configurator
from pyramid.request import Request
from pyramid.security import NO_PERMISSION_REQUIRED
from sqlalchemy import create_engine, text

from benchmarks.application import caller, nothing
from benchmarks.databases import SHOWN, database, missing
from benchmarks.measure import Row, Size, WrongResult, medians
from pyramid_cron.run_keys import write_key
from pyramid_cron.schedules import clock
from pyramid_cron.scripts.arguments import make_parser
from pyramid_cron.scripts.history import history_text
from pyramid_cron.scripts.listing import format_table
from pyramid_cron.store.pruning import Pruning
from pyramid_cron.store.registered_tasks import RegisteredTasks
from pyramid_cron.store.schema import gaps, runs, tasks, ticks
from pyramid_cron.summaries import summarize_all

GROUP = 'Reading a history, compared with one a tenth as long'
OF_GAPS = 'pcron history, without the time to load the application'
# how many times as long one history is as the other, and the ratio of times that is aimed at: that of noise
TIMES, MOST_RATIO = 10, 2.0
APP, COLUMNS = 'benchmarks', 100
# how many tasks have a schedule, which is due each so many minutes: 70 tasks, three of which hardly ever run
MIX = {('* * * * *', 1): 22, ('*/10 * * * *', 10): 13, ('0 * * * *', 60): 15, ('0 0 * * *', 1440): 17}
RARE = {('0 0 1 * *', 14400): 3}
# of 10,000 runs, the first among them, so many have failed, so many minutes were missed, and so many were skipped
FAULTS, MISSED, SKIPPED = 20, 5, 100
# as many as a minute of 2,000 runs brings
OLD = 2000

# the minutes of the history by their numbers, and their instants, which are in UTC and without a zone
MINUTES = {
    'postgresql': 'WITH minutes(m) AS (SELECT generate_series(CAST(:first AS bigint), CAST(:last AS bigint)))',
    'sqlite': 'WITH RECURSIVE minutes(m) AS (SELECT :first UNION ALL SELECT m + 1 FROM minutes WHERE m < :last)',
}
INSTANTS = {
    'postgresql': "CAST(:begin AS timestamp) + m * interval '1 minute' + {} * interval '1 second'",
    'sqlite': "strftime('%Y-%m-%d %H:%M:%S', :begin, m || ' minutes', {} || ' seconds') || '.000000'",
}
FILL = """
{minutes}
INSERT INTO cron_runs (id, app, task, scheduled_for, attempt, trigger, host, pid, started, finished, outcome, not_good,
    seconds, reason, error)
SELECT m || '-' || n, '{app}', task, {minute}, CASE WHEN outcome IN ('missed', 'skipped') THEN 0 ELSE 1 END, 'request',
    'web-1', 4711, {started}, {finished}, outcome,
    CASE outcome WHEN 'failed' THEN 'fault' WHEN 'missed' THEN 'missed' END, 0.25,
    CASE WHEN outcome IN ('missed', 'skipped') THEN 'why' END, CASE outcome WHEN 'failed' THEN 'LookupError' END
FROM (SELECT m, n, task, CASE WHEN (m * 7919 + n * 104729 + 2081) % 10000 < {faults} THEN 'failed'
    WHEN (m * 7919 + n * 104729 + 2081) % 10000 < {missed} THEN 'missed'
    WHEN (m * 7919 + n * 104729 + 2081) % 10000 < {skipped} THEN 'skipped' ELSE 'ok' END AS outcome
    FROM minutes JOIN benchmark_tasks ON m % every = 1 % every ORDER BY m, n) AS due
"""
# the schedules of many tasks, a fifth of them each
LINES = '* * * * *', '*/10 * * * *', '{minute} * * * *', '{minute} {hour} * * *', '{minute} {hour} {day} * *'
# minutes in one statement
BATCH = 20_000


def rows(size: Size) -> Iterator[Row]:
    """Yield the rows; a database that is not installed has none."""
    for name, shown in SHOWN.items():
        if name == 'postgresql' and missing():
            continue
        with ExitStack() as stack:
            yield from _readings(stack, name, shown, size)
            yield from _gaps(stack, name, shown, size)


def _application(url: str, lines: list[str]) -> Any:
    settings = {'cron.store': url, 'cron.app': APP, 'cron.timezone': 'UTC'}
    with Configurator(settings=settings) as config:
        config.include('pyramid_cron')
        config.include('pyramid_cron.status')
        config.add_cron_status('/status', permission=NO_PERMISSION_REQUIRED)
        for number, line in enumerate(lines):
            config.add_cron_task(nothing, name=f'task {number}', cron=line)
    return config.make_wsgi_app()


def _readings(stack: ExitStack, name: str, shown: str, size: Size) -> Iterator[Row]:
    counts = {'there': size.counts[-1] * 10}
    counts['here'] = counts['there'] * TIMES
    functions: dict[str, dict[str, Callable[[], object]]] = {}
    registries = []
    for side, count in counts.items():
        app = _application(stack.enter_context(database(name)), [line for line, _ in _tasks()])
        stack.callback(app.registry['cron_store'].database.engine.dispose)
        last = _fill(app.registry, count)
        registries.append(app.registry)
        for what, function in _functions(app, last).items():
            functions.setdefault(what, {})[side] = function
    other = f'{counts["there"]:,} runs'
    for what, sides in functions.items():
        for registry in registries:
            _record_tick(registry)
        seconds = medians(sides, size.rounds)
        yield Row(GROUP, f'{what}, {shown}', other, seconds['here'], seconds['there'], most_ratio=MOST_RATIO)
    yield Row(GROUP, f'delete {OLD:,}, {shown}', 'a minute', _delete(app.registry, last), 60.0)


def _tasks() -> list[tuple[str, int]]:
    """Return the schedules of the tasks, and each how many minutes they are due."""
    return [task for task, count in (MIX | RARE).items() for _ in range(count)]


def _fill(registry: Any, count: int) -> datetime:
    """Write a history of about so many runs until now, and return its last minute."""
    store, last = registry['cron_store'], clock.current_minute()
    number = round(count / sum(1 / every for _, every in _tasks()))
    begin = last - number * clock.MINUTE
    with store.database.begin() as connection:
        RegisteredTasks(connection).register(list(registry['cron_tasks']), begin)
        ended = {'last_outcome': 'ok', 'last_outcome_for': last, 'last_finished': last, 'last_success_at': last}
        connection.execute(connection.update(tasks).values(last_minute=last, **ended))
        connection.execute(connection.insert(ticks), {'last_minute': last})
    # of its own, without the time limits of the store
    engine = create_engine(store.database.engine.url)
    instant = INSTANTS[engine.dialect.name]
    statement = FILL.format(
        minutes=MINUTES[engine.dialect.name],
        app=APP,
        minute=instant.format('0'),
        started=instant.format('(1 + n / 2)'),
        finished=instant.format('(2 + n / 2)'),
        faults=FAULTS,
        missed=FAULTS + MISSED,
        skipped=FAULTS + MISSED + SKIPPED,
    )
    with engine.begin() as connection:
        connection.execute(text('CREATE TABLE benchmark_tasks (n INTEGER, task VARCHAR(20), every INTEGER)'))
        known = [{'n': n, 'task': f'task {n}', 'every': every} for n, (_, every) in enumerate(_tasks())]
        connection.execute(text('INSERT INTO benchmark_tasks VALUES (:n, :task, :every)'), known)
        for first in range(1, number, BATCH):
            end = min(first + BATCH - 1, number)
            given = {'begin': f'{begin:%Y-%m-%d %H:%M:%S}', 'first': first, 'last': end}
            connection.execute(text(statement), given)
        connection.execute(text('DROP TABLE benchmark_tasks'))
    if engine.dialect.name == 'postgresql':
        with engine.connect().execution_options(isolation_level='AUTOCOMMIT') as connection:
            # as autovacuum does, which has no time for it here
            connection.execute(text('VACUUM ANALYZE'))
    engine.dispose()
    return last


def _record_tick(registry: Any) -> None:
    """Record that a tick has come and is done: health is red some minutes after the last one."""
    minute = clock.current_minute()
    with registry['cron_store'].database.begin() as connection:
        done = {'last_minute': minute, 'minute_before': minute, 'done_minute': minute}
        connection.execute(connection.update(ticks).values(done))
        connection.execute(connection.update(tasks).values(last_seen=minute))


def _functions(app: Any, last: datetime) -> dict[str, Callable[[], object]]:
    """Return the functions that are measured, by what they read."""
    registry = app.registry
    frequent, rare = 'task 0', f'task {len(_tasks()) - 1}'
    old = last - timedelta(minutes=200)
    key = quote(write_key(APP, frequent, old, None), safe='')

    def read_tasks() -> object:
        summaries = summarize_all(registry, registry['cron_tasks'], clock.current_minute(), 1)
        return format_table(summaries.tasks, None, COLUMNS, False)

    return {
        'health': caller(app, '/cron/health'),
        'metrics': caller(app, '/cron/metrics'),
        'status page': partial(_get, app, '/status'),
        'page, a task': partial(_get, app, f'/status/task?name={frequent.replace(" ", "+")}'),
        'page, a rare task': partial(_get, app, f'/status/task?name={rare.replace(" ", "+")}'),
        'page, a minute': partial(_get, app, f'/status/due?at={old:%Y-%m-%dT%H:%M}'),
        'page, a run': partial(_get, app, f'/status/history/run?key={key}'),
        'page, history': partial(_get, app, '/status/history'),
        'page, a night': partial(_get, app, '/status/timeline'),
        'list': read_tasks,
        'history': partial(_history, registry),
        'history NAME': partial(_history, registry, frequent),
        'history RARE_NAME': partial(_history, registry, rare),
        'history --failed': partial(_history, registry, failed=True),
        'NAME --failed': partial(_history, registry, frequent, failed=True),
    }


def _get(app: Any, path: str) -> object:
    answer = Request.blank(path).get_response(app)
    if answer.status_code != 200:
        raise WrongResult(f'{path} answered {answer.status}')
    return answer.text


def _history(registry: Any, *names: str, failed: bool = False) -> str:
    options = ['--limit=50', *(['--failed'] if failed else [])]
    given = make_parser().parse_args(['history', 'shop.ini', *options])
    given.names = names
    shown = history_text(registry['cron_store'], registry, clock.now(), given, COLUMNS)
    if 'Nothing' in shown:
        raise WrongResult(f'pcron history {" ".join(names)} shows nothing')
    return shown


def _delete(registry: Any, last: datetime) -> float:
    """Return the seconds in which as many old runs are deleted as a minute brings."""
    tables = registry['cron_store'].database
    with tables.begin() as connection:
        oldest = connection.select(runs, runs.c.started).order_by(runs.c.started).limit(1)
        before = connection.scalar(oldest.offset(OLD))
    began = time.perf_counter()
    Pruning(tables, last - before).prune(last)
    seconds = time.perf_counter() - began
    with tables.begin() as connection:
        if connection.scalar(oldest) != before:
            raise WrongResult('the old runs are not deleted')
    return seconds


def _gaps(stack: ExitStack, name: str, shown: str, size: Size) -> Iterator[Row]:
    """Yield a row with 500 tasks and 50 gaps of some hours each."""
    lines = [
        line.format(minute=number % 60, hour=number % 24, day=number % 28 + 1)
        for number in range(100)
        for line in LINES
    ]
    registry = _application(stack.enter_context(database(name)), lines).registry
    tables, last = registry['cron_store'].database, clock.current_minute()
    stack.callback(tables.engine.dispose)
    with tables.begin() as connection:
        connection.execute(connection.insert(ticks), {'last_minute': last})
        firsts = [last - number * timedelta(hours=11) for number in range(1, 51)]
        made = [{'first_minute': first, 'last_minute': first + timedelta(hours=2)} for first in firsts]
        connection.execute(connection.insert(gaps), made)
    if _history(registry).count('no tick from') != len(firsts):
        raise WrongResult('pcron history does not show all gaps')
    seconds = medians({'history': partial(_history, registry)}, size.rounds)['history']
    yield Row(OF_GAPS, f'50 gaps 500 tasks, {shown}', 'a second', seconds, 1.0, most=0.2)

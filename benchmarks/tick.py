"""A tick through the WSGI callable, and what a due task adds."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from pyramid.request import Request

from benchmarks.application import PATHS, caller, configurator, nothing
from benchmarks.measure import Row, Size, WrongResult, medians
from pyramid_cron import transactions

GROUP = 'A tick through the WSGI callable'
ZONES = ('UTC', 'Europe/Berlin', 'America/New_York', 'Asia/Tokyo')
MANY = 100


def rows(size: Size) -> Iterator[Row]:
    """Yield the rows of ticks with nothing due, and of what due tasks add."""
    most = size.counts[-1]
    yield from _nothing_due('no tasks', 0, size, most_ratio=1.2)
    yield from _nothing_due('10 tasks, none due', 10, size, most_ratio=1.2)
    yield from _nothing_due('10 in four zones, none due', 10, size, zones=ZONES)
    yield from _nothing_due(f'{most:,} tasks, none due', most, size)
    yield from _due(size)


def _nothing_due(
    what: str, tasks: int, size: Size, zones: tuple[str | None, ...] = (None,), most_ratio: float | None = None
) -> Iterator[Row]:
    app = configurator(tasks, zones=zones).make_wsgi_app()
    functions = {name: caller(app, path) for name, path in PATHS.items()}
    if {function() for function in functions.values()} != {b'ok'} or statuses(app):
        raise WrongResult(f'{what}: a tick did not answer ok, or ran something')
    seconds = medians(functions, 5 * size.rounds)
    yield Row(GROUP, what, 'bare view', seconds['tick'], seconds['bare view'], most_ratio=most_ratio)
    yield Row(GROUP, what, 'one with own Response', seconds['tick'], seconds['one with own Response'])


def _due(size: Size) -> Iterator[Row]:
    one, many = (configurator(0, due_tasks=count).make_wsgi_app() for count in (1, 1 + MANY))
    ran: list[dict[str, Any]] = []
    counted = configurator(0, due_tasks=1 + MANY, task=ran.append).make_wsgi_app()
    # more than once, because what has already run for the minute would be skipped
    if any(statuses(many) != ['ok'] * (1 + MANY) for _ in range(2)) or len(statuses(counted)) != len(ran):
        raise WrongResult('not every task that was due ran')
    request = Request.blank(PATHS['tick'])
    functions = {
        'one': caller(one, PATHS['tick']),
        'many': caller(many, PATHS['tick']),
        'transactions': lambda: look_for_transactions(request),
        'calls': call_them,
    }
    seconds = medians(functions, 5 * size.rounds)
    task, call = (seconds['many'] - seconds['one']) / MANY, seconds['calls'] / MANY
    yield Row(GROUP, 'a due task', 'its call with a dict', task, call)
    yield Row(GROUP, 'what is added to the call', 'its call with a dict', task - call, call, most=5e-6)
    yield Row(GROUP, 'its look for pyramid_tm', 'a tick, 1 due', seconds['transactions'], seconds['one'])


def look_for_transactions(request: Request) -> None:
    """Do what a run does once, with tasks due, to learn of pyramid_tm and pyramid_retry."""
    transactions.forbid_retry(request)
    transactions.active_manager(request)


def statuses(app: Any) -> list[str]:
    """Return what became of each task in a tick of the application."""
    report = json.loads(caller(app, PATHS['tick'], accept='application/json')())
    return [task['outcome'] for task in report['tasks']]


def call_them() -> None:
    """Call the tasks' function as often as a tick does."""
    for _ in range(MANY):
        nothing({'request': None, 'registry': None, 'time_left': None, 'scheduled_for': None})

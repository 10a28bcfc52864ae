"""The message that carries a run to an engine, and the key of the run in it: the same for all engines."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any, NamedTuple
from uuid import uuid4

from pyramid_cron.claims import Delivery, Run
from pyramid_cron.schedules import clock

KEY = re.compile(r'(?P<task>.+)@(?:(?P<minute>\d{4}-\d\d-\d\dT\d\d:\d\dZ)|(?P<token>[0-9a-f]{32}))', re.DOTALL)
MINUTE_FORMAT = '%Y-%m-%dT%H:%MZ'


class Handover(NamedTuple):
    """A run that is enqueued: the argument of the callable that ``via`` names.

    :param key: the key of the run, which :func:`pyramid_cron.perform` and ``pcron perform`` take:
        ``'shop:invoices@2026-11-24T02:00Z'``. A run that is enqueued a second time has the same key. The key of a run
        that was requested by name ends in 32 hexadecimal digits in place of a minute.
    :param task: the name of the task.
    :param scheduled_for: the minute that the run is for, aware and in the time zone of the task.
    :param expires: the instant after which the run does not begin any more, aware.
    :param config_uri: the setting ``cron.config_uri``.
    """

    key: str
    task: str
    scheduled_for: datetime
    expires: datetime
    config_uri: str | None

    @property
    def command(self) -> tuple[str, ...]:
        """The words of the command that executes the run: ``pcron perform CONFIG_URI KEY``.

        :raises LookupError: if ``cron.config_uri`` is not set.
        """
        if self.config_uri is None:
            raise LookupError('the command needs the configuration file: set cron.config_uri = %(__file__)s')
        return 'pcron', 'perform', self.config_uri, self.key


@dataclass(frozen=True)
class EngineAdapter:
    """An engine of an application's tasks: makes a :class:`Handover` of each run and passes it to a callable.

    It is what ``Task.engine`` holds, see :class:`pyramid_cron.tasks.Engine`.
    """

    #: takes a :class:`Handover`, or a list of them and a connection if it enqueues within the claim; whatever it raises
    #: makes the run a failed one
    call: Callable[..., object]
    #: the name of the engine in logs and on pages
    name: str
    #: the name of the application in keys
    app: str
    #: the setting ``cron.catch_up``
    catch_up: timedelta
    #: the setting ``cron.config_uri``
    config_uri: str | None
    #: whether runs are enqueued on the connection of their claim
    within_claim: bool
    #: what receives its runs: see :class:`pyramid_cron.tasks.Engine`
    broker: object

    def __str__(self) -> str:
        return self.name

    def enqueue(self, run: Run) -> None:
        """Pass a run to the callable."""
        self.call(self._handover(run))

    def enqueue_all(self, runs: Sequence[Run], connection: Any) -> None:
        """Pass runs to the callables of their engines, those of one engine together."""
        # a callable need not be hashable
        by_engine: dict[int, tuple[Any, list[Handover]]] = {}
        for run in runs:
            by_engine.setdefault(id(run.engine), (run.engine, []))[1].append(self._handover(run))
        for engine, handovers in by_engine.values():
            engine.call(handovers, connection)

    def _handover(self, run: Run) -> Handover:
        task, minute = run.task, run.minute or clock.current_minute()
        return Handover(
            write_key(self.app, task.name, run.minute, run.token),
            task.name,
            task.scheduled_for(minute),
            minute + task.queue_timeout(self.catch_up),
            self.config_uri,
        )


def write_key(app: str, task: str, minute: datetime | None, token: str | None) -> str:
    """Return the key of a run, which :func:`read_key` reads.

    :param app: the name of the application.
    :param task: the name of the task.
    :param minute: the minute that the run is for, aware; ``None`` for a run that was requested by name.
    :param token: 32 hexadecimal digits that identify a run without a minute; random ones if it is ``None``.
    """
    which = minute.astimezone(timezone.utc).strftime(MINUTE_FORMAT) if minute else token or uuid4().hex
    return f'{app}:{task}@{which}'


def read_key(app: str, key: str) -> Delivery:
    """Return the task and the minute or token of a key.

    :param app: the name of the application that the key has to belong to.
    :raises ValueError: if the text is not a key of this application.
    """
    match = KEY.fullmatch(key.removeprefix(f'{app}:')) if isinstance(key, str) else None
    if match is None or not key.startswith(f'{app}:'):
        raise ValueError(f'{key!r} is no key of {app}, such as {app}:task@2026-11-24T02:00Z')
    minute = None
    if match['minute']:
        try:
            minute = datetime.strptime(match['minute'], MINUTE_FORMAT).replace(tzinfo=timezone.utc)
        except ValueError:
            raise ValueError(f'{key!r} names a minute that does not exist') from None
    return Delivery(match['task'], minute, match['token'])

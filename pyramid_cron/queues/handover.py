"""What every engine that a task can be handed to has in common: the key of a run, and what is sent of it."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any, NamedTuple
from uuid import uuid4

from pyramid_cron.claims import Delivery, Turn
from pyramid_cron.schedules import clock

KEY = re.compile(r'(?P<task>.+)@(?:(?P<minute>\d{4}-\d\d-\d\dT\d\d:\d\dZ)|(?P<token>[0-9a-f]{32}))', re.DOTALL)
MINUTE_FORMAT = '%Y-%m-%dT%H:%MZ'


class Handover(NamedTuple):
    """A run that is handed over.

    :param key: what :func:`pyramid_cron.perform` and ``pcron perform`` take, the same whenever the run is handed over:
        ``'shop:invoices@2026-11-24T02:00Z'``. It ends in 32 hexadecimal digits if somebody asked for the task by name.
    :param task: the name of the task.
    :param scheduled_for: the minute it is for, aware and in the time zone of the task.
    :param expires: when it is too late to begin it, aware.
    :param config_uri: the setting ``cron.config_uri``.
    """

    key: str
    task: str
    scheduled_for: datetime
    expires: datetime
    config_uri: str | None

    @property
    def command(self) -> tuple[str, ...]:
        """The words of the command that runs it: ``pcron perform CONFIG_URI KEY``.

        :raises LookupError: if ``cron.config_uri`` is not set.
        """
        if self.config_uri is None:
            raise LookupError('the command needs the configuration file: set cron.config_uri = %(__file__)s')
        return 'pcron', 'perform', self.config_uri, self.key


class Sending:
    """Hands tasks over to an engine.

    :param send: the engine: takes a :class:`Handover`, and whatever it raises makes the task a failed one.
    :param shown: how it is named to people.
    :param app: the name of the application.
    :param catch_up: how long ago a minute may be that is caught up.
    :param config_uri: the configuration file of the application.
    :param within_claim: whether the engine takes the connection of the claim as a second argument.
    """

    def __init__(
        self,
        send: Callable[..., object],
        shown: str,
        app: str,
        catch_up: timedelta,
        config_uri: str | None,
        within_claim: bool,
    ) -> None:
        self.within_claim = within_claim
        self._send = send
        self._shown = shown
        self._app = app
        self._catch_up = catch_up
        self._config_uri = config_uri

    def __str__(self) -> str:
        return self._shown

    def send(self, turn: Turn, connection: Any = None) -> None:
        """Hand over the run that a turn is.

        :param connection: that of the claim, for an engine that takes it.
        """
        task, minute = turn.task, turn.minute or clock.current_minute()
        handover = Handover(
            write_key(self._app, task.name, turn.minute, turn.token()),
            task.name,
            task.scheduled_for(minute),
            minute + task.patience(self._catch_up),
            self._config_uri,
        )
        if self.within_claim:
            self._send(handover, connection)
        else:
            self._send(handover)


def write_key(app: str, task: str, minute: datetime | None, token: str | None) -> str:
    """Return the key of a run, as :func:`read_key` reads it.

    :param minute: the minute it is for, aware; ``None`` if somebody asked for it by name.
    :param token: what tells such a one from others.
    """
    which = minute.astimezone(timezone.utc).strftime(MINUTE_FORMAT) if minute else token or uuid4().hex
    return f'{app}:{task}@{which}'


def read_key(app: str, key: str) -> Delivery:
    """Return what a key of an application stands for.

    :raises ValueError: if it is none.
    """
    named = KEY.fullmatch(key.removeprefix(f'{app}:')) if isinstance(key, str) else None
    if named is None or not key.startswith(f'{app}:'):
        raise ValueError(f'{key!r} is no key of {app}, such as {app}:task@2026-11-24T02:00Z')
    minute = None
    if named['minute']:
        try:
            minute = datetime.strptime(named['minute'], MINUTE_FORMAT).replace(tzinfo=timezone.utc)
        except ValueError:
            raise ValueError(f'{key!r} names no minute') from None
    return Delivery(named['task'], minute, named['token'])

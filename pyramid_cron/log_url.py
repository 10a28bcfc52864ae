"""The address of a run's lines in a log system: the setting ``cron.log_url``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from string import Formatter
from typing import Any, NamedTuple
from urllib.parse import quote

from pyramid_cron.history_entries import PastRun
from pyramid_cron.outcomes import QUEUED
from pyramid_cron.run_keys import key_of
from pyramid_cron.schedules import clock

#: the names that the address may have, each in braces
NAMES = (
    'app',
    'environment',
    'task',
    'key',
    'id',
    'attempt',
    'minute',
    'started',
    'finished',
    'started_ms',
    'finished_ms',
    'host',
    'pid',
)
# a host and perhaps a port, and then a path, a query, a fragment or nothing: no name decides which host it is
START = re.compile(
    r'https?://(?:[a-z0-9][a-z0-9._-]*|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?(?=[/?#]|$)', re.IGNORECASE | re.ASCII
)
EXAMPLE = 'https://logs.example/?q={key}&from={started}&to={finished}'


class LogURL(NamedTuple):
    """The address of a run's lines, with names in braces for what differs from run to run.

    :param template: the address as it was written.
    """

    template: str

    @classmethod
    def parse(cls, value: Any) -> LogURL:
        """Parse a text such as ``https://logs.example/?q={key}``.

        :raises ValueError: if it is not an address of http or https, or has a name that is not one of :data:`NAMES`.
        """
        if not isinstance(value, str) or START.match(value) is None:
            raise ValueError(f'it has to begin with http:// or https:// and a host without names, as in {EXAMPLE}')
        if not value.isascii() or not value.isprintable() or ' ' in value:
            raise ValueError('it has to be an address: white space, and anything not ASCII, encoded')
        try:
            parts = list(Formatter().parse(value))
        except ValueError as exc:
            raise ValueError(f'{exc}; write {{{{ and }}}} for braces that stand for themselves') from exc
        for _, name, form, conversion in parts:
            if name is not None and (name not in NAMES or form or conversion):
                written = f'{name}{f"!{conversion}" if conversion else ""}{f":{form}" if form else ""}'
                raise ValueError(f'{{{written}}} is not one of {", ".join(f"{{{known}}}" for known in NAMES)}')
        return cls(value)

    def fill(self, values: Mapping[str, str]) -> str:
        """Return the address of a run.

        :param values: the values of all :data:`NAMES`, which are percent-encoded here.
        """
        return self.template.format_map({name: quote(value, safe='') for name, value in values.items()})


def log_address(settings: Any, app: str, run: PastRun, now: datetime) -> str:
    """Return the address of a run's lines in the log system; empty without the setting, or for what did not begin.

    :param settings: the settings of the application.
    :param app: its name.
    :param now: the present instant, which is the end of a run in progress.
    """
    if settings.log_url is None or not run.attempt or run.outcome == QUEUED:
        return ''
    address: str = settings.log_url.fill(_values_of(run, app, settings.environment, now))
    return address


def _values_of(run: PastRun, app: str, environment: str | None, now: datetime) -> dict[str, str]:
    # in full seconds, which contain all of the run
    begin = clock.to_instant(run.started).replace(microsecond=0)
    end = clock.to_instant(run.finished or now).replace(microsecond=0) + timedelta(seconds=1)
    return {
        'app': app,
        'environment': environment or '',
        'task': run.task,
        'key': key_of(app, run),
        'id': run.id or '',
        'attempt': str(run.attempt),
        'minute': '' if run.scheduled_for is None else _iso(run.scheduled_for),
        'started': _iso(begin),
        'finished': _iso(end),
        'started_ms': str(int(begin.timestamp()) * 1000),
        'finished_ms': str(int(end.timestamp()) * 1000),
        'host': run.host or '',
        'pid': '' if run.pid is None else str(run.pid),
    }


def _iso(instant: datetime) -> str:
    return f'{instant.astimezone(timezone.utc):%Y-%m-%dT%H:%M:%SZ}'

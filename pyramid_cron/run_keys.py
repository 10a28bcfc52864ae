"""The key of a run: one text for its application, its task, and its minute or its token."""

from __future__ import annotations

import re
from datetime import datetime, timezone
from uuid import uuid4

from pyramid_cron.claims import Delivery
from pyramid_cron.history_entries import BACKFILL, PastRun
from pyramid_cron.outcomes import QUEUED

KEY = re.compile(r'(?P<task>.+)@(?:(?P<minute>\d{4}-\d\d-\d\dT\d\d:\d\dZ)|(?P<token>[0-9a-f]{32}))', re.DOTALL)
MINUTE_FORMAT = '%Y-%m-%dT%H:%MZ'


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


def key_of(app: str, run: PastRun) -> str:
    """Return the key of a past run, empty if it did not begin and was not queued."""
    if not run.attempt:
        return ''
    # a backfill that is enqueued has its minute in its token
    is_in_token = (run.trigger, run.outcome) == (BACKFILL, QUEUED)
    return write_key(app, run.task, None if is_in_token else run.scheduled_for, run.id)


def is_key(app: str, word: str) -> bool:
    """Return whether a word is meant as the key of a run of an application, and not as the name of a task."""
    return word.startswith(f'{app}:') and KEY.fullmatch(word) is not None
